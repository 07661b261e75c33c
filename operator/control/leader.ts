/**
 * Everything that the leader alone does, one object at a time: records and annotations, rollouts, status. All of an
 * object's decisions are made in one queue, so that none overtakes another.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Report } from '../../protocol/messages.ts'
import type { ObjectKey, ObjectKind } from '../../protocol/objects.ts'
import type { Said } from '../fleet/fleet.ts'
import type { Clock } from '../kube/clock.ts'
import { describeError, isKubeError, isNotLeader } from '../kube/errors.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { Log } from '../kube/log.ts'
import { WorkQueue } from '../kube/queue.ts'
import type { QueueStatus, ReconcileResult } from '../kube/queue.ts'
import { resources } from '../kube/resources.ts'
import type { KubeClient } from '../kube/client.ts'
import type { Condition } from '../model/generated/crds.ts'
import type { SourceObject } from '../model/types.ts'
import type { ObjectView, Pipeline } from '../pipeline/pipeline.ts'
import { KINDS } from '../pipeline/releases.ts'
import type { ReleaseStore } from '../records/store.ts'
import type { AddressWriter } from './address-writer.ts'
import type { Checksums } from './checksums.ts'
import type { Driver } from './driver.ts'
import type { Keeper } from './keeper.ts'
import { SAFETY_MS, lookAfter } from './look-after.ts'
import type { ObjectWriter } from './object-writer.ts'
import type { Policies } from './policies.ts'
import { pausedByPolicy } from './rollouts.ts'
import type { Rollouts } from './rollouts.ts'
import type { Starter } from './starter.ts'

export interface LeaderParts {
  readonly client: Pick<KubeClient, 'applyStatus'>
  readonly pipeline: Pipeline
  readonly store: ReleaseStore
  readonly rollouts: Rollouts
  readonly policies: Policies
  readonly checksums: Readonly<Record<ObjectKind, Checksums>>
  readonly addresses: AddressWriter
  readonly writer: ObjectWriter
  readonly keeper: Keeper
  readonly starter: Starter
  readonly driver: Driver
  readonly events: EventRecorder
  readonly mayWrite: () => boolean
  readonly clock: Clock
  readonly log: Log
}

const OBJECT_WORKERS = 8
/** Status is for people: so much later than the change, so that a burst of changes is one write. Milliseconds. */
const STATUS_DELAY_MS = 300
/** What no event tells (a silent pod, a record left over) is looked at again. Milliseconds. */
const ROUND_MS = 30_000
const SOON_MS = 50
/** Between two looks at the figures of all that is under way, in milliseconds: far below the second between two reports of a pod. */
const FIGURES_EVERY_MS = 250

export class Leader {
  readonly #parts: LeaderParts
  readonly #objects: WorkQueue
  readonly #status: WorkQueue
  #leading = false
  /** Grows with every start and stop: what began in an earlier term does not end in this one. */
  #term = 0
  #fresh: ReadonlySet<string> = new Set()
  #round: ReturnType<typeof setInterval> | null = null
  /** When figures were last looked at, in monotonic milliseconds. */
  #figuresAt = -Infinity

