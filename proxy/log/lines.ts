/** Log lines on their way from a worker to the one writer of the pod, in the main thread. */

export interface LineSink {
  /** @param text with its line feed */
  line(text: string): void
  /** Hands on what is held back. */
  flush(): void
}

/** Words of the shared memory. */
const PENDING_BYTES = 0
const DROPPED_LINES = 1
const WORDS = 2

/** What a worker has on its way, in memory shared with the main thread: neither side asks the other before a line. */
export class LogCredit {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  /** @param memory of another thread's LogCredit; none: new memory */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  /** Bytes that were sent and not written yet. */
  get pending(): number {
    return Atomics.load(this.#words, PENDING_BYTES)
  }

  reserve(bytes: number): void {
    Atomics.add(this.#words, PENDING_BYTES, bytes)
  }

  release(bytes: number): void {
    Atomics.sub(this.#words, PENDING_BYTES, bytes)
  }

  drop(lines: number): void {
    Atomics.add(this.#words, DROPPED_LINES, lines)
  }

  /** Lines dropped since the last call. */
  takeDropped(): number {
    return Atomics.exchange(this.#words, DROPPED_LINES, 0)
  }
}

export interface BatchedParts {
  readonly credit: LogCredit
  /** Bytes that may be on their way; lines above it are dropped. */
  readonly limit: number
  /** Hands the data over: it is not used here any more. */
  readonly post: (data: Uint8Array<ArrayBuffer>, lines: number) => void
}

/** Characters that are sent together, and for how long lines wait for others, in milliseconds: a message costs more than a line. */
const BATCH_CHARACTERS = 32_768
const BATCH_MS = 50

export class BatchedLines implements LineSink {
  readonly #parts: BatchedParts
  readonly #encoder = new TextEncoder()
  #text = ''
  #lines = 0
  #timer: NodeJS.Timeout | null = null

  constructor(parts: BatchedParts) {
    this.#parts = parts
  }

  line(text: string): void {
    const { credit, limit } = this.#parts
    if (credit.pending + this.#text.length + text.length > limit) {
      credit.drop(1)
      return
    }
    this.#text += text
    this.#lines++
    if (this.#text.length >= BATCH_CHARACTERS) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_MS).unref()
  }

  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#lines === 0) return
    const data = this.#encoder.encode(this.#text)
    const lines = this.#lines
    this.#text = ''
    this.#lines = 0
    this.#parts.credit.reserve(data.length)
    this.#parts.post(data, lines)
  }
}
