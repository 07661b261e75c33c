/** Gives words of the shared memory, and takes them back when no reader can see what stood there. Of the main thread alone. */
import { DataPlaneError } from '../errors.ts'
import { FreeSpace, GRAIN, rounded } from './free-space.ts'
import { FIRST_BLOCK, IMAGE } from './layout.ts'
import type { SharedMemory } from './shared-memory.ts'

/** The memory grows by a part of itself, and by no less than this, in words. */
const LEAST_GROWTH = 2 ** 16
const GROWTH_PART = 8

/** What to do when all readers serve a generation. */
interface Due {
  readonly generation: number
  readonly run: (writing: number) => void
}

/** A block that nobody leads to any more. */
interface Retired {
  readonly generation: number
  readonly place: number
  readonly words: number
}

export class Blocks {
  readonly memory: SharedMemory
  readonly #free = new FreeSpace()
  readonly #retired = new Queue<Retired>()
  readonly #due = new Queue<Due>()
  #waiting = 0

  constructor(memory: SharedMemory) {
    this.memory = memory
    this.#free.add(FIRST_BLOCK, memory.words.length - FIRST_BLOCK)
  }

  /** Bytes that hold something. */
  get used(): number {
    return this.memory.size - this.#free.words * 4
  }

  /** Bytes that hold what only readers of an older generation see. */
  get waiting(): number {
    return this.#waiting * 4
  }

  /** What stands in them is not known. @throws DataPlaneError SLUICE_MEMORY_FULL: nothing changed */
  take(words: number): number {
    const place = this.#free.take(words)
    if (place !== null) return place
    // Half as much again: a bin above that of the words, in which every block is large enough.
    const least = Math.max(words + (words >>> 1), LEAST_GROWTH, Math.floor(this.memory.words.length / GROWTH_PART))
    const growth = (Math.floor(least / GRAIN) + 1) * GRAIN
    this.#free.add(this.memory.grow(growth), growth)
    return this.take(words)
  }

  /**
   * Room for blocks that lie there already when they are written: what was taken for them is given back one by one.
   * @returns where it begins @throws DataPlaneError SLUICE_MEMORY_FULL, SLUICE_IMAGE_UNFIT where anything was made before
   */
  image(words: number): number {
    if (this.memory.words.length !== IMAGE) {
      throw new DataPlaneError('SLUICE_IMAGE_UNFIT', 'an image fits into new memory only, and this has grown')
    }
    const place = this.memory.grow(rounded(words))
    this.#free.border(place)
    return place
  }

  /** Nobody ever saw them. */
  give(place: number, words: number): void {
    this.#free.give(place, words)
  }

  /**
   * To be given back when every reader serves the generation. Generations come in order.
   * @param generation the first one in which nothing leads to the block
   */
  retire(place: number, words: number, generation: number): void {
    this.#retired.add({ generation, place, words })
    this.#waiting += words
  }

  /** Runs when every reader serves the generation, and is told which one is being written then. Generations come in order. */
  when(generation: number, run: (writing: number) => void): void {
    this.#due.add({ generation, run })
  }

  /**
   * Gives back what nobody can see any more, in small steps: it may be the memory of 100 000 hosts.
   * @param served the generation that every reader serves, or a later one
   * @param writing the generation that is written next
   */
  *collect(served: number, writing: number): Generator<void, void, void> {
    for (let due = this.#due.first; due !== null && due.generation <= served; due = this.#due.first) {
      this.#due.shift()
      due.run(writing)
      yield
    }
    for (let one = this.#retired.first; one !== null && one.generation <= served; one = this.#retired.first) {
      this.#retired.shift()
      this.#waiting -= one.words
      this.give(one.place, one.words)
      yield
    }
  }
}

/** First in, first out, in constant time. */
class Queue<T> {
  #items: T[] = []
  #begin = 0

  get first(): T | null {
    return this.#items[this.#begin] ?? null
  }

  add(item: T): void {
    this.#items.push(item)
  }

  shift(): void {
    this.#begin++
    if (this.#begin * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#begin)
    this.#begin = 0
  }
}
