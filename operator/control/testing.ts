/**
 * The leader's controllers over an API server in memory, without clocks and connections that run by themselves: a test
 * says when events arrive, when time goes by, and which write fails. Proxies are assumed to do as the plan says.
 */
import type { Report } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { Fleet } from '../fleet/fleet.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { KubeClient } from '../kube/client.ts'
import { isKubeError, isNotLeader } from '../kube/errors.ts'
import { silentLog } from '../kube/log.ts'
import type { KubeObject } from '../kube/objects.ts'
import { nameKey } from '../kube/objects.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { FakeEvent } from '../kube/testing/fake-api.ts'
import { FakeClock } from '../kube/testing/fake-clock.ts'
import type { IngressRolloutSpec, IngressRolloutStatus } from '../model/generated/crds.ts'
import { CONTROLLER_NAME } from '../model/ingress-class.ts'
import { TLS_SECRET_TYPE } from '../model/secret.ts'
import { stampNames } from '../model/stamp.ts'
import { Caches } from '../pipeline/caches.ts'
import { assignmentFor } from '../pipeline/live.ts'
import { Pipeline } from '../pipeline/pipeline.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { PREFIX, WEB, ingress, ingressClass, policy, service, slice } from '../pipeline/testing.ts'
import { kubeShardApi } from '../records/kube.ts'
import { KeyRing, storeKey } from '../records/seal.ts'
import { ReleaseStore } from '../records/store.ts'
import type { Figures } from '../rollout/analysis/window.ts'
import { counted } from '../rollout/machine/testing.ts'
import type { Counted } from '../rollout/machine/testing.ts'
import { slimSecret, watchAll } from '../watches.ts'
import { Checksums } from './checksums.ts'
import { noteCounted } from './counted.ts'
import { Driver } from './driver.ts'
import { Keeper } from './keeper.ts'
import { lookAfter } from './look-after.ts'
import { Maker } from './maker.ts'
import { ObjectWriter } from './object-writer.ts'
import type { FigureSource } from './observe.ts'
import { Policies } from './policies.ts'
import { Rollouts } from './rollouts.ts'
import { Starter } from './starter.ts'
import { figureSource } from './testing-figures.ts'
import { Turns } from './turns.ts'

/** The same in every process of a test. */
const STORE_KEYS = new KeyRing([storeKey('key-1', Buffer.alloc(32, 1))])

export const SYSTEM = 'sluice-system'

/** An API server with our class, and the Ingress and policy that were put into it. */
export function cluster(...objects: readonly (readonly [plural: string, object: KubeObject])[]): FakeApi {
  const api = new FakeApi()
  api.put('ingressclasses', ingressClass())
  api.put('namespaces', { metadata: { name: 'shop' } })
  for (const [plural, object] of objects) api.put(plural, object)
  return api
}

/** An Ingress that is served, and governed by a policy with this spec. */
export async function governed(
  spec: Readonly<Record<string, unknown>> = {},
): Promise<readonly [FakeApi, LeaderProcess]> {
  const api = cluster(
    ['ingresses', ingress()],
    ['services', service('web')],
    ['endpointslices', slice('web', '198.18.0.1')],
  )
  const leader = await new LeaderProcess(api).start()
  api.put('ingressrolloutpolicies', policy({ spec }))
  await leader.settle()
  return [api, leader]
}

export interface Found {
  readonly spec: IngressRolloutSpec
  readonly status: IngressRolloutStatus
}

/** An IngressRollout as the API server has it, in the order in which they were made. */
export function found(api: FakeApi, nth = 0): Found {
  return api.all('ingressrollouts')[nth] as unknown as Found
}

export interface LeaderProcessOptions {
  readonly pods?: number
  readonly clock?: FakeClock
  /** What pods counted; else what `figuresOf` says. */
  readonly figures?: FigureSource & Partial<Pick<Figures, 'began'>>
  readonly settleMs?: number
}

