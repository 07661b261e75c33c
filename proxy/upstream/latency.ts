/** How long an endpoint takes to answer: a mean in which what is older weighs less (ewma.lua of ingress-nginx, PeakEwma of Finagle). */

/** After so many milliseconds a figure weighs a third of what it did. */
const DECAY_MS = 10_000

export class Latency {
  #mean: number
  #at: number

  /** The first one is the mean: to begin with nothing would make an endpoint that is slow the quickest of all. */
  constructor(milliseconds: number, now: number) {
    this.#mean = milliseconds
    this.#at = now
  }

  add(milliseconds: number, now: number): void {
    const weight = this.#weight(now)
    this.#mean = this.#mean * weight + milliseconds * (1 - weight)
    this.#at = now
  }

  /** Of which less and less is left while nothing comes: who was slow is tried again. */
  at(now: number): number {
    return this.#mean * this.#weight(now)
  }

  #weight(now: number): number {
    return Math.exp(-Math.max(0, now - this.#at) / DECAY_MS)
  }
}
