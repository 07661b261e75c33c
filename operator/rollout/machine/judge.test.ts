import { describe, expect, it } from '@jest/globals'
import { EMPTY_AGGREGATE, baselineOf } from './figures.ts'
import type { Before, PodBefore } from './figures.ts'
import { judge } from './judge.ts'
import { initialState } from './step.ts'
import { EVEN, NEW, NO_COMMANDS, OLD, SETTINGS, counted, pod } from './testing.ts'
import type { Counted } from './testing.ts'
import type { Observation, State, WindowFigures } from './types.ts'

const GOOD: Counted = { requests: 240, failures: 2 }
/** What chance does once in some thousand minutes, not in a thousand million. */
const ODD: Counted = { requests: 240, failures: 13 }
const BROKEN: Counted = { requests: 240, failures: 240 }
const STABLE: Counted = { requests: 960, failures: 8 }
const MINUTE = 60_000

const window = (update: Counted, stable = STABLE): WindowFigures => ({
  update: counted(update),
  stable: counted(stable),
})

const WAITING: State = {
  ...initialState(1, 0),
  ...{ phase: 'Paused', settings: SETTINGS, index: 1, reached: 1, step: { name: 'waiting', until: null } },
}

function observed(change: Partial<Observation>): Observation {
  return {
    ...{ now: 0, wall: 0, kind: 'Ingress', revision: NEW, stable: OLD, deletion: false },
    pods: [0, 1, 2, 3, 4].map(ordinal => pod(ordinal, ordinal === 0 ? NEW : OLD)),
    figures: window({ requests: 24_000, failures: 200 }, { requests: 96_000, failures: 800 }),
    ...{ recent: null, baseline: null, before: null, commands: NO_COMMANDS, superseded: null },
    ...{ endpoints: { update: true, stable: true }, manualIndex: null, isItsTurn: true },
    ...{ lacksCertificates: null, renewal: null },
    ...{ closed: null, use: null, takenOver: false, moves: { requests: true, handshakes: true } },
    ...change,
  }
}

/** The last minute at these times, one after the other; the times at which it failed. */
function failures(
  minutes: readonly (readonly [number, Counted])[],
  from = WAITING,
  stable = STABLE,
): readonly number[] {
  let state = from
  return minutes.flatMap(([now, update]) => {
    const judged = judge(state, observed({ now, recent: window(update, stable) }), SETTINGS)
    state = judged.state
    return judged.outcome.verdict === 'fail' ? [now] : []
  })
}

