import { describe, expect, it } from '@jest/globals'
import { EMPTY_AGGREGATE } from '../figures.ts'
import type { Aggregate } from '../figures.ts'
import { EVEN, counted } from '../testing.ts'
import { latencyP99 } from './latency-p99.ts'
import type { Inputs } from './testing.ts'
import { baked, input } from './testing.ts'

/** Bucket 4 is 10 to 25 ms, bucket 5 up to 50 ms, bucket 7 up to 250 ms. */
const STABLE = { requests: 1_000, bucket: 4 }

/** So many of the answers in bucket 4, the rest in bucket 7. */
function mixed(fast: number, slow: number): Aggregate {
  const latency = EMPTY_AGGREGATE.latency.map((_, i) => (i === 4 ? fast : i === 7 ? slow : 0))
  return { ...counted({ requests: fast + slow }), latency }
}

describe('latencyP99', () => {
  it('of few stable requests one that is slow speaks for nothing', () => {
    const of = baked({ before: STABLE, sameTime: true })
    const found = latencyP99({ ...of, stable: mixed(59, 1), update: mixed(240, 60) })
    expect(found).toMatchObject({ verdict: 'fail', reason: 'Slower' })
    expect(found?.message).toContain('before the rollout')
  })

  it('of few stable pods that are as fast as before takes the figures from before, which are more', () => {
    const of = baked({ stable: { requests: 60, bucket: 4 }, before: STABLE, sameTime: true })
    expect(latencyP99({ ...of, update: mixed(276, 24) })).toMatchObject({ verdict: 'fail', reason: 'Slower' })
  })

  it.each<[string, string, number, Inputs]>([
    ['fail Slower', 'slow in every second', 1, { before: STABLE }],
    [
      'inconclusive NotSignificant',
      'slow in one second of a few: that may have been the machine',
      20,
      { before: STABLE },
    ],
    ['fail Slower', 'slower in that second than the pods beside it', 20, { stable: STABLE }],
  ])('%s: nobody beside it, or somebody: %s', (expected, _, bunches, of) => {
    const found = latencyP99({ ...baked({ ...of, bunched: () => bunches }), update: mixed(256, 28) })
    expect(`${found?.verdict} ${found?.reason}`).toBe(expected)
  })

  it.each<[string, string, readonly [number, number], Inputs]>([
    ['fail Slower', 'slow at other times, too', [18, 200], { stable: STABLE }],
    ['inconclusive NotSignificant', 'slow in one moment, of some pods alone', [0, 200], { stable: STABLE }],
    ['inconclusive NotSignificant', 'hardly slow but in that moment', [2, 200], { stable: STABLE }],
    ['inconclusive NotSignificant', 'nothing was counted but in that moment', [0, 0], { stable: STABLE }],
    ['fail Slower', 'nobody beside it: its seconds are asked how they vary', [0, 200], { before: STABLE }],
  ])('%s: without its worst moment: %s', (expected, _, [count, total], of) => {
    const found = latencyP99({ ...baked({ ...of, calm: () => ({ count, total }) }), update: mixed(256, 28) })
    expect(`${found?.verdict} ${found?.reason}`).toBe(expected)
  })

  it('is certain before the bake is over only of what is slow at other times, too', () => {
    const early = (count: number, total: number): string | undefined =>
      latencyP99({ ...input({ stable: STABLE, calm: () => ({ count, total }) }), update: mixed(0, 60) })?.verdict
    expect([early(40, 40), early(20, 40), early(10, 10), early(0, 40)]).toEqual([
      'fail',
      'fail',
      'inconclusive',
      'inconclusive',
    ])
  })

  it('asks for the rest of the window only where all of it would fail', () => {
    const asked: number[] = []
    const calm = (ms: number): { readonly count: number; readonly total: number } => (
      asked.push(ms),
      { count: 9, total: 99 }
    )
    latencyP99({ ...baked({ stable: STABLE, calm }), update: mixed(284, 0) })
    expect(asked).toEqual([])
    latencyP99({ ...baked({ stable: STABLE, calm }), update: mixed(256, 28) })
    expect(asked.length).toBeGreaterThan(0)
  })

  it('asks how what is above the limit that it fails at comes in bunches', () => {
    const asked: number[] = []
    latencyP99({ ...baked({ before: STABLE, bunched: ms => (asked.push(ms), 1) }), update: mixed(256, 28) })
    // Half as slow again as 24.9 ms.
    expect(asked).toEqual([expect.closeTo(37.3, 1)])
    // It costs a look at every second: not where nothing is slow.
    latencyP99({ ...baked({ before: STABLE, bunched: ms => (asked.push(ms), 1) }), update: mixed(300, 0) })
    expect(asked).toHaveLength(1)
  })

  it.each<[string, string, Inputs]>([
    ['fail Slower', 'they may have been slow at another time', { sameTime: false }],
    ['inconclusive NoReference', 'a few that are as slow now speak for something that slows all', { sameTime: true }],
    ['fail Slower', 'hardly any', { sameTime: true, stable: { requests: 19, bucket: 7 } }],
    ['fail Slower', 'as fast as before, they do not', { sameTime: true, stable: { requests: 60, bucket: 4 } }],
  ])('%s: stable pods of which there are few: %s', (expected, _, of) => {
    const slow = { update: { requests: 300, bucket: 7 }, stable: { requests: 60, bucket: 7 }, before: STABLE }
    const found = latencyP99(baked({ ...slow, ...of }))
    expect(found?.verdict === 'fail' ? `fail ${found.reason}` : 'inconclusive NoReference').toBe(expected)
  })

  it.each<[string, string, Inputs, boolean]>([
    ['pass WithinLimits', 'as fast', { update: { requests: 200, bucket: 4 }, stable: STABLE }, true],
    ['pass WithinLimits', 'faster', { update: { requests: 200, bucket: 1 }, stable: STABLE }, true],
    ['fail Slower', 'twice as slow', { update: { requests: 200, bucket: 5 }, stable: STABLE }, true],
    ['fail Slower', 'certain before the bake', { update: { requests: 30, bucket: 7 }, stable: STABLE }, false],
    [
      'inconclusive TooFewRequests',
      'few requests are not certain',
      { update: { requests: 19, bucket: 7 }, stable: STABLE },
      true,
    ],
    ['inconclusive TooFewRequests', 'none', { stable: STABLE }, true],
    ['fail Slower', 'against before the rollout', { update: { requests: 200, bucket: 7 }, before: STABLE }, true],
    ['inconclusive NoReference', 'no reference', { update: { requests: 200, bucket: 7 } }, true],
    [
      'inconclusive NoReference',
      'a new host: its 404 from the stable pods are no reference',
      { update: { requests: 200, bucket: 7 }, stable: { requests: 1_000, notFound: 1_000, bucket: 0 } },
      true,
    ],
    [
      'inconclusive NoReference',
      'nor are their fast failures',
      { update: { requests: 200, bucket: 7 }, stable: { requests: 1_000, failures: 900, bucket: 0 } },
      true,
    ],
    [
      'inconclusive NoReference',
      'nor those from before',
      { update: { requests: 200, bucket: 7 }, before: { requests: 1_000, failures: 900, bucket: 0 } },
      true,
    ],
    [
      'fail Slower',
      'a few strangers do not matter',
      { update: { requests: 200, bucket: 7 }, stable: { requests: 1_000, notFound: 100, bucket: 4 } },
      true,
    ],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = latencyP99(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict ?? ''} ${found?.reason ?? ''}`).toBe(expected)
  })

  it('asks for more requests where two slow ones of a hundred may be chance', () => {
    const slow = { ...baked({ stable: STABLE }), update: mixed(98, 2) }
    expect(latencyP99(slow)).toMatchObject({ verdict: 'inconclusive', reason: 'NotSignificant' })
    expect(latencyP99({ ...slow, update: mixed(980, 20) })).toMatchObject({ verdict: 'fail' })
  })

  it('against before the rollout takes for drift what all pods were for a while, and only there', () => {
    const pods = counted({ requests: 5_000, bucket: 4 })
    const past = { update: pods, stable: pods, dispersion: EVEN, busier: 1 }
    const slower = (slowestMs: number | null, than: Inputs): string => {
      const found = latencyP99(baked({ ...than, update: { requests: 200, bucket: 7 }, past: { ...past, slowestMs } }))
      return `${found?.verdict ?? ''} ${found?.reason ?? ''}`
    }
    expect(slower(null, { before: STABLE })).toBe('fail Slower')
    expect(slower(100, { before: STABLE })).toBe('fail Slower')
    // No failure, and no pass either: it waits for more, or for a person.
    expect(slower(200, { before: STABLE })).toBe('inconclusive NotSignificant')
    expect(slower(10_000, { before: STABLE })).toBe('inconclusive NotSignificant')
    expect(slower(200, { stable: STABLE })).toBe('fail Slower')
    const message = latencyP99(
      baked({ before: STABLE, update: { requests: 200, bucket: 7 }, past: { ...past, slowestMs: 100 } }),
    )?.message
    expect(message).toContain(
      'is above 150 ms, which is 50 % more than the reference (before the rollout: 25 ms, 100 ms',
    )
    // A moment of the bake: there is nobody who would have stood still as well.
    const moment = { update: { requests: 200, bucket: 7 } }
    expect(latencyP99(input({ ...moment, before: STABLE }))).toMatchObject({ reason: 'NotSignificant' })
    expect(latencyP99(input({ ...moment, stable: STABLE }))).toMatchObject({ reason: 'Slower' })
  })

  it('says what it saw and what the limit is', () => {
    const found = latencyP99(baked({ update: { requests: 200, bucket: 5 }, stable: STABLE }))
    expect(found).toMatchObject({
      message:
        'p99 50 ms of 200 requests on pod 0 is above 37 ms, which is 50 % more than the reference (stable pods: 25 ms)',
      figures: { requests: 200, p99Ms: 49.75, referenceP99Ms: 24.85, limitMs: 37.275 },
    })
  })

  it('is not asked where the policy does not', () => {
    const { gates } = input()
    expect(latencyP99(input({ gates: { ...gates, latencyP99: null } }))).toBeNull()
  })
})
