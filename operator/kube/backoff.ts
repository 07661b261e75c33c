/** Exponential backoff with jitter: many clients of one server must not come back in step. */

export interface BackoffOptions {
  /** First delay in milliseconds. */
  readonly minMs: number
  readonly maxMs: number
  /** Uniform in [0, 1); Math.random unless a test says otherwise. */
  readonly random?: (() => number) | undefined
}

/** Delay before attempt number `failures` + 1: between half and all of min * 2^(failures - 1), at most max. */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const whole = Math.min(options.maxMs, options.minMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30))
  return whole * (0.5 + 0.5 * (options.random ?? Math.random)())
}

export class Backoff {
  readonly #options: BackoffOptions
  #failures = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  next(): number {
    return backoffMs(++this.#failures, this.#options)
  }

  reset(): void {
    this.#failures = 0
  }
}
