/**
 * The operator put together: watches → caches → pipeline → checksum gate → stream on every replica; on the leader the
 * controllers beside it. The flow runs once per turn of the event loop, over everything that was touched in it.
 */
import type { Report } from '../protocol/messages.ts'
import { parseObjectKey } from '../protocol/ids.ts'
import type { ObjectKey, ObjectKind, ServiceKey } from '../protocol/objects.ts'
import type { ReleaseRecord } from './assign/types.ts'
import type { Config } from './config.ts'
import { AddressWriter } from './control/address-writer.ts'
import { Checksums } from './control/checksums.ts'
import { noteCounted } from './control/counted.ts'
import { Driver } from './control/driver.ts'
import { Keeper } from './control/keeper.ts'
import { Leader, sayCondition } from './control/leader.ts'
import { Maker } from './control/maker.ts'
import { ObjectWriter } from './control/object-writer.ts'
import { OnceATurn } from './control/once-a-turn.ts'
import { Policies } from './control/policies.ts'
import { observedProbes } from './control/probes.ts'
import { hostsOfRollout } from './control/observe.ts'
import { Rollouts } from './control/rollouts.ts'
import { Starter } from './control/starter.ts'
import { supersededAgain } from './control/superseded.ts'
import { Turns } from './control/turns.ts'
import { Fleet } from './fleet/fleet.ts'
import { reportIntervalMs } from './fleet/report-interval.ts'
import { OperatorBase } from './kube/base.ts'
import type { OperatorOptions } from './kube/base.ts'
import { sleep, systemClock } from './kube/clock.ts'
import type { Clock } from './kube/clock.ts'
import { describeError } from './kube/errors.ts'
import { KubeEventRecorder } from './kube/events.ts'
import type { Log } from './kube/log.ts'
import { SecretReader } from './kube/secret-reader.ts'
import { CONTROLLER_NAME } from './model/ingress-class.ts'
import { Caches } from './pipeline/caches.ts'
import { Pipeline } from './pipeline/pipeline.ts'
import type { PipelineChange } from './pipeline/pipeline.ts'
import { KINDS, Releases } from './pipeline/releases.ts'
import { kubeShardApi } from './records/kube.ts'
import { recoveredKey } from './records/recover.ts'
import type { KeyRing } from './records/seal.ts'
import type { ShardError } from './records/shards.ts'
import { ReleaseStore } from './records/store.ts'
import { Figures } from './rollout/analysis/window.ts'
import { sameAddresses, wantedAddresses } from './status/addresses.ts'
import type { Address } from './status/addresses.ts'
import type { PodIdentity } from './stream/auth.ts'
import type { Observation, WorldChange } from './stream/world.ts'
import { slimSecret, watchAll } from './watches.ts'

export interface SluiceOptions extends OperatorOptions {
  readonly config: Config
  readonly log: Log
  /** True only while no other replica can lead. */
  readonly isLeader: () => boolean
  /** The stream's way out. */
  readonly publish: (change: WorldChange) => void
  readonly rolloutEnded: (phase: string) => void
  /** Private keys in the store are encrypted with them. */
  readonly keys: KeyRing
  /** Something is encrypted with a key that is not among them: whoever reads them looks again, and says storeKeysRead(). */
  readonly keysWanted: () => void
}

/** After which what was touched is looked at in another turn of the event loop: streams and reports come first. Milliseconds. */
const SLICE_MS = 10
/** Between reports of proxies while nothing is rolled out. Milliseconds. */
const IDLE_REPORT_MS = 10_000
/** Certificates begin and end without an event. A clock that is set is noticed after this time, too. */
const LONGEST_SLEEP_MS = 3_600_000
const REOPEN_MS = 200
/** After which pods are told what to observe where nothing is released to them meanwhile. */
const ASK_MS = 100
/** So long annotations and status wait at most until the checksum of what was stored is published. */
const PUBLISHED_MS = 250
/** And then so long for the pods that it goes out to: what else is to be written would take the machine from them. */
const SERVED_MS = 100
/** Of so many objects at once; where more go out nobody waits. */
const MOST_WAITED_FOR = 4
/** Events are for people; what they tell of is on its way to pods just then. */
const EVENTS_AFTER_MS = 250
/** After which a difference from the published checksum counts as lasting, and a little more. */
const HELD_CHECK_MS = 2_100

