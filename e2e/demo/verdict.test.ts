import { describe, expect, it } from '@jest/globals'
import type { LoadRecord } from '../load/record.ts'
import { CAST } from './events.ts'
import type { DemoEvent, Part, RolloutEvent } from './events.ts'
import { judge } from './verdict.ts'
import type { PartVerdict, Verdict } from './verdict.ts'

const PODS = 5
const expected = { pods: PODS, batches: [1, 2, 5], maxRollBackMs: 10_000, perSecond: 50 }
/** Every pod is asked so often, by HTTP and by TLS. */
const STEP_MS = 100
const SCENE_MS = 20_000
const START: Readonly<Record<Part, number>> = { rest: 0, good: 20_000, bad: 40_000, certificate: 60_000, host: 80_000 }
const END = 100_000

interface World {
  /** When each pod's good, bad and certificate change arrives, after its scene began; Infinity: never. */
  readonly good: readonly number[]
  readonly bad: readonly number[]
  readonly certificate: readonly number[]
  /** How long the bad changes stay, from their arrival. */
  readonly stays: number
  readonly ends: Readonly<Partial<Record<'good' | 'bad' | 'certificate', string>>>
  readonly gate: boolean
  readonly hostIndex: number | null
  readonly warning: boolean
  /** Changes single requests. */
  readonly tamper: (record: LoadRecord) => LoadRecord | null
}

const asItShould: World = {
  good: [500, 6_000, 12_000, 12_000, 12_100],
  bad: [500, Infinity, Infinity, Infinity, Infinity],
  certificate: [500, Infinity, Infinity, Infinity, Infinity],
  stays: 3_000,
  ends: {},
  gate: true,
  hostIndex: null,
  warning: true,
  tamper: record => record,
}

function requestsOf(world: World): DemoEvent[] {
  const events: DemoEvent[] = []
  const during = (since: number, pod: number, arrivals: readonly number[], at: number, stays: number): boolean => {
    const from = since + (arrivals[pod] ?? Infinity)
    return at >= from && at < from + stays
  }
  for (let at = 0; at < END; at += STEP_MS) {
    for (let ordinal = 0; ordinal < PODS; ordinal++) {
      const isGood = during(START.good, ordinal, world.good, at, Infinity)
      const isBad = during(START.bad, ordinal, world.bad, at, world.stays)
      const untrusted = during(START.certificate, ordinal, world.certificate, at, world.stays)
      const version = isBad ? CAST.bad : isGood ? CAST.good : CAST.before
      const base = { at, ms: 1, ordinal, status: isBad ? 500 : 200, version, issuer: null, error: null } as const
      const http: LoadRecord = { ...base, kind: 'http', connection: 'reused' }
      const tls: LoadRecord = { ...base, kind: 'tls', connection: 'new' }
      const refused = { ...tls, status: null, version: null, error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }
      for (const record of [http, untrusted ? refused : tls].map(world.tamper)) {
        if (record !== null) events.push({ type: 'request', at: at + 1, record })
      }
    }
  }
  return events
}

function rolloutsOf(world: World): DemoEvent[] {
  const rollout = (
    part: Part,
    kind: 'Ingress' | 'Secret',
    after: number,
    phase: string,
    index: number | null,
  ): RolloutEvent => ({
    type: 'rollout',
    at: START[part] + after,
    name: `${kind}-${part}`,
    kind,
    object: 'web',
    revision: part,
    stableRevision: 'old',
    phase,
    message: '',
    index,
    gates:
      world.gate && part !== 'good' && phase.startsWith('Roll')
        ? [{ name: 'successRate', verdict: 'fail', message: '0% of 60 requests' }]
        : [],
  })
  return [
    rollout('good', 'Ingress', 400, 'Progressing', 1),
    rollout('good', 'Ingress', 18_000, world.ends.good ?? 'Complete', -1),
    rollout('bad', 'Ingress', 400, 'Progressing', 1),
    rollout('bad', 'Ingress', 2_500, 'RollingBack', 0),
    rollout('bad', 'Ingress', 4_000, world.ends.bad ?? 'RolledBack', 0),
    rollout('certificate', 'Secret', 400, 'Progressing', 1),
    rollout('certificate', 'Secret', 2_500, 'RollingBack', 0),
    rollout('certificate', 'Secret', 4_000, world.ends.certificate ?? 'RolledBack', 0),
    ...(world.hostIndex === null ? [] : [rollout('host', 'Secret', 900, 'Progressing', world.hostIndex)]),
  ]
}