/** One process of the operator that leads, from its start to its crash. */
export class LeaderProcess {
  readonly api: FakeApi
  readonly clock: FakeClock
  readonly events: string[] = []
  readonly said: string[] = []
  /** What went wrong, in words; a conflict is none. */
  readonly errors: string[] = []
  readonly store: ReleaseStore
  readonly pipeline: Pipeline
  readonly rollouts = new Rollouts()
  readonly policies = new Policies()
  readonly turns = new Turns()
  readonly writer: ObjectWriter
  readonly keeper: Keeper
  readonly client: { -readonly [Call in keyof KubeClient]: KubeClient[Call] }
  readonly maker: Maker
  readonly starter: Starter
  readonly driver: Driver
  /** No Ingress has an address here. */
  readonly addresses = { write: () => Promise.resolve(null) }
  readonly refused = ({ key }: ObjectView, what: string): void => void this.said.push(`refused: ${what} of ${key}`)
  /** The checksum of what a record releases is published. */
  published: () => Promise<void> = () => Promise.resolve()
  leading = true
  /** Kinds (plural) whose watch hears nothing for now. */
  lagging: ReadonlySet<string> = new Set()
  pods: number
  /** Else pods go on saying what they said before they were told of anything new: nothing. */
  confirms = true
  onUpdate: Counted = { requests: 1000 }
  /** Requests a minute to what is on its way out. */
  use: number | null = 0
  /** What pods count of a revision; what is released is fine, where nobody says otherwise. */
  figuresOf: (revision: Revision | null, key: ObjectKey) => Counted = (revision, key) =>
    revision === (this.store.byKey(key)?.current ?? null) ? { requests: 1000 } : this.onUpdate
  readonly #events: FakeEvent[]
  readonly #handlers = new Map<string, (event: FakeEvent) => void>()
  readonly #removed: string[] = []
  readonly #late: FakeEvent[] = []
  readonly #figures: LeaderProcessOptions['figures']
  #started = false
  #alive = true

