/**
 * Keeps a cache equal to a collection of the API server, and tells a handler every difference. Loss of the API server
 * leaves the cache as it is; whatever happened meanwhile is found by the next list (docs/adr/0006-reflector.md).
 */
import { setImmediate } from 'node:timers/promises'
import { admit, identify } from './admit.ts'
import type { Admitted, Transform } from './admit.ts'
import { Backoff } from './backoff.ts'
import type { BackoffOptions } from './backoff.ts'
import type { KubeClient, Selection } from './client.ts'
import { sleep, systemClock } from './clock.ts'
import type { Cancel, Clock } from './clock.ts'
import { Delivery } from './delivery.ts'
import { codeOfStatus, describeError, isKubeError, KubeError, readStatus } from './errors.ts'
import type {
  Handler,
  ReflectorErrorReason,
  ReflectorHooks,
  ReflectorState,
  ReflectorStatus,
  Store,
} from './handler.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import { lines } from './ndjson.ts'
import type { KubeObject } from './objects.ts'
import { readPages } from './pages.ts'
import type { Resource } from './resources.ts'
import { Watchdog } from './watchdog.ts'

export interface ReflectorOptions<T extends KubeObject> extends Selection {
  readonly client: Pick<KubeClient, 'page' | 'watch'>
  readonly resource: Resource<T>
  readonly handler: Handler<T>
  /** Slims an object before it is cached. May throw: the object is malformed. */
  readonly transform?: Transform<T>
  readonly clock?: Clock
  readonly log?: Log
  readonly hooks?: ReflectorHooks
  readonly pageSize?: number
  /** Silence of a watch after which its connection counts as dead; bookmarks come about every 60 s. Default 75 s. */
  readonly stallMs?: number
  /** How long the server is asked to keep one watch, in seconds; 10 % jitter is taken off. Default 290. */
  readonly watchSeconds?: number
  /** Default 0.2 to 5 s: a server that is back is not to be noticed a minute later. */
  readonly backoff?: BackoffOptions
}

/** One start() to its stop(): whatever an old run still does ends at its signal, and touches no newer run. */
interface Run {
  readonly abort: AbortController
  readonly backoff: Backoff
  /** Where to watch from; null: list first. */
  resourceVersion: string | null
  /** Something unreadable went by: what it was is found by a list. */
  doubt: boolean
  /** Refusals in a row of a watch from this resourceVersion. */
  refusals: number
  /** The last failure was 410: twice in a row it is one to be patient with. */
  gone: boolean
}

/** So long handlers are called in one turn of the event loop. Milliseconds. */
const SLICE_MS = 10
/** A page may be large and the server busy: more than the client's usual patience. */
const PAGE_TIMEOUT_MS = 60_000
/** A watch that ends sooner did not work: coming back at once would be a storm. */
const SHORT_WATCH_MS = 1_000
/** Unreadable events come in swarms: one list serves them all. */
const DOUBT_MS = 5_000
/** From a resourceVersion that the server (restored from a backup, say) does not reach, waiting does not help. */
const REFUSALS_BEFORE_LIST = 3
/** A server that asks for more patience is asked again all the same. */
const LONGEST_WAIT_MS = 120_000
const STALL = 'Stall'

