/** A new leader takes over: the state from what the record says, and of what has ended from the status. */
import type { Revision } from '../../../protocol/objects.ts'
import type { Baseline } from './figures.ts'
import { completed, stepFrom } from './memory.ts'
import type { Kept, Memory, TakenBackMemory } from './memory.ts'
import { ENDED, initialState } from './state.ts'
import type { Cause, Phase, Settings, State } from './types.ts'

/** What status.ts reads from an IngressRollout's status. */
export interface Remembered {
  readonly phase: Phase
  readonly attempt: number
  readonly observedRetry: number
  readonly batch: number
  readonly index: number
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
  readonly rollout?: Kept
  readonly takenBack?: TakenBackMemory
}

/** This process's monotonic clock and the wall clock, in milliseconds. */
export interface Clock {
  readonly now: number
  readonly wall: number
}

/**
 * Starts the running bake again: nothing is promoted on data that this process has not seen. Pauses keep their ends, and questions
 * to a person what was answered before.
 * @param remembered null: no status was written
 * @param policy for a rollout whose record does not say what it began with
 */
export function resume(
  remembered: Remembered | null,
  record: RecordView,
  revision: Revision,
  policy: Settings,
  clock: Clock,
): State {
  const shown = recalled(remembered, clock)
  if (remembered !== null && ENDED.has(remembered.phase))
    return { ...shown, index: record.index, reached: record.index }
  if (record.current === revision) return released(shown, clock)
  // Told to go out again, which it has not yet: that it was refused was said of the attempt before. Unless the record says of which.
  const last = record.takenBack?.revision === revision ? record.takenBack.attempt : 1
  const isToldAgain = remembered?.phase === 'Pending' && remembered.attempt > last
  if (record.update !== revision) {
    const isRefused = record.refused.includes(revision) && !isToldAgain
    return isRefused ? rollingBack(shown, record, revision, clock) : pending(shown)
  }
  const { rollout } = record
  const kept = rollout?.revision === revision ? rollout : null
  if (kept === null && record.index === 0 && (remembered === null || remembered.phase === 'Pending')) {
    return pending(shown)
  }
  const memory = completed(kept ?? { revision, settings: policy }, clock.wall)
  const { attempt, observedRetry } = shown
  // The attempt that is told of in the status answers what blocked the one in the record.
  const isNewer = attempt > memory.attempt
  return underWay(isNewer ? { ...memory, attempt, observedRetry, step: 'out', blocked: null } : memory, record, clock)
}

function recalled(remembered: Remembered | null, { now }: Clock): State {
  const fresh = initialState(remembered?.attempt ?? 1, remembered?.observedRetry ?? 0)
  const state: State = { ...fresh, step: { name: 'raising', since: now, merge: false }, batchSince: now }
  if (remembered === null) return state
  const { phase, batch, message, cause, baseline, startedAt, batchStartedAt, finishedAt } = remembered
  return { ...state, phase, batch, message, cause, baseline, startedAt, batchStartedAt, finishedAt }
}

function pending(state: State): State {
  return { ...state, phase: 'Pending', index: 0, reached: 0, cause: null }
}

function released(state: State, { now }: Clock): State {
  const step = { name: 'confirming', since: now } as const
  return { ...state, phase: 'Progressing', index: -1, reached: -1, step, cause: null }
}

/** Which pods may have had it is not known: all are asked. */
function rollingBack(state: State, { takenBack }: RecordView, revision: Revision, { now }: Clock): State {
  const known = takenBack?.revision === revision ? takenBack : null
  const cause = known?.cause ??
    state.cause ?? { reason: 'TakenBack', message: 'decided before this operator took over' }
  const attempt = Math.max(state.attempt, known?.attempt ?? 1)
  const step = { name: 'confirming', since: now } as const
  return { ...state, attempt, phase: 'RollingBack', index: 0, reached: -1, step, cause }
}

function underWay(memory: Memory, { index }: RecordView, clock: Clock): State {
  const { settings, attempt, observedRetry, batch, blocked, baseline, startedAt, batchStartedAt } = memory
  const step = stepFrom(memory, clock)
  const isPaused = blocked !== null || step.name === 'waiting'
  return {
    ...initialState(attempt, observedRetry),
    ...{ phase: isPaused ? 'Paused' : 'Progressing', settings, index, reached: index, step, blocked, baseline },
    batch: Math.min(batch, settings.batches.length - 1),
    batchSince: clock.now,
    message: blocked?.message ?? 'taken over by this operator',
    ...{ startedAt, batchStartedAt },
  }
}
