/** How large the heap of a worker may grow. V8's own limit knows nothing of the others: one worker could fill the pod. */
import { totalmem } from 'node:os'
import type { ResourceLimits } from 'node:worker_threads'

const MIB = 1_048_576
/** Of the pod's memory; the rest is for connections, TLS, buffers and code, which are no heap. */
const HEAPS = 0.6
/** In MiB: with less a table of 100 000 hosts would end workers that are merely busy. Not all of them are full at once. */
const ENOUGH = 256
/** But no worker alone may have more than this part of the pod's memory. */
const MOST_OF_LITTLE = 0.25
const LEAST = 32

/**
 * An equal share for each worker and for the main thread.
 * @param memory that the pod may use, in bytes
 * @returns MiB
 */
export function heapPerWorker(memory: number, workers: number): number {
  const all = memory / MIB
  const share = (all * HEAPS) / (workers + 1)
  return Math.max(LEAST, Math.floor(Math.max(share, Math.min(ENOUGH, all * MOST_OF_LITTLE))))
}

/** What this process may use, in bytes: the limit of its container, else all that the machine has. */
export function memoryLimit(): number {
  const total = totalmem()
  // Without a limit it is 0, or a number beyond all memory.
  const limit = process.constrainedMemory()
  return limit > 0 && limit < total ? limit : total
}

/** For the thread of a worker: where its heap is full, the thread ends (ERR_WORKER_OUT_OF_MEMORY), not the process. */
export function resourceLimits({ workerHeap }: { readonly workerHeap: number }): ResourceLimits {
  return { maxOldGenerationSizeMb: workerHeap }
}
