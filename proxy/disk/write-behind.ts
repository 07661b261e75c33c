/** Keeps the file up to date: not for every change, and never at the cost of serving. */
import { describe } from '../errors.ts'
import type { ImageSteps } from '../table/stored.ts'
import type { PinnedContents } from './contents.ts'
import { DiskError } from './errors.ts'
import type { LastTable } from './last-table.ts'

export interface WriteBehindParts {
  readonly file: Pick<LastTable, 'write'>
  /** What to keep, to be closed when it is written; null: there is nothing yet. */
  readonly contents: () => PinnedContents | null
  readonly log: { warn(fields: object, message: string): void }
  /** From one write to the next, in milliseconds; default 1 s. */
  readonly interval?: number
  /** From a failed write to the next, in milliseconds; default 10 s. */
  readonly retry?: number
  /** How long one write may keep what it writes from being written over, in milliseconds; default 60 s. */
  readonly longest?: number
  /** How long `close` waits for the disk, in milliseconds; default 5 s. */
  readonly closing?: number
}

export class WriteBehind {
  readonly #parts: Required<WriteBehindParts>
  #dirty = false
  #closed = false
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> | null = null
  #lent: Lent | null = null
  #lastError: string | null = null

  constructor(parts: WriteBehindParts) {
    this.#parts = { interval: 1_000, retry: 10_000, longest: 60_000, closing: 5_000, ...parts }
  }

  /** Why the copy is older than the table; null: it is not. */
  get lastError(): string | null {
    return this.#lastError
  }

  /** The table is another one now; the copy follows within the interval. */
  changed(): void {
    this.#dirty = true
    this.#plan(this.#parts.interval)
  }

  /** Writes what is not yet written, if the disk takes it in time: a process that ends waits for nobody. What was there stays. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const { closing } = this.#parts
    const ended = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => ended.resolve(false), closing)
    void this.#finish().then(() => ended.resolve(true))
    const inTime = await ended.promise
    clearTimeout(timer)
    if (inTime) return
    const slow = new DiskError('SLUICE_DISK_SLOW', `the last write takes longer than ${closing / 1_000} s: given up`)
    this.#failed(slow)
    this.#lent?.takeBack(slow)
  }

  async #finish(): Promise<void> {
    await this.#writing
    if (this.#dirty) await this.#write()
  }

  #plan(wait: number): void {
    if (this.#timer !== null || this.#writing !== null || this.#closed) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#writing = this.#write().finally(() => {
        this.#writing = null
        if (this.#dirty) this.#plan(this.#lastError === null ? this.#parts.interval : this.#parts.retry)
      })
    }, wait)
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const contents = this.#parts.contents()
    if (contents === null) return
    this.#dirty = false
    const lent = new Lent(contents)
    this.#lent = lent
    const slow = new DiskError(
      'SLUICE_DISK_SLOW',
      `a write takes longer than ${this.#parts.longest / 1_000} s: given up`,
    )
    // A disk that hangs holds up its write, not the table: what changes meanwhile would keep all of its versions.
    const timer = setTimeout(() => {
      if (!lent.isRead) this.#failed(slow)
      lent.takeBack(slow)
    }, this.#parts.longest)
    try {
      // It may still come to its end, and well, where all was read.
      await this.#parts.file.write({ ...contents, image: lent.image() })
      this.#lastError = null
    } catch (error) {
      this.#dirty = true
      // The file wraps what its contents threw.
      this.#failed(lent.isRead ? error : (lent.takenBack ?? error))
    } finally {
      clearTimeout(timer)
      lent.takeBack(slow)
    }
  }

  #failed(error: unknown): void {
    const message = describe(error)
    if (message !== this.#lastError) this.#parts.log.warn({}, `disk copy: ${message}`)
    this.#lastError = message
  }
}

/** What a write reads, which may end before it. */
class Lent {
  readonly #contents: PinnedContents
  #reason: DiskError | null = null
  #isRead = false

  constructor(contents: PinnedContents) {
    this.#contents = contents
  }

  /** To its end: what is written is whole. */
  get isRead(): boolean {
    return this.#isRead
  }

  /** Why it was; null: it was not. */
  get takenBack(): DiskError | null {
    return this.#reason
  }

  /** @throws DiskError where it was taken back: what is there now may be anything */
  *image(): ImageSteps {
    const { image } = this.#contents
    for (;;) {
      if (this.#reason !== null) throw this.#reason
      const next = image.next()
      if (next.done === true) {
        this.#isRead = true
        return next.value
      }
      yield next.value
    }
  }

  takeBack(reason: DiskError): void {
    if (this.#reason !== null) return
    this.#reason = reason
    this.#contents.close()
  }
}
