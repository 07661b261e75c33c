/** The verdict on what the batch has shown so far. */
import { fleetView } from './batches.ts'
import { addAggregates, EMPTY_AGGREGATE } from './figures.ts'
import type { Aggregate, EventClass } from './figures.ts'
import { acknowledgement, owed, readyBelow } from './gates/acknowledgement.ts'
import { evaluate, evaluateFairly, outcome } from './gates/chain.ts'
import type { Outcome } from './gates/chain.ts'
import { FAILS_EVERYWHERE, NOT_COMPARED, podsInWords } from './gates/gate.ts'
import type { GateInput, Past } from './gates/gate.ts'
import { FEWEST } from './gates/rise.ts'
import { NO_GATES, idlePerMinute } from '../../model/settings.ts'
import { isIdle, isLeaving } from './outcome.ts'
import { LATE_CHANCES, batchChances } from './statistics.ts'
import type {
  GateSettings,
  Observation,
  PodObservation,
  Settings,
  Spent,
  State,
  Verdict,
  WindowFigures,
} from './types.ts'

/** What `recent` covers. Figures older than this may hide a fault that came late. Milliseconds. */
export const RECENT_MS = 60_000

/** All pods report in so long, or are silent; what fails then, and not surely by the update alone, is in doubt like others. Milliseconds. */
const COMPARED_MS = 5_000

export interface Judgement {
  /** With owing, verdicts and spent looks brought up to date. */
  readonly state: State
  /** Whether every ready pod of the batch confirmed. */
  readonly acknowledged: Verdict
  readonly outcome: Outcome
  /** Something fails, and whether it does on the stable pods as well is known in a moment. */
  readonly isUncompared: boolean
  /** What fails on stable and update alike did so earlier in the batch, and in its last minute does not any more. */
  readonly isOutageOver: boolean
}

export function judge(state: State, observation: Observation, settings: Settings): Judgement {
  const { pods, revision, now } = observation
  const owing = state.index === 0 ? {} : owed(pods, state.index, revision, state.owing, now)
  const ack = { pods, index: state.index, owing, deadlineMs: settings.ackDeadlineMs, now }
  const acknowledged = acknowledgement(ack)
  const spent = spentBy(state)
  const baked = state.step.name === 'baking' && now - state.step.since >= settings.bakeMs
  const fairly = { whole: once(observation.figures.sideBySide), recent: once(observation.recent?.sideBySide) }
  const whole: GateInput = {
    ...gateInput(state, observation, settings, observation.figures, now - state.batchSince),
    baked,
    looks: spent.looks,
  }
  const all = evaluateFairly(whole, fairly.whole)
  const isPatient = spent.uncomparedSince === null || now - spent.uncomparedSince < COMPARED_MS
  const late = lateLook(state, observation, settings, spent.late, fairly.recent, isPatient)
  const verdicts = all.map(one =>
    one.verdict === 'fail' ? one : (late.worse.find(other => other.name === one.name) ?? one),
  )
  const isUncompared = verdicts.some(({ reason }) => reason === NOT_COMPARED)
  const uncomparedSince = isUncompared ? (spent.uncomparedSince ?? now) : null
  const looks = baked ? looksAfter(spent.looks, all, settings) : spent.looks
  const next: Spent = { ...spent, looks, late: late.next, uncomparedSince }
  const judged: State = { ...state, owing, verdicts: [acknowledged, ...verdicts], spent: next }
  const result: Outcome =
    acknowledged.verdict === 'fail'
      ? { verdict: 'fail', because: acknowledged }
      : orderOf(outcome(whole, verdicts), acknowledged)
  return {
    state: judged,
    acknowledged,
    outcome: result,
    isUncompared: isUncompared && isPatient,
    isOutageOver: outageIsOver(state, observation, settings, result),
  }
}

/** What fails, and on the stable pods as well, or before these could be heard of. */
const SHARED: ReadonlySet<string> = new Set([FAILS_EVERYWHERE, NOT_COMPARED])

