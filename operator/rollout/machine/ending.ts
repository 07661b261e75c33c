/** How a rollout ends: released, taken back, superseded; and how a new attempt begins. */
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { cut, isHeard, readyBelow, saysOf, serves } from './gates/acknowledgement.ts'
import { SOONEST_MS, closedToo, event, result, revisionOf } from './outcome.ts'
import { initialState } from './state.ts'
import type { Cause, Observation, PodObservation, Settings, State, StepResult } from './types.ts'

/** Index 0 and update := current, at once; then confirmations, of whoever speaks without a deadline: there is nothing else to try. */
export function takeBack(state: State, observation: Observation, settings: Settings, cause: Cause): StepResult {
  const message = `taking ${revisionOf(observation)} back: ${cause.message}`
  const step = { name: 'confirming', since: observation.now } as const
  const next: State = { ...state, phase: 'RollingBack', index: 0, step, blocked: null, owing: {}, cause, message }
  const said = event('Warning', cause.reason, message)
  return result(next, { type: 'takeBack', refuse: true }, said, { type: 'requeue', afterMs: settings.intervalMs })
}

/**
 * Waits until no ready pod that may have had the update serves it. Of one that says nothing nobody knows: from the deadline on it
 * does not keep others from their turn.
 */
export function rollingBack(state: State, observation: Observation, settings: Settings): StepResult {
  const { pods, deletion, now } = observation
  const out = readyBelow(pods, state.reached).filter(pod => !isBack(pod, observation))
  const isLate = state.step.name === 'confirming' && now - state.step.since >= settings.ackDeadlineMs
  const missing = isLate ? out.filter(isHeard) : out
  const silent = isLate ? out.filter(pod => !isHeard(pod)) : []
  const cause = state.cause ?? { reason: 'TakenBack', message: 'taken back' }
  if (missing.length > 0) {
    const list = cut(missing.map(pod => `${pod.name} (${saysOf(pod)})`))
    const message = `taken back: ${cause.message}; waiting for ${list} to confirm`
    return result({ ...state, message }, { type: 'requeue', afterMs: settings.intervalMs })
  }
  const phase = deletion ? 'Held' : 'RolledBack'
  const doubt = silent.length === 0 ? '' : `; nothing was heard of ${cut(silent.map(pod => pod.name))}`
  const said = deletion
    ? `the deletion is held, pods go on serving the object: ${cause.message}; spec.promote lets it go`
    : `${backTo(observation)}: ${cause.message}`
  const message = said + doubt
  return result(
    { ...state, phase, cause, message, finishedAt: observation.wall },
    event(deletion ? 'Warning' : 'Normal', deletion ? 'DeletionHeld' : 'RolledBack', message),
  )
}

function backTo({ revision, stable }: Observation): string {
  const target = stable === null ? 'answer as if the object did not exist' : `serve ${stable} again`
  return `${revision} was taken back, pods ${target}`
}

function isBack(pod: PodObservation, { revision, stable }: Observation): boolean {
  const update = revision === ABSENT_REVISION ? null : revision
  // An object that is deleted before it was ever released: both are nothing, and no pod can tell them apart.
  return isHeard(pod) && pod.serves !== undefined && (pod.serves !== update || stable === update)
}

/** Releases to all pods; the rollout is complete when they confirmed. */
export function release(state: State, observation: Observation, settings: Settings, why: string): StepResult {
  const { now } = observation
  const released: State = {
    ...state,
    phase: 'Progressing',
    batch: settings.batches.length - 1,
    index: -1,
    reached: -1,
    step: { name: 'confirming', since: now },
    blocked: null,
    cause: null,
    owing: {},
    finishedAt: null,
  }
  const { state: next, commands } = confirming(released, observation, settings)
  const message = `${revisionOf(observation)} is released to all pods: ${why}`
  return result(next, { type: 'release' }, event('Normal', 'Released', message), ...commands)
}

/** After the release: nothing can fail any more, it only takes its time. */
export function confirming(state: State, observation: Observation, settings: Settings): StepResult {
  const { step } = state
  const since = step.name === 'confirming' ? step.since : observation.now
  const ready = readyBelow(observation.pods, -1)
  const missing = ready.filter(pod => !serves(pod, observation.revision))
  const left = settings.ackDeadlineMs - (observation.now - since)
  if (missing.length > 0 && left > 0 && observation.superseded === null) {
    const message = `released to all pods, waiting for ${cut(missing.map(pod => pod.name))} to confirm${closedToo(observation)}`
    const afterMs = Math.min(left, settings.intervalMs)
    return result({ ...state, phase: 'Progressing', message }, { type: 'requeue', afterMs })
  }
  const names = cut(missing.map(pod => pod.name))
  const said =
    missing.length > 0
      ? `released to all pods; not confirmed yet by ${names}`
      : `all ${ready.length} ready pods serve ${observation.deletion ? 'it no longer' : observation.revision}`
  const message = `${said}${closedToo(observation)}`
  return result(
    { ...state, phase: 'Complete', message, finishedAt: observation.wall },
    event('Normal', 'Complete', message),
  )
}

const SUPERSEDED: Readonly<Record<NonNullable<Observation['superseded']>, (revision: string) => string>> = {
  newer: revision => `newer content came, ${revision} is taken off the pods`,
  deleted: revision => `the object is being deleted, ${revision} is taken off the pods`,
  reverted: revision => `the object has its released content again, ${revision} is off the pods`,
  ungoverned: revision =>
    `no policy governs the object any more, ${revision} does not go on; pods keep what was released`,
  gone: revision => `the object is gone, ${revision} does not go on`,
}

export function supersede(state: State, observation: Observation): StepResult {
  const why = observation.superseded ?? 'newer'
  const message = SUPERSEDED[why](observation.revision)
  const finishedAt = observation.wall
  const next: State = { ...state, phase: 'Superseded', index: 0, blocked: null, owing: {}, message, finishedAt }
  // Off the pods at once, and not when newer content begins: that may have to wait, and nobody judges this any more.
  return why !== 'ungoverned' && why !== 'gone'
    ? result(next, { type: 'takeBack', refuse: false }, event('Normal', 'Superseded', message))
    : result(next, event('Normal', 'Superseded', message))
}

/** From batch 0 again, with the same baseline: the last minute may be full of the failure that was taken back. */
export function newAttempt(state: State, observation: Observation): StepResult {
  const { retry, abort } = observation.commands
  const attempt = state.attempt + 1
  const next: State = {
    ...initialState(attempt, retry),
    // Pods may still serve it from the attempt before; a rollback waits for them too.
    reached: state.reached,
    baseline: state.baseline,
    before: state.before,
    ignoreAbort: abort,
    message: `attempt ${attempt} begins`,
  }
  return result(
    next,
    { type: 'begin', attempt },
    event('Normal', 'Retried', `attempt ${attempt} of ${revisionOf(observation)} begins`),
    { type: 'requeue', afterMs: SOONEST_MS },
  )
}
