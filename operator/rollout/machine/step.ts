/** The machine itself. */
import type { Observation, Settings, State, StepResult } from './types.ts'

/** The state of a rollout that has not begun. */
export function initialState(attempt: number, observedRetry: number): State {
  throw new Error(`not yet: ${attempt} ${observedRetry}`)
}

/** One look at the world. Pure; call it on every change and when a requeue is due. */
export function step(state: State, observation: Observation, settings: Settings): StepResult {
  throw new Error(`not yet: ${state.phase} ${observation.now} ${settings.bakeMs}`)
}
