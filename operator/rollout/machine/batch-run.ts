/** One batch: raise the index, see the confirmations, bake, judge, wait; then the next. */
import { batchReach, fleetView, loweredIndex } from './batches.ts'
import { release, takeBack } from './ending.ts'
import { baselineOf, failures, tlsAttempts } from './figures.ts'
import type { Aggregate, Baseline } from './figures.ts'
import { cut } from './gates/acknowledgement.ts'
import { onlyTrafficIsMissing } from './gates/chain.ts'
import { closedWords } from './gates/closed.ts'
import type { Judgement } from './judge.ts'
import { judge } from './judge.ts'
import { after, closedToo, event, isIdle, isLast, isLeaving, pods, result, widest } from './outcome.ts'
import type { Blocked, Observation, Settings, State, StepResult, Verdict } from './types.ts'

export function batchRun(before: State, observation: Observation, settings: Settings): StepResult {
  const lowered = withinFleet(before, observation, settings)
  if (lowered !== null) return lowered
  if (before.phase === 'Paused' && !observation.isItsTurn) return resting(before, observation)
  const urgent = urgency(before, observation)
  if (before.index === 0) {
    return urgent === null ? raising(before, observation, settings) : release(before, observation, settings, urgent)
  }
  const judged = judge(before, observation, settings)
  const { state, outcome } = judged
  if (outcome.verdict === 'fail') return failed(state, observation, settings, outcome.because)
  if (judged.isUncompared) return result(state)
  if (urgent !== null) return release(state, observation, settings, urgent)
  if (state.blocked !== null) return blockedRun(state, judged, observation, settings)
  return moving(state, judged, observation, settings)
}

function moving(state: State, judged: Judgement, observation: Observation, settings: Settings): StepResult {
  const wider = joined(state, observation, settings)
  if (wider !== null) return wider
  switch (state.step.name) {
    case 'raising':
      return raising(state, observation, settings)
    case 'acknowledging':
      return acknowledging(state, judged, observation, settings)
    case 'baking':
      return baking(state, judged, observation, settings)
    case 'waiting':
      return waiting(state, observation, settings)
    case 'confirming':
      return result(state)
  }
}

/**
 * Why it goes out though it waits for evidence, for a person or for others; null: it does not. That a person stopped it, and what
 * speaks against it, counts all the same.
 */
function urgency({ phase, blocked, step }: State, { renewal, commands }: Observation): string | null {
  if (renewal?.standing !== 'urgent' || phase !== 'Paused' || commands.paused) return null
  const waits =
    blocked === null
      ? step.name === 'waiting' && step.until === null
      : blocked.reason === 'Inconclusive' || blocked.reason === 'OtherRollout'
  return waits ? `${renewal.why}, it may not wait for that` : null
}

function approvedNow({ blocked, batch }: State, { commands: { approvedBatches } }: Observation): boolean {
  return blocked?.reason === 'Inconclusive' && approvedBatches > blocked.approvedBefore && approvedBatches > batch
}

/** A fleet that shrank lost the pods on the stable revision: one of those that are left has to be on it again. */
function withinFleet(state: State, { pods: all }: Observation, { batches }: Settings): StepResult | null {
  // In the last batch all are out, unless it waits to begin; a new leader bakes again what it finds.
  if (isLast(state, batches) && !(state.step.name === 'raising' && state.step.merge)) return null
  const { size } = fleetView(all)
  const index = loweredIndex(state.index, size)
  if (index === state.index) return null
  const message = `the fleet has ${size} pods now: only those below ordinal ${index} serve the update, one stays on the stable revision`
  return result({ ...state, index }, { type: 'setIndex', index }, event('Normal', 'IndexLowered', message))
}

/**
 * Another rollout is judged on the same hosts: what pods show is no evidence for or against this one. When its turn comes again
 * its batch bakes again, from then on.
 */
