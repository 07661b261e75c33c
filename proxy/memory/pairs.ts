/**
 * Pairs of words under open addressing, as the slots of a map are (layout.ts), in memory of one's own, while nobody knows yet how many there
 * will be. Pure.
 */
import { NOWHERE, SLOT_HASH, SLOT_NODE, SLOT_WORDS } from './layout.ts'
import { slotsFor } from './versions.ts'

export class Pairs {
  #words: Int32Array
  #size = 0

  /** @param names that are expected */
  constructor(names = 0) {
    this.#words = new Int32Array(slotsFor(names) * SLOT_WORDS)
  }

  get size(): number {
    return this.#size
  }

  /** A power of two: at most half of them are used. */
  get slots(): number {
    return this.#words.length / SLOT_WORDS
  }

  /** Of each slot its key and its value; 0 as value: it is not used. */
  get words(): Int32Array {
    return this.#words
  }

  /** Another pair, whether there is one of this key or not. @param value never 0 */
  add(key: number, value: number): void {
    if ((this.#size + 1) * 2 > this.slots) this.#grow()
    this.#size++
    this.#put(key, value)
  }

  /** Of a key that has one pair; 0: it has none. */
  get(key: number): number {
    return this.#words[this.#slot(key) + SLOT_NODE] ?? NOWHERE
  }

  /** Gives a key that has one pair another value. @param value never 0 */
  set(key: number, value: number): void {
    this.#words[this.#slot(key) + SLOT_NODE] = value
  }

  /** Where the pair of the key is, or would be. */
  #slot(key: number): number {
    for (let index = key; ; index++) {
      const slot = (index & (this.slots - 1)) * SLOT_WORDS
      if (this.#words[slot + SLOT_NODE] === NOWHERE || this.#words[slot + SLOT_HASH] === key) return slot
    }
  }

  #put(key: number, value: number): void {
    for (let index = key; ; index++) {
      const slot = (index & (this.slots - 1)) * SLOT_WORDS
      if (this.#words[slot + SLOT_NODE] !== NOWHERE) continue
      this.#words[slot + SLOT_HASH] = key
      this.#words[slot + SLOT_NODE] = value
      return
    }
  }

  #grow(): void {
    const before = this.#words
    this.#words = new Int32Array(before.length * 2)
    for (let slot = 0; slot < before.length; slot += SLOT_WORDS) {
      const value = before[slot + SLOT_NODE] ?? NOWHERE
      if (value !== NOWHERE) this.#put(before[slot + SLOT_HASH] ?? 0, value)
    }
  }
}
