/**
 * An API server in memory, as far as controllers see one: objects with versions, fences, finalizers and watches whose
 * events wait until somebody fetches them. A write can be made to fail, before or after it took effect.
 */
import type { KubeClient, MergePatch } from '../client.ts'
import { KubeError } from '../errors.ts'
import type { KubeObject, ObjectName } from '../objects.ts'
import { nameKey } from '../objects.ts'
import type { Resource } from '../resources.ts'

export interface StoredObject extends KubeObject {
  readonly spec?: unknown
  readonly status?: unknown
  readonly data?: Readonly<Record<string, string>>
}

export interface FakeEvent {
  readonly plural: string
  /** Null: deleted. */
  readonly now: StoredObject | null
  readonly was: StoredObject | null
}

const SET_BY_SERVER: ReadonlySet<string> = new Set(['resourceVersion', 'generation', 'creationTimestamp'])

/** Of the garbage collector. */
const FOREGROUND = 'foregroundDeletion'

/** `lost`: it does not take effect. `unanswered`: it does, and nobody hears of it. */
export type Failure = 'lost' | 'unanswered'

export type FakeClient = Pick<
  KubeClient,
  'find' | 'get' | 'list' | 'create' | 'update' | 'mergePatch' | 'apply' | 'patchStatus' | 'applyStatus' | 'delete'
>

export class FakeApi {
  /** Every write that took effect, in words. */
  readonly log: string[] = []
  /** Writes that were asked for. */
  writes = 0
  readonly #objects = new Map<string, StoredObject>()
  readonly #watches = new Set<FakeEvent[]>()
  #failing: ReadonlyMap<number, Failure> = new Map()
  #failed: () => void = () => undefined
  #slow: (what: string) => Promise<void> | null = () => null
  #refusal: (what: string) => KubeError | null = () => null
  #version = 100
  #uids = 0

  /** These writes fail, counted from now on, the first is 1; `failed` is called at each. */
  fail(failures: ReadonlyMap<number, Failure>, failed: () => void = () => undefined): void {
    this.writes = 0
    this.#failing = failures
    this.#failed = failed
  }

  /** From now on writes that this says something of are refused, each time. */
  deny(refusal: (what: string) => KubeError | null): void {
    this.#refusal = refusal
  }

  /** From now on writes that this says something of are carried out when that resolves. */
  slow(until: (what: string) => Promise<void> | null): void {
    this.#slow = until
  }

