/**
 * When something that was not released was last on pods, by host. What pods showed until then is no measure of what comes next: a
 * second bad change would be excused by the first.
 */
export class TakenBack {
  readonly #at = new Map<string, number>()
  readonly #keptMs: number
  #pruned = -Infinity

  /** @param keptMs how far back anybody looks, in milliseconds */
  constructor(keptMs: number) {
    this.#keptMs = keptMs
  }

  get size(): number {
    return this.#at.size
  }

  /** @param now monotonic milliseconds */
  note(hosts: Iterable<string>, now: number): void {
    if (now - this.#pruned > this.#keptMs / 10) {
      this.#pruned = now
      for (const [host, at] of this.#at) if (at < now - this.#keptMs) this.#at.delete(host)
    }
    for (const host of hosts) this.#at.set(host, now)
  }

  /** Monotonic milliseconds; -Infinity: not in so long. */
  lastOn(hosts: Iterable<string>): number {
    let last = -Infinity
    for (const host of hosts) last = Math.max(last, this.#at.get(host) ?? -Infinity)
    return last
  }
}
