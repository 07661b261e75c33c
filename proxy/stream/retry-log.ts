/** Tells of failures that repeat: the first, every other one, and now and then how many there were. */
import type { StreamLog } from './log.ts'

/** The same failure is told again after this long, in milliseconds. */
const REPEAT_MS = 30_000

export class RetryLog {
  readonly #log: StreamLog
  readonly #now: () => number
  #last: string | null = null
  #toldAt = 0
  #attempts = 0

  constructor(log: StreamLog, now: () => number = () => performance.now()) {
    this.#log = log
    this.#now = now
  }

  failed(fields: object, message: string): void {
    this.#attempts++
    const now = this.#now()
    if (message === this.#last && now - this.#toldAt < REPEAT_MS) return
    this.#last = message
    this.#toldAt = now
    this.#log.warn({ ...fields, attempts: this.#attempts }, message)
  }

  /** It works again. */
  succeeded(): void {
    this.#last = null
    this.#attempts = 0
  }
}
