import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { chanceAbove, chanceOfRise, shareOf, thinned } from './statistics.ts'
import type { Sample } from './statistics.ts'

const sample = (count: number, total: number): Sample => ({ count, total })

/** By adding up: P(X > x) + P(X = x) / 2. */
function enumerated(x: number, n: number, p: number): number {
  let [sum, logTerm] = [0, n * Math.log1p(-p)]
  for (let k = 0; k <= n; k++) {
    if (k > 0) logTerm += Math.log((n - k + 1) / k) + Math.log(p) - Math.log1p(-p)
    if (k >= x) sum += Math.exp(logTerm) * (k === x ? 0.5 : 1)
  }
  return sum
}

describe('chanceAbove', () => {
  it.each<[number, number, number, number]>([
    // Ten heads of ten: half of 1 in 1 024.
    [10, 10, 0.5, 2 ** -11],
    // Fair, and in the middle: nothing speaks for either side.
    [5, 10, 0.5, 0.5],
    // 1 - 0.99^100 - half of 100 * 0.01 * 0.99^99.
    [1, 100, 0.01, 1 - 0.99 ** 100 - 50 * 0.01 * 0.99 ** 99],
    [0, 100, 0.01, 1],
    [3, 100, 0, 0],
    [100, 100, 1, 1],
  ])('of %d of %d at %d is %d', (count, total, share, expected) => {
    expect(chanceAbove(sample(count, total), share)).toBeCloseTo(expected, 12)
  })

  it('is what adding up gives, far into the tail', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.nat(400),
        fc.integer({ min: 1, max: 99 }),
        (total, of, hundredth) => {
          const count = 1 + (of % total)
          const expected = enumerated(count, total, hundredth / 100)
          const found = chanceAbove(sample(count, total), hundredth / 100)
          expect(Math.abs(found - expected)).toBeLessThanOrEqual(1e-9 * expected + 1e-15)
        },
      ),
    )
  })
})

it('is a chance wherever the share is, also at the mean itself, where rounding takes no side', () => {
  const at = (count: number, total: number, share: number): void => {
    const chance = chanceAbove({ count, total }, share)
    expect(chance).toBeGreaterThanOrEqual(0)
    expect(chance).toBeLessThanOrEqual(1)
  }
  at(1.76408525585103, 5.6308169161258546, 0.32025766305928716)
  const unit = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(unit, unit, fc.integer({ min: -2, max: 2 }), (ofTotal, ofCount, steps) => {
      const total = 1 + ofTotal * 400
      const count = ofCount * total
      at(count, total, ((count + 1) / (total + 3)) * (1 + steps * Number.EPSILON))
    }),
    { numRuns: 2_000 },
  )
})

describe('chanceOfRise', () => {
  it.each<[string, Sample, Sample, number]>([
    ['all ten events are on one of two equal sides', sample(10, 1_000), sample(0, 1_000), 2 ** -11],
    ['as many on both', sample(50, 1_000), sample(50, 1_000), 0.5],
    ['two of 100 against none of 1 000', sample(2, 100), sample(0, 1_000), (1 / 11) ** 2 / 2],
    ['no event', sample(0, 1_000), sample(7, 1_000), 1],
    ['nothing seen', sample(0, 0), sample(0, 100), 1],
    ['nothing to compare with', sample(20, 20), sample(0, 0), 1],
  ])('%s', (_, a, b, expected) => {
    expect(chanceOfRise(a, b)).toBeCloseTo(expected, 10)
  })

  it('falls with more events on the update, and rises with more on the reference', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), fc.integer({ min: 300, max: 5_000 }), (a, b, total) => {
        const chance = chanceOfRise(sample(a, 300), sample(b, total))
        expect(chance).toBeGreaterThanOrEqual(0)
        expect(chance).toBeLessThanOrEqual(1)
        expect(chanceOfRise(sample(a + 1, 300), sample(b, total))).toBeLessThanOrEqual(chance)
        expect(chanceOfRise(sample(a, 300), sample(b + 1, total))).toBeGreaterThanOrEqual(chance * (1 - 1e-9))
      }),
    )
  })

  it('is as good for millions of requests', () => {
    expect(chanceOfRise(sample(1e5, 1e7), sample(4e5, 4e7))).toBeCloseTo(0.5, 3)
    expect(chanceOfRise(sample(1.02e5, 1e7), sample(4e5, 4e7))).toBeLessThan(1e-6)
  })
})

it('bunches make less of the same figures', () => {
  const [a, b] = [sample(40, 1_000), sample(40, 4_000)]
  const chances = [1, 2, 4, 8].map(by => chanceOfRise(thinned(a, by), thinned(b, by)))
  expect([...chances].sort((x, y) => x - y)).toEqual(chances)
  expect(shareOf(thinned(a, 8))).toBe(shareOf(a))
  expect(shareOf(sample(0, 0))).toBe(0)
})
