/** Whose content is stored: that of Secrets which an Ingress of ours names, and of no others (docs/adr/0025-keys-in-the-store.md). */
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { KubeObject } from '../kube/objects.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { TLS, ingress, policy, secret, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster } from './testing.ts'

const MINUTE = 60_000
let leaves: readonly Leaf[]

beforeAll(async () => {
  const authority = await Authority.root('Root')
  const notBefore = new Date('2025-12-01')
  leaves = await Promise.all([1, 2, 3].map(() => authority.issue({ hosts: ['shop.example'], notBefore })))
})

const dataOf = (n: number): Readonly<Record<string, string>> => secret(leaves[n]!).data!
const web = (): ReturnType<typeof ingress> => ingress({ tls: ['tls'] })
const keyed = (of: ReleaseRecord | null): boolean => JSON.stringify(of).includes('PRIVATE KEY')

interface Scene {
  readonly api: FakeApi
  readonly leader: LeaderProcess
  readonly record: () => ReleaseRecord | null
  readonly given: () => readonly (string | null)[]
  readonly after: (ms: number) => Promise<void>
}

async function scene(...ingresses: readonly KubeObject[]): Promise<Scene> {
  const api = cluster(
    ['secrets', secret(leaves[0]!)],
    ['services', service('web')],
    ['endpointslices', slice('web', '198.18.0.1')],
    ...ingresses.map(one => ['ingresses', one] as const),
  )
  return sceneOf(api, await new LeaderProcess(api).start())
}

function sceneOf(api: FakeApi, leader: LeaderProcess): Scene {
  return {
    ...{ api, leader },
    record: () => leader.store.byKey(TLS),
    given: () => [0, 1, 2].map(ordinal => leader.given(TLS, ordinal)),
    after: async ms => {
      await leader.settle()
      leader.clock.freeze(ms)
      await leader.settle()
    },
  }
}

/** Governed, renewed once, and the renewal was taken back. */
async function refused(): Promise<Scene & { readonly stable: string }> {
  const made = await scene(web())
  const { api, leader, given } = made
  api.put('ingressrolloutpolicies', policy())
  await leader.settle()
  const [stable] = given()
  leader.onUpdate = { requests: 1000, failures: 1000, handshakes: 1000 }
  api.edit('secrets', 'shop/tls', { data: dataOf(1) })
  await leader.seconds(10)
  expect([given(), leader.store.byKey(TLS)?.refused.length]).toEqual([[stable, stable, stable], 1])
  return { ...made, stable: stable ?? '' }
}

