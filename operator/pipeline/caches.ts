/** The watched objects as JSON, with the look-ups that the pipeline asks for. Holds no conclusions. */
import type { ObjectKey } from '../../protocol/objects.ts'
import { objectKey } from '../../protocol/ids.ts'

/** Any object of the Kubernetes API; what is inside is checked where it is used. */
export interface RawObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly creationTimestamp?: string
    readonly deletionTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly finalizers?: readonly string[]
    /** Of an Ingress only what tells that its addresses are ours; else nothing. */
    readonly managedFields?: readonly unknown[]
  }
}

/** A Secret without what is in it. */
export type SecretStub = Pick<RawObject, 'metadata'>

export interface RawNamespace extends RawObject {
  readonly status?: { readonly phase?: string }
}

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

/** Keyed by `<namespace>/<name>`, or by name for cluster-scoped kinds. */
export function nameOf(object: RawObject): string {
  const { namespace, name } = object.metadata
  return namespace === undefined ? name : `${namespace}/${name}`
}

export class Caches {
  readonly ingresses = new Map<ObjectKey, RawObject>()
  /** With their content: those of type kubernetes.io/tls, and others that were read because something refers to them. */
  readonly secrets = new Map<ObjectKey, RawObject>()
  /** Secrets of other types: that they exist, and in which version. */
  readonly #stubs = new Map<ObjectKey, SecretStub>()
  readonly classes = new Map<string, RawObject>()
  readonly services = new Map<string, RawObject>()
  readonly namespaces = new Map<string, RawNamespace>()
  readonly policies = new Map<string, RawObject>()
  readonly rollouts = new Map<string, RawObject>()
  readonly #slices = new Map<string, Map<string, RawObject>>()
  readonly #keysByNamespace = new Map<string, Set<ObjectKey>>()

  putGoverned(kind: 'Ingress' | 'Secret', object: RawObject): ObjectKey {
    const namespace = object.metadata.namespace ?? ''
    const key = objectKey(kind, namespace, object.metadata.name)
    const held = this.#of(kind).get(key)
    // Secrets come by several ways: one that was deleted and made again with another type may come in any order.
    if (held !== undefined && held.metadata.uid !== object.metadata.uid && isOlder(object, held)) return key
    this.#of(kind).set(key, object)
    const keys = this.#keysByNamespace.get(namespace)
    if (keys === undefined) this.#keysByNamespace.set(namespace, new Set([key]))
    else keys.add(key)
    return key
  }

  removeGoverned(kind: 'Ingress' | 'Secret', object: RawObject): ObjectKey {
    const namespace = object.metadata.namespace ?? ''
    const key = objectKey(kind, namespace, object.metadata.name)
    const held = this.#of(kind).get(key)
    if (held !== undefined && held.metadata.uid !== object.metadata.uid) return key
    this.#of(kind).delete(key)
    this.#keysByNamespace.get(namespace)?.delete(key)
    return key
  }

  /** A Secret of another type exists in this version. */
  putStub(stub: SecretStub): ObjectKey {
    const key = objectKey('Secret', stub.metadata.namespace ?? '', stub.metadata.name)
    this.#stubs.set(key, stub)
    return key
  }

  removeStub(stub: SecretStub): ObjectKey {
    const key = this.removeGoverned('Secret', stub)
    this.#stubs.delete(key)
    return key
  }

  /** What was read of a Secret of another type. Not taken if it is not the one that exists as far as is known here. */
  putRead(object: RawObject): ObjectKey {
    const key = objectKey('Secret', object.metadata.namespace ?? '', object.metadata.name)
    return this.#stubs.get(key)?.metadata.uid === object.metadata.uid ? this.putGoverned('Secret', object) : key
  }

  /** Nothing refers to the Secret any more: its content is not kept, if it is one that is read on demand. */
  dropRead(key: ObjectKey): boolean {
    const stub = this.#stubs.get(key)
    const held = this.secrets.get(key)
    if (stub === undefined || held === undefined || held.metadata.uid !== stub.metadata.uid) return false
    this.removeGoverned('Secret', held)
    return true
  }

  /** It exists, and nothing of its content is here: whoever needs it has to read it first. */
  isUnread(key: ObjectKey): boolean {
    return this.#stubs.has(key) && !this.secrets.has(key)
  }

  raw(key: ObjectKey): RawObject | null {
    return (key.startsWith('Ingress/') ? this.ingresses : this.secrets).get(key) ?? null
  }

  /** Ingresses and Secrets of a namespace. */
  keysIn(namespace: string): Iterable<ObjectKey> {
    return this.#keysByNamespace.get(namespace) ?? []
  }

  /** Returns the Service (`namespace/name`) that the slice belongs to; null: none. */
  putSlice(slice: RawObject): string | null {
    const service = serviceOfSlice(slice)
    if (service === null) return null
    const slices = this.#slices.get(service)
    if (slices === undefined) this.#slices.set(service, new Map([[nameOf(slice), slice]]))
    else slices.set(nameOf(slice), slice)
    return service
  }

  removeSlice(slice: RawObject): string | null {
    const service = serviceOfSlice(slice)
    if (service === null) return null
    const slices = this.#slices.get(service)
    slices?.delete(nameOf(slice))
    if (slices?.size === 0) this.#slices.delete(service)
    return service
  }

  slicesOf(service: string): readonly RawObject[] {
    return [...(this.#slices.get(service)?.values() ?? [])]
  }

  namespaceLabels(namespace: string): Readonly<Record<string, string>> {
    return this.namespaces.get(namespace)?.metadata.labels ?? {}
  }

  terminating(namespace: string): boolean {
    const found = this.namespaces.get(namespace)
    return (
      found !== undefined && (found.metadata.deletionTimestamp !== undefined || found.status?.phase === 'Terminating')
    )
  }

  #of(kind: 'Ingress' | 'Secret'): Map<ObjectKey, RawObject> {
    return kind === 'Ingress' ? this.ingresses : this.secrets
  }
}

/** Versions of one kind are numbers that grow (Kubernetes, API concepts, "Resource versions"). */
function isOlder(a: RawObject, b: RawObject): boolean {
  const [left, right] = [a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? '']
  return left.length === right.length ? left < right : left.length < right.length
}

function serviceOfSlice(slice: RawObject): string | null {
  const name = slice.metadata.labels?.[SERVICE_NAME_LABEL]
  return name === undefined || slice.metadata.namespace === undefined ? null : `${slice.metadata.namespace}/${name}`
}
