/**
 * Leader election on a Lease. Judged by the local monotonic clock alone: a contender waits the whole lease from the
 * moment it saw the last change; a leader that could not renew in time counts itself out, before any contender may
 * count it out.
 */
import type { KubeClient } from './client.ts'
import { sleep, systemClock } from './clock.ts'
import type { Cancel, Clock } from './clock.ts'
import { describeError, isKubeError } from './errors.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import type { Lease, ObjectName } from './objects.ts'
import { resources } from './resources.ts'

/** Where the holder of the Lease is reached: `ip:port`. */
export const ADDRESS_ANNOTATION = 'tengine.taobao.org/address'

export interface LeaderCallbacks {
  readonly onStartedLeading: () => void
  /** Called before the Lease is given back. What must not overlap with a successor ends in here. */
  readonly onStoppedLeading: () => void | Promise<void>
  /** The leader's address as the Lease says it; null: nobody leads. Called on every change, on followers too. */
  readonly onLeader?: (address: string | null, identity: string | null) => void
}

export interface LeaderOptions {
  readonly client: Pick<KubeClient, 'find' | 'create' | 'update'>
  readonly namespace: string
  /** Default `sluice-operator`. */
  readonly name?: string
  /** The pod's name: a container that is started again in the same pod takes its Lease over at once. */
  readonly identity: string
  /** `ip:port` at which proxies report to this replica. */
  readonly address: string
  readonly callbacks: LeaderCallbacks
  /** After which contenders take over from a leader that is not heard of; default 15 s. */
  readonly leaseMs?: number
  /** After which a leader without a successful renewal counts itself out; default 10 s, must be below leaseMs. */
  readonly renewDeadlineMs?: number
  /** Default 5 s. */
  readonly renewMs?: number
  /** Between two looks of a contender, and after a failed renewal; default 2 s. */
  readonly retryMs?: number
  readonly clock?: Clock
  readonly log?: Log
}

interface Observed {
  readonly lease: Lease
  /** Monotonic time at which this state of the Lease was first seen here. */
  readonly at: number
}

export class LeaderElector {
  readonly #options: LeaderOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #name: string
  readonly #target: ObjectName
  readonly #leaseMs: number
  readonly #deadlineMs: number
  readonly #renewMs: number
  readonly #retryMs: number
  #abort: AbortController | null = null
  #ended: Promise<void> = Promise.resolve()
  #observed: Observed | null = null
  #leading = false
  /** Start of the last renewal that succeeded: the Lease cannot have been renewed earlier than that. */
  #renewedAt = 0
  #fence: Cancel | null = null
  #stopping: Promise<void> = Promise.resolve()
  #announced: string | null | undefined

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
    this.#name = options.name ?? 'sluice-operator'
    this.#target = { name: this.#name, namespace: options.namespace }
    this.#leaseMs = options.leaseMs ?? 15_000
    this.#deadlineMs = options.renewDeadlineMs ?? 10_000
    this.#renewMs = options.renewMs ?? 5_000
    this.#retryMs = options.retryMs ?? 2_000
    if (this.#deadlineMs >= this.#leaseMs || this.#renewMs >= this.#deadlineMs)
      throw new RangeError('leader election: renewMs < renewDeadlineMs < leaseMs must hold')
  }

  start(): void {
    if (this.#abort !== null) return
    const abort = new AbortController()
    this.#abort = abort
    this.#ended = this.#ended.then(() => this.#loop(abort.signal))
  }

  /** Stops leading, then gives the Lease back, so that a successor need not wait. Never rejects. */
  async stop(): Promise<void> {
    const abort = this.#abort
    if (abort === null) return
    this.#abort = null
    abort.abort()
    await this.#ended
    this.#stopLeading('this replica ends')
    await this.#stopping
    await this.#release()
  }

  /** True only while no other replica can lead. Ask before every write that only a leader may make. */
  isLeader(): boolean {
    return this.#leading && this.#clock.now() - this.#renewedAt < this.#deadlineMs
  }

  async #loop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const renewed = await this.#turn(signal)
      const pause = renewed ? this.#renewMs : this.#retryMs
      // Contenders that look in step would collide in step.
      await sleep(this.#clock, pause * (0.9 + 0.1 * Math.random()), signal)
    }
  }