  constructor(api: FakeApi, options: LeaderProcessOptions = {}) {
    this.api = api
    this.clock = options.clock ?? new FakeClock()
    this.pods = options.pods ?? 3
    this.#figures = options.figures
    this.#events = api.watch()
    this.client = api.client(() => this.#alive) as { -readonly [Call in keyof KubeClient]: KubeClient[Call] }
    const { client } = this
    const caches = new Caches()
    const mayWrite = (): boolean => this.leading
    const wall = (): Date => this.clock.wall()
    this.store = new ReleaseStore(kubeShardApi(client, SYSTEM), {
      mayWrite,
      keys: STORE_KEYS,
      recover: () => null,
      changed: keys => this.pipeline.touchFirst(keys),
      unreadable: error => this.errors.push(error.message),
    })
    this.pipeline = new Pipeline({
      caches,
      record: uid => this.store.get(uid),
      lost: uid => this.store.isLost(uid),
      recordByKey: key => this.store.byKey(key),
      released: key => this.pipeline.live.get(key) ?? null,
      controllerName: CONTROLLER_NAME,
      annotationPrefix: PREFIX,
      idForm: 'content',
      malformed: error => this.errors.push(error.message),
      now: () => wall().getTime(),
    })
    const events = {
      event: (about: { readonly kind: string }, type: string, reason: string): void => {
        this.events.push(`${about.kind} ${type} ${reason}`)
      },
    }
    this.writer = new ObjectWriter({ client, mayWrite })
    const records = {
      put: this.store.put.bind(this.store),
      putLater: this.store.putLater.bind(this.store),
      remove: this.store.remove.bind(this.store),
      byKey: this.store.byKey.bind(this.store),
    }
    this.keeper = new Keeper({
      ...{ records, writer: this.writer, wall, annotationPrefix: PREFIX },
      fresh: () => false,
      needed: key => this.pipeline.secretReferences.isReferredTo(key),
      named: key => this.pipeline.isNamed(key),
      unnamed: key => this.pipeline.isUnnamed(key),
      now: () => this.clock.now(),
      say: (_source, { type, status, reason }) => this.said.push(`${type}=${status} ${reason}`),
    })
    this.maker = new Maker({
      ...{ client, mayWrite, events, rollouts: this.rollouts },
      failed: () => undefined,
    })
    this.starter = new Starter({
      ...{ client, maker: this.maker, rollouts: this.rollouts, records, mayWrite, wall },
      ...{ pipeline: this.pipeline, events },
    })
    this.driver = new Driver({
      ...{ client, maker: this.maker, rollouts: this.rollouts, records, writer: this.writer, pipeline: this.pipeline },
      ...{ turns: this.turns, clock: this.clock, annotationPrefix: PREFIX, events, mayWrite },
      settleMs: options.settleMs ?? 0,
      pods: () => this.fleet(),
      figures:
        options.figures ??
        figureSource({
          serving: (key, revision) => counted(this.figuresOf(revision, key)),
          use: () => this.use,
        }),
      published: () => this.published(),
      turnFree: () => undefined,
      ended: phase => this.said.push(`ended ${phase}`),
    })
    this.#watchAll(caches, client)
  }

  /** Reads everything, as a new leader does, and works until nothing is left to do. */
  async start(): Promise<this> {
    this.deliver()
    await this.store.load()
    this.#flush()
    this.driver.start()
    this.keeper.start()
    this.#started = true
    await this.settle()
    return this
  }

  /** Nothing that it still has in hand reaches the API server. */
  crash(): void {
    this.leading = false
    this.#alive = false
  }

  /** From now on these watches lag behind, and all others catch up. */
  lag(...plurals: readonly string[]): void {
    this.lagging = new Set(plurals)
    this.#events.unshift(...this.#late.splice(0))
  }

  /** The watches catch up. */
  deliver(): void {
    for (const event of this.#events.splice(0)) {
      if (this.lagging.has(event.plural)) this.#late.push(event)
      else this.#handlers.get(event.plural)?.(event)
    }
    this.#flush()
  }

  /** One look at an object, as the leader's queue does it; false: it failed and is to be tried again. */
  async look(key: ObjectKey = WEB): Promise<boolean> {
    try {
      await lookAfter(key, this)
      await this.store.flush()
      return true
    } catch (error) {
      if (isNotLeader(error)) return true
      if (!isKubeError(error, 'KUBE_CONFLICT', 'KUBE_NOT_FOUND')) this.errors.push(String(error))
      return false
    }
  }

  /** Events and looks in turn until nothing is written any more. */
  async settle(): Promise<void> {
    let refusedRounds = 0
    let wasQuiet = false
    for (let round = 0; round < 60; round++) {
      if (!this.leading) return
      const before = this.api.writes
      const effects = this.api.log.length
      this.deliver()
      const keys = new Set([...this.pipeline.views()].map(view => view.key))
      for (const { object } of this.rollouts.all()) keys.add(object)
      let fine = true
      for (const key of keys) fine = (await this.look(key)) && fine
      const isQuiet = fine && this.api.writes === before && this.#events.length === 0
      // Pods say at once that they do as they are told: what is under way is looked at once more.
      if (isQuiet && (wasQuiet || [...this.rollouts.open()].length === 0)) return
      wasQuiet = isQuiet
      // What is refused is refused again.
      refusedRounds = !fine && this.api.log.length === effects && this.#events.length === 0 ? refusedRounds + 1 : 0
      if (refusedRounds > 2) return
      // What was written does not show: the same is tried again and again.
      if (this.lagging.size > 0 && round > 2) return
    }
    throw new Error(`it never settles: ${this.api.log.slice(-6).join(', ')}`)
  }

  /** Time goes by, a second at a time. */
  async seconds(count: number): Promise<void> {
    for (let i = 0; i < count && this.leading; i++) {
      this.clock.freeze(1_000)
      this.clock.jump(1_000)
      await this.settle()
    }
  }

  view(key: ObjectKey = WEB): ObjectView {
    const view = this.pipeline.view(key)
    if (view === null) throw new Error(`no view of ${key}`)
    return view
  }

  given(key: ObjectKey, ordinal: number): Revision | null {
    const entry = this.pipeline.live.get(key)
    return entry === undefined ? null : assignmentFor(entry, ordinal).assignment.assigned
  }

  /** Every pod does as it is told, at once. */
  fleet(): readonly FleetPod[] {
    return Array.from({ length: this.pods }, (_, ordinal) => {
      const revisions = Object.fromEntries(
        [...this.pipeline.live.keys()].map(key => [key, this.confirms ? this.given(key, ordinal) : null]),
      )
      for (const { object } of this.rollouts.all()) revisions[object] ??= null
      const report = { revisions, checksums: { ingress: null, secret: null }, refused: [] } as unknown as Report
      const name = `sluice-proxy-${ordinal}`
      return { name, uid: name, ordinal, ready: true, report, reportedAt: this.clock.now() }
    })
  }

  #flush(): void {
    for (const uid of this.#removed.splice(0)) if (this.#started) this.driver.forget(uid)
    this.pipeline.setPolicies(this.policies.all, this.policies.unread)
    const began = (key: ObjectKey, now: number): void => this.#figures?.began?.(key, now)
    do noteCounted(this.pipeline.flush(), { began }, this.clock.now())
    while (!this.pipeline.idle)
  }

  #watchAll(caches: Caches, client: KubeClient): void {
    const checksums = (kind: 'Ingress' | 'Secret'): Checksums =>
      new Checksums({
        ...{ client, kind, namespace: SYSTEM, replica: 'test', wall: () => this.clock.wall() },
        ...{ mode: 'external', mayWrite: () => this.leading, changed: () => undefined, failed: () => undefined },
        ...{ pods: () => [], events: { event: () => undefined } },
        // Nothing here asks what is released.
        releases: undefined as never,
      })
    watchAll(
      (resource, handler, { labelSelector = '', fieldSelector = '' } = {}) => {
        const before = this.#handlers.get(resource.plural)
        this.#handlers.set(resource.plural, event => {
          before?.(event)
          const object = (event.now ?? event.was) as never
          const { type, metadata } = object as KubeObject & { readonly type?: string }
          const [label = '', value] = labelSelector.split('=')
          const others = fieldSelector.startsWith('type!=')
          const selected = label === '' ? ((type ?? TLS_SECRET_TYPE) === TLS_SECRET_TYPE) !== others : true
          if (!selected || (label !== '' && metadata.labels?.[label] !== value)) return
          if (event.now === null) handler.remove(object)
          else handler.upsert(object, (event.was ?? undefined) as never)
        })
      },
      {
        ...{ namespace: SYSTEM, caches, store: this.store, fleet: new Fleet('sluice-proxy'), log: silentLog },
        ...{ policies: this.policies, rollouts: this.rollouts },
        checksums: { Ingress: checksums('Ingress'), Secret: checksums('Secret') },
        others: {
          isNeeded: key => this.pipeline.isNeeded(key),
          // At once: nothing here is about the wait for the API server.
          read: ({ metadata }) => {
            const found = this.api.object('secrets', nameKey(metadata))
            if (found !== null) this.pipeline.touch([caches.putRead(slimSecret(found))])
          },
        },
      },
      {
        objects: keys => this.pipeline.touch(keys),
        namespace: name => this.pipeline.touch([...caches.keysIn(name), ...this.pipeline.goneIn(name)]),
        everyIngress: () => this.pipeline.touch(caches.ingresses.keys()),
        service: name => this.pipeline.touchService(name),
        policies: () => undefined,
        rollouts: (_key, removed) => {
          if (removed !== null) this.#removed.push(removed)
        },
        fleet: () => undefined,
        synced: () => undefined,
      },
    )
  }
}

