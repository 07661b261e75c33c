/** Was a bad change caught as it has to be? Pure: a function of what was seen. */
import type { RolloutEvent } from '../demo/events.ts'
import { lossesIn } from '../load/losses.ts'
import type { LoadRecord } from '../load/record.ts'
import { reasonOf } from '../load/summary.ts'
import type { Caught } from './kind.ts'

/** What was seen of one kind, from the change on. Times: milliseconds of performance.now(). */
export interface Seen {
  readonly caught: Caught
  readonly fleet: number
  /** Pods of the first batch. */
  readonly firstBatch: number
  /** Requests per second that clients meant to send. */
  readonly perSecond: number
  readonly changedAt: number
  readonly endedAt: number
  readonly records: readonly LoadRecord[]
  readonly harmed: (record: LoadRecord) => boolean
  /** Every state of every rollout of the object, in order. */
  readonly history: readonly RolloutEvent[]
  /** Conditions of the object: `Reason message`. */
  readonly conditions: readonly string[]
  /** How late the clients' own timers were, nine times of ten, in milliseconds. */
  readonly clientsBusyMs: number
  /** What went wrong in the test itself; null: nothing. */
  readonly broke: string | null
}

export interface Verdict {
  /** `known`: not caught, as the catalogue says. */
  readonly outcome: 'caught' | 'known' | 'failed'
  /** What caught it, in a word or two. */
  readonly by: string
  /**
   * From the moment that a pod had it until the operator said that it takes it back; null: no pod ever had it. Of several
   * bad ones, each out until the next took its place, the sum.
   */
  readonly detectMs: number | null
  /** Until the last answer that it spoilt. */
  readonly backMs: number | null
  readonly requests: number
  readonly harmed: number
  /** Requests that a first batch may cost in the time it took. */
  readonly allowed: number
  readonly problems: readonly string[]
}

/** The index becomes visible, counters are reported, and answers are under way: what no gate can be faster than. */
const SLACK_MS = 1_500
/** Later than this is no measure of anything but the machine. */
const MAX_BUSY_MS = 1_000
/** At the end nothing is spoilt any more. */
const CALM_MS = 1_500
const AWAY: ReadonlySet<string> = new Set(['RollingBack', 'RolledBack', 'Held', 'Superseded'])

export function judge(seen: Seen): Verdict {
  const { records, history, caught } = seen
  const bad = records.filter(seen.harmed)
  const firstOut = history.find(event => podsOf(event.index, seen.fleet) > 0)
  const exposedAt = Math.min(firstOut?.at ?? Infinity, ...bad.map(doneAt))
  const exposed = Number.isFinite(exposedAt)
  const out = exposed ? timesOut(seen, exposedAt) : []
  const noticed = out.length > 0 && out.every(({ away }) => away !== null)
  const detectMs = noticed ? out.reduce((sum, { from, away }) => sum + (away ?? from) - from, 0) : null
  const allowed = mayHarm(caught) ? allowance(seen, bad, out) : 0
  const problems = [
    ...(seen.broke === null ? [] : [seen.broke]),
    ...loadProblems(seen),
    ...(caught.by === 'nobody' ? [] : harmProblems(seen, bad, allowed)),
    ...endProblems(seen, exposed),
    ...raised(history, seen.fleet),
  ]
  const good = caught.by === 'nobody' ? 'known' : 'caught'
  return {
    outcome: problems.length > 0 ? 'failed' : good,
    by: wordsOf(seen),
    detectMs,
    backMs: bad.length === 0 ? null : Math.max(0, Math.max(...bad.map(doneAt)) - exposedAt),
    requests: records.length,
    harmed: bad.length,
    allowed,
    problems: problems.length > 0 ? [...problems, ...busy(seen)] : [],
  }
}

const doneAt = (record: LoadRecord): number => record.at + record.ms
const podsOf = (index: number | null, fleet: number): number => (index === -1 ? fleet : (index ?? 0))

/** A change that is judged by what it does to clients has to do something to them; others must not. */
const mayHarm = ({ by }: Caught): boolean => by !== 'refused' && by !== 'waits' && by !== 'kept'

interface TimeOut {
  readonly from: number
  /** Null: nobody noticed. */
  readonly away: number | null
}

/** When each rollout was on pods: one after the other where a bad change is followed by another. */
function timesOut({ history, fleet }: Seen, exposedAt: number): readonly TimeOut[] {
  const names = [...new Set(history.map(({ name }) => name))]
  const times = names.flatMap((name): readonly TimeOut[] => {
    const own = history.filter(event => event.name === name)
    const first = own.find(event => podsOf(event.index, fleet) > 0)
    if (first === undefined) return []
    return [{ from: first.at, away: own.find(({ at, phase }) => at >= first.at && AWAY.has(phase))?.at ?? null }]
  })
  // Clients may have seen the first one before the watch said so, or what no index tells of.
  const [first, ...later] = times
  // One that stays is no other bad one, or not caught: it may cost nothing.
  if (first !== undefined) return [{ from: exposedAt, away: first.away }, ...later.filter(({ away }) => away !== null)]
  return [{ from: exposedAt, away: history.find(({ at, phase }) => at >= exposedAt && AWAY.has(phase))?.at ?? null }]
}

/** (first batch / fleet) × the requests that were begun in the time until it was noticed. */
function allowance(seen: Seen, bad: readonly LoadRecord[], out: readonly TimeOut[]): number {
  const kinds = new Set(bad.map(record => record.kind))
  const isOut = (at: number): boolean =>
    out.some(({ from, away }) => at >= from && at < (away ?? seen.endedAt) + SLACK_MS)
  const asked = seen.records.filter(({ kind, at }) => kinds.has(kind) && isOut(at))
  return Math.ceil(asked.length * (seen.firstBatch / seen.fleet))
}

