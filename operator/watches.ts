/** What the operator watches: which kinds, how slimmed, into which cache. Every replica watches the same. */
import type { ObjectKey, ObjectKind } from '../protocol/objects.ts'
import type { Checksums } from './control/checksums.ts'
import type { Policies } from './control/policies.ts'
import { policyResource } from './control/policies.ts'
import type { Rollouts } from './control/rollouts.ts'
import type { Fleet } from './fleet/fleet.ts'
import type { WatchSettings } from './kube/base.ts'
import { describeError } from './kube/errors.ts'
import type { Handler } from './kube/handler.ts'
import type { Log } from './kube/log.ts'
import type { KubeObject } from './kube/objects.ts'
import { resources } from './kube/resources.ts'
import type { Resource } from './kube/resources.ts'
import type { Caches, RawObject } from './pipeline/caches.ts'
import { nameOf } from './pipeline/caches.ts'
import { KINDS } from './pipeline/releases.ts'
import { SHARD_SELECTOR, isOfStore, storedShard } from './records/kube.ts'
import type { ReleaseStore } from './records/store.ts'
import { TLS_SECRET_TYPE } from './model/secret.ts'
import { ownAddressFields } from './status/addresses.ts'

export type Watch = <T extends KubeObject>(
  resource: Resource<T>,
  handler: Handler<T>,
  settings?: WatchSettings<T>,
) => unknown

/** Secrets of other types than kubernetes.io/tls: known by name alone, until something refers to one. */
export interface OtherSecrets {
  readonly isNeeded: (key: ObjectKey) => boolean
  /** Its content is to be read: it is not here, or another version is. */
  readonly read: (object: KubeObject) => void
}

/** Told after a cache took a change. Cheap: they mark something for the next turn. */
export interface WatchEvents {
  readonly objects: (keys: Iterable<ObjectKey>) => void
  readonly everyIngress: () => void
  readonly namespace: (name: string) => void
  readonly service: (name: string) => void
  readonly policies: () => void
  /** @param removed the id of one that is gone */
  readonly rollouts: (key: ObjectKey, removed: string | null) => void
  readonly fleet: () => void
  /** A watch handed over all that existed. */
  readonly synced: () => void
}

export interface WatchTargets {
  readonly namespace: string
  readonly caches: Caches
  readonly store: ReleaseStore
  readonly fleet: Fleet
  readonly policies: Policies
  readonly rollouts: Rollouts
  readonly checksums: Readonly<Record<ObjectKind, Checksums>>
  readonly others: OtherSecrets
  readonly log: Log
}

