/** How far a batch reaches. DESIGN "The rollout machine": a batch counts ready pods. */
import type { Batch } from './types.ts'

/** Ordinals of the pods when the batch starts. */
export interface FleetView {
  /** Of ready pods, ascending, without pods that have no ordinal. */
  readonly ready: readonly number[]
  /** One more than the highest ordinal of any pod, ready or not. */
  readonly size: number
}

/** The index of a batch; null: there are too few ready pods to begin it, wait. */
export function batchIndex(batch: Batch, last: boolean, fleet: FleetView): number | null {
  throw new Error(`not yet: ${JSON.stringify(batch)} ${last} ${fleet.size}`)
}
