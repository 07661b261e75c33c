/** One buffer that all threads see, and that grows. Only the main thread writes; nothing needs a lock. */
import { randomInt } from 'node:crypto'
import { DataPlaneError } from '../errors.ts'
import { IMAGE, SEED } from './layout.ts'

/** Address space, not memory: what is not used costs nothing. Bytes. */
const MOST_BYTES = 2 ** 33
const FIRST_BYTES = IMAGE * 4

export class SharedMemory {
  readonly buffer: SharedArrayBuffer
  #words: Int32Array<SharedArrayBuffer>
  #bytes: Buffer<SharedArrayBuffer>

  /** New memory, of this thread's making. @param most bytes that it may have one day */
  static create(most = MOST_BYTES): SharedMemory {
    const memory = new SharedMemory(new SharedArrayBuffer(Math.min(FIRST_BYTES, most), { maxByteLength: most }))
    memory.words[SEED] = randomInt(2 ** 31)
    return memory
  }

  /** The memory of another thread. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    // Of a fixed length: what follows the length of a growing buffer asks for it with every access.
    this.#words = new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4))
    this.#bytes = Buffer.from(buffer, 0, buffer.byteLength)
  }

  get words(): Int32Array<SharedArrayBuffer> {
    return this.#words
  }

  get bytes(): Buffer<SharedArrayBuffer> {
    return this.#bytes
  }

  /** Bytes that it has by now. */
  get size(): number {
    return this.buffer.byteLength
  }

  get seed(): number {
    return this.word(SEED)
  }

  word(place: number): number {
    return this.#words[place] ?? 0
  }

  /** Sees all that the main thread added. */
  refresh(): void {
    if (this.#words.length * 4 >= this.buffer.byteLength) return
    this.#words = new Int32Array(this.buffer, 0, Math.floor(this.buffer.byteLength / 4))
    this.#bytes = Buffer.from(this.buffer, 0, this.buffer.byteLength)
  }

  /**
   * Adds so many words. Only for the main thread. @returns where they begin
   * @throws DataPlaneError SLUICE_MEMORY_FULL
   */
  grow(words: number): number {
    const before = this.buffer.byteLength
    const size = before + words * 4
    if (size > this.buffer.maxByteLength) {
      throw new DataPlaneError(
        'SLUICE_MEMORY_FULL',
        `the memory that the workers share has ${before} bytes and may have ${this.buffer.maxByteLength}: ${words * 4} more are too many`,
      )
    }
    this.buffer.grow(size)
    this.refresh()
    return Math.floor(before / 4)
  }
}
