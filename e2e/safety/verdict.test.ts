import { describe, expect, it } from '@jest/globals'
import type { RolloutEvent } from '../demo/events.ts'
import { failed } from '../load/record.ts'
import type { LoadRecord } from '../load/record.ts'
import type { Caught } from './kind.ts'
import { judge } from './verdict.ts'
import type { Seen } from './verdict.ts'

const FLEET = 10
const END = 10_000
/** Ten requests a second to each pod; those to the first pod fail from 1.0 s to 2.0 s. */
const [EXPOSED, AWAY] = [1_000, 2_000]

function records(change: (record: LoadRecord) => LoadRecord | null = record => record): readonly LoadRecord[] {
  const all = Array.from({ length: (END / 100) * FLEET }, (_, i): LoadRecord => {
    const [at, ordinal] = [Math.floor(i / FLEET) * 100, i % FLEET]
    const bad = ordinal === 0 && at >= EXPOSED && at < AWAY
    return {
      ...{ kind: 'http', at, ms: 1, ordinal, status: bad ? 500 : 200, version: bad ? 'bad' : 'v1' },
      ...{ issuer: null, error: null, connection: 'reused' },
    }
  })
  return all.map(change).filter(record => record !== null)
}

function event(at: number, phase: string, index: number, more: Partial<RolloutEvent> = {}): RolloutEvent {
  return {
    ...{ type: 'rollout', at, name: 'ing-web-u', kind: 'Ingress', object: 'web', revision: 'u', stableRevision: 's' },
    ...{ phase, index, message: '', gates: [] },
    ...more,
  }
}

const fails = (name: string): Partial<RolloutEvent> => ({ gates: [{ name, verdict: 'fail', message: '' }] })
const HISTORY: readonly RolloutEvent[] = [
  event(500, 'Pending', 0),
  event(EXPOSED, 'Progressing', 1),
  event(1_900, 'RollingBack', 0, fails('successRate')),
  event(2_100, 'RolledBack', 0, fails('successRate')),
]
const gate: Caught = { by: 'gate', gates: ['successRate'] }

function seen(more: Partial<Seen> = {}): Seen {
  return {
    ...{ caught: gate, fleet: FLEET, firstBatch: 1, perSecond: 100, changedAt: 0, endedAt: END },
    ...{ records: records(), harmed: failed, history: HISTORY, conditions: [], clientsBusyMs: 21, broke: null },
    ...more,
  }
}

const harmless = records(record => ({ ...record, status: 200, version: 'v1' }))

describe('a bad change that is caught', () => {
  it('by its gate: how soon, how long, how many', () => {
    expect(judge(seen())).toEqual({
      ...{ outcome: 'caught', by: 'successRate', detectMs: 900, backMs: 901, requests: 1_000, harmed: 10 },
      ...{ allowed: 24, problems: [] },
    })
  })

  it('and followed by another one: each may cost what it may cost alone', () => {
    const two = { name: 'ing-web-v', revision: 'v' }
    const history = [
      event(EXPOSED, 'Progressing', 1),
      event(1_200, 'Superseded', 0),
      event(6_000, 'Progressing', 1, two),
      event(6_900, 'RollingBack', 0, { ...two, ...fails('successRate') }),
      event(7_000, 'RolledBack', 0, { ...two, ...fails('successRate') }),
    ]
    const both = records(record =>
      record.ordinal === 0 && record.at >= 6_000 && record.at < 7_900 ? { ...record, status: 500 } : record,
    )
    // Of 100 requests a second a tenth, in 0.2 and 0.9 s and 1.5 s more for each.
    expect(judge(seen({ history, records: both }))).toMatchObject({
      detectMs: 1_100,
      harmed: 29,
      allowed: 41,
      problems: [],
    })
    // If nobody takes the second one back, it may cost nothing.
    const kept = history.slice(0, 3)
    expect(judge(seen({ history: kept, records: both }))).toMatchObject({
      detectMs: 200,
      allowed: 17,
      outcome: 'failed',
    })
    // What is spoilt between the two is no matter of either.
    const between = records(record =>
      record.ordinal === 0 && record.at >= 2_700 && record.at < 6_000 ? { ...record, status: 500 } : record,
    )
    expect(judge(seen({ history, records: between }))).toMatchObject({ harmed: 43, allowed: 41, outcome: 'failed' })
  })

  it('by no more than were asked meanwhile, however many are asked before and after', () => {
    const around = records(record => (record.at < 500 || record.at > 5_000 ? null : record))
    expect(judge(seen({ records: around, perSecond: 45 }))).toMatchObject({ harmed: 10, allowed: 24, problems: [] })
  })

  const others: readonly (readonly [string, Partial<Seen>, string])[] = [
    [
      'withdrawn',
      { caught: { by: 'withdrawn' }, history: [...HISTORY.slice(0, 2), event(1_900, 'Superseded', 0)] },
      'Superseded',
    ],
    [
      'refused',
      {
        caught: { by: 'refused', reason: 'KeyMismatch' },
        history: [],
        records: harmless,
        conditions: ['KeyMismatch no'],
      },
      'KeyMismatch',
    ],
    [
      'waits',
      {
        caught: { by: 'waits', says: 'endpoint' },
        history: [event(1, 'Progressing', 0, { message: 'no endpoint' })],
        records: harmless,
      },
      'waits',
    ],
    ['kept', { caught: { by: 'kept' }, history: [], records: harmless }, 'kept'],
    [
      'spared: a good change that is not taken back',
      {
        caught: { by: 'spared' },
        history: [event(1, 'Progressing', 1), event(9_000, 'Complete', -1)],
        records: harmless,
      },
      'Complete',
    ],
  ]
  it.each(others)('%s', (_name, more, by) => {
    expect(judge(seen(more))).toMatchObject({ outcome: 'caught', by, problems: [] })
  })

  it('also by clients that are late', () => {
    expect(judge(seen({ clientsBusyMs: 1_100 }))).toMatchObject({ outcome: 'caught', problems: [] })
  })

  it('nobody, as the catalogue says', () => {
    const history = [event(EXPOSED, 'Progressing', 1), event(5_000, 'Complete', -1)]
    const caught: Caught = { by: 'nobody', because: 'no gate looks' }
    expect(judge(seen({ caught, history }))).toMatchObject({ outcome: 'known', by: 'Complete', problems: [] })
  })
})

