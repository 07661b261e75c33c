/**
 * What is published while a record is on its way to the store: IDs as they are to be when it is there. So pods wait for the longer of
 * the two writes, and not for both (docs/adr/0039-published-while-stored.md). Nothing is released by it: a replica gives out only what
 * it computed from records that are stored.
 */
import type { ObjectKey } from '../../protocol/objects.ts'

export interface AheadOptions {
  /** What is to be published may be another state now. */
  readonly changed: () => void
  /** What is published is what is so: else pods wait for more than this record, and would for what is not there yet. */
  readonly agrees: () => boolean
  /** After which a write that is under way is published ahead no more, in milliseconds; default 250. */
  readonly longestMs?: number
}

interface Expectation {
  readonly key: ObjectKey
  readonly id: string
  readonly timer: ReturnType<typeof setTimeout>
}

const LONGEST_MS = 250

export class Ahead {
  readonly #changed: () => void
  readonly #agrees: () => boolean
  readonly #longestMs: number
  /** Of writes that overlap nobody knows which state comes first: only one by itself is published ahead. */
  #expected: Expectation | null = null
  /** Records under way, and stored ones that are not seen yet. */
  #writes = 0
  /** The last record could be stored, and in time. */
  #able = true
  /** Objects whose last record could not be. */
  readonly #unable = new Set<ObjectKey>()

  constructor({ changed, agrees, longestMs = LONGEST_MS }: AheadOptions) {
    this.#changed = changed
    this.#agrees = agrees
    this.#longestMs = longestMs
  }

  /** IDs that are about to be other ones. */
  ids(): ReadonlyMap<ObjectKey, string> {
    return new Map(this.#expected === null ? [] : [[this.#expected.key, this.#expected.id]])
  }

  /**
   * Stores a record of the object. Where the last one could not be stored, or took its time, nothing is published ahead: what comes of
   * this one, and when, is not sure. Nor where other records are under way.
   * @param id Of the object when it is stored; null: as it is now, or not known
   * @param store The write. What it throws is thrown
   */
  async during(key: ObjectKey, id: string | null, store: () => Promise<void>): Promise<void> {
    const began = performance.now()
    const isSure = this.#able && !this.#unable.has(key) && this.#writes === 0
    this.#writes++
    const stored = store()
    const expectation = id === null || !isSure || !this.#agrees() ? null : this.#expect(key, id)
    try {
      await stored
      this.#able = performance.now() - began < this.#longestMs
      this.#unable.delete(key)
    } catch (error) {
      this.#able = false
      this.#unable.add(key)
      this.#end(expectation)
      throw error
    }
    // What was stored is seen in the next turn of the event loop, and is what is published from then on.
    setImmediate(() => this.#end(expectation))
  }

  stop(): void {
    if (this.#expected !== null) clearTimeout(this.#expected.timer)
    this.#expected = null
  }

  #expect(key: ObjectKey, id: string): Expectation {
    const expectation = { key, id, timer: setTimeout(() => this.#forget(expectation), this.#longestMs) }
    this.#expected = expectation
    this.#changed()
    return expectation
  }

  #end(expectation: Expectation | null): void {
    this.#writes--
    this.#forget(expectation)
  }

  #forget(expectation: Expectation | null): void {
    if (expectation === null || this.#expected !== expectation) return
    clearTimeout(expectation.timer)
    this.#expected = null
    this.#changed()
  }
}