function outageIsOver(state: State, observation: Observation, settings: Settings, of: Outcome): boolean {
  const { recent } = observation
  if (of.verdict !== 'inconclusive' || !SHARED.has(of.because.reason) || recent === null) return false
  const input: GateInput = { ...gateInput(state, observation, settings, recent, RECENT_MS), baked: true }
  return outcome(input, evaluate(input)).verdict === 'pass'
}

/** A batch without confirmations cannot pass, whatever its figures say. */
function orderOf(gates: Outcome, acknowledged: Verdict): Outcome {
  if (gates.verdict === 'fail' || acknowledged.verdict === 'pass') return gates
  return { verdict: 'inconclusive', because: acknowledged }
}

/** Where a policy has no gate for what moved, the others are better than none. */
function gatesFor(gates: GateSettings, { moves }: Observation): GateSettings {
  if (!moves.handshakes) return { ...gates, tlsFailureRate: null }
  return moves.requests || gates.tlsFailureRate === null ? gates : { ...NO_GATES, tlsFailureRate: gates.tlsFailureRate }
}

/** Every batch has an error budget of its own, and begins to spend it when its index is raised. */
function spentBy({ spent, batchSince }: State): Spent {
  return spent?.batchSince === batchSince ? spent : { batchSince, looks: {}, late: null, uncomparedSince: null }
}

/** A gate that saw enough after the bake, and twice what it saw at its last such look, has taken another one. */
function looksAfter(looks: Spent['looks'], verdicts: readonly Verdict[], settings: Settings): Spent['looks'] {
  const taken = verdicts.flatMap(({ name, reason, figures }): (readonly [string, Spent['looks'][string]])[] => {
    // It is looked at again in a moment, and is no other look.
    if (reason === NOT_COMPARED) return []
    const { requests, handshakes } = figures
    const total = requests ?? handshakes ?? 0
    const enough = handshakes === undefined ? settings.minRequests : (settings.gates.tlsFailureRate?.minHandshakes ?? 0)
    const last = looks[name] ?? { taken: 0, total: 0 }
    return total >= enough && total >= last.total * 2 ? [[name, { taken: last.taken + 1, total }]] : []
  })
  return taken.length === 0 ? looks : { ...looks, ...Object.fromEntries(taken) }
}

/**
 * A fault that comes late must not drown in the good figures before it; but a rollout may wait for days, and chance gets a
 * try every minute. What one minute shows counts if the next one, which shares no request with it, shows it as well.
 */
function lateLook(
  state: State,
  observation: Observation,
  settings: Settings,
  before: Spent['late'],
  sideBySide: WindowFigures['sideBySide'],
  isPatient: boolean,
): { readonly worse: readonly Verdict[]; readonly next: Spent['late'] } {
  const { recent, now } = observation
  if (recent === null) return { worse: [], next: before }
  const input: GateInput = {
    ...gateInput(state, observation, settings, recent, RECENT_MS),
    ...{ late: true, chances: LATE_CHANCES, minRequests: Math.min(settings.minRequests, FEWEST) },
    // Days may lie between the rollout's start and now: what the stable pods show meanwhile is all that counts.
    baseline: null,
  }
  const isUnknown = ({ reason }: Verdict): boolean => reason === NOT_COMPARED
  const first = evaluateFairly(input, sideBySide)
  const certain = first.filter(one => one.verdict === 'fail' || isUnknown(one))
  if (before !== null && now - before.at < RECENT_MS) return { worse: certain, next: before }
  const baked = evaluateFairly({ ...input, baked: true }, sideBySide)
  const likely = baked.filter(one => one.verdict === 'fail')
  const again = likely.filter(one => before?.failed.includes(one.name))
  const worse = [...certain.filter(one => !again.some(other => other.name === one.name)), ...again]
  // The minute is judged when all have been heard of, soon in any case.
  const unknown = baked.filter(isUnknown)
  if (unknown.length > 0 && isPatient) return { worse: [...worse, ...unknown], next: before }
  return { worse, next: { at: now, failed: likely.map(one => one.name) } }
}

