/** How a rollout ends: released, taken back, superseded; and how a new attempt begins. */
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { SILENT_MS, cut, readyBelow, saysOf, serves } from './gates/acknowledgement.ts'
import { SOONEST_MS, event, result, revisionOf } from './outcome.ts'
import { initialState } from './state.ts'
import type { Cause, Observation, PodObservation, Settings, State, StepResult } from './types.ts'

/** Index 0 and update := current, at once; then confirmations without a deadline, because there is nothing else to try. */
export function takeBack(state: State, observation: Observation, settings: Settings, cause: Cause): StepResult {
  const message = `taking ${revisionOf(observation)} back: ${cause.message}`
  const next: State = { ...state, phase: 'RollingBack', index: 0, blocked: null, owing: {}, cause, message }
  const said = event('Warning', cause.reason, message)
  return result(next, { type: 'takeBack', refuse: true }, said, { type: 'requeue', afterMs: settings.intervalMs })
}

/** Waits until no ready pod that may have had the update serves it. */
export function rollingBack(state: State, observation: Observation, settings: Settings): StepResult {
  const { pods, deletion } = observation
  const missing = readyBelow(pods, state.reached).filter(pod => !isBack(pod, observation))
  const cause = state.cause ?? { reason: 'TakenBack', message: 'taken back' }
  if (missing.length > 0) {
    const list = cut(missing.map(pod => `${pod.name} (${saysOf(pod)})`))
    const message = `taken back: ${cause.message}; waiting for ${list} to confirm`
    return result({ ...state, message }, { type: 'requeue', afterMs: settings.intervalMs })
  }
  const phase = deletion ? 'Held' : 'RolledBack'
  const message = deletion
    ? `the deletion is held, pods go on serving the object: ${cause.message}; spec.promote lets it go`
    : `${backTo(observation)}: ${cause.message}`
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
  const heard = pod.lastReportAgeMs !== null && pod.lastReportAgeMs <= SILENT_MS
  // An object that is deleted before it was ever released: both are nothing, and no pod can tell them apart.
  return heard && pod.serves !== undefined && (pod.serves !== update || stable === update)
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
    const message = `released to all pods, waiting for ${cut(missing.map(pod => pod.name))} to confirm`
    const afterMs = Math.min(left, settings.intervalMs)
    return result({ ...state, phase: 'Progressing', message }, { type: 'requeue', afterMs })
  }
  const names = cut(missing.map(pod => pod.name))
  const message =
    missing.length > 0
      ? `released to all pods; not confirmed yet by ${names}`
      : `all ${ready.length} ready pods serve ${observation.deletion ? 'it no longer' : observation.revision}`
  return result(
    { ...state, phase: 'Complete', message, finishedAt: observation.wall },
    event('Normal', 'Complete', message),
  )
}

export function supersede(state: State, observation: Observation): StepResult {
  const reverted = observation.superseded === 'reverted'
  const message = reverted
    ? `the object has its released content again, ${observation.revision} is off the pods`
    : observation.superseded === 'newer'
      ? `newer content came, ${observation.revision} is taken off the pods`
      : `no policy governs the object any more, ${observation.revision} does not go on; pods keep what was released`
  const finishedAt = observation.wall
  const next: State = { ...state, phase: 'Superseded', index: 0, blocked: null, owing: {}, message, finishedAt }
  // Off the pods at once, and not when newer content begins: that may have to wait, and nobody judges this any more.
  return observation.superseded !== 'ungoverned'
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
