/**
 * Work queue of keys: a key says that something changed, never what. One key is worked on by one worker at a time;
 * a key added during its own work is worked on again afterwards; failures are repeated with backoff. What is urgent has a lane and
 * workers of its own, and a hundred thousand keys leave the event loop to others between them.
 */
import { backoffMs } from './backoff.ts'
import type { BackoffOptions } from './backoff.ts'
import { systemClock } from './clock.ts'
import type { Cancel, Clock } from './clock.ts'
import { describeError } from './errors.ts'
import { KeyLine } from './key-line.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'

export interface ReconcileResult {
  /** Look at the key again after this many milliseconds, whether or not anything is added. */
  readonly requeueAfterMs?: number
}

/** Reads the state as it is now and acts. Rejecting means: again, later; TerminalError: not before something changes. */
export type Reconciler = (key: string) => Promise<ReconcileResult | void>

/** Trying again cannot help: the input must change first. */
export class TerminalError extends Error {
  readonly code = 'SLUICE_TERMINAL'
  override readonly name = 'TerminalError'
}

export interface QueueHooks {
  readonly done?: (queue: string, outcome: 'success' | 'requeue' | 'error' | 'terminal', ms: number) => void
}

export interface QueueOptions {
  /** For logs and metrics. */
  readonly name: string
  readonly workers?: number
  /** Asked when a key is added: it is worked on before those that are not, and some workers are kept for such keys. Default: none is. */
  readonly isUrgent?: (key: string) => boolean
  /** Default 100 ms to 60 s. */
  readonly backoff?: BackoffOptions
  readonly clock?: Clock
  readonly log?: Log
  readonly hooks?: QueueHooks
}

export interface QueueStatus {
  readonly queued: number
  readonly active: number
  readonly delayed: number
  /** Keys whose last attempt failed. */
  readonly failing: number
  readonly errors: number
}

/** What failed is tried again after its backoff, and where something changes meanwhile after so many milliseconds at the latest. */
const HELD_MS = 1_000

/** Whoever wants to be left alone for longer is asked again all the same: a rollback may be waiting. Milliseconds. */
const LONGEST_WISH_MS = 30_000

/** Workers that take urgent keys alone, where there are any; one takes the others alone: what is urgent may be urgent for days. */
const KEPT_WORKERS = 2
/** Of so many keys that are begun one is not urgent, where there are both. */
const OTHERS_TURN = 4

/** So long keys are begun in one turn of the event loop. Milliseconds. */
const SLICE_MS = 10

type Lane = 'urgent' | 'others'
const LANES: readonly Lane[] = ['urgent', 'others']

interface Delay {
  readonly at: number
  readonly cancel: Cancel
}

export class WorkQueue {
  readonly #reconcile: Reconciler
  readonly #name: string
  readonly #workers: number
  readonly #isUrgent: (key: string) => boolean
  /** Workers at most, for what is urgent and for what is not. */
  readonly #shares: Readonly<Record<Lane, number>>
  readonly #backoff: BackoffOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #hooks: QueueHooks
  readonly #waiting: Readonly<Record<Lane, KeyLine>> = { urgent: new KeyLine(), others: new KeyLine() }
  readonly #active = new Map<string, Lane>()
  #begun = 0
  readonly #delayed = new Map<string, Delay>()
  readonly #failures = new Map<string, number>()
  /** Of keys that failed, in monotonic milliseconds. */
  readonly #notBefore = new Map<string, number>()
  readonly #idle: (() => void)[] = []
  #running = false
  #pumping = false
  /** When this turn of the event loop has begun enough; null: it has begun nothing. */
  #enoughAt: number | null = null
  #errors = 0