/** Asked once for each kind of event. */
function once(sideBySide: WindowFigures['sideBySide']): WindowFigures['sideBySide'] {
  if (sideBySide === undefined) return undefined
  const answers = new Map<EventClass, Pick<WindowFigures, 'update' | 'stable'>>()
  return events => {
    const answer = answers.get(events) ?? sideBySide(events)
    answers.set(events, answer)
    return answer
  }
}

function gateInput(
  state: State,
  observation: Observation,
  settings: Settings,
  figures: WindowFigures,
  ms: number,
): GateInput {
  const { kind, deletion, closed, pods } = observation
  const below = readyBelow(pods, state.index)
  return {
    kind,
    deletion,
    mayMiss: mayMiss(observation, settings, below.length, ms),
    closed,
    gates: gatesFor(settings.gates, observation),
    minRequests: settings.minRequests,
    update: figures.update,
    stable: figures.stable,
    sameTime: false,
    bunched: figures.bunched,
    calm: figures.calm,
    baseline: state.baseline,
    probes: probesOf(observation, below),
    past: pastOf(state, observation, figures.update.requests / Math.max(1, ms)),
    pods: podsInWords(below.map(pod => pod.ordinal)),
    baked: false,
    looks: {},
    chances: batchChances(settings.batches.length),
    late: false,
  }
}

/** Null: nothing is probed. What leaves is to fail. */
function probesOf(observation: Observation, below: readonly PodObservation[]): GateInput['probes'] {
  const { probes = [] } = observation
  return probes.length === 0 || isLeaving(observation) ? null : { seen: probes, ready: below.map(({ name }) => name) }
}

/** 404 that a few who still ask for what leaves may get on so many pods in so many milliseconds; null: too many ask, or it stays. */
function mayMiss(observation: Observation, settings: Settings, updated: number, ms: number): number | null {
  const { pods } = observation
  const all = readyBelow(pods, -1).length
  if (!isLeaving(observation) || !isIdle(observation, settings) || all === 0) return null
  return Math.ceil(idlePerMinute(settings) * (updated / all) * Math.max(1, ms / 60_000))
}

/**
 * By ordinals and not by who is ready now: what a pod counted with the update stays in the figures while it restarts, and so must its
 * past. Else the figures of a pod with a stuck client are held against the update as soon as that pod is away.
 *
 * @param pace requests per millisecond to the update's pods, now
 */
function pastOf({ before, index }: State, { pods }: Observation, pace: number): Past | null {
  if (before === null) return null
  const { size } = fleetView(pods)
  const present = new Set(pods.map(({ name }) => name))
  const ready = new Set(readyBelow(pods, index).map(({ name }) => name))
  const isBelow = (ordinal: number): boolean => index === -1 || (ordinal >= 0 && ordinal < index)
  const sum = (counts: (name: string, ordinal: number) => boolean): Aggregate =>
    [...before.pods].reduce((all, [name, { ordinal, counted }]) => {
      const isThere = ordinal >= 0 ? ordinal < size : present.has(name)
      return isThere && counts(name, ordinal) ? addAggregates(all, counted) : all
    }, EMPTY_AGGREGATE)
  // Of those that answer now: pods that the update keeps from answering are no fall of the traffic.
  const paced = sum(name => ready.has(name)).requests / Math.max(1, before.ms)
  return {
    update: sum((_, ordinal) => isBelow(ordinal)),
    stable: sum((_, ordinal) => !isBelow(ordinal)),
    dispersion: before.dispersion,
    slowestMs: before.slowestMs,
    busier: pace > 0 ? Math.max(1, paced / pace) : 1,
  }
}