  constructor(parts: LeaderParts) {
    this.#parts = parts
    const { clock, log } = parts
    this.#objects = new WorkQueue(key => this.#reconcile(key), {
      ...{ name: 'objects', clock, log },
      workers: OBJECT_WORKERS,
      // A policy over everything that there is must not hold up what is to be taken back.
      isUrgent: key => parts.rollouts.isOpen(key),
      backoff: { minMs: 100, maxMs: 10_000 },
    })
    this.#status = new WorkQueue(key => this.#writeStatus(key), {
      ...{ name: 'status', clock, log },
      backoff: { minMs: 500, maxMs: 30_000 },
    })
  }

  get leading(): boolean {
    return this.#leading
  }

  /** UIDs of objects that were there when nothing had ever been stored. */
  isFresh(uid: string): boolean {
    return this.#fresh.has(uid)
  }

  queues(): Readonly<Record<'objects' | 'status', QueueStatus>> {
    return { objects: this.#objects.status(), status: this.#status.status() }
  }

  /** Begins to lead: everything is read again before anything is decided. Call it when the caches are synced. */
  async start(): Promise<void> {
    const { store, pipeline, driver, checksums, policies, log, rollouts } = this.#parts
    const term = ++this.#term
    await store.load()
    // What was read goes through the pipeline first: the views are what is decided by.
    do await new Promise<void>(resolve => setImmediate(resolve))
    while (term === this.#term && pipeline.isBehind())
    if (term !== this.#term) return
    this.#fresh = store.isComplete
      ? new Set()
      : new Set([...pipeline.views()].flatMap(({ source, stored }) => (stored === null ? (source?.uid ?? []) : [])))
    if (!store.isComplete)
      log.info({ objects: this.#fresh.size }, 'not everything was ever stored: objects are taken over as they are')
    // On the objects' own word, and at once: a shard that is there again says what it does not hold.
    const found = [...pipeline.views()].flatMap(({ key, source, stored, record }) => {
      const isLost = source !== null && stored === null && record !== null && store.isLost(source.uid)
      // Of a Secret that nothing names nothing was stored.
      return isLost && (key.startsWith('Ingress/') || record.governed || pipeline.isNamed(key)) ? [record] : []
    })
    if (found.length > 0) log.warn({ objects: found.length }, 'records are lost: objects go on with what they have')
    this.#leading = true
    try {
      if (store.isComplete && store.isMissing) await store.complete(found)
    } catch (error) {
      this.#leading = false
      throw error
    }
    // Stopped meanwhile.
    if (term !== this.#term) return
    driver.start()
    this.#parts.keeper.start()
    policies.lead()
    for (const kind of KINDS) checksums[kind].lead()
    for (const { key } of pipeline.views()) this.#objects.add(key)
    for (const { object } of rollouts.all()) this.#objects.add(object)
    this.#objects.start()
    this.#status.start()
    this.statusMayDiffer()
    this.#round = setInterval(() => this.#goRound(), ROUND_MS)
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#term++
    this.#leading = false
    if (this.#round !== null) clearInterval(this.#round)
    this.#round = null
    await Promise.all([this.#objects.stop(), this.#status.stop()])
    this.#parts.driver.stop()
  }

  /** These were looked at by the pipeline. */
  viewed(keys: Iterable<ObjectKey>): void {
    if (!this.#leading) return
    let any = false
    for (const key of keys) {
      this.#objects.add(key)
      any = true
    }
    if (any) this.#status.addAfter('policies', STATUS_DELAY_MS)
  }

  /** Pods came or went: what is under way is judged again. */
  fleetChanged(): void {
    if (!this.#leading) return
    for (const key of this.#watched()) this.#objects.add(key)
    for (const kind of KINDS) this.#status.addAfter(`checksum/${kind}`, STATUS_DELAY_MS)
  }

  /**
   * A pod's report came. What it says of an object is looked at now, and its figures at once where nobody looked at any just before:
   * a fleet of a hundred, of which each reports every second, is not judged a hundred times a second. What waits for requests, and of
   * which the report counts none, is looked at when it is due.
   */
  reported({ objects, isNewState }: Said, report: Pick<Report, 'hosts' | 'probes'>): void {
    if (!this.#leading) return
    const { clock, driver } = this.#parts
    const now = clock.now()
    const left = this.#figuresAt + FIGURES_EVERY_MS - now
    let isLooked = false
    for (const key of this.#watched()) {
      const isMoved = driver.isMovedBy(key, report)
      if (objects.has(key)) this.#objects.add(key)
      else if (isMoved) {
        this.#objects.addAfter(key, left)
        isLooked = true
      }
    }
    if (isLooked && left <= 0) this.#figuresAt = now
    if (!isNewState) return
    for (const kind of KINDS) this.#status.addAfter(`checksum/${kind}`, STATUS_DELAY_MS)
  }

  /** What pods are asked about. */
  *#watched(): Iterable<ObjectKey> {
    for (const { object } of this.#parts.rollouts.open()) yield object
    yield* this.#parts.addresses.asked
  }

  /** Its IngressRollout was deleted. */
  rolloutGone(id: string): void {
    this.#parts.driver.forget(id)
  }

  /** A turn became free: what waits may begin. */
  turnFree(): void {
    if (!this.#leading) return
    for (const { object } of this.#parts.rollouts.open()) this.#objects.add(object)
  }

  statusMayDiffer(): void {
    if (!this.#leading) return
    this.#status.addAfter('store', STATUS_DELAY_MS)
    this.#status.addAfter('policies', STATUS_DELAY_MS)
    for (const kind of KINDS) this.#status.addAfter(`checksum/${kind}`, STATUS_DELAY_MS)
  }

  async #reconcile(key: ObjectKey): Promise<ReconcileResult | void> {
    if (!this.#parts.mayWrite()) return
    try {
      return await lookAfter(key, {
        ...this.#parts,
        refused: (view, what, error) => this.#sayRefused(view, what, error),
      })
    } catch (error) {
      if (isNotLeader(error)) return
      // Somebody else wrote first: look at what it is now.
      if (isKubeError(error, 'KUBE_CONFLICT')) return { requeueAfterMs: SOON_MS }
      const gone =
        isKubeError(error, 'KUBE_NOT_FOUND') || (isKubeError(error) && error.reason === 'NamespaceTerminating')
      if (!gone) throw error
      this.#parts.log.debug({ key, error: describeError(error) }, 'the object went away')
      return { requeueAfterMs: SAFETY_MS }
    }
  }

  /** Where people look: at the object. */
  #sayRefused({ key, source }: ObjectView, what: string, error: Error): void {
    const { kind, namespace, name } = parseObjectKey(key)
    if (source === null) return
    const { apiVersion } = kind === 'Ingress' ? resources.ingresses : resources.secrets
    const reference = { apiVersion, kind, namespace, name, uid: source.uid }
    this.#parts.events.event(reference, 'Warning', 'NotWritten', `cannot write ${what}: ${describeError(error)}`)
  }

  async #writeStatus(key: string): Promise<ReconcileResult | void> {
    const { policies, client, pipeline, mayWrite, clock, checksums, rollouts } = this.#parts
    if (!mayWrite()) return
    try {
      if (key === 'store') return await this.#complete()
      if (key === 'policies') {
        const paused = pausedByPolicy(rollouts.open())
        await policies.writeStatus(client, pipeline.views(), mayWrite, clock.wall().toISOString(), paused)
      } else if (key === 'checksum/Ingress') await checksums.Ingress.writeStatus()
      else await checksums.Secret.writeStatus()
    } catch (error) {
      if (isNotLeader(error)) return
      throw error
    }
  }

  /** When everything that was there before us is recorded, the store is whole; what is missing of it later is written again. */
  async #complete(): Promise<ReconcileResult> {
    const { store, pipeline } = this.#parts
    const waits =
      !store.isComplete && [...pipeline.views()].some(view => isToBeRecorded(view) && this.#fresh.has(view.source.uid))
    if (waits) return { requeueAfterMs: SAFETY_MS }
    if (!store.isComplete || store.isMissing) await store.complete()
    if (store.stale.length > 0) {
      this.#parts.log.info(
        { secrets: store.stale.length },
        'private keys in the store are encrypted with the newest key',
      )
      await store.reseal()
    }
    return {}
  }

  #goRound(): void {
    this.statusMayDiffer()
    const { store, pipeline, rollouts } = this.#parts
    // Made by an operator without owner references, of what is gone.
    for (const { object, owned } of rollouts.all()) {
      if (!owned && pipeline.view(object) === null) this.#objects.add(object)
    }
    for (const record of store.all()) {
      const view = pipeline.view(record.key)
      // A record of a UID that is no more, beside the one of the object that has its name now.
      if (view?.source && view.source.uid !== record.uid && view.record?.uid !== record.uid)
        store.removeLater(record.uid)
      else if (view === null || view.source === null) this.#objects.add(record.key)
    }
  }
}

/** Governed, with something to serve, and not recorded yet (assign/records.ts `noted`). What belongs to another class never is. */
function isToBeRecorded(view: ObjectView): view is ObjectView & { readonly source: SourceObject } {
  const { source, stored, governance } = view
  if (source === null || stored !== null || governance.by === 'none' || source.revision === ABSENT_REVISION)
    return false
  return governance.by === 'policy' || source.stamp.flag.state !== 'invalid'
}

/** An event for each condition that says something new. */
export function sayCondition(
  events: EventRecorder,
  object: Pick<SourceObject, 'key' | 'uid'>,
  condition: Condition,
): void {
  const { kind, namespace, name } = parseObjectKey(object.key)
  const { apiVersion } = kind === 'Ingress' ? resources.ingresses : resources.secrets
  const level = condition.status === 'False' && condition.reason !== 'NotStamped' ? 'Warning' : 'Normal'
  const reference = { apiVersion, kind, namespace, name, uid: object.uid }
  events.event(reference, condition.type === 'Accepted' ? 'Warning' : level, condition.reason, condition.message)
}
