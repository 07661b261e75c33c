/** States that others start from. */
import type { Phase, State } from './types.ts'

/** Nothing happens by itself any more. */
export const ENDED: ReadonlySet<Phase> = new Set(['Complete', 'RolledBack', 'Superseded', 'Held'])

/** It has begun, and is not at its end. */
export function isActive({ phase }: Pick<State, 'phase'>): boolean {
  return phase !== 'Pending' && !ENDED.has(phase)
}

/** The state of a rollout that has not begun. `attempt` from 1; `observedRetry`: spec.retry as it is, which is no command yet. */
export function initialState(attempt: number, observedRetry: number): State {
  return {
    phase: 'Pending',
    settings: null,
    attempt,
    observedRetry,
    batch: 0,
    index: 0,
    reached: 0,
    step: { name: 'raising', since: 0, merge: false },
    batchSince: 0,
    blocked: null,
    cause: null,
    owing: {},
    verdicts: [],
    baseline: null,
    before: null,
    spent: null,
    missed: null,
    ignoreAbort: false,
    message: 'waits for its turn',
    startedAt: null,
    batchStartedAt: null,
    finishedAt: null,
  }
}

/** Reasons of the phase Paused, which are also those of the condition. */
export type PausedReason =
  | 'Command'
  | 'WaitingForTime'
  | 'WaitingForApproval'
  | 'GateFailed'
  | 'InUse'
  | 'Inconclusive'
  | 'ManualIndex'
  | 'NoRollbackTarget'
  | 'OtherRollout'

/** Why the phase is Paused; null: it is not. */
export function pausedReason(state: State): PausedReason | null {
  if (state.phase !== 'Paused') return null
  if (state.blocked !== null) return state.blocked.reason
  if (state.step.name === 'waiting') return state.step.until === null ? 'WaitingForApproval' : 'WaitingForTime'
  return 'Command'
}
