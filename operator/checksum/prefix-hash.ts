/**
 * MD5 over parts of which the first ones are often the same as the last time: the state of the hash is kept after every sixteenth part,
 * and the next time it goes on from the last one before the first part that is another.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'

/** Parts between two states that are kept: each is some hundred bytes, and what it spares is 16 parts. */
const EVERY = 16

export class PrefixHash {
  static readonly none = new PrefixHash([])

  /** After EVERY, 2 EVERY, … parts. None of them is ever updated. */
  readonly #states: readonly Hash[]

  private constructor(states: readonly Hash[]) {
    this.#states = states
  }

  /** What is known of as many parts. */
  first(parts: number): PrefixHash {
    const kept = Math.floor(parts / EVERY)
    return kept >= this.#states.length ? this : new PrefixHash(this.#states.slice(0, kept))
  }

  /**
   * @param count parts, of which those that are known begin as they did
   * @param partOf asked for those that are not known
   * @returns MD5 of all parts in lower-case hex, and what is known from then on
   */
  of(count: number, partOf: (index: number) => string): { readonly hex: string; readonly known: PrefixHash } {
    const states = [...this.#states]
    const hash = states.at(-1)?.copy() ?? createHash('md5')
    for (let i = states.length * EVERY; i < count; i++) {
      hash.update(partOf(i))
      if ((i + 1) % EVERY === 0) states.push(hash.copy())
    }
    return { hex: hash.digest('hex'), known: new PrefixHash(states) }
  }
}
