/**
 * What of a rollout outlives the process that drives it. It is part of the object's record and goes into the store in one write with
 * content and index: no leader finds one without the other. The status of the IngressRollout is a copy of it for people.
 */
import type { Revision } from '../../../protocol/objects.ts'
import type { Settings } from '../../model/settings.ts'
import type { Baseline } from './figures.ts'
import { isActive } from './state.ts'
import type { BatchStep, Blocked, Cause, State } from './types.ts'

export interface Memory {
  readonly revision: Revision
  /** What it began with: it runs to its end on that, whatever becomes of its policy. */
  readonly settings: Settings
  readonly attempt: number
  readonly observedRetry: number
  /** Index into settings.batches. */
  readonly batch: number
  /** `raising`: pods are to get the batch; `out`: they have it, or are about to; `waiting`: it passed, and pauses. */
  readonly step: 'raising' | 'out' | 'waiting'
  /** End of the pause, in milliseconds since the epoch; null: it ends with an approval, or there is none. */
  readonly pauseEndsAt: number | null
  /** What a person has to answer; all else is found again by looking. */
  readonly blocked: Blocked | null
  readonly baseline: Baseline | null
  /** Milliseconds since the epoch. */
  readonly startedAt: number | null
  readonly batchStartedAt: number | null
}

/** As a record has it: one that an operator from before wrote says less. */
export type Kept = Pick<Memory, 'revision' | 'settings'> & Partial<Memory>

/** Of a revision that is off the pods again. */
export interface TakenBackMemory {
  readonly revision: Revision
  readonly attempt: number
  readonly cause: Cause
}

/** Null: it has not begun, or is at its end, and then the record says so by what it has released or refused. */
export function memoryOf(state: State, revision: Revision): Memory | null {
  const { settings, attempt, observedRetry, batch, step, blocked, baseline, startedAt, batchStartedAt } = state
  if (settings === null || !isActive(state) || state.phase === 'RollingBack' || step.name === 'confirming') return null
  return {
    ...{ revision, settings, attempt, observedRetry, batch },
    step: step.name === 'raising' || step.name === 'waiting' ? step.name : 'out',
    pauseEndsAt: step.name === 'waiting' ? (step.until?.wall ?? null) : null,
    blocked: blocked !== null && ANSWERED.has(blocked.reason) ? blocked : null,
    ...{ baseline, startedAt, batchStartedAt },
  }
}

const ANSWERED: ReadonlySet<Blocked['reason']> = new Set(['GateFailed', 'Inconclusive', 'ManualIndex'])

/** Nothing that is worth a write differs: of why it is blocked only the figures in the words do. */
export function isRemembered(kept: Kept | undefined, { blocked, ...memory }: Memory): boolean {
  if (kept === undefined) return false
  const { blocked: was = null } = kept
  const same = was?.reason === blocked?.reason && was?.approvedBefore === blocked?.approvedBefore
  return same && Object.entries(memory).every(([name, value]) => isEqual(kept[name as keyof Kept], value))
}

function isEqual(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** What a record does not say is as if it had just begun: its batch bakes again. */
export function completed(kept: Kept, wall: number): Memory {
  return {
    ...{ attempt: 1, observedRetry: 0, batch: 0, step: 'out', pauseEndsAt: null, blocked: null, baseline: null },
    ...{ startedAt: wall, batchStartedAt: wall },
    ...kept,
  }
}

/** Where a leader goes on that has seen nothing of it: only a pause, and a question to a person, outlive the one before. */
export function stepFrom(memory: Memory, clock: { readonly now: number; readonly wall: number }): BatchStep {
  const { now, wall } = clock
  const { step, batch, settings, pauseEndsAt, blocked } = memory
  if (step === 'waiting') {
    const pause = settings.batches[batch]?.pause
    if (pauseEndsAt === null) return { name: 'waiting', until: null }
    // A wall clock that jumped makes the pause at most as long as the policy says.
    const longest = pause?.type === 'time' ? pause.forMs : Number.MAX_SAFE_INTEGER
    const left = Math.min(Math.max(0, pauseEndsAt - wall), longest)
    return { name: 'waiting', until: { mono: now + left, wall: wall + left } }
  }
  // An answer to what lacked evidence lets the batch pass that is out.
  if (step === 'out' && blocked !== null) return { name: 'acknowledging', since: now }
  return { name: 'raising', since: now, merge: false }
}
