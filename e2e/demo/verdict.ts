/** Did all of it go as it should? A pure function of what was written down. */
import { failed } from '../load/record.ts'
import type { LoadRecord } from '../load/record.ts'
import { reasonOf, summarize } from '../load/summary.ts'
import { CAST, SCENES } from './events.ts'
import type { DemoEvent, Part, RequestEvent, RolloutEvent, Scene, WarningEvent } from './events.ts'

export interface Check {
  readonly name: string
  readonly ok: boolean
  /** The figures behind it. */
  readonly detail: string
}

export interface PartVerdict {
  readonly part: Part
  readonly requests: number
  readonly failures: number
  /** `status 500 × 12, …` */
  readonly reasons: string
  /** From the first bad answer until the operator said that it takes the change back; null: not the case. */
  readonly detectMs: number | null
  /** From the first bad answer to the last. */
  readonly rollBackMs: number | null
  /** Ordinals that ever answered from the update; null: the scene changes nothing. */
  readonly touched: readonly number[] | null
  readonly checks: readonly Check[]
}

export interface Verdict {
  readonly parts: readonly PartVerdict[]
  readonly ok: boolean
}

export interface Expectations {
  readonly pods: number
  /** Pods after each batch, cumulative. */
  readonly batches: readonly number[]
  /** From the first bad answer to the last. */
  readonly maxRollBackMs: number
  /** The whole load per second: fewer requests than four fifths of it prove nothing. */
  readonly perSecond: number
}

/** What happened in one part of the demo. */
interface Stretch {
  readonly part: Part
  readonly ms: number
  readonly records: readonly LoadRecord[]
  readonly rollouts: readonly RolloutEvent[]
  readonly warnings: readonly WarningEvent[]
}

/** Scenes that never began are failures too: a demo that broke off has shown nothing. */
export function judge(events: readonly DemoEvent[], expected: Expectations, end: number): Verdict {
  const parts = [...SCENES, 'rest' as const].map(part => judgePart(stretch(events, part, end), expected))
  return { parts, ok: parts.every(part => part.checks.every(check => check.ok)) }
}

function stretch(events: readonly DemoEvent[], part: Part, end: number): Stretch {
  const starts = events.filter(event => event.type === 'part')
  const spans = starts
    .map((start, i) => ({ part: start.part, from: start.at, to: starts[i + 1]?.at ?? end }))
    .filter(span => span.part === part)
  const inside = (at: number): boolean => spans.some(span => at >= span.from && at < span.to)
  const there = events.filter(event => event.type !== 'part' && inside(event.at))
  // A rollout that an earlier part began is that part's, whatever is still written on it.
  const first = new Map<string, number>()
  for (const event of events) if (event.type === 'rollout' && !first.has(event.name)) first.set(event.name, event.at)
  return {
    part,
    ms: spans.reduce((sum, span) => sum + span.to - span.from, 0),
    records: there.filter((event): event is RequestEvent => event.type === 'request').map(event => event.record),
    rollouts: there.filter(
      (event): event is RolloutEvent => event.type === 'rollout' && inside(first.get(event.name) ?? Number.NaN),
    ),
    warnings: there.filter((event): event is WarningEvent => event.type === 'warning'),
  }
}

function judgePart(at: Stretch, expected: Expectations): PartVerdict {
  const { requests, failures, reasons } = summarize(at.records)
  const bad = at.records.filter(badOf(at.part))
  const [firstBad, lastBad] = [Math.min(...bad.map(doneAt)), Math.max(...bad.map(doneAt))]
  const noticed = at.rollouts.find(rollout => ['RollingBack', 'RolledBack'].includes(rollout.phase))
  const scene = at.part === 'bad' || at.part === 'certificate'
  return {
    part: at.part,
    requests,
    failures,
    reasons: Object.entries(reasons)
      .map(([reason, count]) => `${reason} × ${count}`)
      .join(', '),
    detectMs: scene && bad.length > 0 && noticed !== undefined ? noticed.at - firstBad : null,
    rollBackMs: scene && bad.length > 0 ? lastBad - firstBad : null,
    touched: touchedBy(at),
    checks: [...loadChecks(at, expected), ...checksOf(at, expected)],
  }
}

const doneAt = (record: LoadRecord): number => record.at + record.ms

/** Which answers come of the change that a scene makes, and should not be. */
function badOf(part: Part): (record: LoadRecord) => boolean {
  if (part === 'bad') return record => record.version === CAST.bad
  if (part === 'certificate') return record => record.kind === 'tls' && failed(record) && record.status === null
  return () => false
}

function touchedBy(at: Stretch): readonly number[] | null {
  if (at.part === 'host' || at.part === 'rest') return null
  const changed = at.part === 'good' ? (record: LoadRecord) => record.version === CAST.good : badOf(at.part)
  return ordinals(at.records.filter(changed))
}

function ordinals(records: readonly LoadRecord[]): readonly number[] {
  return [...new Set(records.map(record => record.ordinal))].sort((a, b) => a - b)
}

function checksOf(at: Stretch, expected: Expectations): readonly Check[] {
  if (at.part === 'good') return goodChecks(at, expected)
  if (at.part === 'bad' || at.part === 'certificate') return badChecks(at, at.part, expected)
  return at.part === 'host' ? hostChecks(at) : [noFailure(at.records)]
}

function loadChecks(at: Stretch, expected: Expectations): readonly Check[] {
  if (at.part === 'rest') return []
  const perSecond = at.ms > 0 ? (at.records.length * 1000) / at.ms : 0
  const ok = perSecond >= expected.perSecond * 0.8
  return [check('under load', ok, `${perSecond.toFixed(0)} requests/s`)]
}

