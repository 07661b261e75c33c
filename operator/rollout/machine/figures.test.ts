import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { LATENCY_BUCKETS_MS } from '../../../protocol/messages.ts'
import { EMPTY_AGGREGATE, addAggregates, baselineOf, percentile, slowerThan, tlsAttempts } from './figures.ts'
import { counted } from './testing.ts'

const histogram = (counts: Readonly<Record<number, number>>): readonly number[] =>
  EMPTY_AGGREGATE.latency.map((_, i) => counts[i] ?? 0)

describe('percentile', () => {
  it.each<[string, Readonly<Record<number, number>>, number, number | null]>([
    ['of nothing is unknown', {}, 0.99, null],
    ['inside the first bucket', { 0: 100 }, 0.5, 0.5],
    ['linear inside a bucket', { 4: 100 }, 0.99, 10 + 15 * 0.99],
    ['99 fast, one slow: the slow one does not count', { 0: 99, 9: 1 }, 0.99, 1],
    ['98 fast, two slow: they do', { 0: 98, 9: 2 }, 0.99, 750],
    ['slower than all bounds is the last bound', { 14: 5 }, 0.5, 30_000],
  ])('%s', (_, counts, q, expected) => {
    const found = percentile(histogram(counts), q)
    if (expected === null) expect(found).toBeNull()
    else expect(found).toBeCloseTo(expected, 9)
  })

  it('and slowerThan are each the inverse of the other', () => {
    const counts = fc.array(fc.nat(1_000), { minLength: 14, maxLength: 14 })
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 99 }), (bounded, hundredth) => {
        const total = bounded.reduce((sum, count) => sum + count, 0)
        const value = percentile(bounded, hundredth / 100)
        if (value === null) return
        expect(slowerThan(bounded, value)).toBeCloseTo(total * (1 - hundredth / 100), 6)
      }),
    )
  })
})

describe('slowerThan', () => {
  it('counts the last bucket as slower than its lower bound, and as nothing above that', () => {
    const slow = histogram({ 14: 7 })
    expect(slowerThan(slow, LATENCY_BUCKETS_MS.at(-1)!)).toBe(7)
    expect(slowerThan(slow, 40_000)).toBe(0)
  })
})

describe('aggregates', () => {
  it('add up count by count', () => {
    const a = counted({
      requests: 10,
      failures: 2,
      notFound: 1,
      handshakes: 3,
      tlsFailures: 1,
      bucket: 2,
      closed: 4,
      connectFailures: 2,
    })
    const b = counted({ requests: 5, failures: 1, connectFailures: 1, bucket: 3, closed: 5 })
    expect(addAggregates(a, b)).toEqual({
      ...{ requests: 15, notFound: 1, upstreamErrors: 3, tlsHandshakes: 3, tlsFailures: 1 },
      status: [0, 11, 0, 1, 3],
      latency: histogram({ 2: 10, 3: 5 }),
      closed: 9,
    })
    expect(addAggregates(EMPTY_AGGREGATE, a)).toEqual(a)
    expect(addAggregates(a, counted({ closed: null })).closed).toBeNull()
  })

  it('count a handshake that failed before its end as an attempt', () => {
    expect(tlsAttempts(counted({ handshakes: 0, tlsFailures: 30 }))).toBe(30)
    expect(tlsAttempts(counted({ handshakes: 40, tlsFailures: 30 }))).toBe(40)
  })

  it('become rates in percent', () => {
    const of = counted({ requests: 200, failures: 1, notFound: 4, handshakes: 50, tlsFailures: 5, bucket: 0 })
    expect(baselineOf(of)).toEqual({
      ...{
        requests: 200,
        successRate: 99.5,
        notFoundRate: 2,
        clientErrorRate: 0,
        redirectRate: 0,
        connectFailureRate: 0,
        tlsHandshakes: 50,
        tlsFailureRate: 10,
      },
      latencyP99Ms: 0.99,
    })
    const redirected = counted({ requests: 200, notFound: 100, clientErrors: 10, redirects: 20 })
    expect(baselineOf(redirected)).toMatchObject({ notFoundRate: 50, clientErrorRate: 10, redirectRate: 20 })
    expect(baselineOf(EMPTY_AGGREGATE)).toMatchObject({ successRate: 100, tlsFailureRate: 0, latencyP99Ms: null })
  })
})
