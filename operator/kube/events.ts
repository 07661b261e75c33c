/**
 * Events for people: `kubectl describe` shows them below the object. They are best effort: never awaited, never
 * thrown, bounded in number; what a machine must know is in conditions.
 */
import { hash } from 'node:crypto'
import { backoffMs } from './backoff.ts'
import type { KubeClient } from './client.ts'
import { sleep, systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { describeError, isKubeError } from './errors.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import type { CoreEvent, ObjectReference } from './objects.ts'
import { resources } from './resources.ts'

export type EventType = 'Normal' | 'Warning'

export interface EventRecorder {
  /** `reason` in CamelCase; `message` for people, without secrets. The reference needs a uid to show in describe. */
  event(about: ObjectReference, type: EventType, reason: string, message: string): void
}

export interface RecorderOptions {
  readonly client: Pick<KubeClient, 'create' | 'mergePatch'>
  /** Default `sluice-operator`. */
  readonly component?: string
  /** The pod's name. */
  readonly instance: string
  /** So much later than they came: what machines wait for is written first. Milliseconds; default 0. */
  readonly afterMs?: number
  /** Events that wait for the API server; above, the oldest are dropped. Default 1 000. */
  readonly queueLimit?: number
  /** Different events of one object at once, Warnings and others each; default 25. */
  readonly burst?: number
  /** One more per object after this many milliseconds; default 10 s. */
  readonly refillMs?: number
  readonly clock?: Clock
  readonly log?: Log
}

interface Series {
  readonly name: string
  readonly namespace: string
  readonly first: string
  readonly about: ObjectReference
  readonly type: EventType
  readonly reason: string
  readonly message: string
  count: number
  last: string
  /** The API server has it: further ones only raise the count. */
  sent: boolean
  queued: boolean
}

interface Bucket {
  tokens: number
  at: number
}

/** Kubernetes' own limit is 1 024 bytes. */
const MESSAGE_LIMIT = 1000
/** Equal events later than this start a new series, as the API server forgets events after an hour. */
const SERIES_LIMIT = 4096
const SEND_ATTEMPTS = 12

export class KubeEventRecorder implements EventRecorder {
  readonly #options: RecorderOptions
  readonly #clock: Clock
  readonly #log: Log
  /** By object, type, reason and message; oldest first. */
  readonly #series = new Map<string, Series>()
  readonly #buckets = new Map<string, Bucket>()
  readonly #queue: Series[] = []
  readonly #abort = new AbortController()
  /** Nothing waits any more. */
  readonly #hurry = new AbortController()
  #sending: Promise<void> | null = null
  #dropped = 0
  #sent = 0

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
  }

  event(about: ObjectReference, type: EventType, reason: string, message: string): void {
    try {
      this.#record(about, type, reason, cut(message))
    } catch (error) {
      this.#dropped++
      this.#log.warn({ reason, error: describeError(error) }, 'event dropped')
    }
  }

  status(): { readonly queued: number; readonly sent: number; readonly dropped: number } {
    return { queued: this.#queue.length, sent: this.#sent, dropped: this.#dropped }
  }

  /** Sends what waits, for at most `ms`, then drops the rest. */
  async stop(ms = 2_000): Promise<void> {
    this.#hurry.abort()
    const sending = this.#sending
    if (sending !== null) await Promise.race([sending, sleep(this.#clock, ms, this.#abort.signal)])
    this.#abort.abort()
    this.#dropped += this.#queue.length
    this.#queue.length = 0
    await this.#sending
  }

  #record(about: ObjectReference, type: EventType, reason: string, message: string): void {
    if (this.#abort.signal.aborted) return
    const object = [about.apiVersion, about.kind, about.namespace, about.name, about.uid].join('/')
    const key = hash('sha256', JSON.stringify([object, type, reason, message]))
    const now = this.#clock
      .wall()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z')
    const known = this.#series.get(key)
    if (known !== undefined) {
      known.count++
      known.last = now
      // Moved to the end: the one that is not used for longest is forgotten first.
      this.#series.delete(key)
      this.#series.set(key, known)
      if (known.queued || !this.#allowed(`${type} ${object}`)) return
      this.#enqueue(known)
      return
    }
    // What goes well must not keep from people what does not.
    if (!this.#allowed(`${type} ${object}`)) {
      this.#dropped++
      return
    }
    const series: Series = {
      name: `${about.name.slice(0, 220).replace(/[^a-z0-9]+$/, '')}.${hash('sha256', `${key}${now}${this.#options.instance}`).slice(0, 16)}`,
      // Events of cluster-scoped objects live in `default`: describe looks for them there.
      namespace: about.namespace === undefined || about.namespace === '' ? 'default' : about.namespace,
      first: now,
      last: now,
      count: 1,
      about,
      type,
      reason,
      message,
      sent: false,
      queued: false,
    }
    this.#series.set(key, series)
    if (this.#series.size > SERIES_LIMIT) forgetOldest(this.#series)
    this.#enqueue(series)
  }

  #allowed(what: string): boolean {
    const { burst = 25, refillMs = 10_000 } = this.#options
    const now = this.#clock.now()
    const bucket = this.#buckets.get(what) ?? { tokens: burst, at: now }
    this.#buckets.delete(what)
    this.#buckets.set(what, bucket)
    if (this.#buckets.size > SERIES_LIMIT) forgetOldest(this.#buckets)
    const refill = Math.floor((now - bucket.at) / refillMs)
    bucket.tokens = Math.min(burst, bucket.tokens + refill)
    bucket.at = bucket.tokens === burst ? now : bucket.at + refill * refillMs
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  #enqueue(series: Series): void {
    series.queued = true
    this.#queue.push(series)
    if (this.#queue.length > (this.#options.queueLimit ?? 1_000)) {
      const oldest = this.#queue.shift()
      if (oldest !== undefined) oldest.queued = false
      this.#dropped++
    }
    this.#sending ??= this.#drain()
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    const { signal } = this.#abort
    const { afterMs = 0 } = this.#options
    // At least after the caller's turn, so that a burst of equal events is one write.
    if (afterMs > 0) await sleep(this.#clock, afterMs, this.#hurry.signal)
    else await Promise.resolve()
    for (let series = this.#queue.shift(); series !== undefined; series = this.#queue.shift()) {
      series.queued = false
      await this.#send(series, signal)
    }
    this.#sending = null
  }

  async #send(series: Series, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#write(series, signal)
        this.#sent++
        return
      } catch (error) {
        const again = isKubeError(error, 'KUBE_UNAVAILABLE', 'KUBE_THROTTLED') && attempt < SEND_ATTEMPTS
        if (!again) {
          this.#dropped++
          // A namespace that is being deleted takes no events: that is no news.
          const level = isKubeError(error) && error.reason === 'NamespaceTerminating' ? 'debug' : 'warn'
          this.#log[level]({ reason: series.reason, error: describeError(error) }, 'event dropped')
          return
        }
        await sleep(this.#clock, backoffMs(attempt, { minMs: 500, maxMs: 30_000 }), signal)
      }
    }
  }

  async #write(series: Series, signal: AbortSignal): Promise<void> {
    const { name, namespace } = series
    if (series.sent) {
      try {
        const change = { count: series.count, lastTimestamp: series.last }
        await this.#options.client.mergePatch(resources.events, { name, namespace }, change, { signal })
        return
      } catch (error) {
        // The API server forgets events after an hour: the series goes on under its name.
        if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error
      }
    }
    try {
      await this.#options.client.create(resources.events, this.#object(series), { signal })
    } catch (error) {
      // A try before this one took effect without an answer.
      if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error
    }
    series.sent = true
  }

  #object(series: Series): CoreEvent {
    const component = this.#options.component ?? 'sluice-operator'
    const { name, namespace, about, reason, message, type, count, first, last } = series
    return {
      metadata: { name, namespace },
      involvedObject: about,
      reason,
      message,
      type,
      count,
      firstTimestamp: first,
      lastTimestamp: last,
      source: { component },
      reportingComponent: component,
      reportingInstance: this.#options.instance,
    }
  }
}

function cut(message: string): string {
  return message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT)}…` : message
}

function forgetOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}