/** Whoever moves a path from one object to another changes both within so many milliseconds: `kubectl apply`, helm. */
const SETTLE_MS = 3_000

export class SluiceOperator extends OperatorBase {
  readonly #options: SluiceOptions
  readonly #log: Log
  readonly #clock: Clock
  readonly #caches = new Caches()
  readonly #policies = new Policies()
  readonly #rollouts = new Rollouts()
  readonly #figures = new Figures()
  readonly fleet: Fleet
  readonly store: ReleaseStore
  readonly pipeline: Pipeline
  readonly releases: Releases
  readonly leader: Leader
  readonly events: KubeEventRecorder
  readonly #checksums: Readonly<Record<ObjectKind, Checksums>>
  #scheduled = false
  /** This turn of the event loop had its slice. */
  #isEarly = false
  #flushed = false
  /** What was looked at before everything was. */
  readonly #begun: PipelineChange[] = []
  /** As it was said last. */
  #hasDefault = true
  #policiesDirty = false
  readonly #addresses: AddressWriter
  /** As the Service in front of the fleet last said. */
  #wanted: readonly Address[] | null = null
  #heldTimer: ReturnType<typeof setTimeout> | null = null
  /** Pods are to be told what to observe. */
  #asks = false
  /** Each connection asks for it. */
  readonly #observed = new OnceATurn(() => this.#observe())
  #askTimer: ReturnType<typeof setTimeout> | null = null
  /** For the next date of a certificate, whichever it is. */
  #dateTimer: ReturnType<typeof setTimeout> | null = null
  /** Objects whose annotations and status wait for pods. */
  #waitedFor = 0
  readonly #reader: SecretReader
  /** Until what could not be decrypted is tried again: Secrets come that may have it. */
  #reopening: ReturnType<typeof setTimeout> | null = null
  /** What waits for the first flush. */
  readonly #whenReady: (() => void)[] = []

