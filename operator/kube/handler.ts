/** What a reflector tells, and to whom. */
import type { KubeObject } from './objects.ts'

/**
 * Calls for one key come one after another, each with what this handler last accepted for the key.
 * A call that throws is logged, counted and repeated with backoff (with the then newest state) until it succeeds.
 */
export interface Handler<T extends KubeObject> {
  upsert(object: T, old: T | undefined): void
  /** `object` is the last state that was seen; it may have been deleted while the watch was down. */
  remove(object: T): void
  /** Once after each start(): everything that existed was handed over (or is being repeated). */
  synced?(): void
}

export type ReflectorErrorReason =
  'list' | 'watch' | 'gone' | 'stall' | 'throttled' | 'denied' | 'malformed' | 'handler'

/** Counters for metrics; every hook is optional and must not throw. */
export interface ReflectorHooks {
  readonly relisted?: (kind: string, objects: number, ms: number) => void
  readonly reconnected?: (kind: string) => void
  readonly failed?: (kind: string, reason: ReflectorErrorReason) => void
}

export type ReflectorState = 'stopped' | 'listing' | 'watching' | 'waiting'

export interface ReflectorStatus {
  readonly kind: string
  readonly state: ReflectorState
  readonly synced: boolean
  readonly objects: number
  readonly relists: number
  readonly reconnects: number
  readonly errors: Readonly<Record<ReflectorErrorReason, number>>
  /** Why it last failed; null after success. */
  readonly lastError: string | null
  /** Milliseconds since the API server last said anything (a bookmark counts); null: never. */
  readonly quietMs: number | null
}

/** What others may do with a reflector's cache. */
export interface Store<T extends KubeObject> {
  /** By `<namespace>/<name>`, or the name alone. */
  get(key: string): T | undefined
  values(): IterableIterator<T>
  readonly size: number
  readonly synced: boolean
}
