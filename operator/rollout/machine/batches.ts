/** How far a batch reaches. DESIGN "The rollout machine": a batch counts ready pods. */
import type { Batch, BatchSize, PodObservation } from './types.ts'

/** The pods at a look. */
export interface FleetView {
  /** Ordinals of ready pods, ascending; pods without an ordinal are in no batch. */
  readonly ready: readonly number[]
  /** One more than the highest ordinal of any pod, ready or not: the pods that there are, or will be again. */
  readonly size: number
}

export type Reach =
  /** Pods with an ordinal below `index`. */
  | { readonly type: 'index'; readonly index: number }
  /** The batch is the whole fleet and nothing is to happen between it and the last one: go on as the last. */
  | { readonly type: 'all' }
  /** Too few pods are ready to begin it. */
  | { readonly type: 'wait'; readonly message: string }

export function fleetView(pods: readonly PodObservation[]): FleetView {
  const numbered = pods.filter(pod => pod.ordinal >= 0)
  return {
    ready: numbered
      .filter(pod => pod.ready)
      .map(pod => pod.ordinal)
      .sort((a, b) => a - b),
    size: numbered.reduce((size, pod) => Math.max(size, pod.ordinal + 1), 0),
  }
}

/** Pods that a size means, of so many: rounded up, at least 1; may be more than there are. */
export function podsOf(size: BatchSize, pods: number): number {
  return 'count' in size ? Math.max(1, size.count) : Math.max(1, Math.ceil((size.percent * pods) / 100))
}

/** Pods of a fleet of this size that may lie below an index without being ready: they get the update unseen when they return. */
export function unseenPods(size: number): number {
  return Math.max(1, Math.floor(size / 10))
}

/**
 * The reach of batch `number` of `batches`: the smallest index with n ready pods below it, never lower than `previous`
 * (the index of the batch before). Pods below it that are not ready come along: few (`unseenPods`), or the batch waits; what
 * is ready after an outage is not what the fleet is. Before the last batch one ready pod stays on the stable revision,
 * unless the whole fleet is one pod.
 */
export function batchReach(batches: readonly Batch[], number: number, fleet: FleetView, previous: number): Reach {
  const { ready, size } = fleet
  const batch = batches[number]
  if (ready.length === 0 || batch === undefined) return { type: 'wait', message: 'no pod is ready' }
  // The last batch takes the pods that are not ready along: they get the update when they return.
  if (number === batches.length - 1) return { type: 'index', index: Math.max(size, previous) }
  const wanted = podsOf(batch.pods, size)
  const lastFollows = number === batches.length - 2 && batch.pause.type === 'none'
  if (wanted >= ready.length && size > 1) {
    if (lastFollows && 'count' in batch.pods && batch.pods.count >= size) return { type: 'all' }
    if (ready.length === 1) {
      return {
        type: 'wait',
        message: `only 1 of ${size} pods is ready; a batch before the last one leaves a ready pod on the stable revision`,
      }
    }
  }
  const pods = size > 1 ? Math.min(wanted, ready.length - 1) : 1
  const index = (ready[pods - 1] ?? 0) + 1
  if (index <= previous) return { type: 'index', index: previous }
  const unseen = index - pods
  if (unseen <= unseenPods(size)) return { type: 'index', index }
  const most = `at most ${unseenPods(size)} may get the update unseen`
  return {
    type: 'wait',
    message: `${ready.length} of ${size} pods are ready, and below the ${pods === 1 ? 'one' : `${pods}`} of this batch ${unseen} are not; ${most}`,
  }
}

/**
 * The index that leaves a pod on the stable revision in a fleet that lost those which had it: a StatefulSet that is scaled in
 * loses the highest ordinals first. `index` itself where there is nothing to lower.
 */
export function loweredIndex(index: number, size: number): number {
  return index <= 0 || size <= 1 ? index : Math.min(index, size - 1)
}
