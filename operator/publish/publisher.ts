/**
 * The leader's side of the consistency check: one CheckSum object per kind, edited in place.
 * A few writes at once, then so many a second: each is kept by etcd until compaction (docs/adr/0009-control.md).
 */

export interface PublishedState {
  readonly checksum: string
  /** How many IDs took part. */
  readonly count: number
  readonly ids: readonly string[]
  readonly buckets: readonly { readonly prefix: string; readonly count: number; readonly checksum: string }[]
}

export interface PublisherOptions {
  /** Writes the object; throws if it could not. */
  readonly write: (state: PublishedState) => Promise<void>
  /** Only the leader publishes; asked before every write. */
  readonly mayWrite: () => boolean
  readonly failed: (error: unknown) => void
  /** Writes that may follow each other at once; default 10. */
  readonly burst?: number
  /** After which there is one more, in milliseconds; default 125: eight a second under constant change. */
  readonly refillMs?: number
  readonly retryMs?: number
  readonly now?: () => number
}

/** Publishes the newest wanted state, leaving out those that were overtaken while a write was under way or too soon. */
export class ChecksumPublisher {
  readonly #options: PublisherOptions
  readonly #burst: number
  readonly #refillMs: number
  readonly #now: () => number
  #wanted: (() => PublishedState) | null = null
  #lastChecksum: string | null = null
  /** Writes that are allowed now, and when that was reckoned. */
  #tokens: number
  #reckonedAt: number
  /** Checksum of what is being written; null: nothing is. */
  #writing: string | null = null
  /** What the watch said last, from the moment on when it said that this was written; null: it has not. */
  #since: { readonly checksum: string | null } | null = null
  #timer: ReturnType<typeof setTimeout> | null = null
  /** It is written in this turn of the event loop, after all that asks for it. */
  #next: ReturnType<typeof setImmediate> | null = null
  #stopped = false
  /** Who waits for the end of the next write. */
  readonly #waiting: (() => void)[] = []

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#burst = options.burst ?? 10
    this.#refillMs = options.refillMs ?? 125
    this.#now = options.now ?? ((): number => performance.now())
    this.#tokens = this.#burst
    this.#reckonedAt = this.#now()
  }

  /** The state may be computed late, so that a burst of changes costs one sort. */
  want(state: () => PublishedState): void {
    this.#wanted = state
    this.#schedule(this.#allowedIn())
  }

  /** What the watch says is published: a foreign edit or a deletion of our object is corrected. */
  seen(checksum: string | null): void {
    if (this.#writing !== null) {
      // What comes before that is older than it, and what comes after it is not.
      if (checksum === this.#writing || this.#since !== null) this.#since = { checksum }
      return
    }
    if (checksum === this.#lastChecksum) return
    this.#lastChecksum = checksum
    if (this.#wanted !== null) this.#schedule(this.#refillMs)
  }

  /** A new leader publishes although it may believe that it has done so before. */
  reset(): void {
    this.#lastChecksum = null
    if (this.#wanted !== null) this.#schedule(0)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#next !== null) clearImmediate(this.#next)
    this.#tell()
  }

  /**
   * Resolves after the write that is under way or next, whether or not it took effect; at once where there is none, or where it has to wait
   * for its turn: under constant change nobody waits longer than for a write.
   */
  settled(): Promise<void> {
    if (this.#stopped || (this.#writing === null && this.#next === null)) return Promise.resolve()
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  /** Milliseconds until the next write; 0: now. */
  #allowedIn(): number {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#reckonedAt) / this.#refillMs)
    this.#reckonedAt = now
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) * this.#refillMs)
  }

  #schedule(afterMs: number): void {
    if (this.#stopped || this.#writing !== null || this.#timer !== null || this.#next !== null) return
    if (afterMs === 0) {
      this.#next = setImmediate(() => {
        this.#next = null
        void this.#publish()
      })
      return
    }
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.#publish()
    }, afterMs)
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** What is published now that this was written: somebody may have changed it before its answer was here. */
  #meanwhile(written: string): string | null {
    return this.#since === null ? written : this.#since.checksum
  }

  async #publish(): Promise<void> {
    const state = this.#wanted !== null && this.#options.mayWrite() ? this.#wanted() : null
    if (state === null || state.checksum === this.#lastChecksum) {
      this.#tell()
      return
    }
    this.#writing = state.checksum
    this.#since = null
    this.#tokens -= 1
    let again: number | null = null
    try {
      await this.#options.write(state)
      this.#lastChecksum = this.#meanwhile(state.checksum)
      again = this.#lastChecksum === state.checksum ? this.#allowedIn() : this.#refillMs
    } catch (error) {
      this.#options.failed(error)
      again = this.#options.retryMs ?? 1000
    } finally {
      this.#writing = null
      this.#tell()
    }
    // Something newer may have come while this was written; publish() finds out whether it differs.
    this.#schedule(again)
  }
}
