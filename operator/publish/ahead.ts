/**
 * What is published while a record is on its way to the store: IDs as they are to be when it is there. So pods wait for the longer of
 * the two writes, and not for both (docs/adr/0039-published-while-stored.md). Nothing is released by it: a replica gives out only what
 * it computed from records that are stored.
 */
import type { ObjectKey } from '../../protocol/objects.ts'

export interface AheadOptions {
  /** What is to be published may be another state now. */
  readonly changed: () => void
  /** After which a write that is under way is published ahead no more, in milliseconds; default 250. */
  readonly longestMs?: number
}

interface Expectation {
  readonly id: string
  readonly timer: ReturnType<typeof setTimeout>
}

const LONGEST_MS = 250

export class Ahead {
  readonly #changed: () => void
  readonly #longestMs: number
  readonly #expected = new Map<ObjectKey, Expectation>()
  /** The last record could be stored, and in time. */
  #able = true

  constructor({ changed, longestMs = LONGEST_MS }: AheadOptions) {
    this.#changed = changed
    this.#longestMs = longestMs
  }

  /** IDs that are about to be other ones. */
  ids(): ReadonlyMap<ObjectKey, string> {
    return new Map([...this.#expected].map(([key, { id }]) => [key, id]))
  }

  /**
   * Stores a record of the object. Where the last one could not be stored, or took its time, nothing is published ahead: what comes of
   * this one, and when, is not sure.
   * @param id Of the object when it is stored; null: as it is now, or not known
   * @param store The write. What it throws is thrown
   */
  async during(key: ObjectKey, id: string | null, store: () => Promise<void>): Promise<void> {
    const began = performance.now()
    const stored = store()
    const expectation = id === null || !this.#able ? null : this.#expect(key, id)
    try {
      await stored
      this.#able = performance.now() - began < this.#longestMs
    } catch (error) {
      this.#able = false
      this.#forget(key, expectation)
      throw error
    }
    // What was stored is seen in the next turn of the event loop, and is what is published from then on.
    setImmediate(() => this.#forget(key, expectation))
  }

  stop(): void {
    for (const { timer } of this.#expected.values()) clearTimeout(timer)
    this.#expected.clear()
  }

  #expect(key: ObjectKey, id: string): Expectation {
    const expectation = { id, timer: setTimeout(() => this.#forget(key, expectation), this.#longestMs) }
    const earlier = this.#expected.get(key)
    if (earlier !== undefined) clearTimeout(earlier.timer)
    this.#expected.set(key, expectation)
    this.#changed()
    return expectation
  }

  #forget(key: ObjectKey, expectation: Expectation | null): void {
    if (expectation === null || this.#expected.get(key) !== expectation) return
    clearTimeout(expectation.timer)
    this.#expected.delete(key)
    this.#changed()
  }
}