/** Record and annotations of an object as the API server has them, and its rollouts: what is left when all is over. */
export interface Outcome {
  readonly record: Pick<ReleaseRecord, 'current' | 'update' | 'index' | 'refused' | 'governed' | 'rollout'> | null
  readonly stamp: Readonly<Record<'flag' | 'current' | 'update' | 'index', string | null>>
  readonly finalizers: readonly string[]
  /** By name: phase and attempt. */
  readonly rollouts: Readonly<Record<string, string>>
}

export async function outcomeOf(api: FakeApi, name = 'shop/web'): Promise<Outcome> {
  const store = new ReleaseStore(kubeShardApi(api.client() as KubeClient, SYSTEM), {
    mayWrite: () => false,
    keys: STORE_KEYS,
    recover: () => null,
    changed: () => undefined,
    unreadable: error => {
      throw error
    },
  })
  await store.load()
  const record = store.byKey(`Ingress/${name}`)
  const { annotations = {}, finalizers = [] } = api.object('ingresses', name)?.metadata ?? {}
  const names = stampNames('Ingress', PREFIX)
  const at = (part: keyof typeof names): string | null => annotations[names[part]] ?? null
  const rollouts = api.all('ingressrollouts').map(({ metadata, status }): [string, string] => {
    const { phase = 'none', attempt = 0 } = (status ?? {}) as { readonly phase?: string; readonly attempt?: number }
    return [nameKey(metadata).replace('shop/', ''), `${phase} ${attempt}`]
  })
  return {
    record:
      record === null
        ? null
        : {
            ...{ current: record.current, update: record.update, index: record.index },
            ...{ refused: record.refused, governed: record.governed },
            ...(record.rollout === undefined ? {} : { rollout: record.rollout }),
          },
    stamp: { flag: at('flag'), current: at('current'), update: at('update'), index: at('index') },
    finalizers,
    rollouts: Object.fromEntries(rollouts.sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}