  /** All that is there, and events from now on. */
  watch(): FakeEvent[] {
    const events = [...this.#objects].map(([id, now]) => ({ plural: pluralOf(id), now, was: null }))
    this.#watches.add(events)
    return events
  }

  /** What a person does with kubectl: never fails, not counted. */
  put(plural: string, object: StoredObject): StoredObject {
    const id = `${plural}/${nameKey(object.metadata)}`
    const was = this.#objects.get(id) ?? null
    const uid = object.metadata.uid ?? was?.metadata.uid ?? `uid-${++this.#uids}`
    return this.#store(id, was, { ...object, metadata: { ...object.metadata, uid } })
  }

  /** What a person does with kubectl: a merge patch. */
  edit(plural: string, name: string, patch: MergePatch): StoredObject {
    const id = `${plural}/${name}`
    const was = this.#need(id)
    return this.#store(id, was, merge(was, patch) as StoredObject)
  }

  /** As `kubectl delete`: an object with finalizers is only marked. */
  remove(plural: string, name: string): void {
    const id = `${plural}/${name}`
    const was = this.#need(id)
    this.#store(id, was, { ...was, metadata: { ...was.metadata, deletionTimestamp: '2026-01-02T00:00:00Z' } })
  }

  /** As `kubectl delete --cascade=foreground`: the garbage collector takes the dependents first. */
  removeInForeground(plural: string, name: string): void {
    const id = `${plural}/${name}`
    const was = this.#need(id)
    const finalizers = [...new Set([...(was.metadata.finalizers ?? []), FOREGROUND])]
    const metadata = { ...was.metadata, finalizers, deletionTimestamp: '2026-01-02T00:00:00Z' }
    this.#store(id, was, { ...was, metadata })
  }

  /**
   * The garbage collector looks once: it deletes what is owned by nothing but objects that are gone or are being deleted
   * in the foreground; where no dependent blocks that, its finalizer goes then.
   */
  collectGarbage(): void {
    const byUid = new Map([...this.#objects.values()].map(object => [object.metadata.uid, object]))
    const leaves = (uid: string): boolean => {
      const owner = byUid.get(uid)
      return owner === undefined || (owner.metadata.finalizers ?? []).includes(FOREGROUND)
    }
    for (const [id, { metadata }] of [...this.#objects]) {
      const { ownerReferences = [] } = metadata
      if (ownerReferences.length > 0 && ownerReferences.every(({ uid }) => leaves(uid)))
        this.remove(pluralOf(id), nameKey(metadata))
    }
    const isBlocked = (uid: string | undefined): boolean =>
      [...this.#objects.values()].some(({ metadata: { ownerReferences = [] } }) =>
        ownerReferences.some(owner => owner.uid === uid && owner.blockOwnerDeletion === true),
      )
    for (const [id, was] of [...this.#objects]) {
      const { finalizers = [], uid } = was.metadata
      if (!finalizers.includes(FOREGROUND) || isBlocked(uid)) continue
      this.#store(id, was, {
        ...was,
        metadata: { ...was.metadata, finalizers: finalizers.filter(name => name !== FOREGROUND) },
      })
    }
  }

  object(plural: string, name: string): StoredObject | null {
    return this.#objects.get(`${plural}/${name}`) ?? null
  }

  all(plural: string): readonly StoredObject[] {
    return [...this.#objects].filter(([id]) => pluralOf(id) === plural).map(([, object]) => object)
  }

  /** Of one process: while `alive` says no, nothing of it arrives. */
  client(alive: () => boolean = () => true): FakeClient {
    const find = (resource: Resource<unknown>, target: ObjectName): Promise<unknown> =>
      Promise.resolve(this.object(resource.plural, nameKey(target)))
    const patch = (
      resource: Resource<unknown>,
      target: ObjectName,
      change: MergePatch,
      word: string,
    ): Promise<unknown> =>
      this.#write(alive, `${word} ${resource.kind} ${target.name}`, () => {
        const id = `${resource.plural}/${nameKey(target)}`
        const was = this.#need(id)
        const { metadata: { resourceVersion, uid } = {} } = change as Partial<KubeObject>
        if ((resourceVersion ?? was.metadata.resourceVersion) !== was.metadata.resourceVersion)
          throw new KubeError('KUBE_CONFLICT', `${id} was changed`)
        if ((uid ?? was.metadata.uid) !== was.metadata.uid) throw new KubeError('KUBE_CONFLICT', `${id} is another`)
        return this.#store(id, was, merge(was, change) as StoredObject)
      })
    const client = {
      find,
      get: async (resource: Resource<unknown>, target: ObjectName) => {
        const found = await find(resource, target)
        if (found === null) throw new KubeError('KUBE_NOT_FOUND', `no ${resource.kind} ${target.name}`)
        return found
      },
      list: (resource: Resource<unknown>, { labelSelector }: { readonly labelSelector?: string } = {}) => {
        const [label = '', value] = labelSelector?.split('=') ?? []
        const found = this.all(resource.plural)
        return Promise.resolve(
          label === '' ? found : found.filter(({ metadata }) => metadata.labels?.[label] === value),
        )
      },
      create: (resource: Resource<unknown>, made: KubeObject) =>
        this.#write(alive, `create ${resource.kind} ${made.metadata.name}`, () => {
          const id = `${resource.plural}/${nameKey(made.metadata)}`
          if (this.#objects.has(id)) throw new KubeError('KUBE_ALREADY_EXISTS', `${id} exists`)
          return this.put(resource.plural, { ...made, metadata: { ...made.metadata, generation: 1 } })
        }),
      update: (resource: Resource<unknown>, changed: KubeObject) =>
        this.#write(alive, `update ${resource.kind} ${changed.metadata.name}`, () => {
          const id = `${resource.plural}/${nameKey(changed.metadata)}`
          const was = this.#need(id)
          if ((changed.metadata.resourceVersion ?? was.metadata.resourceVersion) !== was.metadata.resourceVersion)
            throw new KubeError('KUBE_CONFLICT', `${id} was changed`)
          return this.put(resource.plural, changed)
        }),
      mergePatch: (resource: Resource<unknown>, target: ObjectName, change: MergePatch) =>
        patch(resource, target, change, 'patch'),
      apply: (resource: Resource<unknown>, made: KubeObject) =>
        this.#write(alive, `apply ${resource.kind} ${made.metadata.name}`, () => this.put(resource.plural, made)),
      patchStatus: (
        resource: Resource<unknown>,
        target: ObjectName,
        status: MergePatch,
        { resourceVersion }: { readonly resourceVersion?: string } = {},
      ) => patch(resource, target, { metadata: { resourceVersion }, status }, 'status of'),
      applyStatus: (resource: Resource<unknown>, target: ObjectName, status: unknown) =>
        this.#write(alive, `status of ${resource.kind} ${target.name}`, () => {
          const id = `${resource.plural}/${nameKey(target)}`
          const was = this.#need(id)
          return this.#store(id, was, { ...was, status })
        }),
      delete: (resource: Resource<unknown>, target: ObjectName, { uid }: { readonly uid?: string } = {}) =>
        this.#write(alive, `delete ${resource.kind} ${target.name}`, () => {
          const was = this.object(resource.plural, nameKey(target))
          if (was === null) return false
          if ((uid ?? was.metadata.uid) !== was.metadata.uid)
            throw new KubeError('KUBE_CONFLICT', 'it is another object')
          this.remove(resource.plural, nameKey(target))
          return true
        }),
    }
    // Of the generic client only what moves these objects is here.
    return client as unknown as FakeClient
  }

  async #write<T>(alive: () => boolean, what: string, act: () => T): Promise<T> {
    if (!alive()) throw new KubeError('KUBE_UNAVAILABLE', `${what}: this process is no more`)
    const failure = this.#failing.get(++this.writes)
    await (this.#slow(what) ?? Promise.resolve())
    if (failure !== undefined) this.#failed()
    if (failure === 'lost') throw new KubeError('KUBE_UNAVAILABLE', `${what}: no connection`)
    const refusal = this.#refusal(what)
    if (refusal !== null) throw refusal
    const answer = act()
    this.log.push(what)
    if (failure === 'unanswered') throw new KubeError('KUBE_UNAVAILABLE', `${what}: no answer`)
    return answer
  }

  #need(id: string): StoredObject {
    const found = this.#objects.get(id)
    if (found === undefined) throw new KubeError('KUBE_NOT_FOUND', `no ${id}`)
    return found
  }

  #store(id: string, was: StoredObject | null, next: StoredObject): StoredObject {
    const same = was !== null && essence(was) === essence(next)
    if (same) return was
    const { generation = 1 } = was?.metadata ?? {}
    const changed = was !== null && JSON.stringify(was.spec) !== JSON.stringify(next.spec)
    const metadata = {
      ...next.metadata,
      resourceVersion: String(++this.#version),
      generation: changed ? generation + 1 : generation,
      creationTimestamp: was?.metadata.creationTimestamp ?? new Date(this.#version * 1_000).toISOString(),
    }
    const now: StoredObject = { ...next, metadata }
    const gone = metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0
    if (gone) this.#objects.delete(id)
    else this.#objects.set(id, now)
    for (const events of this.#watches) events.push({ plural: pluralOf(id), now: gone ? null : now, was: was ?? now })
    return now
  }
}

function pluralOf(id: string): string {
  return id.slice(0, id.indexOf('/'))
}

/** Two objects are the same if this is: what a client sends keeps the order of keys. */
function essence({ metadata, ...rest }: StoredObject): string {
  return JSON.stringify([rest, Object.entries(metadata).filter(([name]) => !SET_BY_SERVER.has(name))])
}

/** RFC 7396. */
export function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const merged = new Map<string, unknown>(Object.entries(target ?? {}))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, merge(merged.get(name), value))
  }
  return Object.fromEntries(merged)
}