export class Reflector<T extends KubeObject> implements Store<T> {
  readonly #options: ReflectorOptions<T>
  readonly #kind: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #hooks: ReflectorHooks
  readonly #delivery: Delivery<T>
  readonly #cache = new Map<string, T>()
  readonly #errors: Record<ReflectorErrorReason, number> = {
    list: 0,
    watch: 0,
    gone: 0,
    stall: 0,
    throttled: 0,
    denied: 0,
    malformed: 0,
    handler: 0,
  }
  #run: Run | null = null
  #ended: Promise<void> = Promise.resolve()
  #state: ReflectorState = 'stopped'
  #synced = false
  #relists = 0
  #reconnects = 0
  #lastError: string | null = null
  #heardAt: number | null = null

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.#kind = options.resource.kind
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
    this.#hooks = options.hooks ?? {}
    this.#delivery = new Delivery(options.handler, {
      name: this.#kind,
      clock: this.#clock,
      log: this.#log,
      backoff: options.backoff ?? { minMs: 200, maxMs: 30_000 },
      failed: () => this.#count('handler'),
    })
  }

  /** Does nothing while it runs. After stop() it goes on from its cache and hands over the differences alone. */
  start(): void {
    if (this.#run !== null) return
    const run: Run = {
      abort: new AbortController(),
      backoff: new Backoff(this.#options.backoff ?? { minMs: 200, maxMs: 5_000 }),
      resourceVersion: null,
      doubt: false,
      refusals: 0,
      gone: false,
    }
    this.#run = run
    this.#synced = false
    // The cache has one writer: a run that is being stopped ends before the next begins.
    this.#ended = this.#ended.then(() => this.#loop(run))
  }

  /** Resolves when nothing is open and no handler will be called any more; the cache stays. */
  async stop(): Promise<void> {
    const run = this.#run
    this.#run = null
    run?.abort.abort()
    await Promise.all([this.#ended, this.#delivery.stop()])
  }

  get(key: string): T | undefined {
    return this.#cache.get(key)
  }

  values(): IterableIterator<T> {
    return this.#cache.values()
  }

  get size(): number {
    return this.#cache.size
  }

  get synced(): boolean {
    return this.#synced
  }

  status(): ReflectorStatus {
    return {
      kind: this.#kind,
      state: this.#state,
      synced: this.#synced,
      objects: this.#cache.size,
      relists: this.#relists,
      reconnects: this.#reconnects,
      errors: { ...this.#errors },
      lastError: this.#lastError,
      quietMs: this.#heardAt === null ? null : this.#clock.now() - this.#heardAt,
    }
  }

  async #loop(run: Run): Promise<void> {
    const { signal } = run.abort
    if (!isOver(run)) this.#delivery.start()
    while (!isOver(run)) {
      let delay: number
      try {
        if (run.resourceVersion === null) run.resourceVersion = await this.#list(run)
        else {
          this.#reconnects++
          quietly(() => this.#hooks.reconnected?.(this.#kind))
        }
        delay = isOver(run) ? 0 : await this.#watch(run, run.resourceVersion)
      } catch (error) {
        delay = isOver(run) ? 0 : this.#failed(run, error)
      }
      if (delay > 0) {
        this.#state = 'waiting'
        await sleep(this.#clock, delay, signal)
      }
    }
    this.#state = 'stopped'
  }

  /** Counts and logs a failure, decides where to go on, returns the milliseconds to wait. */
  #failed(run: Run, error: unknown): number {
    const phase = run.resourceVersion === null ? 'list' : 'watch'
    const reason = reasonOf(error, phase)
    this.#count(reason)
    this.#lastError = describeError(error)
    if (phase === 'watch') {
      const refused = isKubeError(error) && error.status >= 400 && !isKubeError(error, 'KUBE_THROTTLED')
      run.refusals = refused ? run.refusals + 1 : 0
      const hopeless = isKubeError(error, 'KUBE_GONE', 'KUBE_INVALID') || run.refusals >= REFUSALS_BEFORE_LIST
      if (run.doubt || hopeless) run.resourceVersion = null
      run.doubt = false
    }
    const asked = isKubeError(error) ? (error.retryAfterMs ?? 0) : 0
    // A server that says "too old" is there: whatever was waited for is over, and a list brings the rest.
    if (isKubeError(error, 'KUBE_GONE') && !run.gone) run.backoff.reset()
    run.gone = isKubeError(error, 'KUBE_GONE')
    const delay = Math.max(run.backoff.next(), Math.min(asked, LONGEST_WAIT_MS))
    const fields = { kind: this.#kind, reason, error: this.#lastError, retryInMs: Math.round(delay) }
    if (reason === 'denied') this.#log.error(fields, `${phase} refused: grant the operator list and watch on this kind`)
    else this.#log.warn(fields, `${phase} failed; the cache stays as it is`)
    return delay
  }

  /** Reads everything, then hands over what differs from the cache, deletions that nobody reported included. */
  async #list(run: Run): Promise<string> {
    const { signal } = run.abort
    const { client, resource, namespace, labelSelector, fieldSelector, pageSize } = this.#options
    this.#state = 'listing'
    const began = this.#clock.now()
    const found = new Map<string, T | undefined>()
    const seen = { nameless: false }
    const source: Pick<KubeClient, 'page'> = {
      page: (r, o) => client.page(r, { ...o, signal, timeoutMs: PAGE_TIMEOUT_MS }),
    }
    const resourceVersion = await readPages(
      source,
      resource,
      { namespace, labelSelector, fieldSelector, pageSize },
      {
        restart: () => {
          found.clear()
          seen.nameless = false
        },
        page: items => {
          this.#heard()
          for (const item of items) {
            const admitted = this.#admit(item)
            if ('object' in admitted) found.set(admitted.key, admitted.object)
            else if (admitted.key === null) seen.nameless = true
            else found.set(admitted.key, undefined)
          }
        },
      },
    )
    let enoughAt = performance.now() + SLICE_MS
    const breathe = async (): Promise<boolean> => {
      if (performance.now() >= enoughAt) {
        await setImmediate()
        enoughAt = performance.now() + SLICE_MS
      }
      return signal.aborted
    }
    for (const [key, object] of found) {
      if (await breathe()) return resourceVersion
      if (object !== undefined) this.#upsert(key, object)
    }
    // An object whose name cannot be read may be any of the cached ones: then nothing is taken for deleted.
    for (const key of seen.nameless ? [] : [...this.#cache.keys()]) {
      if (found.has(key)) continue
      if (await breathe()) return resourceVersion
      this.#remove(key, undefined)
    }
    this.#relists++
    quietly(() => this.#hooks.relisted?.(this.#kind, found.size, this.#clock.now() - began))
    if (!this.#synced) {
      this.#synced = true
      this.#delivery.synced()
    }
    return resourceVersion
  }

  /** One watch to its end. Returns the milliseconds to wait before the next; rejects if it failed. */
  async #watch(run: Run, resourceVersion: string): Promise<number> {
    const { client, resource, namespace, labelSelector, fieldSelector } = this.#options
    const began = this.#clock.now()
    const { signal } = run.abort
    const controller = new AbortController()
    const end = (): void => controller.abort(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    const stallMs = this.#options.stallMs ?? 75_000
    const stalled = new KubeError('KUBE_UNAVAILABLE', `nothing came for ${stallMs} ms, not even a bookmark`, {
      reason: STALL,
    })
    const dog = new Watchdog(this.#clock, stallMs, () => controller.abort(stalled))
    const doubts = new KubeError('KUBE_PROTOCOL', 'an event could not be read: listing again')
    let doubtTimer: Cancel | undefined
    const ended = (): boolean => controller.signal.aborted
    const seconds = (this.#options.watchSeconds ?? 290) * (1 - 0.1 * (this.#options.backoff?.random ?? Math.random)())
    try {
      const stream = await client.watch(resource, {
        namespace,
        labelSelector,
        fieldSelector,
        resourceVersion,
        timeoutSeconds: Math.max(1, Math.round(seconds)),
        signal: controller.signal,
      })
      this.#state = 'watching'
      this.#heard()
      dog.heard()
      const heard = (): void => {
        this.#heard()
        dog.heard()
      }
      for await (const batch of lines(listen(stream, heard))) {
        for (const line of batch) {
          if (ended()) break
          if (this.#event(run, line)) {
            run.backoff.reset()
            run.refusals = 0
            this.#lastError = null
          } else if (run.doubt) doubtTimer ??= this.#clock.setTimeout(() => controller.abort(doubts), DOUBT_MS)
        }
      }
    } catch (error) {
      // What we ended ourselves ends with our reason, not with that of the connection.
      throw controller.signal.reason === stalled || controller.signal.reason === doubts
        ? controller.signal.reason
        : error
    } finally {
      dog.stop()
      doubtTimer?.()
      signal.removeEventListener('abort', end)
      controller.abort()
    }
    if (isOver(run)) return 0
    if (run.doubt) throw doubts
    if (this.#clock.now() - began < SHORT_WATCH_MS)
      throw new KubeError('KUBE_UNAVAILABLE', 'the server ended the watch at once')
    run.backoff.reset()
    this.#lastError = null
    return 0
  }

  /** True if the line was understood. An ERROR event rejects the watch. */
  #event(run: Run, line: string): boolean {
    const event = parseEvent(line)
    if (event === null) {
      run.doubt = true
      this.#malformed('an event that is not JSON with a type and an object')
      return false
    }
    if (event.type === 'ERROR') throw eventError(event.object)
    const { key, resourceVersion } = identify(event.object)
    if (event.type !== 'BOOKMARK' && !this.#change(event.type, event.object)) {
      // Which object it was, and where to go on, is unknown only if its name or version cannot be read.
      if (key === null || resourceVersion === null) run.doubt = true
      if (resourceVersion !== null) run.resourceVersion = resourceVersion
      return false
    }
    if (resourceVersion !== null) run.resourceVersion = resourceVersion
    return true
  }

  #change(type: 'ADDED' | 'MODIFIED' | 'DELETED', value: unknown): boolean {
    const admitted = this.#admit(value)
    if (type === 'DELETED' && admitted.key !== null) {
      // Gone is gone, whether or not its last state can be read.
      this.#remove(admitted.key, 'object' in admitted ? admitted.object : undefined)
      return true
    }
    if (!('object' in admitted)) return false
    this.#upsert(admitted.key, admitted.object)
    return true
  }

  #admit(value: unknown): Admitted<T> {
    const { resource, transform } = this.#options
    const admitted = admit(value, resource, transform, key => this.#cache.get(key))
    if (!('object' in admitted)) this.#malformed(`${admitted.key ?? 'an object without name'}: ${admitted.problem}`)
    return admitted
  }

  #upsert(key: string, object: T): void {
    const old = this.#cache.get(key)
    if (old === object || (old !== undefined && sameState(old, object))) return
    // Deleted and created again while nobody looked: two objects, not one that changed.
    const recreated = old !== undefined && old.metadata.uid !== object.metadata.uid
    if (recreated) this.#remove(key, undefined)
    this.#cache.set(key, object)
    this.#delivery.upsert(key, object, recreated ? undefined : old)
  }

  #remove(key: string, last: T | undefined): void {
    const old = this.#cache.get(key)
    if (old === undefined) return
    this.#cache.delete(key)
    this.#delivery.remove(key, last ?? old)
  }

  #heard(): void {
    this.#heardAt = this.#clock.now()
  }

  #count(reason: ReflectorErrorReason): void {
    this.#errors[reason]++
    quietly(() => this.#hooks.failed?.(this.#kind, reason))
  }

  /** `what` names the object and never quotes it: it may be a Secret. */
  #malformed(what: string): void {
    this.#count('malformed')
    this.#log.error({ kind: this.#kind, what }, 'malformed: skipped; the last good state of the object stays')
  }
}

/** A function, as the compiler believes that a flag once read stays as it was. */
function isOver(run: Run): boolean {
  return run.abort.signal.aborted
}

/** A metric that throws must not end what it counts. */
function quietly(hook: () => void): void {
  try {
    hook()
  } catch {
    // Nothing to tell, and nobody to tell it to.
  }
}

async function* listen(chunks: AsyncIterable<Uint8Array>, heard: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    heard()
    yield chunk
  }
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: unknown
}

const EVENT_TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'])

function parseEvent(line: string): WatchEvent | null {
  try {
    const value: unknown = JSON.parse(line)
    return isEvent(value) ? value : null
  } catch {
    return null
  }
}

function isEvent(value: unknown): value is WatchEvent {
  return (
    typeof value === 'object' && value !== null && 'object' in value && 'type' in value && EVENT_TYPES.has(value.type)
  )
}

function eventError(object: unknown): KubeError {
  const { code, reason, message, retryAfterMs } = readStatus(object)
  const status = code === 0 && reason === 'Expired' ? 410 : code
  const details = { status, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  return new KubeError(codeOfStatus(status, reason), `the watch ended with an error: ${reason} ${message}`, details)
}

function sameState(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.resourceVersion === b.metadata.resourceVersion && a.metadata.uid === b.metadata.uid
}

function reasonOf(error: unknown, phase: 'list' | 'watch'): ReflectorErrorReason {
  if (isKubeError(error, 'KUBE_GONE')) return 'gone'
  if (isKubeError(error, 'KUBE_THROTTLED')) return 'throttled'
  if (isKubeError(error, 'KUBE_UNAUTHORIZED', 'KUBE_FORBIDDEN')) return 'denied'
  if (isKubeError(error) && error.reason === STALL) return 'stall'
  return phase
}
