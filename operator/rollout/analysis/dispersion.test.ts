import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Sample } from '../machine/statistics.ts'
import { counted } from '../machine/testing.ts'
import { seeded } from '../simulation/random.ts'
import { bunchesIn, dispersion, dispersionOf, slowestOf, withoutWorst } from './dispersion.ts'

const even = (count: number, total = 100): readonly Sample[] => Array.from({ length: 90 }, () => ({ count, total }))
const bunched = (size: number, every: number): readonly Sample[] =>
  Array.from({ length: 90 }, (_, i) => ({ count: i % every === 0 ? size : 0, total: 100 }))

describe('dispersion', () => {
  it.each<[string, readonly (readonly Sample[])[]]>([
    ['nothing known', []],
    ['no event', [even(0)]],
    ['nothing but events', [even(100)]],
    ['a single block', [[{ count: 5, total: 100 }]]],
    ['the same in every block', [even(3)]],
    ['one pod is always worse', [even(0), even(1), even(20)]],
    ['one event', [[...even(0), { count: 1, total: 100 }]]],
  ])('is 1 for %s', (_, pods) => {
    expect(dispersion(pods)).toBeCloseTo(1, 1)
  })

  it('has an end: one outage before hides nothing that fails always', () => {
    const outage = Array.from({ length: 90 }, (_, i) => ({ count: i < 6 ? 1_000 : 0, total: 1_000 }))
    expect(dispersion([outage])).toBe(30)
  })

  it('is near the size of the bunches', () => {
    expect(dispersion([bunched(20, 10)])).toBeGreaterThan(10)
    expect(dispersion([bunched(20, 10)])).toBeLessThan(25)
    // One pod of five has nearly all events: the others do not thin it out.
    expect(dispersion([bunched(20, 10), even(0), even(0), even(0), even(0)])).toBeGreaterThan(10)
  })

  it('of independent events is near 1, and never less', () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.constantFrom(0.05, 0.5, 5), (seed, mean) => {
        const { poisson } = seeded(seed)
        const pods = Array.from({ length: 5 }, () =>
          Array.from({ length: 90 }, () => ({ count: poisson(mean), total: 100 })),
        )
        const found = dispersion(pods)
        expect(found).toBeGreaterThanOrEqual(1)
        expect(found).toBeLessThan(2)
      }),
    )
  })
})

it.each<[string, readonly number[], number, number]>([
  ['a second that stands still', [28, 0, 0, 0, 0], 10, 30],
  ['two of them', [14, 0, 14, 0, 0], 5, 30],
  ['the same in each', [6, 5, 6, 5, 6], 1, 1],
  ['what chance makes of the same', [8, 3, 5, 7, 4], 1, 1.5],
  ['all of it', [57, 57, 57, 57, 57], 1, 1],
  ['one second, of which nothing is known', [28], 1, 1],
])('sees within a few seconds %s', (_, slow, least, most) => {
  const found = bunchesIn(slow.map(count => ({ count, total: 57 })))
  expect(found).toBeGreaterThanOrEqual(least)
  expect(found).toBeLessThanOrEqual(most)
})

it('knows the slowest stretch of all pods together, if enough was asked in it', () => {
  const pod = (slow: number, requests: number): ReadonlyMap<number, ReturnType<typeof counted>> =>
    new Map([0, 1, 2].map(block => [block, counted({ requests, bucket: block === slow ? 9 : 3 })]))
  expect(slowestOf([pod(-1, 100), pod(-1, 100)])).toBeLessThan(11)
  expect(slowestOf([pod(1, 100), pod(-1, 100)])).toBeGreaterThan(500)
  expect(slowestOf([pod(1, 40), pod(-1, 40)])).toBeNull()
  expect(slowestOf([])).toBeNull()
})

it('sees bunches of a second and of half a minute, each in its own counter', () => {
  const blocks = (
    of: (block: number) => Parameters<typeof counted>[0],
  ): ReadonlyMap<number, ReturnType<typeof counted>> =>
    new Map(Array.from({ length: 90 }, (_, block) => [block, counted(of(block))]))
  const short = dispersionOf([blocks(block => ({ requests: 100, failures: block % 9 === 0 ? 18 : 0 }))])
  expect(short.failures).toBeGreaterThan(8)
  expect(short).toMatchObject({
    notFound: 1,
    clientErrors: 1,
    redirects: 1,
    connectFailures: 1,
    tlsFailures: 1,
    slow: 1,
  })
  const long = dispersionOf([blocks(block => ({ requests: 100, notFound: block % 9 < 3 ? 2 : 0 }))])
  expect(long.notFound).toBeGreaterThan(2)
  const slow = dispersionOf([blocks(block => ({ requests: 100, bucket: block % 30 === 0 ? 9 : 3 }))])
  expect(slow.slow).toBeGreaterThan(10)
})

describe('without the worst moment', () => {
  const seconds = (...counts: readonly number[]): ReadonlyMap<number, Sample> =>
    new Map(counts.map((count, second) => [second + 7, { count, total: 10 }]))
  const left = (of: ReadonlyMap<number, Sample>): string => {
    const { count, total } = withoutWorst(of)
    return `${count}/${total}`
  }

  it.each<[string, readonly number[], string]>([
    ['three seconds around it are left out', [0, 0, 4, 5, 3, 0, 0, 0], '0/50'],
    ['one second is a moment', [0, 0, 0, 9, 0, 0], '0/30'],
    ['it is where most of it is, wherever that is', [3, 0, 0, 0, 2, 0, 2], '3/40'],
    ['what is so all the time is so without it', [5, 5, 5, 5, 5], '10/20'],
    ['of so few seconds nothing is left', [5, 5, 5], '0/0'],
    ['nothing happened', [0, 0, 0, 0], '0/10'],
    ['nothing was counted', [], '0/0'],
  ])('%s', (_, counts, expected) => {
    expect(left(seconds(...counts))).toBe(expected)
  })

  it('is a fifth of a window, if that is longer', () => {
    const counts = Array.from({ length: 50 }, (_, i) => (i >= 20 && i < 30 ? 10 : 0))
    expect(left(seconds(...counts))).toBe('0/400')
    expect(left(seconds(...counts, 0))).toBe('0/400')
  })

  it('counts seconds in which nothing was counted, too', () => {
    const apart = new Map([1, 2, 9].map(second => [second, { count: 1, total: 10 }]))
    expect(left(apart)).toBe('1/10')
  })

  it('is never more of what happened than the whole, and a moment of one count at most', () => {
    const sample = fc.record({ count: fc.nat(50), total: fc.integer({ min: 50, max: 100 }) })
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(fc.nat(40), sample), { selector: ([second]) => second }), entries => {
        const all = new Map(entries)
        const { count, total } = withoutWorst(all)
        const most = Math.max(0, ...[...all.values()].map(of => of.count))
        const sum = [...all.values()].reduce((a, b) => a + b.count, 0)
        expect(count).toBeGreaterThanOrEqual(0)
        expect(count).toBeLessThanOrEqual(sum - most)
        expect(total).toBeGreaterThanOrEqual(count)
      }),
    )
  })
})
