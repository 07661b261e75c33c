import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { ClusterSet } from './cluster-set.ts'
import { EndpointCluster } from './cluster.ts'
import { UPSTREAM_DEFAULTS } from './settings.ts'
import { warmth } from './slow-start.ts'
import { randomOf } from '../../protocol/testing/random.ts'
import { PLAIN_REQUEST } from './testing/plain-request.ts'

const SERVICE = 'ns/web:80'

const addressesOf = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}:80`)

/** A Service with a clock of the test. */
function rig(slowStart: number) {
  const clock = { now: 0 }
  const set = new ClusterSet({ ...UPSTREAM_DEFAULTS, slowStart }, { now: () => clock.now, random: randomOf(7) })
  const name = (...addresses: readonly string[]): void =>
    set.apply({ upsert: new Map([[SERVICE, addresses]]), remove: [] })
  const cluster = set.hold(SERVICE)
  if (!(cluster instanceof EndpointCluster)) throw new Error('a ClusterSet makes no others')
  /** Of so many requests that go at once, the part that goes to the address. */
  const partOf = (address: string, requests = 4_000): number => {
    let hits = 0
    for (let i = 0; i < requests; i++) if (cluster.pick(PLAIN_REQUEST, [], clock.now)?.address === address) hits++
    return hits / requests
  }
  return { clock, name, cluster, partOf }
}

describe('warmth', () => {
  it('rises from a tenth to 1 over the window, and never falls', () => {
    expect([0, 5_000, 10_000, 20_000].map(age => warmth(age, 10_000))).toEqual([0.1, 0.55, 1, 1])
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(100_000), fc.integer({ min: 1, max: 60_000 }), (a, b, window) => {
        const [young, old] = [Math.min(a, b), Math.max(a, b)]
        expect(warmth(young, window)).toBeLessThanOrEqual(warmth(old, window))
        expect(warmth(young, window)).toBeGreaterThanOrEqual(0.1)
        expect(warmth(old, window)).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('is 1 where there is no slow start', () => {
    expect(warmth(0, 0)).toBe(1)
  })
})

describe('an endpoint that comes to others', () => {
  it.each([2, 4, 10])('of %d gets a share that rises to that of the others', count => {
    const { clock, name, partOf } = rig(10_000)
    const all = addressesOf(count)
    const newest = all.at(-1)!
    name(...all.slice(0, -1))
    clock.now = 60_000
    name(...all)
    const parts = [0, 2_500, 5_000, 7_500, 10_000].map(age => {
      clock.now = 60_000 + age
      return partOf(newest)
    })
    const fair = 1 / count
    expect(parts[0]).toBeGreaterThan(0)
    expect(parts[0]).toBeLessThan(0.25 * fair)
    for (let i = 1; i < parts.length; i++) expect(parts[i]).toBeGreaterThan(parts[i - 1]!)
    expect(parts.at(-1)).toBeGreaterThan(0.85 * fair)
    expect(parts.at(-1)).toBeLessThan(1.15 * fair)
  })

  it('gets its whole share at once by default', () => {
    const { name, partOf } = rig(0)
    name(...addressesOf(3))
    name(...addressesOf(4))
    expect(partOf('10.0.0.4:80')).toBeGreaterThan(0.2)
  })

  it('is no newcomer where the Service had none, nor where it only is listed again', () => {
    const { clock, name, partOf } = rig(10_000)
    name(...addressesOf(4))
    expect(partOf('10.0.0.4:80')).toBeGreaterThan(0.2)
    clock.now = 1_000
    name(...addressesOf(4).toReversed())
    expect(partOf('10.0.0.4:80')).toBeGreaterThan(0.2)
  })

  it('takes everything where nobody else can', () => {
    const { clock, name, cluster } = rig(10_000)
    name('10.0.0.1:80')
    clock.now = 1_000
    name('10.0.0.2:80', '10.0.0.3:80')
    for (let i = 0; i < 200; i++) expect(cluster.pick(PLAIN_REQUEST, [], clock.now)).not.toBeNull()
    name('10.0.0.3:80')
    for (let i = 0; i < 200; i++) expect(cluster.pick(PLAIN_REQUEST, [], clock.now)?.address).toBe('10.0.0.3:80')
  })
})
