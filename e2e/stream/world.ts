/** A released world for tests, changed object by object. */
import { accumulate, applyDelta } from '../../operator/checksum/sorted-ids.ts'
import { idsChecksum, payloadDigest } from '../../protocol/hash.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Checksums, HeldMessage } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Certificate, Fragment, ObjectKey, ObjectKind, Revision, ServiceKey } from '../../protocol/objects.ts'
import { StateHashes } from '../../operator/stream/state-hashes.ts'
import type { Shares } from '../../operator/stream/state-hashes.ts'
import type { Assigned, Observation, World, WorldChange, WorldEntry } from '../../operator/stream/world.ts'

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
  readonly #hashes = new StateHashes()
  readonly #digests = new WeakMap<Fragment | Certificate, string>()
  /** What is other than it was published. */
  #before = new Map<ObjectKey, Assigned>()
  #services = new Set<ServiceKey>()
  /** Sorted, and kept so: thousands of objects change one by one in a bench. */
  readonly #ids: Record<ObjectKind, readonly string[]> = { Ingress: [], Secret: [] }
  /** What is not yet in them: a hundred thousand objects come at once in another. */
  readonly #pending: Record<ObjectKind, Map<string, number>> = { Ingress: new Map(), Secret: new Map() }
  /** Null: to be made anew. */
  #checksums: Checksums | null = null

  put(key: ObjectKey, released: Released): void {
    this.#replace(key, released)
  }

  /** Served by every pod. */
  release(...payloads: readonly (Fragment | Certificate)[]): void {
    for (const payload of payloads) this.put(payload.key, { update: payload, current: payload, index: -1 })
  }

  remove(key: ObjectKey): void {
    this.#replace(key, null)
  }

  setEndpoints(service: ServiceKey, addresses: readonly string[] | null): void {
    this.#services.add(service)
    if (addresses === null) this.#endpoints.delete(service)
    else this.#endpoints.set(service, addresses)
  }

  get checksums(): Checksums {
    this.#checksums ??= { ingress: this.#checksumOf('Ingress'), secret: this.#checksumOf('Secret') }
    return this.published ?? this.#checksums
  }

  objects(): Iterable<ObjectKey> {
    return this.#objects.keys()
  }

  stateHash(ordinal: number): string {
    return this.#hashes.of(ordinal)
  }

  entries(ordinal: number): Iterable<WorldEntry> {
    return [...this.#objects.keys()].flatMap(key => this.entry(key, ordinal) ?? [])
  }

  entry(key: ObjectKey, ordinal: number): WorldEntry | null {
    const released = this.#objects.get(key)
    return released === undefined ? null : this.#entryOf(key, released, ordinal)
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

  /** What to publish: all that changed since this was last asked. */
  change(): WorldChange {
    const [objects, services] = [this.#before, [...this.#services]]
    this.#before = new Map()
    this.#services = new Set()
    return { world: this, objects, services, observe: true }
  }

  #entryOf(key: ObjectKey, { update, current, index }: Released, ordinal: number): WorldEntry {
    const payload = index === -1 || (ordinal >= 0 && ordinal < index) ? update : current
    return {
      assignment: {
        ...{ key, id: idOf(key, update), announced: revisionOf(update) },
        // Created objects have no current revision.
        ...{ current: current?.revision ?? null, assigned: payload?.revision ?? null },
        digest: payload === null ? null : this.#digestOf(payload),
      },
      payload,
    }
  }

  #digestOf(payload: Fragment | Certificate): string {
    const digest = this.#digests.get(payload) ?? payloadDigest(payload)
    this.#digests.set(payload, digest)
    return digest
  }

  #replace(key: ObjectKey, after: Released | null): void {
    const before = this.#objects.get(key) ?? null
    const assigned: Assigned = ordinal => (before === null ? null : this.#entryOf(key, before, ordinal).assignment)
    if (!this.#before.has(key)) this.#before.set(key, assigned)
    this.#hashes.replace(key, this.#sharesOf(key, before), this.#sharesOf(key, after))
    this.#count(key, -1)
    if (after === null) this.#objects.delete(key)
    else this.#objects.set(key, after)
    this.#count(key, 1)
  }

  #sharesOf(key: ObjectKey, released: Released | null): Shares | null {
    if (released === null) return null
    const [low, high] = [0, -1].map(ordinal => this.#entryOf(key, { ...released, index: 1 }, ordinal).assignment)
    if (low === undefined || high === undefined) return null
    return { index: released.index === -1 ? Infinity : released.index, low, high }
  }

  #count(key: ObjectKey, by: 1 | -1): void {
    if (!this.#objects.has(key)) return
    const { kind } = parseObjectKey(key)
    accumulate(this.#pending[kind], new Map([[idOf(key, this.#objects.get(key)?.update ?? null), by]]))
    this.#checksums = null
  }

  #checksumOf(kind: ObjectKind): string {
    this.#ids[kind] = applyDelta(this.#ids[kind], this.#pending[kind])
    this.#pending[kind].clear()
    return idsChecksum(this.#ids[kind])
  }
}

function idOf(key: ObjectKey, update: Fragment | Certificate | null): string {
  return `${key.split('/').slice(1).join('/')}:${revisionOf(update)}`
}
