/**
 * Finds where a block of lines ends (a head, a trailer section), whatever pieces it comes in. Each byte is looked at once,
 * and bytes are copied only if the block is not all in one piece.
 */
import { CR, LF, isControl } from './characters.ts'

export interface BlockLimits {
  /** Of the block, in bytes. */
  readonly block: number
  /** Of its first line, in bytes. */
  readonly line: number
  /** So many empty lines may come before it. Null: none, an empty first line is the end of the (empty) block. */
  readonly emptyLines: number | null
}

/**
 * `bad`: a byte that no line may hold, so that nobody waits for an end that need not come. The text ends with it, and the
 * parser of the text will refuse it.
 */
export type BlockState = 'more' | 'end' | 'bad' | 'long-line' | 'long-block'

const NOTHING = Buffer.alloc(0)
const FIRST_SIZE = 1_024

export class BlockScanner {
  readonly #limits: BlockLimits
  #held: Buffer = NOTHING
  #length = 0
  #previous = 0
  /** Bytes of the line, its end left out; lines that are not empty; empty lines before them. */
  #column = 0
  #lines = 0
  #empty = 0
  #text = ''
  #end = 0

  constructor(limits: BlockLimits) {
    this.#limits = limits
  }

  /** Some byte came that is not of an empty line before the block. */
  get started(): boolean {
    return this.#lines > 0 || this.#column > 0
  }

  /** Bytes are held. */
  get pending(): boolean {
    return this.#length > 0
  }

  /** After `end` and `bad`: the block's text in latin1, up to the byte that decided it. */
  get text(): string {
    return this.#text
  }

  /** After `end`: where in the chunk the bytes behind the block begin. */
  get end(): number {
    return this.#end
  }

  /** After anything but `more` the next block is expected. */
  scan(chunk: Buffer, from: number): BlockState {
    const to = Math.min(chunk.length, from + this.#limits.block - this.#length)
    for (let at = from; at < to; at++) {
      const state = this.#step(chunk[at] ?? 0)
      if (state === 'more') continue
      if (state === 'end' || state === 'bad') this.#take(chunk, from, at + 1)
      this.reset()
      return state
    }
    if (to < chunk.length) {
      this.reset()
      return 'long-block'
    }
    this.#hold(chunk, from)
    return 'more'
  }

  reset(): void {
    this.#length = 0
    this.#previous = 0
    this.#column = 0
    this.#lines = 0
    this.#empty = 0
    if (this.#held.length > FIRST_SIZE) this.#held = NOTHING
  }

  #step(byte: number): BlockState {
    const previous = this.#previous
    this.#previous = byte
    if (byte === LF) return previous === CR ? this.#endLine() : 'bad'
    if (previous === CR) return 'bad'
    if (byte === CR) return 'more'
    if (isControl(byte)) return 'bad'
    this.#column++
    return this.#lines === 0 && this.#column > this.#limits.line ? 'long-line' : 'more'
  }

  #endLine(): BlockState {
    if (this.#column > 0) {
      this.#column = 0
      this.#lines++
      return 'more'
    }
    if (this.#lines > 0 || this.#limits.emptyLines === null) return 'end'
    this.#empty++
    return this.#empty > this.#limits.emptyLines ? 'bad' : 'more'
  }

  #take(chunk: Buffer, from: number, to: number): void {
    this.#end = to
    if (this.#length === 0) {
      this.#text = chunk.toString('latin1', from, to)
      return
    }
    this.#hold(chunk.subarray(0, to), from)
    this.#text = this.#held.toString('latin1', 0, this.#length)
  }

  #hold(chunk: Buffer, from: number): void {
    const length = this.#length + chunk.length - from
    if (length > this.#held.length) {
      // Doubled: a head that drips is copied twice at most.
      const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_SIZE, length, 2 * this.#held.length))
      this.#held.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    chunk.copy(this.#held, this.#length, from)
    this.#length = length
  }
}