/** Larger than the rest of many objects, and a copy of it. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'

export function watchAll(watch: Watch, targets: WatchTargets, events: WatchEvents): void {
  const { caches, namespace } = targets
  const { synced } = events
  for (const kind of KINDS) {
    const resource: Resource<KubeObject> = kind === 'Ingress' ? resources.ingresses : resources.secrets
    watch(
      resource,
      {
        upsert: object => events.objects([caches.putGoverned(kind, object)]),
        remove: object => events.objects([caches.removeGoverned(kind, object)]),
        synced,
      },
      {
        transform: kind === 'Secret' ? slimSecret : slimIngress,
        ...(kind === 'Secret' ? { fieldSelector: `type=${TLS_SECRET_TYPE}` } : {}),
      },
    )
  }
  watchOtherSecrets(watch, targets, events)
  watch(resources.ingressClasses, { ...intoMap(caches.classes, () => events.everyIngress()), synced })
  watch(
    resources.services,
    { ...intoMap(caches.services, object => events.service(nameOf(object))), synced },
    { transform: slim },
  )
  watch(
    resources.endpointSlices,
    {
      upsert: (slice, old) => {
        // A slice may change the Service that it belongs to.
        const before = old === undefined ? null : caches.removeSlice(old)
        for (const service of new Set([before, caches.putSlice(slice)])) if (service !== null) events.service(service)
      },
      remove: slice => {
        const service = caches.removeSlice(slice)
        if (service !== null) events.service(service)
      },
      synced,
    },
    { transform: slim },
  )
  watch(resources.namespaces, {
    ...intoMap(caches.namespaces, object => events.namespace(object.metadata.name)),
    synced,
  })
  watch(policyResource, {
    upsert: object => {
      // Our own status, written with every object that comes, is nothing that all objects are looked at again for.
      if (targets.policies.upsert(object)) events.policies()
    },
    remove: object => {
      targets.policies.remove(object)
      events.policies()
    },
    synced,
  })
  watch(resources.ingressRollouts, {
    upsert: object => {
      const { namespace = '', name } = object.metadata
      const before = targets.rollouts.get(namespace, name)
      const key = targets.rollouts.put(object)
      if (key === null) return
      const now = targets.rollouts.get(namespace, name)
      // One that was to be made for another object has lost its name.
      if (before !== null && before.id !== now?.id) events.rollouts(before.object, before.id)
      events.rollouts(key, null)
    },
    remove: object => {
      const removed = targets.rollouts.remove(object)
      if (removed !== null) events.rollouts(removed.object, removed.id)
    },
    synced,
  })
  for (const kind of KINDS) {
    const checksums = targets.checksums[kind]
    watch<KubeObject>(checksums.resource, {
      upsert: object => checksums.upsert(object),
      remove: object => checksums.remove(object),
      synced,
    })
  }
  watch(
    resources.pods,
    {
      upsert: pod => {
        targets.fleet.put(pod)
        events.fleet()
      },
      remove: pod => {
        targets.fleet.remove(pod)
        events.fleet()
      },
      synced,
    },
    { namespace },
  )
  watchShards(watch, targets, synced)
}

/** Tokens, Helm releases, passwords: of these nothing but the name is transferred and kept (docs/adr/0013-certificates.md). */
function watchOtherSecrets(watch: Watch, { caches, others }: WatchTargets, { objects, synced }: WatchEvents): void {
  watch(
    resources.secretMetadata,
    {
      upsert: stub => {
        const key = caches.putStub(stub)
        if (others.isNeeded(key)) others.read(stub)
        else if (caches.dropRead(key)) objects([key])
      },
      remove: stub => objects([caches.removeStub(stub)]),
      synced,
    },
    { transform: nameOnly, fieldSelector: `type!=${TLS_SECRET_TYPE}` },
  )
}

function watchShards(watch: Watch, { namespace, store, log }: WatchTargets, synced: () => void): void {
  watch(
    resources.secrets,
    {
      upsert: secret => {
        if (!isOfStore(secret.metadata.name)) return
        try {
          store.observe(storedShard(secret))
        } catch (error) {
          log.error(
            { secret: secret.metadata.name, error: describeError(error) },
            'a Secret of the store is not one of ours',
          )
        }
      },
      remove: secret => store.lost(secret.metadata.name),
      synced,
    },
    { namespace, labelSelector: SHARD_SELECTOR },
  )
}

function intoMap<T extends KubeObject>(
  map: Map<string, T | RawObject>,
  changed: (object: T) => void,
): Pick<Handler<T>, 'upsert' | 'remove'> {
  return {
    upsert: object => {
      map.set(nameOf(object), object)
      changed(object)
    },
    remove: object => {
      map.delete(nameOf(object))
      changed(object)
    },
  }
}

/** Certificate and key; what else is in it (the authority, passwords of an Opaque one) is none of our business. */
export function slimSecret<T extends KubeObject>(secret: T): T {
  const { data } = secret as { readonly data?: Readonly<Record<string, string>> | null }
  if (data === undefined || data === null || typeof data !== 'object') return slim(secret)
  const kept = ['tls.crt', 'tls.key'].flatMap(name => (data[name] === undefined ? [] : [[name, data[name]] as const]))
  return { ...slim(secret), data: Object.fromEntries(kept) }
}

function nameOnly({ metadata }: KubeObject): KubeObject {
  const { name, namespace = '', uid = '', resourceVersion = '' } = metadata
  return { metadata: { name, namespace, uid, resourceVersion } }
}

/** An Ingress keeps what tells whose its addresses are. */
function slimIngress(object: KubeObject, managedFields: readonly unknown[]): KubeObject {
  const { metadata, ...rest } = slim(object)
  const own = ownAddressFields(managedFields)
  return { ...rest, metadata: own.length === 0 ? metadata : { ...metadata, managedFields: own } }
}

function slim<T extends KubeObject>(object: T): T {
  const { annotations } = object.metadata
  if (annotations?.[LAST_APPLIED] === undefined) return object
  const rest = Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED))
  return { ...object, metadata: { ...object.metadata, annotations: rest } }
}
