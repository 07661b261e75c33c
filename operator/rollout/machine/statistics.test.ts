import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { CERTAIN, interval, leastRise } from './statistics.ts'

/** Standard deviations of a two-sided interval of 95 %. */
const Z95 = 1.959964

describe('interval', () => {
  // Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
  it.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('of %d of %d is the published one', (count, total, low, high) => {
    const found = interval(count, total, Z95)
    expect(found.low).toBeCloseTo(low, 4)
    expect(found.high).toBeCloseTo(high, 4)
  })

  it('of nothing seen is everything', () => {
    expect(interval(0, 0, CERTAIN)).toEqual({ low: 0, high: 1 })
  })

  it('contains the share, lies in 0 to 1, and grows with certainty', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(10_000), (a, b) => {
        const [count, total] = [Math.min(a, b), Math.max(a, b, 1)]
        const likely = interval(count, total, Z95)
        const certain = interval(count, total, CERTAIN)
        expect(likely.low).toBeLessThanOrEqual(count / total)
        expect(likely.high).toBeGreaterThanOrEqual(count / total)
        expect(certain.low).toBeGreaterThanOrEqual(0)
        expect(certain.high).toBeLessThanOrEqual(1)
        expect(certain.low).toBeLessThanOrEqual(likely.low)
        expect(certain.high).toBeGreaterThanOrEqual(likely.high)
      }),
    )
  })
})

describe('leastRise', () => {
  // Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 10.
  it.each([
    [56, 70, 48, 80, 0.0524],
    [9, 10, 3, 10, 0.1705],
    [6, 7, 2, 7, 0.0582],
    [5, 56, 0, 29, -0.0381],
    [0, 10, 0, 10, -0.2775],
    [10, 10, 0, 10, 0.6075],
  ])('from %d of %d against %d of %d is the published one', (a, m, b, n, least) => {
    expect(leastRise({ count: a, total: m }, { count: b, total: n }, Z95)).toBeCloseTo(least, 4)
  })

  it('says nothing where nothing was seen', () => {
    expect(leastRise({ count: 0, total: 0 }, { count: 0, total: 100 }, CERTAIN)).toBeLessThanOrEqual(0)
    expect(leastRise({ count: 20, total: 20 }, { count: 0, total: 0 }, CERTAIN)).toBeLessThanOrEqual(0)
  })
})
