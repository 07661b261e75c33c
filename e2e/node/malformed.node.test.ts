import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Authority, mismatched } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'
import { ingress, policy, tlsSecret } from './harness/manifests.ts'
import type { Manifest } from '../echo/manifests.ts'
import type { PathOptions } from './harness/manifests.ts'
import { Space } from './harness/space.ts'
import { PREFIX } from './harness/stamps.ts'
import { waitFor } from './harness/wait.ts'

const TRUSTED = 'Malformed root'

let space: Space
let authority: Authority
/** Serves from v1 with a certificate of its own, and must go on doing so whatever stands beside it. */
let neighbour: string
let n = 0

beforeAll(async () => {
  space = await Space.open('malformed')
  authority = await Authority.root(TRUSTED)
  neighbour = space.host('neighbour')
  await space.backends({ version: 'v1' }, { version: 'v2' })
  await space.kubectl.apply(tlsSecret(space.name, 'neighbour', await authority.issue({ hosts: [neighbour] })))
  await space.ingress({ name: 'neighbour', host: neighbour, to: 'v1', secret: 'neighbour' })
  await space.serves(neighbour, 'v1')
  await shows(neighbour)
}, 180_000)
afterAll(() => space.close(), 90_000)

async function shows(host: string): Promise<void> {
  const all = (issuers: readonly string[]): boolean => issuers.every(issuer => issuer === TRUSTED)
  await waitFor(`every proxy shows ${TRUSTED} for ${host}`, () => space.proxies.issuers(host), all)
}

/** The rest keeps working, and so do changes to it. */
async function restWorks(): Promise<void> {
  await space.serves(neighbour, 'v1')
  await shows(neighbour)
  const name = `new-${++n}`
  await space.ingress({ name, host: space.host(name), to: 'v2' })
  await space.serves(space.host(name), 'v2')
}

describe('a certificate that is wrong', () => {
  const wrong: readonly (readonly [string, string, (host: string, good: Leaf) => Promise<Leaf>])[] = [
    [
      'CertificateUnreadable',
      'tls.crt',
      (_, good) => Promise.resolve({ chain: 'garbage', privateKey: good.privateKey }),
    ],
    ['KeyUnreadable', 'tls.key', (_, good) => Promise.resolve({ chain: good.chain, privateKey: 'garbage' })],
    ['KeyMismatch', 'tls.key', async (host, good) => mismatched(good, await authority.issue({ hosts: [host] }))],
  ]
  it.each(wrong)(
    '%s: the last good one stays, event and condition name %s',
    async (reason, field, make) => {
      const name = `tls-${++n}`
      const host = space.host(name)
      const good = await authority.issue({ hosts: [host] })
      await space.kubectl.apply(tlsSecret(space.name, name, good))
      await space.ingress({ name, host, to: 'v1', secret: name })
      await space.serves(host, 'v1')
      await shows(host)
      await space.kubectl.apply(tlsSecret(space.name, name, await make(host, good)))
      const condition = await space.condition('ingresses', name, reason)
      expect(condition).toMatchObject({ type: 'Accepted', status: 'True' })
      expect(condition.message).toContain(field)
      const said = await space.event(`Secret/${name}`, reason)
      expect(said).toContain(field)
      expect(`${said}${condition.message}`).not.toContain('PRIVATE KEY')
      await shows(host)
      await restWorks()
      await space.kubectl.apply(tlsSecret(space.name, name, await authority.issue({ hosts: [host] })))
      await space.noCondition('ingresses', name)
      await shows(host)
    },
    90_000,
  )
})

