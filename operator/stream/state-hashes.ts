/**
 * The hash of what each pod is to serve (protocol/hash.ts). Most objects are the same for every pod: they are hashed once for all of
 * them, when they change, and a pod that connects costs nothing but those that are on their way.
 */
import { StateHash, assignmentHash } from '../../protocol/hash.ts'
import type { Assignment, ObjectKey } from '../../protocol/objects.ts'

/** What pods have of one object: those below the index `low`, the others (an ordinal of -1 is infinitely high) `high`. */
export interface Shares {
  /** 0: nobody is below it; Infinity: everybody is. */
  readonly index: number
  readonly low: Assignment
  readonly high: Assignment
}

interface Hashed {
  readonly index: number
  readonly low: Buffer
  readonly high: Buffer
}

export class StateHashes {
  /** Of what every pod has alike. */
  readonly #common = new StateHash()
  readonly #apart = new Map<ObjectKey, Hashed>()

  /** The object is another one now. Null: it is not there. @param before what it was the last time */
  replace(key: ObjectKey, before: Shares | null, after: Shares | null): void {
    if (before !== null && !this.#apart.delete(key)) this.#common.toggle(alike(before))
    if (after === null) return
    const { index, low, high } = after
    if (isAlike(after)) this.#common.toggle(alike(after))
    else this.#apart.set(key, { index, low: assignmentHash(low), high: assignmentHash(high) })
  }

  /** In hex. */
  of(ordinal: number): string {
    const sum = new StateHash(this.#common)
    for (const { index, low, high } of this.#apart.values()) sum.mix(ordinal >= 0 && ordinal < index ? low : high)
    return sum.hex
  }
}

function isAlike({ index }: Shares): boolean {
  return index <= 0 || index === Infinity
}

function alike({ index, low, high }: Shares): Assignment {
  return index === Infinity ? low : high
}
