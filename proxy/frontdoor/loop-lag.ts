/**
 * How late this thread's event loop was, added up: whoever waited meanwhile waited for us. One timer, so that it costs
 * nothing per connection (the heartbeat of a worker has a maximum per beat, which says nothing of one connection's time).
 */

/** How often the loop is looked at, in milliseconds. */
export const LOOK_MS = 50
/**
 * Less is what every busy loop has at every look, in milliseconds: added up it would come to a stall within seconds, and
 * nobody was kept waiting.
 */
const STALL_MS = 50

export class LoopLag {
  readonly #now: () => number
  #timer: NodeJS.Timeout | null = null
  #sum = 0
  /** Found by the last look. */
  #last = 0
  #looked: number

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#looked = now()
  }

  start(): void {
    this.#looked = this.#now()
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref()
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  look(): void {
    this.#last = this.#late
    this.#sum += this.#last
    this.#looked = this.#now()
  }

  /** For `since`, of whoever came just now. What the last look found counts: who is accepted after a stall waited through it. */
  mark(): number {
    return this.#sum - this.#last
  }

  /** For how long the loop was late since the mark, in milliseconds. */
  since(mark: number): number {
    // The look may be due itself: of timers that are due at once the one that was due first runs first.
    return this.#sum + this.#late - mark
  }

  get #late(): number {
    const late = this.#now() - this.#looked - LOOK_MS
    return late < STALL_MS ? 0 : late
  }
}
