/**
 * What one connection was already sent, and the least that brings it to the world of now. Pure: no sockets, no clock.
 * Order that callers must keep: endpoint upserts, then the delta, then endpoint removals, so that no fragment ever
 * arrives before the addresses it needs and none loses them before it is gone.
 */
import { StateHash } from '../../protocol/hash.ts'
import type { Checksums, DeltaMessage, EndpointTable } from '../../protocol/messages.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { World, WorldEntry } from './world.ts'

export type Delta = Omit<DeltaMessage, 'type' | 'sequence'>

/** A full state, pinned: later changes of the world do not reach it. */
export interface Snapshot {
  readonly entries: readonly WorldEntry[]
  readonly endpoints: readonly (readonly [ServiceKey, readonly string[]])[]
  readonly checksums: Checksums
  readonly stateHash: string
}

export class PodState {
  readonly #ordinal: number
  #assignments = new Map<ObjectKey, Assignment>()
  #hash = new StateHash()
  #checksums: Checksums = { ingress: null, secret: null }
  #endpoints = new Map<ServiceKey, readonly string[]>()

  constructor(ordinal: number) {
    this.#ordinal = ordinal
  }

  get stateHash(): string {
    return this.#hash.hex
  }

  /** The whole world for this pod; from now on all of it counts as sent. */
  snapshot(world: World): Snapshot {
    const entries: WorldEntry[] = []
    this.#assignments = new Map()
    this.#hash = new StateHash()
    for (const key of world.objects()) {
      const entry = world.entry(key, this.#ordinal)
      if (entry === null) continue
      entries.push(entry)
      this.#assignments.set(key, entry.assignment)
      this.#hash.toggle(entry.assignment)
    }
    this.#checksums = world.checksums
    this.#endpoints = new Map(world.endpoints())
    return {
      entries,
      endpoints: [...this.#endpoints],
      checksums: this.#checksums,
      stateHash: this.stateHash,
    }
  }

  /** Of each of these objects the pod goes on with the content it was sent, whatever else is new of it. */
  servesSame(world: World, keys: Iterable<ObjectKey>): boolean {
    for (const key of keys) {
      if (world.entry(key, this.#ordinal)?.assignment.digest !== this.#assignments.get(key)?.digest) return false
    }
    return true
  }

  /** Everything among these keys (null: all) that differs from what was sent; null: nothing does. It counts as sent. */
  delta(world: World, keys: Iterable<ObjectKey> | null): Delta | null {
    const base = this.stateHash
    const assignments: Assignment[] = []
    const fragments: Fragment[] = []
    const certificates: Certificate[] = []
    const removed: ObjectKey[] = []
    for (const key of keys ?? new Set([...world.objects(), ...this.#assignments.keys()])) {
      const sent = this.#assignments.get(key)
      const entry = world.entry(key, this.#ordinal)
      if (entry === null) {
        if (sent === undefined) continue
        this.#assignments.delete(key)
        this.#hash.toggle(sent)
        removed.push(key)
        continue
      }
      const { assignment, payload } = entry
      if (sent !== undefined && sameAssignment(sent, assignment)) continue
      if (sent !== undefined) this.#hash.toggle(sent)
      this.#hash.toggle(assignment)
      this.#assignments.set(key, assignment)
      assignments.push(assignment)
      if (payload === null || sent?.digest === assignment.digest) continue
      if ('chain' in payload) certificates.push(payload)
      else fragments.push(payload)
    }
    const checksums = world.checksums
    const before = this.#checksums
    const same = checksums.ingress === before.ingress && checksums.secret === before.secret
    if (assignments.length === 0 && removed.length === 0 && same) return null
    this.#checksums = checksums
    return { base, assignments, fragments, certificates, removed, checksums, stateHash: this.stateHash }
  }

  /** Endpoints to send before the delta: those that changed among the services (null: all), and those its fragments need. */
  upserts(world: World, services: Iterable<ServiceKey> | null, fragments: readonly Fragment[]): EndpointTable | null {
    const now = world.endpoints()
    const upsert = new Map<ServiceKey, readonly string[]>()
    for (const service of union(services ?? now.keys(), servicesOf(fragments))) {
      const addresses = now.get(service)
      const sent = this.#endpoints.get(service)
      if (addresses === undefined || (sent !== undefined && sameList(sent, addresses))) continue
      this.#endpoints.set(service, addresses)
      upsert.set(service, addresses)
    }
    return upsert.size === 0 ? null : Object.fromEntries(upsert)
  }

  /** Services among these (null: all) whose endpoints nobody needs any more: to send after the delta. */
  removals(world: World, services: Iterable<ServiceKey> | null): readonly ServiceKey[] {
    const now = world.endpoints()
    const gone: ServiceKey[] = []
    for (const service of services ?? [...this.#endpoints.keys()]) {
      if (!now.has(service) && this.#endpoints.delete(service)) gone.push(service)
    }
    return gone
  }
}

function* union(a: Iterable<ServiceKey>, b: Iterable<ServiceKey>): Generator<ServiceKey> {
  yield* a
  yield* b
}

function* servicesOf(fragments: readonly Fragment[]): Generator<ServiceKey> {
  for (const fragment of fragments) {
    for (const host of fragment.hosts) {
      for (const { backend } of host.paths) if ('service' in backend) yield backend.service
    }
  }
}

function sameAssignment(a: Assignment, b: Assignment): boolean {
  return (
    a.id === b.id &&
    a.announced === b.announced &&
    a.current === b.current &&
    a.assigned === b.assigned &&
    a.digest === b.digest
  )
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((value, i) => value === b[i]))
}
