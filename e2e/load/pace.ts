/** An open loop: so many calls a second, whether the earlier ones have been answered or not. */

export interface PaceOptions {
  readonly perSecond: number
  /** Ends by itself after this many milliseconds… */
  readonly maxMs: number
  /** …or calls, whatever comes first. */
  readonly maxCalls: number
  /** Monotonic, in milliseconds. */
  readonly now: () => number
}

// Calls that a stall of this process kept back beyond this time are left out, rather than sent in one burst.
const MAX_BACKLOG_MS = 1_000

/** How many calls are due, pure: `sent` were made, `elapsed` milliseconds went by. Returns the calls to make and those to skip. */
export function due(
  perSecond: number,
  elapsed: number,
  sent: number,
): { readonly call: number; readonly skip: number } {
  const behind = Math.max(0, Math.floor((elapsed * perSecond) / 1_000) - sent)
  const call = Math.min(behind, Math.ceil((MAX_BACKLOG_MS * perSecond) / 1_000))
  return { call, skip: behind - call }
}

/** Calls `fire(n)` for n = 0, 1, … at the pace, until stop() or a bound. */
export class Pace {
  readonly #options: PaceOptions
  readonly #fire: (n: number) => void
  readonly #started: number
  readonly #timer: NodeJS.Timeout
  #due = 0
  #called = 0

  constructor(options: PaceOptions, fire: (n: number) => void) {
    this.#options = options
    this.#fire = fire
    this.#started = options.now()
    // Fine enough that bursts stay small, coarse enough to cost nothing.
    this.#timer = setInterval(() => this.#tick(), 10)
  }

  get calls(): number {
    return this.#called
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const elapsed = this.#options.now() - this.#started
    const { call, skip } = due(this.#options.perSecond, Math.min(elapsed, this.#options.maxMs), this.#due)
    this.#due += call + skip
    for (let i = 0; i < call && this.#called < this.#options.maxCalls; i++) this.#fire(this.#called++)
    if (elapsed >= this.#options.maxMs || this.#called >= this.#options.maxCalls) this.stop()
  }
}
