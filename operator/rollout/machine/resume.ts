/** A new leader takes over: the state from what status and record say. */
import type { Revision } from '../../../protocol/objects.ts'
import type { Baseline } from './figures.ts'
import { result } from './outcome.ts'
import { initialState } from './state.ts'
import type { BatchStep, Cause, Phase, Settings, State, StepResult } from './types.ts'

/** What status.ts reads from an IngressRollout's status. */
export interface Remembered {
  readonly phase: Phase
  readonly attempt: number
  readonly observedRetry: number
  readonly batch: number
  /** The record may be ahead of it. */
  readonly index: number
  /** Reason of the condition Paused while it is True; null: not paused. */
  readonly pausedReason: string | null
  /** Wall milliseconds; null: the pause waits for approval, or there is none. */
  readonly pauseEndsAt: number | null
  readonly message: string
  readonly cause: Cause | null
  readonly baseline: Baseline | null
  readonly startedAt: number | null
  readonly batchStartedAt: number | null
  readonly finishedAt: number | null
}

/** The part of the release record that the machine needs; it outranks the status. */
export interface RecordView {
  readonly current: Revision | null
  readonly update: Revision | null
  readonly index: number
  readonly refused: readonly Revision[]
  /** What the rollout of `update` began with. */
  readonly rollout?: { readonly revision: Revision; readonly settings: Settings; readonly batch?: number }
}

/** This process's monotonic clock and the wall clock, in milliseconds. */
export interface Clock {
  readonly now: number
  readonly wall: number
}

/**
 * Starts the running bake again: nothing is promoted on data that this process has not seen. Pauses keep their ends.
 * The commands complete what the former leader decided and did not write.
 * @param remembered null: no status was written
 * @param policy for a rollout that has not begun, or whose record does not say what it began with
 */
export function resume(
  remembered: Remembered | null,
  record: RecordView,
  revision: Revision,
  policy: Settings,
  clock: Clock,
): StepResult {
  const known = record.rollout?.revision === revision ? record.rollout : null
  const begun = known?.settings ?? null
  const state = { ...recalled(remembered, record, begun ?? policy, known?.batch ?? 0, clock), settings: begun }
  const { phase } = state
  if (phase === 'Complete' || phase === 'Superseded' || phase === 'RolledBack' || phase === 'Held') return result(state)
  if (record.current === revision) {
    const step = { name: 'confirming', since: clock.now } as const
    return result({ ...state, phase: 'Progressing', index: -1, reached: -1, step, blocked: null, cause: null })
  }
  const takenBack = record.update !== revision && record.refused.includes(revision)
  // Told to try again, and the record does not know yet: status comes first in `begin`.
  if (takenBack && phase === 'Pending' && state.attempt > 1) {
    return result({ ...state, settings: null, index: 0, reached: -1 }, { type: 'begin', attempt: state.attempt })
  }
  if (takenBack) return result(rollingBackAgain(state, clock))
  if (phase === 'RollingBack') return result(rollingBackAgain(state, clock), { type: 'takeBack', refuse: true })
  // Not stamped yet, or something else is: the observation will say which.
  if (record.update !== revision)
    return result({ ...state, phase: 'Pending', settings: null, index: 0, reached: 0, blocked: null })
  if (phase === 'Pending' && record.index === 0) return result({ ...state, settings: null })
  return result({ ...state, settings: begun ?? policy, phase: phase === 'Paused' ? phase : 'Progressing' })
}

function rollingBackAgain(state: State, { now }: Clock): State {
  const cause = state.cause ?? { reason: 'TakenBack', message: 'decided before this operator took over' }
  const step = { name: 'confirming', since: now } as const
  return { ...state, phase: 'RollingBack', index: 0, reached: -1, step, cause, blocked: null }
}

function recalled(
  remembered: Remembered | null,
  record: RecordView,
  settings: Settings,
  recorded: number,
  clock: Clock,
): State {
  const fresh = initialState(remembered?.attempt ?? 1, remembered?.observedRetry ?? 0)
  const index = record.index
  const state: State = {
    ...fresh,
    index,
    batch: recorded,
    reached: index,
    step: { name: 'raising', since: clock.now, merge: false },
    batchSince: clock.now,
    message: 'taken over by this operator',
    startedAt: clock.wall,
    batchStartedAt: clock.wall,
  }
  if (remembered === null) return { ...state, startedAt: index === 0 ? null : clock.wall }
  // Status comes after the record; where a batch waits to begin it is ahead of it.
  const batch = Math.min(Math.max(remembered.batch, recorded), settings.batches.length - 1)
  const { phase, message, cause, baseline, startedAt, batchStartedAt, finishedAt } = remembered
  return {
    ...state,
    phase,
    batch,
    // The record is ahead: the pause was over, and nobody has seen the batch that followed.
    step: (index === remembered.index ? stepOf(remembered, batch, settings, clock) : null) ?? state.step,
    // Inconclusive and the rest are found again by looking; a failed gate is for a person, also tomorrow.
    blocked:
      remembered.pausedReason === 'GateFailed'
        ? { reason: 'GateFailed', message, approvedBefore: Number.MAX_SAFE_INTEGER }
        : null,
    ...{ message, cause, baseline, startedAt, batchStartedAt, finishedAt },
  }
}

function stepOf(remembered: Remembered, batch: number, settings: Settings, clock: Clock): BatchStep | null {
  if (remembered.pausedReason === 'WaitingForApproval') return { name: 'waiting', until: null }
  const end = remembered.pauseEndsAt
  if (remembered.pausedReason !== 'WaitingForTime' || end === null) return null
  const pause = settings.batches[batch]?.pause
  // A wall clock that jumped makes the pause at most as long as the policy says.
  const longest = pause?.type === 'time' ? pause.forMs : Number.MAX_SAFE_INTEGER
  const left = Math.min(Math.max(0, end - clock.wall), longest)
  return { name: 'waiting', until: { mono: clock.now + left, wall: clock.wall + left } }
}
