/** A released world for tests, changed object by object. */
import { applyDelta } from '../../operator/checksum/sorted-ids.ts'
import { idsChecksum, payloadDigest } from '../../protocol/hash.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Checksums, HeldMessage } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Certificate, Fragment, ObjectKey, ObjectKind, Revision, ServiceKey } from '../../protocol/objects.ts'
import type { Observation, World, WorldChange, WorldEntry } from '../../operator/stream/world.ts'

export interface Released {
  readonly update: Fragment | Certificate | null
  readonly current: Fragment | Certificate | null
  /** -1: every pod serves the update. */
  readonly index: number
}

const revisionOf = (payload: Fragment | Certificate | null): Revision => payload?.revision ?? ABSENT_REVISION

export class TestWorld implements World {
  version = 1
  /** Null: the right ones are published. */
  published: Checksums | null = null
  observation: Observation = { objects: [], hosts: [], intervalMs: 10_000 }
  readonly holding: HeldMessage[] = []
  readonly #objects = new Map<ObjectKey, Released>()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  /** Sorted, and kept so: thousands of objects change one by one in a bench. */
  readonly #ids: Record<ObjectKind, readonly string[]> = { Ingress: [], Secret: [] }
  /** Null: to be made anew. */
  #checksums: Checksums | null = null

  put(key: ObjectKey, released: Released): void {
    this.#count(key, -1)
    this.#objects.set(key, released)
    this.#count(key, 1)
  }

  /** Served by every pod. */
  release(...payloads: readonly (Fragment | Certificate)[]): void {
    for (const payload of payloads) this.put(payload.key, { update: payload, current: payload, index: -1 })
  }

  remove(key: ObjectKey): void {
    this.#count(key, -1)
    this.#objects.delete(key)
  }

  setEndpoints(service: ServiceKey, addresses: readonly string[] | null): void {
    if (addresses === null) this.#endpoints.delete(service)
    else this.#endpoints.set(service, addresses)
  }

  get checksums(): Checksums {
    this.#checksums ??= { ingress: idsChecksum(this.#ids.Ingress), secret: idsChecksum(this.#ids.Secret) }
    return this.published ?? this.#checksums
  }

  objects(): Iterable<ObjectKey> {
    return this.#objects.keys()
  }

  entry(key: ObjectKey, ordinal: number): WorldEntry | null {
    const released = this.#objects.get(key)
    if (released === undefined) return null
    const { update, current, index } = released
    const high = ordinal === -1 ? Infinity : ordinal
    const payload = index === -1 || high < index ? update : current
    return {
      assignment: {
        ...{ key, id: this.#id(key), announced: revisionOf(update) },
        // Created objects have no current revision.
        ...{ current: current?.revision ?? null, assigned: payload?.revision ?? null },
        digest: payload === null ? null : payloadDigest(payload),
      },
      payload,
    }
  }

  endpoints(): ReadonlyMap<ServiceKey, readonly string[]> {
    return this.#endpoints
  }

  observe(): Observation {
    return this.observation
  }

  held(): readonly HeldMessage[] {
    return this.holding
  }

  /** What to publish after a change of these; everything if none are named. */
  change(objects: readonly ObjectKey[] | null = null, services: readonly ServiceKey[] | null = null): WorldChange {
    return { world: this, objects, services, observe: true }
  }

  #count(key: ObjectKey, by: 1 | -1): void {
    if (!this.#objects.has(key)) return
    const { kind } = parseObjectKey(key)
    this.#ids[kind] = applyDelta(this.#ids[kind], new Map([[this.#id(key), by]]))
    this.#checksums = null
  }

  #id(key: ObjectKey): string {
    return `${key.split('/').slice(1).join('/')}:${revisionOf(this.#objects.get(key)?.update ?? null)}`
  }
}