function resting(state: State, observation: Observation): StepResult {
  const { now, commands } = observation
  const out = state.step.name === 'acknowledging' || state.step.name === 'baking'
  const again: State = out
    ? { ...state, step: { name: 'acknowledging', since: now }, batchSince: now, owing: {} }
    : { ...state, batchSince: now, owing: {} }
  const waits = state.blocked !== null || state.step.name === 'waiting' || commands.paused
  return result(waits ? again : blockOn(again, observation, 'OtherRollout', 'waits for a rollout on the same hosts'))
}

/** Somebody has to decide, unless what blocked it has gone. */
function blockedRun(state: State, judged: Judgement, observation: Observation, settings: Settings): StepResult {
  const free = { ...state, blocked: null }
  const { reason } = state.blocked ?? {}
  const endsByItself = reason === 'NoRollbackTarget' || reason === 'OtherRollout' || reason === 'InUse'
  if (endsByItself) return moving(free, judged, observation, settings)
  if (reason !== 'Inconclusive') return result(state)
  // What has not begun cannot be let pass: an approval lets it begin.
  if (state.step.name === 'raising') return raising(state, observation, settings)
  if (approvedNow(state, observation)) return passed(state, observation, settings, 'approved without enough evidence')
  if (judged.isOutageOver) return bakesAgain(free, observation, settings)
  // It lacked a ready pod, and now has some: what else it lacks is for the bake to say.
  const back = state.step.name === 'acknowledging' && judged.acknowledged.verdict === 'pass'
  return back || judged.outcome.verdict === 'pass' ? moving(free, judged, observation, settings) : result(state)
}

/** Never below what the batch before has; where it cannot begin it waits, and from the deadline on for a person, too. */
function raising(state: State, observation: Observation, settings: Settings): StepResult {
  const { now, commands } = observation
  const { step } = state
  if (commands.paused) return result({ ...state, message: 'paused by spec.paused' })
  const merge = step.name === 'raising' && step.merge
  const waits = (what: string): StepResult =>
    now - state.batchSince < settings.deadlineMs
      ? result({ ...state, message: `waits: ${what}` })
      : result(blockOn(state, observation, 'Inconclusive', `not begun until the deadline: ${what}`))
  if (state.index === 0 && isLeaving(observation)) {
    const asked = askedFor(state, observation, settings)
    if (asked !== null) return inUse(state, observation, asked)
    if (observation.use === null && !observation.takenOver) {
      const what = 'it is not known yet whether anybody asks for it: pods are watched for a minute'
      if (now - state.batchSince >= settings.deadlineMs) return waits(what)
      // Like what is in use it rests: nothing of it is on a pod, and nobody has to wait for it.
      return result(blockOn(state, observation, 'InUse', `waits: ${what}`))
    }
  }
  const reach = batchReach(settings.batches, state.batch, fleetView(observation.pods), state.index)
  if (reach.type === 'wait') return waits(reach.message)
  if (reach.type === 'all') return raising({ ...state, batch: state.batch + 1 }, observation, settings)
  const grows = widest(reach.index, state.index) !== state.index
  if (!grows && merge) return passed(state, observation, settings, 'adds no pod to the batch before')
  const lacks = grows && lacksEndpoints(observation) && !approvedNow(state, observation)
  if (lacks) return waits(`no Service that the update names has an endpoint${named(observation)}`)
  const { lacksCertificates, closed } = observation
  // What closes waits for nothing that its closed paths would be served with.
  const without = grows && closed === null && !approvedNow(state, observation) ? lacksCertificates : null
  if (without !== null) return waits(without)
  const index = grows ? reach.index : state.index
  const next = raised({ ...state, message: `${batchWords(state, settings)} begins` }, observation, index)
  // Figures of this observation are those of the batch before: judged next time.
  if (!grows) return result(next)
  const message = `${batchWords(state, settings)}: pods below ordinal ${index} serve the update`
  return result(next, { type: 'setIndex', index }, event('Normal', 'BatchStarted', message))
}