describe('the content of a Secret', () => {
  it('is not stored while no Ingress of ours names it', async () => {
    const { api, leader, record, after } = await scene()
    api.put('ingresses', ingress({ name: 'other', className: 'nginx', tls: ['tls'] }))
    await after(20 * MINUTE)
    expect([record(), leader.errors]).toEqual([null, []])
  })

  it('is stored as soon as one does, also where a policy holds the Ingress back', async () => {
    const { api, leader, record, given } = await scene()
    api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
    api.put('ingresses', ingress())
    await leader.seconds(10)
    expect(record()).toBeNull()
    leader.onUpdate = {}
    api.edit('ingresses', 'shop/web', { spec: web().spec })
    await leader.settle()
    // It was there before the change: no rollout of it beside that of the Ingress.
    expect(keyed(record())).toBe(true)
    const [first] = given()
    expect([first, given()]).toEqual([expect.any(String), [first, first, first]])
    expect(api.all('ingressrollouts').filter(({ metadata }) => metadata.name.startsWith('sec-'))).toEqual([])
  })

  it('is let go when none has named it for ten minutes, and comes back with the next', async () => {
    const { api, leader, record, given, after } = await scene(web())
    const [first] = given()
    expect(keyed(record())).toBe(true)
    api.remove('ingresses', 'shop/web')
    await after(9 * MINUTE)
    expect(keyed(record())).toBe(true)
    await after(2 * MINUTE)
    expect(record()).toBeNull()
    api.put('ingresses', web())
    await leader.settle()
    expect([keyed(record()), given()]).toEqual([true, [first, first, first]])
  })

  it('stays when the Ingress is made again in a moment, and the time begins anew', async () => {
    const { api, leader, record, given, after } = await scene(web())
    const before = [record(), given()]
    for (let i = 0; i < 3; i++) {
      api.remove('ingresses', 'shop/web')
      await after(6 * MINUTE)
      api.put('ingresses', web())
      await leader.settle()
      expect([record(), given()]).toEqual(before)
    }
  })

  it('stays for a new leader, whose time begins anew', async () => {
    const { api, leader, record, after } = await scene(web())
    api.remove('ingresses', 'shop/web')
    await after(9 * MINUTE)
    expect(keyed(record())).toBe(true)
    leader.crash()
    const next = sceneOf(api, await new LeaderProcess(api, { clock: leader.clock }).start())
    await next.after(9 * MINUTE)
    expect(keyed(next.record())).toBe(true)
    await next.after(2 * MINUTE)
    expect(next.record()).toBeNull()
  })

  it('stays while an Ingress is there that cannot be read', async () => {
    const { api, leader, record, after } = await scene(web())
    api.put('ingresses', { ...ingress({ name: 'broken' }), spec: 'nonsense' })
    api.remove('ingresses', 'shop/web')
    await after(20 * MINUTE)
    await after(20 * MINUTE)
    expect(keyed(record())).toBe(true)
    api.remove('ingresses', 'shop/broken')
    await leader.settle()
    await after(11 * MINUTE)
    expect(record()).toBeNull()
  })

  it('stays while the Secret has another that was taken back: nothing else has the good one', async () => {
    const { api, leader, record, given, after, stable } = await refused()
    api.remove('ingresses', 'shop/web')
    await leader.seconds(10)
    await after(20 * MINUTE)
    await after(20 * MINUTE)
    expect(keyed(record())).toBe(true)
    api.put('ingresses', web())
    await leader.seconds(3)
    expect([given(), record()?.refused.length]).toEqual([[stable, stable, stable], 1])
  })

  it('goes without what was refused being forgotten', async () => {
    const { api, leader, record, given, after } = await refused()
    api.edit('secrets', 'shop/tls', { data: dataOf(2) })
    leader.onUpdate = { requests: 1000, handshakes: 1000 }
    await leader.seconds(10)
    api.remove('ingresses', 'shop/web')
    await leader.seconds(10)
    await after(11 * MINUTE)
    await after(11 * MINUTE)
    const [bad] = record()?.refused ?? []
    expect([keyed(record()), record()?.revisions, bad]).toEqual([false, {}, expect.any(String)])
    // What was refused stays in, whoever comes back.
    api.put('ingresses', web())
    await leader.seconds(10)
    const [good] = given()
    expect([keyed(record()), good]).toEqual([true, expect.any(String)])
    api.edit('secrets', 'shop/tls', { data: dataOf(1) })
    await leader.seconds(10)
    expect(given()).toEqual([good, good, good])
  })

  it('is let go also where an older operator stored it', async () => {
    const { api, leader, record, after } = await scene(web())
    const old = record()!
    leader.crash()
    api.remove('ingresses', 'shop/web')
    const next = sceneOf(api, await new LeaderProcess(api).start())
    expect(next.record()).toMatchObject({ uid: old.uid })
    await next.after(11 * MINUTE)
    expect(next.record()).toBeNull()
    await after(0)
  })

  it('is let go with the Secret that is gone, and not before: its Ingress may be made again', async () => {
    const { api, leader, record, given, after } = await scene(web())
    const before = given()
    api.remove('secrets', 'shop/tls')
    api.remove('ingresses', 'shop/web')
    await after(5 * MINUTE)
    api.put('ingresses', web())
    await leader.settle()
    expect([given(), leader.errors]).toEqual([before, []])
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    await after(11 * MINUTE)
    expect(record()).toBeNull()
  })
})
