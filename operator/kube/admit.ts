/** What of the API server's words may enter a cache: objects with a name and a version, slimmed. */
import { describeError } from './errors.ts'
import type { KubeObject, ObjectMeta } from './objects.ts'
import { nameKey } from './objects.ts'
import type { Resource } from './resources.ts'

/** `key` of a refused object is null if not even its name can be read. */
export type Admitted<T> =
  { readonly key: string; readonly object: T } | { readonly key: string | null; readonly problem: string }

/** Slims an object, from which metadata.managedFields were taken; they are handed over beside it. May throw. */
export type Transform<T> = (object: T, managedFields: readonly unknown[]) => T

type Loose = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export interface Identity {
  readonly key: string | null
  readonly resourceVersion: string | null
}

export function identify(value: unknown): Identity {
  const metadata = isRecord(value) && isRecord(value['metadata']) ? value['metadata'] : {}
  const { name, namespace, resourceVersion } = metadata
  const named = typeof name === 'string' && name !== ''
  return {
    key: named ? nameKey({ name, namespace: typeof namespace === 'string' ? namespace : undefined }) : null,
    resourceVersion: typeof resourceVersion === 'string' && resourceVersion !== '' ? resourceVersion : null,
  }
}

/** The cached object itself is returned if it is the same state: nothing is transformed twice. */
export function admit<T extends KubeObject>(
  value: unknown,
  resource: Resource<T>,
  transform: Transform<T> | undefined,
  cached: (key: string) => T | undefined,
): Admitted<T> {
  const { key, resourceVersion } = identify(value)
  if (key === null) return { key, problem: 'metadata.name is missing' }
  if (resourceVersion === null) return { key, problem: 'metadata.resourceVersion is missing' }
  // A name was read out of its metadata: it is an object with metadata.
  const object = value as T
  const { kind, namespaced } = resource
  if (kind !== '' && object.kind !== undefined && object.kind !== kind) return { key, problem: `kind is not ${kind}` }
  if (namespaced && object.metadata.namespace === undefined) return { key, problem: 'metadata.namespace is missing' }
  const old = cached(key)
  if (old?.metadata.resourceVersion === resourceVersion && old.metadata.uid === object.metadata.uid)
    return { key, object: old }
  const slim: T = { ...object, metadata: withoutManagedFields(object.metadata) }
  try {
    return { key, object: transform === undefined ? slim : transform(slim, object.metadata.managedFields ?? []) }
  } catch (error) {
    // What a parser says may quote what it parsed.
    return { key, problem: kind === 'Secret' ? 'it cannot be read' : describeError(error) }
  }
}

/** Half of an object's bytes, and of no use here; a write without them leaves the server's as they are. */
function withoutManagedFields(metadata: ObjectMeta): ObjectMeta {
  const { name } = metadata
  return { ...Object.fromEntries(Object.entries(metadata).filter(([field]) => field !== 'managedFields')), name }
}