function check(name: string, ok: boolean, detail: string): Check {
  return { name, ok, detail }
}

function noFailure(records: readonly LoadRecord[]): Check {
  const failures = records.filter(failed)
  const what = failures[0] === undefined ? '' : `, the first on pod ${failures[0].ordinal}: ${reasonOf(failures[0])}`
  return check('no request failed', failures.length === 0, `${failures.length} of ${records.length}${what}`)
}

function goodChecks(at: Stretch, expected: Expectations): readonly Check[] {
  const http = at.records.filter(record => record.kind === 'http' && record.version !== null)
  const firsts = Array.from({ length: expected.pods }, (_, ordinal) =>
    http.find(record => record.ordinal === ordinal && record.version === CAST.good),
  ).map(record => (record === undefined ? Infinity : doneAt(record)))
  const groups = expected.batches.map((pods, i) => firsts.slice(expected.batches[i - 1] ?? 0, pods))
  const inOrder = groups.every((group, i) => {
    const next = groups[i + 1]
    return next === undefined || Math.max(...group) < Math.min(...next)
  })
  return [
    noFailure(at.records),
    finished(at, 'Complete'),
    check('batches in order', inOrder, `first answers of ${CAST.good} by pod: ${seconds(firsts)}`),
    everyPodAnswers(at, CAST.good, expected.pods),
  ]
}

function seconds(times: readonly number[]): string {
  const start = Math.min(...times)
  return times.map(time => (Number.isFinite(time) ? `+${((time - start) / 1000).toFixed(1)} s` : 'never')).join(', ')
}

function finished(at: Stretch, phase: string): Check {
  const last = at.rollouts.at(-1)
  return check(
    `rollout ${phase}`,
    last?.phase === phase,
    last === undefined ? 'no rollout' : `${last.name} ${last.phase}`,
  )
}

/** The last answer of every pod is of this version. */
function everyPodAnswers(at: Stretch, version: string, pods: number): Check {
  const wrong: string[] = []
  for (let ordinal = 0; ordinal < pods; ordinal++) {
    const last = at.records.findLast(record => record.ordinal === ordinal && record.kind === 'http')
    if (last?.version !== version) wrong.push(`pod ${ordinal}: ${last?.version ?? 'none'}`)
  }
  return check(
    `every pod ends on ${version}`,
    wrong.length === 0,
    wrong.length === 0 ? `${pods} pods` : wrong.join(', '),
  )
}

function badChecks(at: Stretch, part: Scene, expected: Expectations): readonly Check[] {
  const isBad = badOf(part)
  const bad = at.records.filter(isBad)
  const touched = ordinals(bad)
  const firstBatch = expected.batches[0] ?? 0
  const others = at.records.filter(record => failed(record) && !isBad(record))
  const times = bad.map(doneAt)
  const took = Math.max(...times) - Math.min(...times)
  const gate = at.rollouts.flatMap(rollout => rollout.gates).findLast(one => one.verdict === 'fail')
  const afterwards = part === 'bad' ? everyPodAnswers(at, CAST.good, expected.pods) : lastHandshakesGood(at, expected)
  return [
    check(
      'only the first batch ever served it',
      touched.length > 0 && touched.every(ordinal => ordinal < firstBatch),
      touched.length === 0 ? 'nobody did: nothing was tried' : `pods ${touched.join(', ')}`,
    ),
    finished(at, 'RolledBack'),
    check(
      `taken back within ${expected.maxRollBackMs / 1000} s of the first bad answer`,
      bad.length > 0 && took <= expected.maxRollBackMs,
      bad.length === 0 ? 'no bad answer' : `${(took / 1000).toFixed(1)} s`,
    ),
    check(
      'the gate that failed is named',
      gate !== undefined,
      gate === undefined ? 'none' : `${gate.name}: ${gate.message}`,
    ),
    check(
      'nothing else failed',
      others.length === 0,
      others[0] === undefined
        ? `${at.records.length - bad.length} requests`
        : `pod ${others[0].ordinal}: ${reasonOf(others[0])}`,
    ),
    afterwards,
  ]
}

/** The last TLS connection to every pod was good. */
function lastHandshakesGood(at: Stretch, expected: Expectations): Check {
  const wrong: number[] = []
  for (let ordinal = 0; ordinal < expected.pods; ordinal++) {
    const last = at.records.findLast(record => record.ordinal === ordinal && record.kind === 'tls')
    if (last === undefined || failed(last)) wrong.push(ordinal)
  }
  return check(
    'every pod ends on the certificate that clients trust',
    wrong.length === 0,
    wrong.length === 0 ? `${expected.pods} pods` : `not pods ${wrong.join(', ')}`,
  )
}

function hostChecks(at: Stretch): readonly Check[] {
  const started = at.rollouts.find(
    rollout => rollout.kind === 'Secret' && rollout.index !== null && rollout.index !== 0,
  )
  const said = at.warnings.find(
    warning => warning.object.endsWith(`/${CAST.secret}`) || warning.message.includes(CAST.secret),
  )
  return [
    noFailure(at.records),
    check(
      'no batch began',
      started === undefined,
      started === undefined ? 'no pod ever got it' : `${started.name} ${started.phase}`,
    ),
    check(
      'an event says why',
      said !== undefined,
      said === undefined ? `no warning names ${CAST.secret}` : `${said.reason}: ${said.message}`,
    ),
  ]
}
