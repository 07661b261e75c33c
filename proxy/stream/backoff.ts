/** How long to wait before trying again: twice as long each time, with jitter, so that a fleet does not come as one. */

export interface BackoffOptions {
  /** Milliseconds. */
  readonly first: number
  readonly most: number
  /** From 0 to 1; default Math.random. */
  readonly random?: () => number
}

export class Backoff {
  readonly #options: BackoffOptions
  #failures = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Milliseconds, between half of the step and all of it. */
  next(): number {
    const { first, most, random = Math.random } = this.#options
    const step = Math.min(most, first * 2 ** this.#failures)
    // Above the limit counting on would only lead to infinity.
    if (step < most) this.#failures++
    return step * (0.5 + random() / 2)
  }

  reset(): void {
    this.#failures = 0
  }
}