describe('the last minute of a batch that waits', () => {
  it.each<[string, readonly (readonly [number, Counted])[], readonly number[]]>([
    ['good minutes', [1, 2, 3, 4].map(at => [at * MINUTE, GOOD]), []],
    [
      'one odd minute',
      [
        [MINUTE, GOOD],
        [2 * MINUTE, ODD],
        [3 * MINUTE, GOOD],
        [4 * MINUTE, ODD],
      ],
      [],
    ],
    ['the same odd minute, looked at again and again', [0, 2, 4, 30, 59].map(at => [MINUTE + at * 1_000, ODD]), []],
    [
      'two in a row, without a request in common',
      [
        [MINUTE, ODD],
        [2 * MINUTE - 1, ODD],
        [2 * MINUTE, ODD],
      ],
      [2 * MINUTE],
    ],
    ['what chance never does, at once', [[MINUTE + 2_000, BROKEN]], [MINUTE + 2_000]],
  ])('%s', (_, minutes, expected) => {
    expect(failures(minutes)).toEqual(expected)
  })

  it('has to fail the same gate', () => {
    const lost: Counted = { requests: 240, failures: 2, notFound: 11 }
    expect(
      failures([
        [MINUTE, ODD],
        [2 * MINUTE, lost],
      ]),
    ).toEqual([])
    expect(
      failures([
        [MINUTE, lost],
        [2 * MINUTE, lost],
      ]),
    ).toEqual([2 * MINUTE])
  })

  it('is judged against the stable pods alone: below the minimum with them is no evidence, nor is anything without them', () => {
    const bad: Counted = { requests: 240, failures: 120 }
    expect(
      failures(
        [
          [MINUTE, bad],
          [2 * MINUTE, bad],
        ],
        WAITING,
        { requests: 960, failures: 480 },
      ),
    ).toEqual([])
    const seen = {
      requests: 1_000,
      successRate: 100,
      notFoundRate: 0,
      clientErrorRate: 0,
      redirectRate: 0,
      connectFailureRate: 0,
    }
    const baseline = { ...seen, tlsHandshakes: 0, tlsFailureRate: 0, latencyP99Ms: 1 }
    const last = { ...WAITING, baseline }
    expect(
      failures(
        [
          [MINUTE, bad],
          [2 * MINUTE, bad],
        ],
        last,
        {},
      ),
    ).toEqual([])
  })

  it('begins anew with another batch and with another leader', () => {
    const { state } = judge(WAITING, observed({ now: MINUTE, recent: window(ODD) }), SETTINGS)
    expect(state.spent?.late).toEqual({ at: MINUTE, failed: ['successRate'] })
    expect(failures([[2 * MINUTE, ODD]], state)).toEqual([2 * MINUTE])
    expect(failures([[2 * MINUTE, ODD]], { ...state, batchSince: 1 })).toEqual([])
    expect(failures([[2 * MINUTE, ODD]], { ...state, spent: null })).toEqual([])
  })
})

describe('looks after the bake', () => {
  const BAKING: State = { ...WAITING, phase: 'Progressing', step: { name: 'baking', since: 0 } }
  const looked = (state: State, now: number, update: Counted): State =>
    judge(state, observed({ now, figures: window(update) }), SETTINGS).state

  it('are spent when there was enough to see, by each gate for itself', () => {
    expect(looked(BAKING, 29_999, GOOD).spent?.looks).toEqual({})
    const first = looked(BAKING, 30_000, { ...GOOD, handshakes: 19 })
    expect(first.spent?.looks).toMatchObject({ successRate: { taken: 1, total: 240 }, notFoundRate: { taken: 1 } })
    expect(first.spent?.looks['tlsFailureRate']).toBeUndefined()
    const again = looked(first, 40_000, { requests: 479, handshakes: 20 })
    expect(again.spent?.looks).toMatchObject({ successRate: { taken: 1 }, tlsFailureRate: { taken: 1, total: 20 } })
    const later = looked(again, 60_000, { requests: 480, handshakes: 20 })
    expect(later.spent?.looks).toMatchObject({ successRate: { taken: 2, total: 480 }, tlsFailureRate: { taken: 1 } })
    expect(looked({ ...later, batchSince: 60_000 }, 60_001, {}).spent).toMatchObject({ looks: {}, late: null })
  })

  it('between two of them only what is certain fails', () => {
    const of = (state: State): string =>
      judge(state, observed({ now: 40_000, figures: window(ODD) }), SETTINGS).outcome.verdict
    expect(of(BAKING)).toBe('fail')
    expect(of(looked(BAKING, 30_000, GOOD))).toBe('inconclusive')
  })
})

