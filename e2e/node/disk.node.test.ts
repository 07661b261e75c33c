/**
 * A proxy's container is killed while operator, API server and etcd are away. Its pod, and so the volume with the last
 * table, stays: kubelet starts the container again without asking anybody.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../pki/pki.ts'
import { SYSTEM } from './harness/cluster.ts'
import { tlsSecret } from './harness/manifests.ts'
import { Operators } from './harness/operators.ts'
import { askTarget } from './harness/proxies.ts'
import type { Answer } from './harness/proxies.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const VICTIM = 3
const POD = `sluice-proxy-${VICTIM}`
const TRUSTED = 'Kept on disk'
/** A second process beside the first one, on ports of its own and with another number of workers. */
const SECOND = { http: 18_080, https: 18_443, admin: 19_090, workers: 3 }

describe('everything but the proxies is away', () => {
  let space: Space
  let host: string
  let address: string
  let before: string | null

  beforeAll(async () => {
    space = await Space.open('disk')
    host = space.host()
    const authority = await Authority.root(TRUSTED)
    await space.backends({ version: 'v1' }, { version: 'v2' })
    await space.kubectl.apply(tlsSecret(space.name, 'web-tls', await authority.issue({ hosts: [host] })))
    await space.ingress({ name: 'web', host, to: 'v1', secret: 'web-tls' })
    await space.serves(host, 'v1')
    // In the middle of a rollout: what comes back must be this pod's own revision.
    await space.policy(2, { analysis: { deadline: '5m' } })
    await space.ingress({ name: 'web', host, to: 'v2', secret: 'web-tls' })
    await space.serves(host, ['v2', 'v1', 'v1', 'v1', 'v1'])
    await waitFor(
      'every proxy has the certificate',
      () => space.proxies.issuers(host),
      all => all.every(i => i === TRUSTED),
    )
    const pod = await space.cluster.api.get('pods', POD, SYSTEM)
    address = (pod?.['status'] as { readonly podIP: string }).podIP
    await new Operators(space.cluster).stop()
    await space.cluster.hold('kube-apiserver')
    await space.cluster.hold('etcd')
    before = await space.cluster.containerOf(POD, 'proxy')
    expect(await space.cluster.killContainer(POD, 'proxy')).toBe(true)
  }, 300_000)

  afterAll(async () => {
    await space.cluster.release('etcd')
    await space.cluster.release('kube-apiserver')
    const ready = async (): Promise<number> => (await space.cluster.api.call('GET', '/readyz')).status
    await waitFor('the API server is ready', ready, status => status === 200, { timeoutMs: 60_000 })
    const operators = new Operators(space.cluster)
    await operators.start()
    await operators.ready()
    await space.close()
  }, 300_000)

  it('a proxy that was killed comes back in another container, and serves its last table', async () => {
    const container = (): Promise<string | null> => space.cluster.containerOf(POD, 'proxy')
    await waitFor('another container', container, id => id !== null && id !== before, { timeoutMs: 60_000 })
    const answers = (): Promise<Answer> => askTarget({ ordinal: VICTIM, address, port: 8080 }, { host })
    await waitFor('it serves', answers, answer => answer.version === 'v1' && answer.status === 200, {
      timeoutMs: 30_000,
    })
  }, 120_000)

  it('becomes ready', async () => {
    await space.proxyReady(VICTIM, 30_000)
  }, 60_000)

  it('has its certificate, too', async () => {
    const answer = await askTarget({ ordinal: VICTIM, address, port: 8443 }, { host, scheme: 'https' })
    expect(answer).toMatchObject({ status: 200, version: 'v1', issuer: TRUSTED })
  }, 30_000)

  it('also starts from disk with another number of workers', async () => {
    const id = await space.cluster.containerOf(POD, 'proxy')
    const settings = {
      WORKERS: SECOND.workers,
      HTTP_PORT: SECOND.http,
      HTTPS_PORT: SECOND.https,
      ADMIN_PORT: SECOND.admin,
    }
    // The image holds no shell: Node itself sets the variables and starts the proxy.
    const code = `Object.assign(process.env, ${JSON.stringify(settings)}); import('/app/main.js')`
    const running = space.cluster
      .containerd(['tasks', 'exec', '--exec-id', 'second', id ?? '', '/usr/local/bin/node', '-e', code])
      .catch((error: unknown) => String(error))
    try {
      const at = (port: number): Promise<Answer> =>
        askTarget({ ordinal: VICTIM, address, port }, { host, path: port === SECOND.admin ? '/readyz' : '/' })
      await waitFor(
        'the second process is ready',
        () => at(SECOND.admin),
        answer => answer.status === 200,
        {
          timeoutMs: 30_000,
        },
      )
      expect(await at(SECOND.http)).toMatchObject({ status: 200, version: 'v1' })
    } finally {
      await space.cluster.containerd(['tasks', 'kill', '--exec-id', 'second', '-s', 'SIGKILL', id ?? ''])
      await running
    }
  }, 90_000)

  it('the other proxies go on serving', async () => {
    expect(await space.proxies.served(host)).toEqual(['v2', 'v1', 'v1', 'v1', 'v1'])
  }, 30_000)
})