function loadProblems({ records, perSecond, changedAt, endedAt }: Seen): readonly string[] {
  const meant = (perSecond * (endedAt - changedAt)) / 1_000
  return records.length < meant / 2 ? [`too little load: ${records.length} of ${Math.round(meant)} requests`] : []
}

/** Clients that get no processor time see time-outs which nobody caused, and too few requests to judge by. */
function busy({ clientsBusyMs }: Seen): readonly string[] {
  if (clientsBusyMs <= MAX_BUSY_MS) return []
  return [`perhaps because this machine is too busy: its clients were ${Math.round(clientsBusyMs)} ms late`]
}

function harmProblems(seen: Seen, bad: readonly LoadRecord[], allowed: number): readonly string[] {
  const beyond = [...new Set(bad.map(record => record.ordinal))].filter(ordinal => ordinal >= seen.firstBatch)
  const late = bad.filter(record => doneAt(record) > seen.endedAt - CALM_MS)
  if (beyond.length === 0 && bad.length <= allowed && late.length === 0) return []
  const how = bad.map(record => `${reasonOf(record)} of ${record.version ?? record.issuer ?? 'nobody'}`)
  const ways = [...new Set(how)].map(way => `${way} × ${how.filter(one => one === way).length}`)
  return [
    `harm: ${ways.slice(0, 4).join(', ')}`,
    ...(beyond.length === 0
      ? []
      : [`pods beyond the first batch were harmed: ${beyond.sort((a, b) => a - b).join(', ')}`]),
    ...(bad.length <= allowed ? [] : [`${bad.length} requests harmed, ${allowed} are what a first batch may cost`]),
    ...(late.length === 0 ? [] : [`still harmed at the end: ${late.length} requests`]),
    ...(beyond.length === 0 ? [] : [`lost: ${lossesIn(seen.records)}`]),
  ]
}

/** Did it end as it has to? */
function endProblems({ caught, history, conditions, fleet, firstBatch }: Seen, exposed: boolean): readonly string[] {
  const last = history.at(-1)
  const ended = last === undefined ? 'no rollout' : `${last.phase}: ${last.message}`
  const widest = Math.max(0, ...history.map(event => podsOf(event.index, fleet)))
  const wide = widest > firstBatch ? [`it went out to ${widest} pods`] : []
  const out = exposed ? ['a pod had it'] : []
  switch (caught.by) {
    case 'gate': {
      const gates = failedGates(history)
      const wrong = gates.length > 0 && !gates.some(gate => caught.gates.some(one => one === gate))
      return [
        ...(last?.phase === 'RolledBack' ? [] : [`not RolledBack, but ${ended}`]),
        ...(gates.length === 0 ? ['no gate failed'] : []),
        ...(wrong ? [`another gate failed: ${gates.join(', ')}`] : []),
        ...wide,
      ]
    }
    case 'withdrawn':
      return [...(last !== undefined && AWAY.has(last.phase) ? [] : [`not withdrawn, but ${ended}`]), ...wide]
    case 'spared': {
      const back = history.find(event => event.phase === 'RollingBack' || event.phase === 'RolledBack')
      return [
        ...(last === undefined ? ['no rollout'] : []),
        ...(back === undefined ? [] : [`taken back: ${back.message}`]),
      ]
    }
    case 'refused':
      return [
        ...(conditions.some(text => text.includes(caught.reason))
          ? []
          : [`no condition ${caught.reason}: ${conditions.join('; ') || 'none'}`]),
        ...out,
      ]
    case 'waits':
      return [
        ...(history.some(event => event.message.includes(caught.says))
          ? []
          : [`it does not wait (${caught.says}), but ${ended}`]),
        ...out,
      ]
    case 'kept':
      return out
    case 'nobody':
      return last !== undefined && AWAY.has(last.phase) ? [`it is caught now (${ended}): say so in the catalogue`] : []
  }
}

function failedGates(history: readonly RolloutEvent[]): readonly string[] {
  const failed = history.flatMap(event => event.gates.filter(gate => gate.verdict === 'fail').map(gate => gate.name))
  return [...new Set(failed)]
}

/** A failed verdict never raises an index. */
function raised(history: readonly RolloutEvent[], fleet: number): readonly string[] {
  const failedAt = new Map<string, number>()
  for (const { name, index, gates, phase } of history) {
    const pods = podsOf(index, fleet)
    const before = failedAt.get(name)
    if (before !== undefined && pods > before) return [`${name}: index ${pods} after a failed gate, it was ${before}`]
    if (before !== undefined) failedAt.set(name, Math.min(before, pods))
    else if (phase === 'RollingBack' || gates.some(gate => gate.verdict === 'fail')) failedAt.set(name, pods)
  }
  return []
}

function wordsOf({ caught, history, conditions }: Seen): string {
  const gates = failedGates(history)
  const last = history.at(-1)
  switch (caught.by) {
    case 'gate':
    case 'withdrawn':
    case 'nobody':
      if (gates.length > 0) return gates.join(', ')
      return last === undefined ? 'nothing' : last.phase
    case 'refused':
      return conditions.find(text => text.includes(caught.reason)) === undefined ? 'nothing' : caught.reason
    case 'waits':
      return 'waits'
    case 'kept':
      return 'kept'
    case 'spared':
      return last?.phase ?? 'nothing'
  }
}