/** Why what is on its way out is not to go yet; null: as far as is known nobody would miss it. */
function askedFor({ missed }: State, observation: Observation, settings: Settings): string | null {
  const { now, use, takenOver } = observation
  // Whoever missed it may not be among those that are counted: it is not tried again and again.
  if (missed !== null && now - missed.at < settings.deadlineMs) return missed.message
  return takenOver || use === null || isIdle(observation, settings) ? null : `${use} requests in the last minute`
}

/** It goes on being served, and is looked at again with every report. */
function inUse(state: State, observation: Observation, why: string): StepResult {
  const message = `still in use: ${why}; it goes by itself when hardly anybody asks any more, spec.promote lets it go at once`
  // It may be days until it goes: what it is compared with then is from the minute before that.
  const waits: State = { ...state, batchSince: observation.now, baseline: null, before: null }
  return result(blockOn(waits, observation, 'InUse', message))
}

/** The only way up: whoever gets the update is seen for a whole bake. */
function raised(
  state: State,
  { now, wall, baseline, revision }: Pick<Observation, 'now' | 'wall' | 'baseline' | 'revision'>,
  index: number,
): State {
  return {
    ...state,
    index,
    reached: widest(state.reached, index),
    step: { name: 'acknowledging', since: now },
    batchSince: now,
    batchStartedAt: wall,
    blocked: null,
    // On every pod it is served as before until now.
    baseline: state.baseline ?? (state.index === 0 && isLeaving({ revision }) ? baseline : null),
  }
}

function acknowledging(state: State, judged: Judgement, observation: Observation, settings: Settings): StepResult {
  const { now } = observation
  const { acknowledged } = judged
  const bakes = `${bakeWords(state, settings)}${closedToo(observation)}`
  if (acknowledged.verdict === 'pass') {
    return result({ ...state, step: { name: 'baking', since: now }, message: bakes })
  }
  // Silence is no reason to take anything back: a person looks, or the pods speak again.
  const overdue = now - state.batchSince >= settings.deadlineMs || acknowledged.reason === 'AckTimeout'
  if (overdue) return result(blockOn(state, observation, 'Inconclusive', acknowledged.message))
  return result({ ...state, message: `${batchWords(state, settings)}: ${acknowledged.message}` })
}

function baking(state: State, judged: Judgement, observation: Observation, settings: Settings): StepResult {
  const { now } = observation
  const { outcome, acknowledged } = judged
  const since = state.step.name === 'baking' ? state.step.since : now
  if (now - since < settings.bakeMs) {
    return result({ ...state, message: `${bakeWords(state, settings)}${closedToo(observation)}` })
  }
  if (outcome.verdict === 'pass') {
    const why = observation.closed === null ? passes(outcome) : closedWords(observation.closed)
    return passed(state, observation, settings, why)
  }
  if (judged.isOutageOver) return bakesAgain(state, observation, settings)
  const message = outcome.because.message
  if (isPlain(settings, observation) && lacksTraffic(outcome)) {
    const why = `a renewal by the same authority needs no more than its bake (${message})`
    return passed(state, observation, settings, why)
  }
  if (now - state.batchSince < settings.deadlineMs) {
    return result({ ...state, message: `${batchWords(state, settings)}: ${message}` })
  }
  // Missing traffic is excused, never missing pods, nor what looks bad.
  const mayPass = settings.onInconclusive === 'Promote' && onlyTrafficIsMissing(state.verdicts)
  const isExcused = mayPass || (observation.renewal !== null && lacksTraffic(outcome))
  if (isExcused && acknowledged.verdict === 'pass') {
    return passed(state, observation, settings, `nothing speaks against it at the deadline (${message})`)
  }
  return result(blockOn(state, observation, 'Inconclusive', `not enough evidence at the deadline: ${message}`))
}

function passes({ excused }: Extract<Judgement['outcome'], { verdict: 'pass' }>): string {
  return excused === undefined ? 'all gates pass' : `probes pass on every pod that serves it (${excused.message})`
}