function play(change: Partial<World> = {}): Verdict {
  const world = { ...asItShould, ...change }
  const parts = (['rest', 'good', 'bad', 'certificate', 'host'] as const).map(
    part => ({ type: 'part', at: START[part], part }) as const,
  )
  const warning = {
    type: 'warning',
    at: 81_000,
    object: 'Secret/web-tls',
    reason: 'InvalidCertificate',
    message: 'm',
  } as const
  const events: DemoEvent[] = [
    ...parts,
    ...requestsOf(world),
    ...rolloutsOf(world),
    ...(world.warning ? [warning] : []),
  ]
  return judge(
    events.sort((a, b) => a.at - b.at),
    expected,
    END,
  )
}

const wrong = (verdict: Verdict): readonly string[] =>
  verdict.parts.flatMap(part => part.checks.filter(check => !check.ok).map(check => `${part.part}: ${check.name}`))
const partOf = (verdict: Verdict, part: Part): PartVerdict => verdict.parts.find(one => one.part === part)!

describe('verdict', () => {
  it('is good when everything went as it should, with the figures', () => {
    const verdict = play()
    expect(wrong(verdict)).toEqual([])
    expect(verdict.ok).toBe(true)
    expect(partOf(verdict, 'good')).toMatchObject({
      failures: 0,
      touched: [0, 1, 2, 3, 4],
      detectMs: null,
      rollBackMs: null,
    })
    expect(partOf(verdict, 'good').requests).toBe((SCENE_MS / STEP_MS) * PODS * 2)
    // First bad answer at 40.5 s, noticed at 42.5 s, last one at 43.4 s; each done a millisecond later.
    expect(partOf(verdict, 'bad')).toMatchObject({ failures: 60, touched: [0], detectMs: 1_999, rollBackMs: 2_900 })
    expect(partOf(verdict, 'bad').reasons).toBe('status 500 × 60')
    expect(partOf(verdict, 'certificate')).toMatchObject({ failures: 30, touched: [0], rollBackMs: 2_900 })
    expect(partOf(verdict, 'host')).toMatchObject({ failures: 0, touched: null })
  })

  const at = (part: Part, record: LoadRecord): boolean => record.at >= START[part] && record.at < START[part] + SCENE_MS
  const once = (part: Part, change: Partial<LoadRecord>, kind: LoadRecord['kind'] = 'http'): Partial<World> => {
    let done = false
    return {
      tamper: record => {
        if (done || record.kind !== kind || record.ordinal !== 3 || !at(part, record)) return record
        done = true
        return { ...record, ...change }
      },
    }
  }
  const table: readonly (readonly [string, Partial<World>, readonly string[]])[] = [
    ['one failed request during the good change', once('good', { status: 502 }), ['good: no request failed']],
    [
      'one connection cut during the good change',
      once('good', { status: null, version: null, error: 'ECONNRESET' }),
      ['good: no request failed'],
    ],
    ['one failed request between the scenes', once('rest', { status: 503 }), ['rest: no request failed']],
    ['the good change is not complete', { ends: { good: 'Paused' } }, ['good: rollout Complete']],
    ['the second batch before the first', { good: [6_000, 500, 12_000, 12_000, 12_000] }, ['good: batches in order']],
    [
      'a pod of the last batch together with the second',
      { good: [500, 6_000, 12_000, 6_000, 12_000] },
      ['good: batches in order'],
    ],
    [
      'a pod that never gets the good change',
      { good: [500, 6_000, 12_000, 12_000, Infinity] },
      ['good: every pod ends on v2', 'bad: every pod ends on v2'],
    ],
    [
      'the bad change on a second pod',
      { bad: [500, 900, Infinity, Infinity, Infinity] },
      ['bad: only the first batch ever served it'],
    ],
    [
      'the bad change on one other pod for one request',
      once('bad', { status: 500, version: CAST.bad }),
      ['bad: only the first batch ever served it'],
    ],
    [
      'the bad change stays too long',
      { stays: 10_200 },
      [
        'bad: taken back within 10 s of the first bad answer',
        'certificate: taken back within 10 s of the first bad answer',
      ],
    ],
    ['the bad change is never taken back', { ends: { bad: 'Complete' } }, ['bad: rollout RolledBack']],
    [
      'the bad change never reaches anybody: nothing was shown',
      { bad: Array.from({ length: PODS }, () => Infinity) },
      ['bad: only the first batch ever served it', 'bad: taken back within 10 s of the first bad answer'],
    ],
    [
      'something else fails during the bad change',
      once('bad', { status: 502, version: null }),
      ['bad: nothing else failed'],
    ],
    [
      'no gate is named',
      { gate: false },
      ['bad: the gate that failed is named', 'certificate: the gate that failed is named'],
    ],
    [
      'the certificate on another pod for one handshake',
      once('certificate', { status: null, version: null, error: 'CERT_UNTRUSTED' }, 'tls'),
      ['certificate: only the first batch ever served it'],
    ],
    [
      'plain requests fail while the certificate is out',
      once('certificate', { status: 503 }),
      ['certificate: nothing else failed'],
    ],
    ['the certificate is not taken back', { ends: { certificate: 'Paused' } }, ['certificate: rollout RolledBack']],
    ['the wrong host begins its first batch', { hostIndex: 1 }, ['host: no batch began']],
    ['the wrong host goes to all', { hostIndex: -1 }, ['host: no batch began']],
    ['nobody says why the wrong host is refused', { warning: false }, ['host: an event says why']],
    [
      'a handshake fails with the wrong host',
      once('host', { status: null, error: 'x' }, 'tls'),
      ['host: no request failed'],
    ],
    [
      'too little load in a scene',
      { tamper: record => (at('bad', record) && record.ordinal > 0 ? null : record) },
      ['bad: under load', 'bad: every pod ends on v2'],
    ],
  ]
  it.each(table)('fails: %s', (_name, change, checks) => {
    const verdict = play(change)
    expect(wrong(verdict)).toEqual(checks)
    expect(verdict.ok).toBe(false)
  })

  it('fails when the demo broke off: scenes that never were have shown nothing', () => {
    const verdict = judge([{ type: 'part', at: 0, part: 'rest' }], expected, 10)
    expect(verdict.ok).toBe(false)
    for (const part of ['good', 'bad', 'certificate', 'host'] as const) {
      expect(partOf(verdict, part).checks.some(check => !check.ok)).toBe(true)
    }
  })

  it('a rollout belongs to the scene that began it, however late it is written', () => {
    const late: RolloutEvent = {
      ...(rolloutsOf(asItShould)[1] as RolloutEvent),
      at: START.bad + 100,
      phase: 'Superseded',
    }
    const events = [...requestsOf(asItShould), ...rolloutsOf(asItShould), late]
    const parts = (['good', 'bad'] as const).map(part => ({ type: 'part', at: START[part], part }) as const)
    const verdict = judge(
      [...parts, ...events].sort((a, b) => a.at - b.at),
      expected,
      END,
    )
    expect(partOf(verdict, 'bad').checks.find(check => check.name === 'rollout RolledBack')!.ok).toBe(true)
  })
})
