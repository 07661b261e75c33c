import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { CONNECT_SUM, LATENCY, LATENCY_SUM, REQUESTS, STATUS, WIDTH } from './columns.ts'
import { figuresOf, quantileOf } from './figures.ts'

describe('figures for people', () => {
  it('tell rates, the share of success, and times', () => {
    const row = new Float64Array(WIDTH)
    row[REQUESTS] = 40
    row[STATUS + 1] = 30
    row[STATUS + 4] = 10
    row[LATENCY + 3] = 40
    row[LATENCY_SUM] = 320
    expect(figuresOf(row, 20)).toMatchObject({
      ...{ requests: 40, perSecond: 2, successRate: 0.75, status: { '2xx': 30, '5xx': 10 } },
      ...{ durationMs: { count: 40, mean: 8, p50: 7.5, p95: 9.75 }, upstreamConnectMs: null },
    })
  })

  it('are none of what was not there', () => {
    const row = new Float64Array(WIDTH)
    row[CONNECT_SUM] = 0
    expect(figuresOf(row, 60)).toMatchObject({ requests: 0, perSecond: 0, successRate: null, durationMs: null })
  })
})

describe('a quantile', () => {
  it.each([
    [[0, 10, 0, 0], 0.5, 3],
    [[5, 5, 0, 0], 0.5, 1],
    [[0, 0, 0, 7], 0.5, 10],
    [[1, 0, 1, 0], 0.75, 7.5],
    [[1, 0, 1, 0], 1, 10],
    [[3, 0, 0, 0], 0, 0],
  ])('%j at %d: %d', (counts, share, value) => {
    expect(quantileOf(counts, [1, 5, 10], share)).toBe(value)
  })

  it('lies in the bucket that has the value of this rank, and never goes down', () => {
    const bounds = [1, 5, 10, 50]
    const counts = fc.array(fc.nat(20), { minLength: 5, maxLength: 5 }).filter(some => some.some(n => n > 0))
    fc.assert(
      fc.property(counts, fc.double({ min: 0.001, max: 1, noNaN: true }), (some, share) => {
        const total = some.reduce((a, b) => a + b)
        const value = quantileOf(some, bounds, share)
        const bucket = some.findIndex((_, i) => some.slice(0, i + 1).reduce((a, b) => a + b) >= share * total)
        const [low, high] = [bounds[bucket - 1] ?? 0, bounds[bucket] ?? 50]
        expect([value >= Math.min(low, 50), value <= high + 1e-9]).toEqual([true, true])
        expect(quantileOf(some, bounds, Math.min(1, share + 0.1))).toBeGreaterThanOrEqual(value)
      }),
    )
  })
})
