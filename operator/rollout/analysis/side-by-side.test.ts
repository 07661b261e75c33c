import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { EMPTY_AGGREGATE, failures } from '../machine/figures.ts'
import type { Aggregate, EventClass } from '../machine/figures.ts'
import { counted } from '../machine/testing.ts'
import type { Counted } from '../machine/testing.ts'
import { stableMeanwhile } from './side-by-side.ts'
import type { Piece } from './side-by-side.ts'

const piece = (begin: number, end: number, of: Counted): Piece => ({ begin, end, counted: counted(of) })

/** Of an update that was seen from 1 to 3 s. */
const meanwhile = (...stable: readonly Piece[]): Aggregate =>
  stableMeanwhile([[piece(1_000, 2_000, { requests: 5 }), piece(2_000, 3_000, {})]], stable, 4)

describe('what stable pods counted meanwhile', () => {
  const MANY: Counted = { requests: 100, failures: 4, redirects: 6, clientErrors: 5, notFound: 3, connectFailures: 2 }

  it('is nothing where no pod with the update was seen', () => {
    expect(stableMeanwhile([[]], [piece(0, 1_000, MANY)], 4)).toEqual(EMPTY_AGGREGATE)
  })

  it('is all of what lies within that time, and nothing of what lies before or after', () => {
    const all = meanwhile(
      ...[piece(0, 1_000, MANY), piece(1_000, 1_900, MANY), piece(1_900, 3_000, MANY), piece(3_000, 4_000, MANY)],
    )
    expect(all).toEqual(
      counted({ requests: 200, failures: 8, redirects: 12, clientErrors: 10, notFound: 6, connectFailures: 4 }),
    )
  })

  it.each<[string, Piece]>([
    ['began before', piece(500, 1_500, MANY)],
    ['ended after', piece(2_500, 3_500, MANY)],
  ])('of a piece that %s it is half of the requests, and all that failed', (_, straddles) => {
    const { status, requests, notFound, upstreamErrors, latency } = meanwhile(straddles)
    expect({ status, requests, notFound, upstreamErrors }).toEqual({
      ...{ status: [0, 32, 6, 8, 4], requests: 50, notFound: 3, upstreamErrors: 2 },
    })
    expect(latency.reduce((sum, count) => sum + count)).toBe(50)
  })

  it.each<[string, EventClass, Aggregate['status']]>([
    ['what went well first, then redirects and refusals, for what fails', 4, [0, 0, 0, 10, 40]],
    ['failures too, for refusals', 3, [0, 0, 0, 40, 10]],
    ['both, for redirects', 2, [0, 0, 30, 0, 20]],
  ])('leaves out %s', (_, events, status) => {
    const update = [[piece(1_000, 2_000, { requests: 5 })]]
    const straddles = piece(500, 1_500, { requests: 100, redirects: 10, clientErrors: 40, failures: 40 })
    const redirects = piece(500, 1_500, { requests: 100, redirects: 30, clientErrors: 10, failures: 40 })
    const { requests, status: left } = stableMeanwhile(update, [events === 2 ? redirects : straddles], events)
    expect([requests, left]).toEqual([50, status])
  })

  it('never leaves out what is an event, however little of its time lies within', () => {
    expect(meanwhile(piece(0, 1_100, { requests: 110, redirects: 60, failures: 40 }))).toMatchObject({
      ...{ requests: 40, status: [0, 0, 0, 0, 40] },
    })
  })

  it('says nothing by what is too coarse to tell when', () => {
    const hours = piece(1_500, 11_501, { requests: 100_000, failures: 500 })
    expect(meanwhile(hours)).toEqual(EMPTY_AGGREGATE)
    expect(failures(meanwhile(piece(1_500, 11_500, { requests: 100_000, failures: 500 })))).toBe(500)
    // Of what lies within there is nothing to tell.
    const long = [[piece(0, 90_000, { requests: 5 })]]
    expect(stableMeanwhile(long, [piece(10_000, 80_000, { requests: 700, failures: 5 })], 4).requests).toBe(700)
  })

  it('says that only by the pods with the update that were not seen all the while', () => {
    const pods = [[piece(0, 90_000, { requests: 100 })], [piece(0, 89_000, { requests: 100 })]]
    expect(stableMeanwhile(pods, [piece(10_000, 89_500, { requests: 700 })], 4).requests).toBe(700)
    const both = [piece(0, 10_000, { requests: 100 }), piece(10_000, 89_500, { requests: 700, failures: 700 })]
    const { requests, status } = stableMeanwhile(pods, both, 4)
    // 700 of 800 beside the one, none of 100 beside the other.
    expect(status[4] / requests).toBeCloseTo(700 / 800 / 2)
  })

  it('of a pod with the update that came late is what stood beside that one', () => {
    const stable = [piece(0, 50_000, { requests: 500 }), piece(50_000, 60_000, { requests: 100, failures: 100 })]
    const both = [[piece(0, 60_000, { requests: 600 })], [piece(50_000, 60_000, { requests: 200 })]]
    const { requests, status } = stableMeanwhile(both, stable, 4)
    // A sixth of them failed beside the one, all of them beside the other, which counted a quarter.
    expect(status[4] / requests).toBeCloseTo((1 / 6) * (3 / 4) + 1 / 4)
  })

  it('of the latencies leaves out the shortest, of the handshakes the finished ones, of closed paths a part', () => {
    const of = counted({ requests: 100, handshakes: 10, tlsFailures: 2, closed: 8 })
    const latency = of.latency.map((_, i) => (i === 2 ? 90 : i === 9 ? 10 : 0))
    const half = meanwhile({ begin: 2_000, end: 4_000, counted: { ...of, latency } })
    expect(half.latency.map((count, i) => (count > 0 ? [i, count] : null)).filter(one => one !== null)).toEqual([
      [2, 40],
      [9, 10],
    ])
    expect(half).toMatchObject({ tlsHandshakes: 5, tlsFailures: 2, closed: 4 })
    const most = counted({ requests: 10, handshakes: 10, tlsFailures: 9, closed: null })
    expect(meanwhile({ begin: 2_000, end: 4_000, counted: most })).toMatchObject({
      ...{ tlsHandshakes: 9, tlsFailures: 9, closed: null },
    })
  })

  it('goes by what each pod with the update counted, and when', () => {
    const stable = [piece(0, 1_000, { requests: 100, failures: 50 }), piece(1_000, 2_000, { requests: 200 })]
    const of = (first: Counted, second: Counted): Aggregate =>
      stableMeanwhile([[piece(0, 1_000, first)], [piece(1_000, 2_000, second)], []], stable, 4)
    // Half of 100, and none of 200: three quarters of the one, a quarter of the other, and as much as on average.
    expect(of({ requests: 30 }, { requests: 10 })).toMatchObject({ requests: 125, status: [0, 78.125, 0, 0, 46.875] })
    for (const nothing of [of({ handshakes: 10 }, { handshakes: 10 }), of({}, {})]) {
      expect(nothing).toMatchObject({ requests: 150, status: [0, 112.5, 0, 0, 37.5] })
    }
  })

  it('shows no smaller share of failures than the update, whatever hits all of them at whatever time', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 12 })
    const outages = fc.array(fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 1, max: 30 })), {
      maxLength: 4,
    })
    const updated = fc.record({ cuts, from: fc.integer({ min: 0, max: 60 }), rate: fc.integer({ min: 1, max: 9 }) })
    const pods = fc.array(updated, { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(
        pods,
        fc.array(cuts, { minLength: 1, maxLength: 3 }),
        outages,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (ofUpdate, ofStable, bad, refused) => {
          const fails = (at: number): boolean => bad.some(([begin, ms]) => at >= begin && at < begin + ms)
          const pieces = (ends: readonly number[], rate = 1): readonly Piece[] => {
            const edges = [0, ...[...ends].sort((a, b) => a - b), 100]
            return edges.slice(1).map((end, i) => {
              const begin = edges[i] ?? 0
              const failures = Array.from({ length: end - begin }, (_, n) => begin + n).filter(fails).length
              const [all, failed] = [(end - begin) * rate, failures * rate]
              return piece(begin, end, {
                requests: all,
                failures: failed,
                clientErrors: Math.floor((all - failed) * refused),
              })
            })
          }
          const update = ofUpdate.map(of => pieces(of.cuts, of.rate).filter(({ begin }) => begin >= of.from))
          const stable = stableMeanwhile(update, ofStable.map(of => pieces(of)).flat(), 4)
          const all = update.flat().map(one => one.counted)
          const requests = all.reduce((sum, one) => sum + one.requests, 0)
          const failed = all.reduce((sum, one) => sum + failures(one), 0)
          const share = failures(stable) / Math.max(1e-9, stable.requests)
          expect(share).toBeGreaterThanOrEqual(failed / Math.max(1, requests) - 1e-9)
        },
      ),
    )
  })
})