describe('what the pods showed before', () => {
  /** As many requests per second as now. */
  const REST = { ms: 150_000, dispersion: EVEN, slowestMs: null }
  const BAKING: State = { ...WAITING, phase: 'Progressing', step: { name: 'baking', since: 0 } }
  const outcome = (before: Before | null, index = 1, fleet: Partial<Observation> = {}): string => {
    const bad = { requests: 1_000, failures: 42 }
    const figures = window(bad, { requests: 4_000, failures: 8 })
    return judge({ ...BAKING, before, index }, observed({ now: 30_000, figures, ...fleet }), SETTINGS).outcome.verdict
  }
  const of = (ordinal: number, failures_: number): PodBefore => ({
    ordinal,
    counted: counted({ requests: 5_000, failures: failures_ }),
  })
  const pods = (...bad: readonly number[]): Before['pods'] =>
    new Map([0, 1, 2, 3, 4].map(i => [`proxy-${i}`, of(i, bad[i] ?? 10)]))

  it('counts for the pods of the batch, by ordinal', () => {
    expect(outcome(null)).toBe('fail')
    expect(outcome({ pods: new Map(), ...REST })).toBe('fail')
    expect(outcome({ pods: pods(), ...REST })).toBe('fail')
    expect(outcome({ pods: pods(210), ...REST })).toBe('pass')
    // The one with the stuck client has not got the update yet.
    expect(outcome({ pods: pods(10, 10, 210), ...REST })).toBe('fail')
    expect(outcome({ pods: new Map([['gone', of(7, 210)]]), ...REST })).toBe('fail')
  })

  it('counts also while the pod restarts: what it counted with the update still does', () => {
    const { pods: all } = observed({})
    const before = { pods: pods(210), ...REST }
    const [first, ...others] = all
    for (const fleet of [others, [{ ...first!, ready: false, serves: undefined }, ...others]]) {
      expect(outcome(before, 1, { pods: fleet })).not.toBe('fail')
      expect(outcome({ pods: pods(), ...REST }, 1, { pods: fleet })).toBe('fail')
    }
  })

  it('is a larger share of fewer requests', () => {
    // A point and a half of what were three times as many requests a second.
    expect(outcome({ pods: pods(80), ...REST })).toBe('fail')
    expect(outcome({ pods: pods(80), ...REST, ms: 50_000 })).toBe('pass')
    // A pod that was like the others stays like the others.
    expect(outcome({ pods: pods(), ...REST, ms: 15_000 })).toBe('fail')
  })

  it('makes less of bunched events', () => {
    expect(outcome({ pods: pods(), ...REST, dispersion: { ...EVEN, failures: 30 } })).toBe('inconclusive')
    expect(outcome({ pods: pods(), ...REST, dispersion: { ...EVEN, notFound: 30 } })).toBe('fail')
  })
})

it('an empty window is no evidence', () => {
  expect(
    failures(
      [
        [MINUTE, {}],
        [2 * MINUTE, {}],
      ],
      WAITING,
      {},
    ),
  ).toEqual([])
  const empty = { update: EMPTY_AGGREGATE, stable: EMPTY_AGGREGATE }
  expect(judge(WAITING, observed({ figures: empty }), SETTINGS).outcome.verdict).toBe('inconclusive')
})

