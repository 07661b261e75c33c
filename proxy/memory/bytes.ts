/** What a node has to say behind its name: words, small numbers, texts. Written into a buffer of one's own, copied into a block when it is whole. */
import { AWAY, HEAD, LENGTH_SHIFT, NAME, WIDE, wordsOf } from './layout.ts'
import { isWide, nodeWords } from './names.ts'
import type { SharedMemory } from './shared-memory.ts'

const FIRST_WORDS = 1_024
/** Most bytes of a number: seven bits each, of 53. */
const NUMBER_BYTES = 8
const SHORT_HEX = /^[0-9a-f]{16}$/
const SHORT_HEX_BYTES = 8

/** Reused for one record after the other. */
export class RecordWriter {
  #words = new Int32Array(FIRST_WORDS)
  #bytes = Buffer.from(this.#words.buffer)
  /** In bytes. */
  #at = 0

  begin(): void {
    this.#at = 0
  }

  /** Whole words, up to what was written last. Changes with what is written next. */
  get words(): Int32Array {
    this.align()
    return this.#words.subarray(0, this.#at >>> 2)
  }

  /** The next thing begins with a word. @returns which one, counted from the begin */
  align(): number {
    const words = wordsOf(this.#at)
    this.#room(4)
    while (this.#at < words * 4) this.#bytes[this.#at++] = 0
    return words
  }

  /** Head and name of a node. Generation and older node are the map's to write. @returns where it begins, in words */
  node(name: string, kind: number): number {
    const begin = this.align()
    const words = nodeWords(name)
    this.#room(words * 4)
    const wide = isWide(name)
    this.#words.fill(0, begin, begin + words)
    this.#words[begin + HEAD] = (name.length << LENGTH_SHIFT) | (wide ? WIDE : 0) | kind
    this.#bytes.write(name, (begin + NAME) * 4, wide ? 'utf16le' : 'latin1')
    this.#at = (begin + words) * 4
    return begin
  }

  /** Head of a node whose name is that of another one. @param flags what the kind has to say, up to 24 bits */
  away(named: number, kind: number, flags: number): void {
    const begin = this.align()
    this.#room((NAME + 1) * 4)
    this.#words.fill(0, begin, begin + HEAD)
    this.#words[begin + HEAD] = (flags << LENGTH_SHIFT) | AWAY | kind
    this.#words[begin + NAME] = named
    this.#at = (begin + NAME + 1) * 4
  }

  word(value: number): void {
    const at = this.align()
    this.#room(4)
    this.#words[at] = value
    this.#at += 4
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  /** An integer from 0 on; one that is no safe integer is written as the last that is. */
  number(value: number): void {
    this.#room(NUMBER_BYTES)
    let rest = Math.min(value, Number.MAX_SAFE_INTEGER)
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#at++] = (rest % 0x80) | 0x80
    this.#bytes[this.#at++] = rest
  }

  text(value: string): void {
    this.number(Buffer.byteLength(value))
    this.#room(value.length * 3)
    this.#at += this.#bytes.write(value, this.#at)
  }

  /** A text that nearly always is 16 hexadecimal digits: eight bytes. */
  shortHex(value: string): void {
    if (!SHORT_HEX.test(value)) {
      this.number(Buffer.byteLength(value) + 1)
      this.#room(value.length * 3)
      this.#at += this.#bytes.write(value, this.#at)
      return
    }
    this.number(0)
    this.#room(SHORT_HEX_BYTES)
    this.#at += this.#bytes.write(value, this.#at, 'hex')
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const words = new Int32Array(Math.max(this.#words.length * 2, wordsOf(this.#at + bytes)))
    words.set(this.#words)
    this.#words = words
    this.#bytes = Buffer.from(words.buffer)
  }
}

/** Reads what RecordWriter wrote, from a place on. */
export class RecordReader {
  readonly #memory: SharedMemory
  /** In bytes. */
  #at: number

  constructor(memory: SharedMemory, place: number) {
    this.#memory = memory
    this.#at = place * 4
  }

  /** The next word: what is read next begins there. */
  get place(): number {
    return wordsOf(this.#at)
  }

  byte(): number {
    return this.#memory.bytes[this.#at++] ?? 0
  }

  number(): number {
    let value = 0
    for (let unit = 1; ; unit *= 0x80) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
    }
  }

  text(): string {
    const length = this.number()
    const begin = this.#at
    this.#at += length
    return this.#memory.bytes.toString('utf8', begin, this.#at)
  }

  shortHex(): string {
    const size = this.number()
    const begin = this.#at
    this.#at += size === 0 ? SHORT_HEX_BYTES : size - 1
    return this.#memory.bytes.toString(size === 0 ? 'hex' : 'utf8', begin, this.#at)
  }

  /** Passes over a text. */
  skipText(): void {
    const length = this.number()
    this.#at += length
  }
}
