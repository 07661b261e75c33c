/** The machine itself: which part of it a state belongs to. */
import { active } from './active.ts'
import { newAttempt, release, rollingBack } from './ending.ts'
import { result } from './outcome.ts'
import type { Observation, Settings, State, StepResult } from './types.ts'

export { initialState, pausedReason } from './state.ts'

/**
 * One look at the world. Pure; call it on every change and when a requeue is due.
 * @param policy what a rollout that begins now begins with; one that has begun goes on as it began
 */
export function step(before: State, observation: Observation, policy: Settings): StepResult {
  const { commands, superseded } = observation
  const settings = before.settings ?? policy
  const { abort, retry, promote } = commands
  const state: State = {
    ...before,
    ignoreAbort: before.ignoreAbort && abort,
    // Of a rollout that an older operator began the settings are not known.
    batch: Math.min(before.batch, settings.batches.length - 1),
  }
  switch (state.phase) {
    case 'Complete':
    case 'Superseded':
      // It ended because its policy went, and what was released stays: a person may still let it out.
      if (state.phase === 'Superseded' && promote && superseded === 'ungoverned') {
        return release(state, observation, settings, 'promoted by spec.promote')
      }
      return result({ ...state, observedRetry: Math.max(state.observedRetry, retry) })
    case 'RolledBack':
    case 'Held':
      // It is not the object's content any more: another rollout has the word, or there is no object.
      if (superseded !== null && superseded !== 'ungoverned') return result(state)
      if (promote) return release(state, observation, settings, 'promoted by spec.promote')
      return retry > state.observedRetry && superseded === null ? newAttempt(state, observation) : result(state)
    case 'RollingBack':
      return rollingBack(state, observation, settings)
    case 'Pending':
    case 'Progressing':
    case 'Paused':
      return active(state, observation, settings)
  }
}