  constructor(options: SluiceOptions) {
    super(options)
    this.#options = options
    this.#log = options.log
    const { config, log } = options
    const { client } = this
    const mayWrite = (): boolean => options.isLeader() && this.leader.leading
    const clock = options.clock ?? systemClock
    this.#clock = clock
    this.events = new KubeEventRecorder({ client, instance: config.podName, log, afterMs: EVENTS_AFTER_MS })
    this.fleet = new Fleet(config.fleet)
    this.store = new ReleaseStore(kubeShardApi(client, config.namespace), {
      mayWrite,
      keys: options.keys,
      recover: (key, chain) => this.#recover(key, chain),
      changed: keys => {
        this.pipeline.touchFirst(keys)
        this.#schedule()
      },
      unreadable: error => this.#sayUnreadable(error),
    })
    this.pipeline = new Pipeline({
      caches: this.#caches,
      record: uid => this.store.get(uid),
      lost: uid => this.store.isLost(uid),
      recordByKey: key => this.store.byKey(key),
      released: key => this.releases.released(key),
      controllerName: CONTROLLER_NAME,
      annotationPrefix: config.annotationPrefix,
      idForm: config.checksumIds,
      defaultCertificate: config.defaultCertificate,
      malformed: error => log.error({ object: error.object, field: error.field }, `malformed object: ${error.message}`),
      now: () => clock.wall().getTime(),
    })
    this.#reader = new SecretReader({
      ...{ client, clock, log },
      read: secret => this.pipeline.touch([this.#caches.putRead(slimSecret(secret))]),
      settled: () => this.#schedule(),
    })
    this.releases = new Releases({
      endpoints: () => this.pipeline.endpoints,
      observe: () => this.#observed.value,
      now: () => clock.now(),
    })
    const checksumsOf = (kind: ObjectKind): Checksums =>
      new Checksums({
        ...{ client, kind, mayWrite, namespace: config.namespace, replica: config.podName, releases: this.releases },
        mode: config.checksumMode,
        pods: () => this.fleet.pods(),
        events: this.events,
        changed: () => this.#checksumChanged(kind),
        failed: (what, error) => log.warn({ error: describeError(error) }, `could not ${what}; tried again`),
        wall: () => clock.wall(),
      })
    this.#checksums = { Ingress: checksumsOf('Ingress'), Secret: checksumsOf('Secret') }
    const writer = new ObjectWriter({ client, mayWrite })
    const records = {
      put: (record: ReleaseRecord) => this.#store(record),
      putLater: this.store.putLater.bind(this.store),
      remove: this.store.remove.bind(this.store),
      byKey: this.store.byKey.bind(this.store),
    }
    const wall = (): Date => clock.wall()
    this.#addresses = new AddressWriter({
      ...{ client, mayWrite, wanted: () => this.#wantedAddresses(), pods: () => this.fleet.pods() },
      released: key => this.releases.released(key) !== null,
      now: () => clock.now(),
    })
    const maker = new Maker({
      ...{ client, mayWrite, rollouts: this.#rollouts, events: this.events },
      failed: key => this.leader.viewed([key]),
    })
    this.leader = new Leader({
      ...{ client, pipeline: this.pipeline, store: this.store, rollouts: this.#rollouts, policies: this.#policies },
      ...{ checksums: this.#checksums, writer, mayWrite, clock, log },
      addresses: this.#addresses,
      events: this.events,
      keeper: new Keeper({
        ...{ records, writer, wall, annotationPrefix: config.annotationPrefix },
        fresh: uid => this.leader.isFresh(uid),
        needed: key => this.pipeline.isNeeded(key),
        named: key => this.pipeline.isNamed(key),
        unnamed: key => this.pipeline.isUnnamed(key),
        now: () => clock.now(),
        say: (object, condition) => sayCondition(this.events, object, condition),
      }),
      starter: new Starter({
        ...{
          client,
          maker,
          rollouts: this.#rollouts,
          records,
          mayWrite,
          wall,
          pipeline: this.pipeline,
          events: this.events,
        },
      }),
      driver: new Driver({
        ...{
          client,
          maker,
          rollouts: this.#rollouts,
          records,
          writer,
          pipeline: this.pipeline,
          figures: this.#figures,
        },
        ...{ turns: new Turns(), events: this.events, clock, mayWrite, annotationPrefix: config.annotationPrefix },
        settleMs: SETTLE_MS,
        pods: () => this.fleet.pods(),
        published: key => this.#published(key),
        turnFree: () => this.leader.turnFree(),
        ended: options.rolloutEnded,
      }),
    })
  }

  /** Everything was read once, and what can be given out is given out. */
  get ready(): boolean {
    return this.#flushed
  }

  /** For metrics. */
  supersededAgain(): number {
    return supersededAgain(this.#rollouts.open())
  }

  /** Open rollouts by phase, for metrics. */
  openRollouts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { Pending: 0, Progressing: 0, Paused: 0, RollingBack: 0 }
    for (const { status } of this.#rollouts.open()) {
      const phase = status?.phase ?? 'Pending'
      counts[phase] = (counts[phase] ?? 0) + 1
    }
    return counts
  }

  /** Resolves when ready() holds. */
  whenReady(): Promise<void> {
    return this.#flushed ? Promise.resolve() : new Promise(resolve => this.#whenReady.push(resolve))
  }

  /** The keys of the store were read again. */
  storeKeysRead(): void {
    this.store.reopen()
    this.#schedule()
    this.leader.statusMayDiffer()
  }

  /** A report of a pod came (to the leader). */
  report(pod: PodIdentity, report: Report): void {
    const now = this.#clock.now()
    const said = this.fleet.heard(pod, report, now)
    this.#figures.add(pod.name, pod.ordinal, report, now)
    this.leader.reported(said, report)
  }

  override async close(): Promise<void> {
    if (this.#heldTimer !== null) clearTimeout(this.#heldTimer)
    if (this.#dateTimer !== null) clearTimeout(this.#dateTimer)
    if (this.#reopening !== null) clearTimeout(this.#reopening)
    if (this.#askTimer !== null) clearTimeout(this.#askTimer)
    for (const kind of KINDS) this.#checksums[kind].stop()
    await this.leader.stop()
    await super.close()
    await this.#reader.stop()
    await this.events.stop()
  }

  protected override init(): Promise<void> {
    const { config } = this.#options
    watchAll(
      this.watch.bind(this),
      {
        ...{ namespace: config.namespace, caches: this.#caches, store: this.store, fleet: this.fleet, log: this.#log },
        ...{ policies: this.#policies, rollouts: this.#rollouts, checksums: this.#checksums },
        others: {
          isNeeded: key => this.pipeline.isNeeded(key),
          read: ({ metadata }) => this.#reader.ask(metadata),
        },
      },
      {
        objects: keys => this.#touch(keys),
        namespace: name => this.#touch([...this.#caches.keysIn(name), ...this.pipeline.goneIn(name)]),
        everyIngress: () => this.#touchLater(this.#caches.ingresses.keys()),
        service: name => {
          this.pipeline.touchService(name)
          if (name === this.#fleetService) this.#fleetServiceChanged()
          this.#schedule()
        },
        policies: () => {
          this.#policiesDirty = true
          this.#schedule()
          this.leader.statusMayDiffer()
        },
        rollouts: (key, removed) => this.#rolloutChanged(key, removed),
        fleet: () => this.leader.fleetChanged(),
        synced: () => this.#schedule(),
      },
    )
    this.#reader.start()
    return Promise.resolve()
  }

  /** The Service in front of the fleet has the name of its StatefulSet. */
  get #fleetService(): string {
    const { namespace, fleet } = this.#options.config
    return `${namespace}/${fleet}`
  }

  #wantedAddresses(): readonly Address[] | null {
    const { publishAddresses } = this.#options.config
    return wantedAddresses(publishAddresses, this.#caches.services.get(this.#fleetService))
  }

  /** A load balancer gives its address late, and no Ingress refers to the Service that has it. */
  #fleetServiceChanged(): void {
    const wanted = this.#wantedAddresses()
    if (sameAddresses(wanted, this.#wanted)) return
    this.#wanted = wanted
    const keys = [...this.#caches.ingresses.keys()]
    this.#publishObserved(this.#noteAddresses(keys))
    this.leader.viewed(keys)
  }

  #touch(keys: Iterable<ObjectKey>): void {
    this.pipeline.touch(keys)
    this.#schedule()
  }

  #touchLater(keys: Iterable<ObjectKey>): void {
    this.pipeline.touchLater(keys)
    this.#schedule()
  }

  /** The Secret itself may still have the private key of what was recorded; one whose content nobody read is read. */
  #recover(key: ObjectKey, chain: string): string | null {
    const raw = this.#caches.raw(key)
    if (raw === null && this.#caches.isUnread(key)) this.#reader.ask(parseObjectKey(key))
    return raw === null ? null : recoveredKey(raw, chain)
  }

  #sayUnreadable(error: ShardError): void {
    const stays = 'its last good records stay; where there are none, nothing is given out'
    this.#log.error(
      { error: error.message },
      `a shard of the store cannot be read: ${stays} until somebody restores or deletes the Secret`,
    )
    const { namespace } = this.#options.config
    const about = { apiVersion: 'v1', kind: 'Secret', namespace, name: error.secret }
    this.events.event(about, 'Warning', 'StoreUnreadable', `${error.message}; ${stays}`)
    if (error.locked) this.#options.keysWanted()
  }

  /** Before everything is given out: what could not be decrypted may be in a Secret that came. */
  #reopenSoon(): void {
    if (this.#flushed || this.#reopening !== null || this.store.locked.length === 0) return
    this.#reopening = setTimeout(() => {
      this.#reopening = null
      this.store.reopen()
      this.#schedule()
    }, REOPEN_MS)
  }

  #schedule(): void {
    this.#reopenSoon()
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#flushScheduled())
  }

  #flushScheduled(): void {
    if (!this.#scheduled) return
    this.#scheduled = false
    // Before everything was read nothing may be concluded from what is not there.
    if (this.synced && (this.#flushed || this.store.unreadable.length === 0)) this.#flush()
  }

  /** From within what something else waits for. A defect ends the process, as it does in a turn of its own: nobody may catch it here. */
  #flushEarly(): void {
    // One slice of a turn: many records may be stored by one write.
    if (this.#isEarly) return
    this.#isEarly = true
    setImmediate(() => (this.#isEarly = false))
    try {
      this.#flushScheduled()
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }

  #flush(): void {
    if (this.#policiesDirty) {
      this.#policiesDirty = false
      this.pipeline.setPolicies(this.#policies.all, this.#policies.unread)
    }
    const end = this.#clock.now() + SLICE_MS
    const flushed = this.pipeline.flush(() => this.#clock.now() >= end)
    noteCounted(flushed, this.#figures, this.#clock.now())
    const change = this.#withBegun(flushed)
    if (change === null) return
    const keys = this.releases.record(change)
    this.pipeline.touchReferences(keys)
    if (this.#dateTimer === null || change.viewed.some(key => key.startsWith('Secret/'))) this.#armDates()
    for (const kind of KINDS) {
      if (!this.#flushed || change.live.some(({ key }) => key.startsWith(`${kind}/`))) this.#checksums[kind].want()
    }
    const first = !this.#flushed
    this.#flushed = true
    if (first) {
      for (const kind of KINDS) this.#gate(kind)
      for (const done of this.#whenReady.splice(0)) done()
      this.#log.info({ objects: this.pipeline.live.size }, 'everything is read')
    }
    const waiting = this.#noteAddresses([...change.viewed, ...keys])
    const observed = waiting || change.live.some(({ key }) => this.#rollouts.isOpen(key))
    this.#give(change.services, first || observed)
    this.leader.viewed(change.viewed)
    // What is on its way waits for endpoints, or lost them.
    const referring = new Set(this.pipeline.referringTo(change.services))
    this.leader.viewed([...referring].filter(key => this.#rollouts.isOpen(key)))
    this.#checkHeld()
    this.#checkDefault()
    if (!this.pipeline.idle) this.#schedule()
  }

  /**
   * At the start everything is looked at, slice by slice, and is one change when that has ended: nothing is given out before it is known
   * what the certificates are, and which hosts they name. Null: it has not.
   */
  #withBegun(change: PipelineChange): PipelineChange | null {
    for (const key of change.unread) this.#reader.ask(parseObjectKey(key))
    if (this.#flushed) return change
    this.#begun.push(change)
    if (!this.pipeline.idle) this.#schedule()
    if (!this.pipeline.idle || this.#reader.waiting) return null
    const all = this.#begun.splice(0)
    return {
      live: all.flatMap(({ live }) => live),
      viewed: all.flatMap(({ viewed }) => viewed),
      services: all.flatMap(({ services }) => services),
      unread: [],
    }
  }

  /** It belongs to no Ingress that could say so. */
  #checkDefault(): void {
    const key = this.#options.config.defaultCertificate
    if (key === null || this.#hasDefault === this.pipeline.live.has(key)) return
    this.#hasDefault = !this.#hasDefault
    if (this.#hasDefault) {
      this.#log.info({ secret: key }, 'the default certificate is served')
      return
    }
    const problems = this.pipeline.view(key)?.problems.map(({ field, message }) => `${field}: ${message}`) ?? []
    const why = problems.length === 0 ? 'it does not exist' : problems.join('; ')
    this.#log.error({ secret: key, why }, 'there is no default certificate: proxies use a self-signed one')
  }

  /** One timer for all certificates: each is looked at when time alone changes what is to be said of it. */
  #armDates(): void {
    if (this.#dateTimer !== null) clearTimeout(this.#dateTimer)
    const next = this.pipeline.nextDate
    const left = next === null ? LONGEST_SLEEP_MS : next - this.#clock.wall().getTime()
    this.#dateTimer = setTimeout(
      () => {
        this.#dateTimer = null
        this.pipeline.touchDue()
        if (this.pipeline.idle) this.#armDates()
        else this.#schedule()
      },
      Math.min(Math.max(left, 1), LONGEST_SLEEP_MS),
    )
  }

  #checksumChanged(kind: ObjectKind): void {
    if (!this.#flushed) return
    const keys = this.#gate(kind)
    const waiting = this.#noteAddresses(keys)
    this.#give([], waiting)
    // What this checksum counts may have been stored a moment ago: its pods wait for nothing else that the event loop has to do.
    this.#flushEarly()
    if (waiting) this.leader.viewed(this.#addresses.asked)
    this.leader.statusMayDiffer()
    this.#checkHeld()
    if (!this.pipeline.idle) this.#schedule()
  }

  /** @returns pods are to be asked about other objects than before */
  #noteAddresses(keys: Iterable<ObjectKey>): boolean {
    let differs = false
    for (const key of keys) if (this.#addresses.note(key, this.pipeline.view(key))) differs = true
    return differs
  }

  #publishObserved(differs: boolean): void {
    if (differs && this.#flushed) this.#give([], true)
  }

  /**
   * To the pods. What they are to observe may differ: they are told with what is released to them, so that one report says both that
   * they observe it and that they serve it, or a moment later.
   */
  #give(services: readonly ServiceKey[], observe: boolean): void {
    const objects = this.releases.takeChanges()
    this.#observed.renew()
    this.#asks ||= observe
    const asks = this.#asks && objects.size > 0
    this.#options.publish({ world: this.releases, objects, services, observe: asks })
    if (asks) this.#asks = false
    if (!this.#asks || this.#askTimer !== null) return
    this.#askTimer = setTimeout(() => {
      this.#askTimer = null
      if (!this.#asks) return
      this.#asks = false
      this.#observed.renew()
      this.#options.publish({ world: this.releases, objects: this.releases.takeChanges(), services: [], observe: true })
    }, ASK_MS)
  }

  /** It is published while it is on its way to the store. */
  #store(record: ReleaseRecord): Promise<void> {
    const checksums = this.#checksums[parseObjectKey(record.key).kind]
    return checksums
      .storing(record.key, this.pipeline.idAfter(record), () => this.store.put(record))
      .finally(() => this.#flushEarly())
  }

  /** What was stored is seen in the next flush, published after it, and on the pods a moment later. */
  async #published(key: ObjectKey): Promise<void> {
    await new Promise<void>(resolve => setImmediate(resolve))
    const late = new AbortController()
    const settled = this.#checksums[parseObjectKey(key).kind].settled()
    await Promise.race([settled, sleep(this.#clock, PUBLISHED_MS, late.signal)])
    late.abort()
    if (this.#waitedFor >= MOST_WAITED_FOR) return
    this.#waitedFor++
    await sleep(this.#clock, SERVED_MS)
    this.#waitedFor--
  }

  /** Tells the gate what counts. Returns the keys that were released. */
  #gate(kind: ObjectKind): readonly ObjectKey[] {
    const keys = this.releases.publish(kind, this.#checksums[kind].counting?.published ?? null)
    this.pipeline.touchReferences(keys)
    return keys
  }

  /** A difference that lasts is told to the pods, and by them to the leader. */
  #checkHeld(): void {
    if (this.#heldTimer !== null || !this.releases.holding) return
    this.#heldTimer = setTimeout(() => {
      this.#heldTimer = null
      this.#give([], false)
      this.leader.statusMayDiffer()
      this.#checkHeld()
    }, HELD_CHECK_MS)
  }

  #rolloutChanged(key: ObjectKey, removed: string | null): void {
    if (removed !== null) this.leader.rolloutGone(removed)
    this.leader.viewed([key])
    if (this.#flushed) this.#give([], true)
  }

  /** What rollouts, and Ingresses without an address, want to see; the same on every replica. */
  #observe(): Observation {
    const objects = new Set<ObjectKey>(this.#addresses.asked)
    const hosts = new Set<string>()
    const rollouts = [...this.#rollouts.open()]
    for (const { object, spec } of rollouts) {
      objects.add(object)
      const view = this.pipeline.view(object)
      if (view === null) continue
      for (const host of hostsOfRollout(view, spec.revision, this.pipeline.hostsOfSecret(object))) hosts.add(host)
    }
    const intervalMs = rollouts.length === 0 ? IDLE_REPORT_MS : reportIntervalMs(this.fleet.size)
    const probes = observedProbes(rollouts, key => this.pipeline.view(key))
    const asked = probes.length === 0 ? {} : { probes }
    return { objects: [...objects].sort(), hosts: [...hosts].sort(), intervalMs, ...asked }
  }
}