/** Nobody came, or too few: nothing looks bad. */
function lacksTraffic(outcome: Judgement['outcome']): boolean {
  return outcome.verdict === 'inconclusive' && NO_TRAFFIC.has(outcome.because.reason)
}

/**
 * Nobody has to come at all, but those few who came must not be refused: most of their handshakes, and not on the stable pods,
 * too, is nothing that a scanner does. Then it waits for more of them, as others do.
 */
function isPlain({ renewal }: Settings, { renewal: now, figures: { update, stable } }: Observation): boolean {
  const mostFail = (of: Aggregate): boolean => of.tlsFailures > 0 && of.tlsFailures * 2 >= tlsAttempts(of)
  return renewal === 'plain' && now !== null && (!mostFail(update) || mostFail(stable))
}

const NO_TRAFFIC: ReadonlySet<string> = new Set(['TooFewHandshakes', 'TooFewRequests', 'NoReference'])

function waiting(state: State, observation: Observation, settings: Settings): StepResult {
  const { now, commands } = observation
  const { step } = state
  if (step.name !== 'waiting') return result(state)
  const over = step.until !== null && now >= step.until.mono
  return over || commands.approvedBatches > state.batch ? nextBatch(state, observation, settings) : result(state)
}

/** An outage that is over would be in the figures of its batch for long: they begin anew. */
function bakesAgain(state: State, { now }: Observation, settings: Settings): StepResult {
  const message = `${batchWords(state, settings)} bakes again: what failed on all pods does not any more`
  const step = { name: 'acknowledging', since: now } as const
  return result({ ...state, step, batchSince: now, message }, event('Normal', 'BakesAgain', message))
}

function passed(before: State, observation: Observation, settings: Settings, why: string): StepResult {
  const { now, wall, commands } = observation
  const state = { ...before, blocked: null, baseline: strengthened(before.baseline, observation, settings) }
  const message = `${batchWords(state, settings)} passed: ${why}`
  const said = event('Normal', 'BatchPassed', message)
  if (isLast(state, settings.batches)) {
    // Paused holds the release too: it is the last move of the index.
    if (commands.paused) return result({ ...state, message: 'paused by spec.paused' })
    return after([said], release(state, observation, settings, 'every batch passed'))
  }
  const pause = settings.batches[state.batch]?.pause ?? { type: 'none' }
  if (pause.type === 'none' || commands.approvedBatches > state.batch) {
    return after([said], nextBatch(state, observation, settings))
  }
  const until = pause.type === 'time' ? { mono: now + pause.forMs, wall: wall + pause.forMs } : null
  return result({ ...state, step: { name: 'waiting', until }, message }, said)
}

function nextBatch(state: State, observation: Observation, settings: Settings): StepResult {
  const { now, wall } = observation
  const step = { name: 'raising', since: now, merge: true } as const
  const next = { ...state, batch: state.batch + 1, step, batchSince: now, batchStartedAt: wall }
  return raising(next, observation, settings)
}

/** The last batch is all pods: the fleet may have grown since it began. Those that joined bake with the others, from the start. */
function joined(
  state: State,
  { pods: all, commands, ...observation }: Observation,
  { batches }: Settings,
): StepResult | null {
  const { size } = fleetView(all)
  const out = state.step.name === 'acknowledging' || state.step.name === 'baking'
  if (!out || !isLast(state, batches) || commands.paused || widest(size, state.index) === state.index) return null
  const message = `the fleet has ${size} pods now: those that joined serve the update, the last batch bakes again`
  const next = raised({ ...state, message }, observation, size)
  return result(next, { type: 'setIndex', index: size }, event('Normal', 'FleetGrew', message))
}

/** Takes back what fails while somebody else moves the index; null: nothing does, or that is left to people. */
export function failing(state: State, observation: Observation, settings: Settings): StepResult | null {
  if (!settings.automaticRollback || !targetServes(observation)) return null
  const judged = judge(state, observation, settings)
  return judged.outcome.verdict === 'fail' ? failed(judged.state, observation, settings, judged.outcome.because) : null
}