describe('what fails, and is not known of the stable pods yet', () => {
  const BAKING: State = { ...WAITING, phase: 'Progressing', step: { name: 'baking', since: 0 } }
  const behind = (update: Counted): WindowFigures => ({
    ...window(update),
    sideBySide: () => ({ update: counted({}), stable: counted({}) }),
  })
  const look = (state: State, now: number, figures: WindowFigures) => judge(state, observed({ now, figures }), SETTINGS)

  it('spends no look, and is waited for until all pods should have reported', () => {
    const first = look(BAKING, 30_000, behind(BROKEN))
    expect(first.outcome).toMatchObject({ verdict: 'inconclusive', because: { reason: 'NotCompared' } })
    expect(first.isUncompared).toBe(true)
    expect(first.state.spent?.looks['successRate']).toBeUndefined()
    expect(first.state.spent?.looks['notFoundRate']).toEqual({ taken: 1, total: 240 })
    expect(look(first.state, 34_999, behind(BROKEN)).isUncompared).toBe(true)
    const late = look(first.state, 35_000, behind(BROKEN))
    expect(late.isUncompared).toBe(false)
    expect(late.outcome.verdict).toBe('inconclusive')
    expect(look(first.state, 31_000, window(BROKEN)).outcome.verdict).toBe('fail')
  })

  it('is waited for anew when it comes again, and with every batch', () => {
    const first = look(BAKING, 30_000, behind(BROKEN))
    const between = look(first.state, 31_000, window(GOOD))
    expect(between.isUncompared).toBe(false)
    expect(look(between.state, 36_000, behind(BROKEN)).isUncompared).toBe(true)
    expect(look({ ...first.state, batchSince: 1 }, 36_000, behind(BROKEN)).isUncompared).toBe(true)
  })

  const minute = (state: State, now: number, recent: WindowFigures) => judge(state, observed({ now, recent }), SETTINGS)

  it('holds a batch that waits, too, and its minute is judged when it is known', () => {
    const first = minute(WAITING, MINUTE, window(ODD))
    const unknown = minute(first.state, 2 * MINUTE, behind(ODD))
    expect(unknown.outcome).toMatchObject({ verdict: 'inconclusive', because: { reason: 'NotCompared' } })
    expect(unknown.isUncompared).toBe(true)
    expect(unknown.state.spent?.late).toEqual(first.state.spent?.late)
    expect(minute(unknown.state, 2 * MINUTE + 1_000, window(ODD)).outcome.verdict).toBe('fail')
    const certain = minute(WAITING, MINUTE, behind(BROKEN))
    expect(certain.outcome).toMatchObject({ verdict: 'inconclusive', because: { reason: 'NotCompared' } })
    expect(certain.state.verdicts.map(({ reason }) => reason)).toContain('NotCompared')
  })

  it('holds it in the middle of a minute, too', () => {
    const first = minute(WAITING, MINUTE, window(GOOD))
    expect(minute(first.state, MINUTE + 2_000, behind(BROKEN)).isUncompared).toBe(true)
    expect(minute(first.state, MINUTE + 2_000, window(BROKEN)).outcome.verdict).toBe('fail')
  })

  it('is no minute that failed when it stays unknown, and the next one begins', () => {
    const first = minute(WAITING, MINUTE, behind(ODD))
    const later = minute(first.state, MINUTE + 5_000, behind(ODD))
    expect(later.isUncompared).toBe(false)
    expect(later.state.spent?.late).toEqual({ at: MINUTE + 5_000, failed: [] })
    expect(minute(later.state, 2 * MINUTE + 5_000, window(ODD)).outcome.verdict).not.toBe('fail')
  })

  it('is asked for once for every kind of event', () => {
    const asked: number[] = []
    const sideBySide = (events: number) => (asked.push(events), { update: counted({}), stable: counted({}) })
    minute(WAITING, MINUTE, { ...window({ requests: 480, failures: 240, notFound: 200 }), sideBySide })
    expect(asked).toEqual([4, 3])
  })
})

describe('the last batch, beside which nobody stands', () => {
  const BAKED: State = {
    ...initialState(1, 0),
    ...{ phase: 'Progressing', settings: SETTINGS, index: -1, reached: 3, step: { name: 'baking', since: 0 } },
    baseline: baselineOf(counted({ requests: 1_000, bucket: 4 })),
  }
  const verdictOf = (update: Counted, bunches: number): string => {
    const figures = { ...window(update, {}), bunched: () => bunches }
    const pods = [0, 1, 2, 3, 4].map(ordinal => pod(ordinal, NEW))
    const { outcome } = judge(BAKED, observed({ now: SETTINGS.bakeMs, pods, figures }), SETTINGS)
    return outcome.verdict === 'pass' ? 'pass' : `${outcome.verdict} ${outcome.because.name} ${outcome.because.reason}`
  }

  it.each<[string, Counted, number, string]>([
    ['slow in every second', { requests: 200, bucket: 7 }, 1, 'fail latencyP99 Slower'],
    ['slow in one second', { requests: 200, bucket: 7 }, 200, 'inconclusive latencyP99 NotSignificant'],
    ['as fast as before', { requests: 200, bucket: 4 }, 200, 'pass'],
  ])('%s', (_, update, bunches, expected) => {
    expect(verdictOf(update, bunches)).toBe(expected)
  })
})
