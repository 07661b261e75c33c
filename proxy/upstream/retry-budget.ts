/**
 * How many exchanges of a Service may be tried again. Without a limit, a backend that fails under load gets its load
 * doubled by the tries, and does not recover. Same rule as Finagle's RetryBudget (percentCanRetry 0.2, ttl 10 s), Envoy's
 * retry_budget is similar (20 % of the active requests, at least 3).
 */
const SHARE = 0.2
/** So that a Service with hardly any traffic is retried too. */
const AT_LEAST_PER_SECOND = 3
const WINDOW_SECONDS = 10

/** How many retries a window allows. */
export function allowedRetries(requests: number): number {
  return requests * SHARE + AT_LEAST_PER_SECOND * WINDOW_SECONDS
}

/** Counts over the last 10 s in steps of one second. Pure: whoever calls brings the time (milliseconds). */
export class RetryBudget {
  readonly #requests = new Uint32Array(WINDOW_SECONDS)
  readonly #retries = new Uint32Array(WINDOW_SECONDS)
  #second = 0
  #slot = 0
  #requestsTotal = 0
  #retriesTotal = 0

  /** A first try. */
  request(now: number): void {
    this.#advance(now)
    this.#requests[this.#slot] = (this.#requests[this.#slot] ?? 0) + 1
    this.#requestsTotal++
  }

  /** Counts one retry if there is room for it. */
  mayRetry(now: number): boolean {
    this.#advance(now)
    if (this.#retriesTotal + 1 > allowedRetries(this.#requestsTotal)) return false
    this.#retries[this.#slot] = (this.#retries[this.#slot] ?? 0) + 1
    this.#retriesTotal++
    return true
  }

  #advance(now: number): void {
    const second = Math.floor(now / 1_000)
    if (second === this.#second) return
    for (let steps = Math.min(second - this.#second, WINDOW_SECONDS); steps > 0; steps--) {
      this.#slot = (this.#slot + 1) % WINDOW_SECONDS
      this.#requestsTotal -= this.#requests[this.#slot] ?? 0
      this.#retriesTotal -= this.#retries[this.#slot] ?? 0
      this.#requests[this.#slot] = 0
      this.#retries[this.#slot] = 0
    }
    this.#second = second
  }
}
