/**
 * What the leader does about one object, in order. Driving what is under way depends on nothing before it that failed: a
 * finalizer, a condition or a new rollout that cannot be written must not keep a bad revision on a pod.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import { isKubeError, isNotLeader } from '../kube/errors.ts'
import type { ReconcileResult } from '../kube/queue.ts'
import type { ObjectView, Pipeline } from '../pipeline/pipeline.ts'
import { RecordSizeError } from '../records/shards.ts'
import type { AddressWriter } from './address-writer.ts'
import type { Driver } from './driver.ts'
import type { Keeper } from './keeper.ts'
import type { ObjectWriter } from './object-writer.ts'
import type { Rollouts } from './rollouts.ts'
import { isRollingOut } from './starter.ts'
import type { Starter } from './starter.ts'

export interface LookAfterParts {
  readonly pipeline: Pick<Pipeline, 'view' | 'isBehind'>
  readonly writer: Pick<ObjectWriter, 'forget' | 'stale'>
  readonly keeper: Pick<Keeper, 'keep' | 'forget'>
  readonly starter: Pick<Starter, 'start' | 'sweep'>
  readonly driver: Pick<Driver, 'drive'>
  readonly rollouts: Pick<Rollouts, 'of'>
  readonly addresses: Pick<AddressWriter, 'write'>
  /** The API server refuses what is to be written, or no Secret can hold it, and so it will be again. */
  readonly refused: (view: ObjectView, what: string, error: Error) => void
}

/** What the store has is looked at before anything else. Milliseconds. */
const BEHIND_MS = 20
/** A write shows by its watch event; if that is late, look again after so many milliseconds. */
export const SAFETY_MS = 2_000

/** @throws KubeError, NotLeaderError: what failed first, after everything else was done */
export async function lookAfter(key: ObjectKey, parts: LookAfterParts): Promise<ReconcileResult | void> {
  const { pipeline, writer, keeper, starter, driver, rollouts, addresses, refused } = parts
  // What is stored was decided later than what the view shows: a decision on that would undo it.
  if (pipeline.isBehind(key)) return { requeueAfterMs: BEHIND_MS }
  const view = pipeline.view(key)
  if (view === null) {
    writer.forget(key)
    const forgotten = await keeper.forget(key)
    if (forgotten === 'changed') return { requeueAfterMs: SAFETY_MS }
    const driven = await driver.drive(key)
    await starter.sweep(key)
    if (typeof forgotten !== 'number') return driven
    return { requeueAfterMs: Math.min(forgotten, driven.requeueAfterMs ?? Infinity) }
  }
  if (view.source !== null && writer.stale(view.source)) return { requeueAfterMs: SAFETY_MS }
  const failures: unknown[] = []
  const attempt = async <T>(what: string, act: () => Promise<T>): Promise<T | 'failed'> => {
    try {
      return await act()
    } catch (error) {
      // Somebody else wrote, or leads: what was decided was decided on what is no more.
      if (isKubeError(error, 'KUBE_CONFLICT') || isNotLeader(error)) throw error
      if (isKubeError(error, 'KUBE_INVALID', 'KUBE_FORBIDDEN') || error instanceof RecordSizeError)
        refused(view, what, error)
      failures.push(error)
      return 'failed'
    }
  }
  const rollingOut = isRollingOut(view, rollouts.of(key))
  const kept = await attempt('annotations, finalizer and record', () => keeper.keep(view, { rollingOut }))
  if (kept === 'changed') return { requeueAfterMs: SAFETY_MS }
  // Nothing new begins for an object whose annotations or record cannot be written.
  const started = kept === 'failed' ? kept : await attempt('the IngressRollout', () => starter.start(view))
  if (started === true) return { requeueAfterMs: SAFETY_MS }
  const driven = await attempt('a step of the rollout', () => driver.drive(key))
  // Last: what somebody else may fight us over must not hold up a rollout.
  const lookAgain = await attempt('the addresses in status', () => addresses.write(view))
  if (failures.length > 0) throw failures[0]
  const { requeueAfterMs = Infinity } = driven === 'failed' ? {} : driven
  const others = [kept, lookAgain].filter(answer => typeof answer === 'number')
  const soonest = Math.min(requeueAfterMs, ...others)
  return Number.isFinite(soonest) ? { requeueAfterMs: soonest } : {}
}
