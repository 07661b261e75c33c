/** A new leader takes over: the state from what status and record say. */
import type { Baseline } from './figures.ts'
import type { Phase, Settings, StepResult } from './types.ts'

/** What status.ts reads from an IngressRollout's status. */
export interface Remembered {
  readonly phase: Phase
  readonly attempt: number
  readonly observedRetry: number
  readonly batch: number
  /** Reason of the condition Paused while it is True; null: not paused. */
  readonly pausedReason: string | null
  /** Wall milliseconds; null: the pause waits for approval, or there is none. */
  readonly pauseEndsAt: number | null
  readonly cause: { readonly reason: string; readonly message: string } | null
  readonly baseline: Baseline | null
  readonly startedAt: number | null
  readonly batchStartedAt: number | null
  readonly finishedAt: number | null
}

/** The part of the release record that the machine needs; it outranks the status. */
export interface RecordView {
  readonly current: string | null
  readonly update: string | null
  readonly index: number
  readonly refused: readonly string[]
}

/**
 * Starts the running bake again: nothing is promoted on data that this process has not seen. Pauses keep their ends.
 * The commands complete what the former leader decided and did not write.
 */
export function resume(
  remembered: Remembered | null,
  record: RecordView,
  revision: string,
  settings: Settings,
  clock: { readonly now: number; readonly wall: number },
): StepResult {
  throw new Error(`not yet: ${remembered?.phase ?? ''} ${record.index} ${revision} ${settings.bakeMs} ${clock.now}`)
}