describe('what is wrong is said', () => {
  const paused = [...HISTORY.slice(0, 2), event(9_000, 'Paused', 1, { message: 'not enough evidence at the deadline' })]
  const wrong: readonly (readonly [string, Partial<Seen>, readonly RegExp[]])[] = [
    ['the test broke', { broke: 'no kubectl' }, [/^no kubectl$/]],
    [
      'too little load',
      { records: records(record => (record.ordinal < 4 ? record : null)) },
      [/^too little load: 400 of 1000/],
    ],
    [
      'clients without processor time, which explains what else went wrong',
      { broke: 'no answer', clientsBusyMs: 1_100 },
      [/^no answer$/, /^perhaps because this machine is too busy: its clients were 1100 ms late$/],
    ],
    [
      'a pod beyond the first batch was harmed',
      {
        records: records(record => (record.ordinal === 5 && record.at === 1_000 ? { ...record, status: 500 } : record)),
      },
      [
        /^harm: .*status 500 of bad × [0-9]+/,
        /^pods beyond the first batch were harmed: 5$/,
        /^lost: 11 of 1000: http 500 × 11 to pods 0, 5, begun 1.0 to 1.9 s after the first$/,
      ],
    ],
    [
      'more requests were harmed than a first batch may cost',
      { records: records(record => (record.ordinal === 0 && record.at < 8_000 ? { ...record, status: 500 } : record)) },
      [/^harm: .*status 500 of bad × [0-9]+/, /^80 requests harmed, 33 are/],
    ],
    [
      'still harmed at the end',
      {
        records: records(record => (record.ordinal === 0 && record.at === 9_900 ? { ...record, status: 500 } : record)),
      },
      [/^harm: .*status 500 of bad × [0-9]+/, /^still harmed at the end: 1 /],
    ],
    [
      'the deadline alone caught it',
      { history: paused },
      [/^not RolledBack, but Paused: not enough/, /^no gate failed$/],
    ],
    [
      'it went through',
      { history: [...HISTORY.slice(0, 2), event(5_000, 'Complete', -1)] },
      [/^not RolledBack/, /^no gate failed$/, /^it went out to 10 pods$/],
    ],
    ['another gate failed', { caught: { by: 'gate', gates: ['latencyP99'] } }, [/^another gate failed: successRate$/]],
    ['no rollout', { history: [], records: harmless }, [/^not RolledBack, but no rollout$/, /^no gate failed$/]],
    [
      'an index that rises after a failed verdict',
      { history: [...HISTORY.slice(0, 3), event(2_000, 'Progressing', 1), ...HISTORY.slice(3)] },
      [/^ing-web-u: index 1 after a failed gate, it was 0$/],
    ],
    [
      'refused without a condition',
      { caught: { by: 'refused', reason: 'KeyMismatch' }, history: [], records: harmless },
      [/^no condition KeyMismatch: none$/],
    ],
    [
      'refused, and a pod had it',
      { caught: { by: 'refused', reason: 'KeyMismatch' }, records: harmless, conditions: ['KeyMismatch no'] },
      [/^a pod had it$/],
    ],
    [
      'it does not wait',
      { caught: { by: 'waits', says: 'endpoint' }, history: [], records: harmless },
      [/^it does not wait/],
    ],
    [
      'not kept',
      { caught: { by: 'kept' }, history: [] },
      [/^harm: status 500 of bad × 10$/, /^10 requests harmed, 0 are/, /^a pod had it$/],
    ],
    ['a good change is taken back', { caught: { by: 'spared' }, records: harmless }, [/^taken back/]],
    ['not withdrawn', { caught: { by: 'withdrawn' }, history: paused }, [/^not withdrawn, but Paused/]],
    ['a known hole that is none any more', { caught: { by: 'nobody', because: 'x' } }, [/^it is caught now/]],
  ]
  it.each(wrong)('%s', (_name, more, problems) => {
    const verdict = judge(seen(more))
    expect(verdict.outcome).toBe('failed')
    expect(verdict.problems).toHaveLength(problems.length)
    for (const [i, problem] of problems.entries()) expect(verdict.problems[i]).toMatch(problem)
  })
})