function failed(state: State, observation: Observation, settings: Settings, because: Verdict): StepResult {
  const reason = because.name === 'acknowledgement' ? because.reason : 'GateFailed'
  const message = `${because.name}: ${because.message}`
  if (!settings.automaticRollback) {
    return result(
      blockOn(
        state,
        observation,
        'GateFailed',
        `${message}; the policy leaves it to a person: abort, promote or retry`,
      ),
    )
  }
  // To refuse it would hold it for ever: it is off the pods again, and waits until it harms nobody.
  if (isLeaving(observation)) {
    const { now } = observation
    const step = { name: 'raising', since: now, merge: false } as const
    const missed = { reason, message, at: now }
    const back: State = { ...state, batch: 0, index: 0, step, blocked: null, owing: {}, missed }
    return after([{ type: 'setIndex', index: 0 }], inUse(back, observation, message))
  }
  if (!targetServes(observation)) {
    const why = `${message}; not taken back, because no endpoint of the stable revision serves`
    return result(blockOn(state, observation, 'NoRollbackTarget', why))
  }
  return takeBack(state, observation, settings, { reason, message })
}

/** A rollback target is chosen with open eyes: not one that answers nothing while the update answers something. */
function targetServes({ endpoints, stable, deletion, figures }: Observation): boolean {
  if (stable === null || deletion || endpoints.stable || !endpoints.update) return true
  const { update } = figures
  return update.requests > 0 && failures(update) === update.requests
}

/** Where the stable revision has none either there is nobody whom the update could harm. */
function lacksEndpoints({ kind, deletion, endpoints }: Observation): boolean {
  return kind === 'Ingress' && !deletion && !endpoints.update && endpoints.stable
}

function named({ endpoints: { missing = [] } }: Observation): string {
  return missing.length === 0 ? '' : ` (${cut(missing)})`
}

function blockOn(state: State, { commands }: Observation, reason: Blocked['reason'], message: string): State {
  if (state.blocked?.reason === reason) return { ...state, blocked: { ...state.blocked, message } }
  return { ...state, blocked: { reason, message, approvedBefore: commands.approvedBatches } }
}

/** A quiet minute before the rollout is a poor reference: what the stable pods showed since is a better one. */
function strengthened(baseline: Baseline | null, { figures }: Observation, settings: Settings): Baseline | null {
  const { stable } = figures
  const handshakes = settings.gates.tlsFailureRate?.minHandshakes ?? 0
  const seen = baselineOf(stable)
  const http = stable.requests >= settings.minRequests && (baseline?.requests ?? 0) < settings.minRequests
  const tls = handshakes > 0 && tlsAttempts(stable) >= handshakes && (baseline?.tlsHandshakes ?? 0) < handshakes
  if (!http && !tls) return baseline
  const base =
    baseline ??
    baselineOf({
      ...stable,
      requests: 0,
      notFound: 0,
      upstreamErrors: 0,
      status: [0, 0, 0, 0, 0],
      tlsHandshakes: 0,
      tlsFailures: 0,
      latency: [],
    })
  const { requests, successRate, notFoundRate, clientErrorRate, redirectRate, connectFailureRate } = seen
  const { latencyP99Ms, tlsHandshakes, tlsFailureRate } = seen
  return {
    ...base,
    ...(http ? { requests, successRate, notFoundRate, clientErrorRate, redirectRate, connectFailureRate } : {}),
    ...(http ? { latencyP99Ms } : {}),
    ...(tls ? { tlsHandshakes, tlsFailureRate } : {}),
  }
}

function batchWords(state: State, settings: Settings): string {
  return `batch ${state.batch + 1} of ${settings.batches.length}`
}

function bakeWords(state: State, settings: Settings): string {
  return `${batchWords(state, settings)} bakes for ${settings.bakeMs / 1000} s, ${state.index === -1 ? 'all pods' : `${pods(state.index)} up to ordinal ${state.index - 1}`}`
}