  /** One look at the Lease and, if it is ours or free, one write. True if this replica leads afterwards. Never rejects. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const began = this.#clock.now()
    // Not ended by stop(): a write whose answer is not awaited could have taken a Lease that nobody gives back.
    const request = { timeoutMs: this.#deadlineMs / 2 }
    try {
      const found = await this.#options.client.find(resources.leases, this.#target, request)
      this.#observe(found)
      if (signal.aborted) return false
      if (!this.#free(found)) {
        this.#stopLeading(`${found?.spec?.holderIdentity ?? 'another replica'} holds the Lease`)
        return false
      }
      const mine = this.#lease(found)
      const written =
        found === null
          ? await this.#options.client.create(resources.leases, mine, request)
          : await this.#options.client.update(resources.leases, mine, request)
      this.#observe(written)
      await this.#lead(began, signal)
      return this.#leading
    } catch (error) {
      const lost = isKubeError(error, 'KUBE_CONFLICT', 'KUBE_ALREADY_EXISTS')
      this.#log[lost ? 'debug' : 'warn'](
        { lease: this.#name, error: describeError(error) },
        lost ? 'another replica was faster' : 'the Lease cannot be read or written',
      )
      return false
    }
  }

  #observe(lease: Lease | null): void {
    // A Lease that somebody deleted still counts: its holder does not know of it yet.
    if (lease !== null && this.#observed?.lease.metadata.resourceVersion !== lease.metadata.resourceVersion)
      this.#observed = { lease, at: this.#clock.now() }
    const identity = lease?.spec?.holderIdentity ?? ''
    const address = lease?.metadata.annotations?.[ADDRESS_ANNOTATION] ?? ''
    const leader = identity === '' || address === '' ? null : address
    if (this.#announced === leader) return
    this.#announced = leader
    void this.#call('onLeader', () => this.#options.callbacks.onLeader?.(leader, identity === '' ? null : identity))
  }

  #free(found: Lease | null): boolean {
    const lease = found ?? this.#observed?.lease
    const holder = lease?.spec?.holderIdentity ?? ''
    if (holder === '' || holder === this.#options.identity) return true
    const seconds = lease?.spec?.leaseDurationSeconds ?? 0
    const leaseMs = seconds > 0 ? seconds * 1000 : this.#leaseMs
    return this.#observed !== null && this.#clock.now() - this.#observed.at >= leaseMs
  }

  #lease(found: Lease | null): Lease {
    const { identity, address, namespace } = this.#options
    const now = microTime(this.#clock.wall())
    const spec = found?.spec ?? {}
    const renewal = spec.holderIdentity === identity && this.#leading
    return {
      ...found,
      metadata: {
        ...found?.metadata,
        name: this.#name,
        namespace,
        annotations: { ...found?.metadata.annotations, [ADDRESS_ANNOTATION]: address },
      },
      spec: {
        ...spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
        renewTime: now,
        acquireTime: renewal ? (spec.acquireTime ?? now) : now,
        leaseTransitions: (spec.leaseTransitions ?? 0) + (renewal || found === null ? 0 : 1),
      },
    }
  }

  async #lead(began: number, signal: AbortSignal): Promise<void> {
    // What ended before must have ended before it begins again.
    await this.#stopping
    if (signal.aborted || this.#clock.now() - began >= this.#deadlineMs) return
    this.#renewedAt = began
    this.#fence?.()
    this.#fence = this.#clock.setTimeout(
      () => this.#stopLeading(`no renewal for ${this.#deadlineMs} ms`),
      began + this.#deadlineMs - this.#clock.now(),
    )
    if (this.#leading) return
    this.#leading = true
    this.#log.info({ lease: this.#name, identity: this.#options.identity }, 'leading')
    void this.#call('onStartedLeading', () => this.#options.callbacks.onStartedLeading())
  }

  #stopLeading(why: string): void {
    this.#fence?.()
    this.#fence = null
    if (!this.#leading) return
    this.#leading = false
    this.#log.warn({ lease: this.#name, identity: this.#options.identity, why }, 'no longer leading')
    this.#stopping = this.#call('onStoppedLeading', () => this.#options.callbacks.onStoppedLeading())
  }

  async #release(): Promise<void> {
    const request = { timeoutMs: this.#retryMs }
    try {
      const lease = await this.#options.client.find(resources.leases, this.#target, request)
      if (lease === null || lease.spec?.holderIdentity !== this.#options.identity) return
      const annotations = Object.entries(lease.metadata.annotations ?? {}).filter(
        ([name]) => name !== ADDRESS_ANNOTATION,
      )
      const free: Lease = {
        ...lease,
        metadata: { ...lease.metadata, annotations: Object.fromEntries(annotations) },
        spec: { ...lease.spec, holderIdentity: '', renewTime: microTime(this.#clock.wall()) },
      }
      // Fenced by resourceVersion: if somebody took over meanwhile, nothing is given back.
      await this.#options.client.update(resources.leases, free, request)
    } catch (error) {
      this.#log.info(
        { lease: this.#name, error: describeError(error) },
        'the Lease could not be given back: it expires',
      )
    }
  }

  /** A callback that fails must neither end the election nor pass unseen. */
  async #call(name: string, callback: () => void | Promise<void>): Promise<void> {
    try {
      await callback()
    } catch (error) {
      this.#log.error({ callback: name, error: describeError(error) }, 'callback failed')
    }
  }
}

/** RFC 3339 with microseconds, as coordination.k8s.io wants it. */
function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z')
}
