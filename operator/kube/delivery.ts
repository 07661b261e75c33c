/** Hands changes to a handler; a handler that throws gets the newest state of the object again until it takes it. */
import { backoffMs } from './backoff.ts'
import type { BackoffOptions } from './backoff.ts'
import type { Clock } from './clock.ts'
import { describeError } from './errors.ts'
import type { Handler } from './handler.ts'
import type { Log } from './log.ts'
import type { KubeObject } from './objects.ts'
import { WorkQueue } from './queue.ts'

interface Refused<T> {
  /** What the handler last accepted for this key. */
  readonly accepted: T | undefined
  /** The state to hand over; null: removed. */
  readonly wanted: T | null
  /** What remove() gets if the object is gone. */
  readonly last: T
}

export interface DeliveryOptions {
  readonly name: string
  readonly clock: Clock
  readonly log: Log
  readonly backoff: BackoffOptions
  readonly failed: () => void
}

export class Delivery<T extends KubeObject> {
  readonly #handler: Handler<T>
  readonly #failed: () => void
  readonly #log: Log
  readonly #backoff: BackoffOptions
  readonly #refused = new Map<string, Refused<T>>()
  readonly #retries: WorkQueue

  constructor(handler: Handler<T>, options: DeliveryOptions) {
    this.#handler = handler
    this.#failed = options.failed
    this.#log = options.log
    this.#backoff = options.backoff
    this.#retries = new WorkQueue(key => this.#retry(key), {
      name: `${options.name} handler`,
      clock: options.clock,
      log: options.log,
      backoff: options.backoff,
    })
  }

  start(): void {
    this.#retries.start()
    for (const key of this.#refused.keys()) this.#retries.add(key)
  }

  stop(): Promise<void> {
    return this.#retries.stop()
  }

  /** How many objects the handler has not taken yet. */
  get outstanding(): number {
    return this.#refused.size
  }

  upsert(key: string, object: T, old: T | undefined): void {
    const refused = this.#refused.get(key)
    this.#hand(key, { accepted: refused === undefined ? old : refused.accepted, wanted: object, last: object })
  }

  remove(key: string, object: T): void {
    const refused = this.#refused.get(key)
    this.#hand(key, { accepted: refused === undefined ? object : refused.accepted, wanted: null, last: object })
  }

  synced(): void {
    try {
      this.#handler.synced?.()
    } catch (error) {
      this.#failed()
      this.#log.error({ error: describeError(error) }, 'handler failed in synced()')
    }
  }

  /** Never throws: what fails is in the retry queue, which logs it. */
  #hand(key: string, change: Refused<T>): void {
    const failure = this.#try(key, change)
    if (failure === undefined) return
    this.#log.error({ key, error: describeError(failure.error) }, 'handler failed; it gets the object again')
    this.#retries.addAfter(key, backoffMs(1, this.#backoff))
  }

  #try(key: string, change: Refused<T>): { readonly error: unknown } | undefined {
    try {
      if (change.wanted === null) this.#handler.remove(change.last)
      else this.#handler.upsert(change.wanted, change.accepted)
      this.#refused.delete(key)
      return undefined
    } catch (error) {
      this.#refused.set(key, change)
      this.#failed()
      return { error }
    }
  }

  #retry(key: string): Promise<void> {
    const change = this.#refused.get(key)
    const failure = change === undefined ? undefined : this.#try(key, change)
    return failure === undefined ? Promise.resolve() : Promise.reject(asError(failure.error))
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