describe('an Ingress that asks for what is not there', () => {
  it('an unknown Service: its path answers 503, the other path works; event and condition name the field', async () => {
    const host = space.host('service')
    const paths = (second: string): readonly PathOptions[] => [
      { path: '/here', to: 'v1' },
      { path: '/there', to: second },
    ]
    await space.ingress({ name: 'service', host, paths: paths('nowhere') })
    await space.serves(host, 'v1', 20_000, '/here')
    await space.serves(host, '503', 20_000, '/there')
    const field = 'spec.rules[0].http.paths[1].backend.service'
    expect((await space.condition('ingresses', 'service', 'ServiceNotFound')).message).toContain(field)
    const event = await space.event('Ingress/service', 'ServiceNotFound')
    expect(event).toContain(field)
    expect(event).toContain('echo-nowhere')
    await restWorks()
    await space.ingress({ name: 'service', host, paths: paths('v2') })
    await space.serves(host, 'v2', 20_000, '/there')
    await space.noCondition('ingresses', 'service')
  }, 90_000)

  const supported: readonly (readonly [string, string, string])[] = [
    ['rewrite-target', '/other', 'UnsupportedAnnotation'],
    ['rewrite-tarket', '/other', 'UnknownAnnotation'],
  ]
  it.each(supported)(
    'annotation %s: %s is said, the rest of it works',
    async (annotation, value, reason) => {
      const name = `note-${++n}`
      const host = space.host(name)
      await space.ingress({ name, host, to: 'v1', annotations: { [`${PREFIX}/${annotation}`]: value } })
      await space.serves(host, 'v1')
      const field = `metadata.annotations[${PREFIX}/${annotation}]`
      expect((await space.condition('ingresses', name, reason)).message).toContain(field)
      expect(await space.event(`Ingress/${name}`, reason)).toContain(field)
      await space.ingress({ name, host, to: 'v2' })
      await space.serves(host, 'v2')
      await space.noCondition('ingresses', name)
    },
    60_000,
  )

  const protective: readonly (readonly [string, string])[] = [
    ['whitelist-source-range', '198.18.255.0/24'],
    ['auth-url', 'http://auth.example/check'],
    ['configuration-snippet', 'deny all;'],
    ['backend-protocol', 'HTTPS'],
  ]
  it.each(protective)(
    'annotation %s protects: all its paths close, also if it was open',
    async (annotation, value) => {
      const name = `closed-${++n}`
      const host = space.host(name)
      await space.ingress({ name, host, to: 'v1' })
      await space.serves(host, 'v1')
      await space.ingress({ name, host, to: 'v1', annotations: { [`${PREFIX}/${annotation}`]: value } })
      await space.serves(host, '503')
      await space.serves(host, '503', 5_000, '/deeper')
      const condition = await space.condition('ingresses', name, annotation)
      expect(condition).toMatchObject({ type: 'Accepted', status: 'False' })
      const said = async (): Promise<string> =>
        (await space.events(`Ingress/${name}`)).map(({ message }) => message).join('\n')
      const names = (text: string): boolean => text.includes(`metadata.annotations[${PREFIX}/${annotation}]`)
      // Events come a moment later.
      expect(await waitFor('an event that names it', said, names)).not.toBe('')
      await restWorks()
      await space.ingress({ name, host, to: 'v1' })
      await space.serves(host, 'v1')
    },
    60_000,
  )
})

describe('what the API server refuses itself', () => {
  const host = 'web.example.test'
  const refused: readonly (readonly [string, () => Manifest, RegExp])[] = [
    [
      'an invalid host',
      () => ingress({ namespace: space.name, name: 'web', host: 'No_Host!' }),
      /spec\.rules\[0\]\.host: Invalid value/,
    ],
    [
      'a path without its slash',
      () => ingress({ namespace: space.name, name: 'web', host, paths: [{ path: 'shop', to: 'v1' }] }),
      /spec\.rules\[0\]\.http\.paths\[0\]\.path: Invalid value: "shop"/,
    ],
    [
      'a policy whose batches decrease',
      () => policy({ name: space.name, namespace: space.name, batches: [{ pods: 3 }, { pods: 2 }] }),
      /spec\.batches/,
    ],
    [
      'a policy without a gate',
      () => policy({ name: space.name, namespace: space.name, spec: { analysis: { minRequests: 10 } } }),
      /spec\.analysis/,
    ],
    [
      'a policy with a bake time that is none',
      () => policy({ name: space.name, namespace: space.name, bakeTime: 'soon' }),
      /spec\.bakeTime/,
    ],
    [
      'a policy with a field that nobody knows',
      () => policy({ name: space.name, namespace: space.name, spec: { bakeTyme: '5s' } }),
      /unknown field "(spec\.)?bakeTyme"/,
    ],
  ]
  it.each(refused)(
    '%s is refused by name',
    async (_what, manifest, message) => {
      const { code, stderr } = await space.kubectl.tryApply(manifest())
      expect(code).not.toBe(0)
      expect(stderr).toMatch(message)
      await space.serves(neighbour, 'v1')
    },
    30_000,
  )
})
