import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Authority, mismatched } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'
import { failuresOf } from './harness/load.ts'
import { tlsSecret } from './harness/manifests.ts'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const TRUSTED = 'Trusted by all'
const NEXT = 'Signed by the trusted'
const UNKNOWN = 'Known to nobody'
const EVERYWHERE = (issuer: string): readonly string[] => Array.from({ length: 5 }, () => issuer)

describe('certificates of a governed Ingress', () => {
  let space: Space
  let trusted: Authority
  let unknown: Authority
  let good: Leaf
  const apply = (leaf: Leaf): Promise<void> => space.kubectl.apply(tlsSecret(space.name, 'web-tls', leaf))
  const shows = async (issuer: string): Promise<void> => {
    const all = (got: readonly string[]): boolean => got.every(one => one === issuer)
    await waitFor(`every proxy shows ${issuer}`, () => space.proxies.issuers(space.host()), all)
  }

  beforeAll(async () => {
    trusted = await Authority.root(TRUSTED)
    unknown = await Authority.root(UNKNOWN)
    space = await Space.open('tls')
    good = await trusted.issue({ hosts: [space.host()] })
    await space.backends({ version: 'v1', replicas: 2 })
    await apply(good)
    await space.ingress({ name: 'web', host: space.host(), to: 'v1', secret: 'web-tls' })
    await space.serves(space.host(), 'v1')
    await shows(TRUSTED)
    await space.policy(2, { bakeTime: '3s' })
  }, 180_000)
  afterAll(() => space.close(), 90_000)

  it('a renewal by the same authority goes to one pod and to all, without a failed handshake', async () => {
    const next = await trusted.intermediate(NEXT)
    const load = space.tls({ host: space.host(), perSecond: 60, ca: trusted.pem })
    await sleep(2_000)
    await apply(await next.issue({ hosts: [space.host()] }))
    const name = await space.rollouts.next('web-tls')
    const end = await space.rollouts.reaches(name, ['Complete', 'RolledBack', 'Paused'], 60_000)
    await load.stop()
    // First, because they say why it may have ended otherwise.
    expect(failuresOf(load.records)).toEqual({})
    expect(`${end.phase}: ${end.message}`).toMatch(/^Complete/)
    expect(name.startsWith('sec-web-tls-')).toBe(true)
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1, 5])
    expect(await space.proxies.issuers(space.host())).toEqual(EVERYWHERE(NEXT))
    good = await trusted.issue({ hosts: [space.host()] })
    await apply(good)
    const back = await space.rollouts.next('web-tls', [name])
    await space.rollouts.reachesIndex(back, 1)
    await space.kubectl.patch(space.name, `ingressrollout/${back}`, { spec: { promote: true } })
    await shows(TRUSTED)
  }, 150_000)

  it('one that clients refuse is taken back by the TLS failure rate against the stable pods', async () => {
    const known = space.rollouts.names('web-tls')
    const load = space.tls({ host: space.host(), perSecond: 60, ca: trusted.pem })
    await sleep(2_000)
    await apply(await unknown.issue({ hosts: [space.host()] }))
    const name = await space.rollouts.next('web-tls', known)
    const end = await space.rollouts.reaches(name, ['RolledBack', 'Complete', 'Paused'], 60_000)
    await sleep(2_000)
    await load.stop()
    expect(end.phase).toBe('RolledBack')
    const gate = end.gates.find(one => one.name === 'tlsFailureRate')
    expect(gate?.verdict).toBe('fail')
    expect(gate?.message).toMatch(/[0-9]/)
    const refused = load.records.filter(record => record.status === null)
    expect(refused.length).toBeGreaterThan(0)
    expect([...new Set(refused.map(({ ordinal }) => ordinal))]).toEqual([0])
    expect(await space.proxies.issuers(space.host())).toEqual(EVERYWHERE(TRUSTED))
    await apply(good)
  }, 120_000)

  const invalid: readonly (readonly [string, string, string, () => Promise<Leaf>])[] = [
    ['for another host', 'HostNotCovered', '', () => trusted.issue({ hosts: ['other.test'] })],
    [
      'with a key that is not its own',
      'KeyMismatch',
      'tls.key',
      async () =>
        mismatched(await trusted.issue({ hosts: [space.host()] }), await trusted.issue({ hosts: ['x.test'] })),
    ],
    ['that has expired', 'CertificateExpired', 'tls.crt', () => trusted.issueExpired({ hosts: [space.host()] })],
    [
      'that cannot be read',
      'CertificateUnreadable',
      'tls.crt',
      () => Promise.resolve({ chain: 'no certificate\n', privateKey: good.privateKey }),
    ],
  ]
  it.each(invalid)(
    'one %s never starts, and says why (%s)',
    async (_what, reason, field, make) => {
      const known = space.rollouts.names('web-tls')
      await apply(await make())
      // At the Ingress that names it: nothing is written on a Secret.
      const condition = await space.condition('ingresses', 'web', reason)
      expect(condition).toMatchObject({ type: 'Accepted', status: 'True' })
      expect(condition.message).toContain(field)
      expect(await space.event('Secret/web-tls', reason)).toContain(field)
      await sleep(1_500)
      expect(await space.proxies.issuers(space.host())).toEqual(EVERYWHERE(TRUSTED))
      expect(space.rollouts.names('web-tls')).toEqual(known)
      await apply(good)
      await space.noCondition('ingresses', 'web')
      expect(await space.proxies.issuers(space.host())).toEqual(EVERYWHERE(TRUSTED))
    },
    60_000,
  )

  it('a Secret that is deleted while it is needed goes on being served', async () => {
    await space.kubectl.delete(space.name, 'secret/web-tls')
    await sleep(3_000)
    expect(await space.proxies.issuers(space.host())).toEqual(EVERYWHERE(TRUSTED))
    expect(await space.proxies.served(space.host())).toEqual(EVERYWHERE('v1'))
  }, 30_000)
})
