/**
 * Is an object still asked for? Reports name the governed objects that answered requests; of the last minute all of that is kept.
 * Pure but for its own memory, which is bounded by what a minute of reports holds.
 */
import type { Report } from '../../../protocol/messages.ts'
import type { ObjectKey } from '../../../protocol/objects.ts'

/** So long a pod is watched before it is known who asks for what. Milliseconds. */
export const USE_MS = 60_000
/** A pod that says nothing for longer may be asked for anything. Milliseconds. */
const SILENT_MS = 30_000

interface Piece {
  readonly end: number
  /** Requests by object. */
  readonly objects: ReadonlyMap<ObjectKey, number>
}

interface Watched {
  readonly instance: string
  /** From when on every request is known. Monotonic milliseconds. */
  readonly since: number
  readonly heardAt: number
  readonly pieces: readonly Piece[]
}

export class Use {
  readonly #pods = new Map<string, Watched>()
  /** When pods began to count requests of an object, if that is less than a minute ago: the oldest first. Monotonic milliseconds. */
  readonly #young = new Map<ObjectKey, number>()

  /** Pods that did not count requests of it until now are given it: of the minute before nothing is known. */
  began(key: ObjectKey, nowMs: number): void {
    for (const [old, since] of this.#young) {
      if (since > nowMs - USE_MS) break
      this.#young.delete(old)
    }
    this.#young.delete(key)
    this.#young.set(key, nowMs)
  }

  add(pod: string, { instance, objects }: Report, nowMs: number): void {
    const before = this.#pods.get(pod)
    // A first report says nothing of when it began.
    if (before?.instance !== instance) {
      this.#pods.set(pod, { instance, since: nowMs, heardAt: nowMs, pieces: [] })
      return
    }
    const counts = Object.entries(objects).map(([key, { requests, closed = 0 }]): [ObjectKey, number] => [
      key,
      requests + closed,
    ])
    const kept = before.pieces.filter(({ end }) => end >= nowMs - USE_MS)
    const pieces = counts.length === 0 ? kept : [...kept, { end: nowMs, objects: new Map(counts) }]
    this.#pods.set(pod, { ...before, heardAt: nowMs, pieces })
  }

  /** Requests that these pods answered for the object in the last minute; null: not for so long was it counted on all of them. */
  of(key: ObjectKey, pods: Iterable<string>, nowMs: number): number | null {
    if ((this.#young.get(key) ?? -Infinity) > nowMs - USE_MS) return null
    let sum = 0
    for (const pod of pods) {
      const watched = this.#pods.get(pod)
      if (watched === undefined || watched.since > nowMs - USE_MS || watched.heardAt < nowMs - SILENT_MS) return null
      for (const { end, objects } of watched.pieces) if (end >= nowMs - USE_MS) sum += objects.get(key) ?? 0
    }
    return sum
  }

  forget(pod: string): void {
    this.#pods.delete(pod)
  }
}
