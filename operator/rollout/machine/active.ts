/** A rollout on its way: commands first, then evidence, then the next move. */
import { plainSettings } from '../../model/settings.ts'
import { batchRun, failing } from './batch-run.ts'
import { confirming, newAttempt, release, supersede, takeBack } from './ending.ts'
import { event, result, widest } from './outcome.ts'
import { settle } from './settle.ts'
import type { Command, Observation, Settings, State, StepResult } from './types.ts'

/** How often a rollout that waits for its turn looks by itself; thousands may wait. Milliseconds. */
const PENDING_LOOK_MS = 30_000

export function active(state: State, observation: Observation, settings: Settings): StepResult {
  const { commands } = observation
  // Released already: neither abort nor newer content can change that.
  if (state.step.name === 'confirming') return confirming(state, observation, settings)
  if (observation.superseded !== null) return supersede(state, observation)
  if (commands.abort && !state.ignoreAbort) {
    return takeBack(state, observation, settings, { reason: 'Aborted', message: 'aborted by spec.abort' })
  }
  if (commands.promote) return release(state, observation, settings, 'promoted by spec.promote')
  if (state.blocked !== null && commands.retry > state.observedRetry) return newAttempt(state, observation)
  // A retry of something that runs is no command for later: it must not undo a rollback to come.
  const current = { ...state, observedRetry: Math.max(state.observedRetry, commands.retry) }
  if (current.phase === 'Pending') return pending(current, observation, settings)
  return settle(current, byHandOr(current, observation, settings), observation, settings)
}

function pending(state: State, observation: Observation, policy: Settings): StepResult {
  if (!observation.isItsTurn) {
    return result({ ...state, message: 'waits for its turn' }, { type: 'requeue', afterMs: PENDING_LOOK_MS })
  }
  const { now, wall, renewal } = observation
  const isPlain = renewal?.isPlain === true
  const settings = isPlain ? plainSettings(policy) : policy
  const started: State = {
    ...state,
    phase: 'Progressing',
    settings,
    batch: 0,
    step: { name: 'raising', since: now, merge: false },
    batchSince: now,
    baseline: state.baseline ?? observation.baseline,
    before: state.before ?? observation.before,
    startedAt: wall,
    batchStartedAt: wall,
    message: 'begins',
  }
  const next = settle(started, byHandOr(started, observation, settings), observation, settings)
  const from = observation.stable ?? 'nothing'
  const how = isPlain ? ': a renewal by the same authority, which waits neither for traffic nor for pauses' : ''
  const begins: Command = event('Normal', 'Started', `${observation.revision} goes out in batches, from ${from}${how}`)
  return result(next.state, begins, ...next.commands)
}

/**
 * A person who moves the index by hand drives; the machine steps aside and says so, until it is told to go on. It goes on judging: what
 * fails is taken back, whoever let it out.
 */
function byHandOr(before: State, observation: Observation, settings: Settings): StepResult {
  const { manualIndex, commands, now, wall } = observation
  // Pods that got the update by hand have to give it back like the others.
  const state = manualIndex === null ? before : { ...before, reached: widest(before.reached, manualIndex) }
  const byHand = state.blocked?.reason === 'ManualIndex' ? state.blocked : null
  const failed =
    manualIndex === null || !observation.isItsTurn
      ? null
      : failing({ ...state, index: manualIndex }, observation, settings)
  if (failed !== null) return failed
  if (manualIndex === null) {
    return byHand === null
      ? batchRun(state, observation, settings)
      : batchRun(seenAgain({ ...state, blocked: null }, now, wall), observation, settings)
  }
  if (byHand === null) {
    const message = `the index was set to ${manualIndex} by hand, the rollout had ${state.index}; it waits for a higher spec.approvedBatches, spec.retry, or the index to be ${state.index} again`
    const blocked = { reason: 'ManualIndex', message, approvedBefore: commands.approvedBatches } as const
    return result({ ...state, blocked, owing: {} })
  }
  if (commands.approvedBatches <= byHand.approvedBefore) return result(state)
  return result(seenAgain({ ...state, blocked: null }, now, wall), { type: 'setIndex', index: state.index })
}

/** What the batch showed while somebody else moved the index does not count: it bakes again. A pause after it goes on. */
function seenAgain(state: State, now: number, wall: number): State {
  if (state.step.name === 'waiting') return state
  const step = { name: 'raising', since: now, merge: false } as const
  return { ...state, step, batchSince: now, batchStartedAt: wall, owing: {} }
}
