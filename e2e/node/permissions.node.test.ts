import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Api } from './harness/api.ts'
import { SYSTEM } from './harness/cluster.ts'
import { Space } from './harness/space.ts'
import { openStream, sendReport } from './harness/stream.ts'

const TOKEN_FILE = '/var/run/secrets/sluice/token'
const API_TOKEN_FOLDER = '/var/run/secrets/kubernetes.io'

interface Volume {
  readonly name: string
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken?: { readonly audience?: string } }[]
  }
  readonly secret?: object
}

describe('what a proxy may do', () => {
  let space: Space
  let address: string
  let ca: string
  const inProxy = (ordinal: number, code: string): Promise<string> =>
    space.kubectl.ok([
      ...['-n', SYSTEM, 'exec', `sluice-proxy-${ordinal}`, '-c', 'proxy', '--'],
      ...['/usr/local/bin/node', '-e', code],
    ])
  const tokenOf = (ordinal: number): Promise<string> =>
    inProxy(ordinal, `process.stdout.write(require('fs').readFileSync('${TOKEN_FILE}', 'utf8'))`)

  beforeAll(async () => {
    space = await Space.open('rbac')
    const authority = await space.cluster.api.get('configmaps', 'sluice-stream-ca', SYSTEM)
    ca = (authority?.['data'] as { readonly 'ca.crt': string })['ca.crt']
    const service = await space.kubectl.ok([
      ...['-n', SYSTEM, 'get', 'service', 'sluice-operator', '-o', 'jsonpath={.spec.clusterIP}'],
    ])
    address = service.trim()
  }, 90_000)
  afterAll(() => space.close(), 90_000)

  it('its Pod holds no token for the API server, and no Secret', async () => {
    const pod = await space.cluster.api.get('pods', 'sluice-proxy-0', SYSTEM)
    const { volumes, automountServiceAccountToken } = pod?.['spec'] as {
      readonly volumes: readonly Volume[]
      readonly automountServiceAccountToken: boolean
    }
    expect(automountServiceAccountToken).toBe(false)
    const audiences = volumes.flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) =>
        token === undefined ? [] : [token.audience],
      ),
    )
    expect(audiences).toEqual(['sluice-stream'])
    expect(volumes.filter(({ secret }) => secret !== undefined)).toEqual([])
    expect(await inProxy(0, `console.log(require('fs').existsSync('${API_TOKEN_FOLDER}'))`)).toBe('false\n')
  }, 30_000)

  it('the API server refuses the token that it holds', async () => {
    const api = await Api.connect(space.cluster.env['KUBECONFIG'] ?? '', await tokenOf(0))
    try {
      expect((await api.call('GET', '/api/v1/namespaces')).status).toBe(401)
      expect((await api.call('GET', '/apis/networking.k8s.io/v1/ingresses')).status).toBe(401)
    } finally {
      api.close()
    }
  }, 30_000)

  it('its ServiceAccount may do nothing beyond what every account may', async () => {
    const rights = async (account: string, namespace: string): Promise<readonly string[]> => {
      const as = ['--as', `system:serviceaccount:${account}`, '--as-group=system:serviceaccounts']
      const all = ['--as-group=system:authenticated', '-n', namespace]
      const text = await space.kubectl.ok(['auth', 'can-i', '--list', ...as, ...all])
      return text.trimEnd().split('\n').sort()
    }
    for (const namespace of [SYSTEM, space.name]) {
      const proxy = await rights(`${SYSTEM}:sluice-proxy`, namespace)
      expect(proxy.length).toBeGreaterThan(2)
      expect(proxy).toEqual(await rights(`${space.name}:default`, namespace))
      expect(proxy.join('\n')).not.toMatch(/secrets|ingresses|configmaps|pods/)
    }
  }, 60_000)

  it('a pod’s token opens that pod’s stream, whatever else the request says', async () => {
    const token = await tokenOf(4)
    const hello = await openStream({ address, ca, token, query: '?pod=sluice-proxy-0&ordinal=0' })
    expect(hello).toMatchObject({ status: 200, first: { type: 'hello', pod: 'sluice-proxy-4', ordinal: 4 } })
  }, 30_000)

  it('it reports for that pod and no other', async () => {
    const token = await tokenOf(4)
    const refused = await sendReport({ address, ca, token }, 'sluice-proxy-0')
    expect(refused.status).toBe(403)
    expect(refused.body).toContain('sluice-proxy-0')
    expect((await sendReport({ address, ca, token }, 'sluice-proxy-4')).status).toBe(200)
  }, 30_000)

  it('there is no stream without a token, with one of another audience, or of another account', async () => {
    const create = (...args: readonly string[]): Promise<string> => space.kubectl.ok(['create', 'token', ...args])
    const audience = '--audience=sluice-stream'
    const tokens = [
      '',
      'not-a-token',
      await create('sluice-proxy', '-n', SYSTEM),
      // The right account and audience, bound to no pod.
      await create('sluice-proxy', '-n', SYSTEM, audience),
      await create('default', '-n', space.name, audience),
    ]
    for (const token of tokens) {
      const { status, first } = await openStream({ address, ca, token: token.trim() })
      expect([401, 403]).toContain(status)
      expect(JSON.stringify(first)).not.toContain('hello')
    }
  }, 60_000)
})