  constructor(reconcile: Reconciler, options: QueueOptions) {
    this.#reconcile = reconcile
    this.#name = options.name
    this.#workers = options.workers ?? 1
    this.#isUrgent = options.isUrgent ?? ((): boolean => false)
    this.#shares =
      options.isUrgent === undefined
        ? { urgent: 0, others: this.#workers }
        : { urgent: Math.max(1, this.#workers - 1), others: Math.max(1, this.#workers - KEPT_WORKERS) }
    this.#backoff = options.backoff ?? { minMs: 100, maxMs: 60_000 }
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
    this.#hooks = options.hooks ?? {}
  }

  /** Keys may be added before; work begins here. */
  start(): void {
    this.#running = true
    this.#pump()
  }

  /** Forgets what waits and resolves when the work under way has ended. Keys added afterwards wait for start(). */
  async stop(): Promise<void> {
    this.#running = false
    for (const lane of LANES) this.#waiting[lane].clear()
    for (const { cancel } of this.#delayed.values()) cancel()
    this.#delayed.clear()
    this.#failures.clear()
    this.#notBefore.clear()
    await this.drain()
  }

  /** Resolves when nothing is queued or under way; what waits for its time does not count. */
  async drain(): Promise<void> {
    while (this.#active.size > 0 || (this.#running && this.#queued > 0))
      await new Promise<void>(resolve => this.#idle.push(resolve))
  }

  /** A key that failed waits a moment also if something changes: what changes all the time would leave nothing of its backoff. */
  add(key: string): void {
    const left = (this.#notBefore.get(key) ?? 0) - this.#clock.now()
    if (left > 0) {
      this.addAfter(key, left)
      return
    }
    const { urgent, others } = this.#waiting
    if (urgent.has(key)) return
    if (this.#isUrgent(key)) {
      others.delete(key)
      urgent.add(key)
    } else others.add(key)
    this.#pump()
  }

  /** The earlier of two times for one key wins. */
  addAfter(key: string, ms: number): void {
    if (ms <= 0) {
      this.add(key)
      return
    }
    const at = this.#clock.now() + ms
    const waiting = this.#delayed.get(key)
    if (waiting !== undefined && waiting.at <= at) return
    waiting?.cancel()
    const cancel = this.#clock.setTimeout(() => {
      this.#delayed.delete(key)
      this.add(key)
    }, ms)
    this.#delayed.set(key, { at, cancel })
  }

  /** The key's failures no longer count, and nothing waits for it: its object is gone. */
  forget(key: string): void {
    this.#failures.delete(key)
    this.#notBefore.delete(key)
    this.#delayed.get(key)?.cancel()
    this.#delayed.delete(key)
  }

  /** How often the key failed in a row. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  status(): QueueStatus {
    return {
      queued: this.#queued,
      active: this.#active.size,
      delayed: this.#delayed.size,
      failing: this.#failures.size,
      errors: this.#errors,
    }
  }

  get #queued(): number {
    return this.#waiting.urgent.size + this.#waiting.others.size
  }

  /** In a microtask, so that a burst of events for one key is one piece of work. */
  #pump(): void {
    if (this.#pumping || !this.#running) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      if (!this.#running) return
      for (let next = this.#next(); next !== null && !this.#isEnough(); next = this.#next()) {
        const [key, lane] = next
        this.#waiting[lane].delete(key)
        this.#active.set(key, lane)
        this.#begun++
        void this.#work(key)
      }
    })
  }

  /** What is to be begun; null: nothing, or nobody is free for it. */
  #next(): readonly [key: string, lane: Lane] | null {
    if (this.#active.size >= this.#workers) return null
    const order = this.#begun % OTHERS_TURN === OTHERS_TURN - 1 ? LANES.toReversed() : LANES
    for (const lane of order) {
      const busy = [...this.#active.values()].filter(one => one === lane).length
      if (busy >= this.#shares[lane]) continue
      const key = this.#waiting[lane].first(one => !this.#active.has(one))
      if (key !== null) return [key, lane]
    }
    return null
  }

  /** Work that waits for nothing would be followed by the next one for ever, and no timer, stream or lease would have its turn. */
  #isEnough(): boolean {
    const now = performance.now()
    if (this.#enoughAt === null) {
      this.#enoughAt = now + SLICE_MS
      setImmediate(() => {
        this.#enoughAt = null
        this.#pump()
      })
    }
    return now >= this.#enoughAt
  }

  async #work(key: string): Promise<void> {
    const began = this.#clock.now()
    try {
      const result = await this.#reconcile(key)
      this.#failures.delete(key)
      this.#notBefore.delete(key)
      const after = result?.requeueAfterMs
      if (after !== undefined && this.#running) this.addAfter(key, after)
      this.#hooks.done?.(this.#name, after === undefined ? 'success' : 'requeue', this.#clock.now() - began)
    } catch (error) {
      this.#failed(key, error, this.#clock.now() - began)
    } finally {
      this.#active.delete(key)
      for (const resolve of this.#idle.splice(0)) resolve()
      this.#pump()
    }
  }

  #failed(key: string, error: unknown, ms: number): void {
    this.#errors++
    const fields = { queue: this.#name, key, error: describeError(error) }
    if (error instanceof Error && error.name === 'TerminalError') {
      this.#failures.delete(key)
      this.#notBefore.delete(key)
      this.#log.error(fields, 'work failed; it is not tried again before something changes')
      this.#hooks.done?.(this.#name, 'terminal', ms)
      return
    }
    const failures = this.failures(key) + 1
    this.#failures.set(key, failures)
    const delay = Math.max(backoffMs(failures, this.#backoff), retryAfter(error))
    this.#log.warn({ ...fields, failures, retryInMs: Math.round(delay) }, 'work failed; it is tried again')
    this.#hooks.done?.(this.#name, 'error', ms)
    if (!this.#running) return
    this.#notBefore.set(key, this.#clock.now() + Math.max(Math.min(delay, HELD_MS), retryAfter(error)))
    this.addAfter(key, delay)
    // Added while it was worked on.
    const wasAdded = LANES.map(lane => this.#waiting[lane].delete(key)).some(Boolean)
    if (wasAdded) this.add(key)
  }
}

/** A throttling API server says how long it wants to be left alone. */
function retryAfter(error: unknown): number {
  const ms = error instanceof Error && 'retryAfterMs' in error ? error.retryAfterMs : undefined
  return typeof ms === 'number' ? Math.min(ms, LONGEST_WISH_MS) : 0
}
