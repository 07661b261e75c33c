/**
 * What one connection was already sent, and the least that brings it to the world of now. Pure: no sockets, no clock. Only where the
 * two differ anything is kept: a hundred pods with a hundred thousand objects each would not fit otherwise.
 * Order that callers must keep: endpoint upserts, then the delta, then endpoint removals, so that no fragment ever
 * arrives before the addresses it needs and none loses them before it is gone.
 */
import type { Checksums, DeltaMessage, EndpointTable } from '../../protocol/messages.ts'
import { sameAssignment } from '../../protocol/objects.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { World, WorldChange, WorldEntry } from './world.ts'

export type Delta = Omit<DeltaMessage, 'type' | 'sequence'>

/** A full state, pinned: later changes of the world do not reach it. */
export interface Snapshot {
  readonly entries: Iterable<WorldEntry>
  readonly endpoints: readonly (readonly [ServiceKey, readonly string[]])[]
  readonly checksums: Checksums
  readonly stateHash: string
}

export class PodState {
  readonly #ordinal: number
  /** Of objects that are other ones by now: what the pod was sent of them. */
  readonly #sent = new Map<ObjectKey, Assignment | null>()
  /** Whose endpoints may be others by now. */
  readonly #services = new Set<ServiceKey>()
  #stateHash = ''
  #checksums: Checksums = { ingress: null, secret: null }

  constructor(ordinal: number) {
    this.#ordinal = ordinal
  }

  /** Of what it was sent. */
  get stateHash(): string {
    return this.#stateHash
  }

  /** How many objects and Services may differ from what was sent. */
  get differing(): { readonly objects: number; readonly services: number } {
    return { objects: this.#sent.size, services: this.#services.size }
  }

  /** Costs as much as the change names. */
  note({ objects, services }: Pick<WorldChange, 'objects' | 'services'>): void {
    for (const [key, before] of objects) if (!this.#sent.has(key)) this.#sent.set(key, before(this.#ordinal))
    for (const service of services) this.#services.add(service)
  }

  /** From now on the whole world counts as sent. */
  begin(world: World): void {
    this.#sent.clear()
    this.#services.clear()
    this.#checksums = world.checksums
    this.#stateHash = world.stateHash(this.#ordinal)
  }

  /** What that is. */
  snapshot(world: World): Snapshot {
    return {
      entries: world.entries(this.#ordinal),
      endpoints: [...world.endpoints()],
      checksums: this.#checksums,
      stateHash: this.#stateHash,
    }
  }

  /** Of each object that is another one the pod goes on with the content it was sent, whatever else is new of it. */
  servesSame(world: World): boolean {
    for (const [key, sent] of this.#sent) {
      if (world.entry(key, this.#ordinal)?.assignment.digest !== sent?.digest) return false
    }
    return true
  }

  /** Every object that differs from what was sent; null: none does. It counts as sent. */
  delta(world: World): Delta | null {
    const assignments: Assignment[] = []
    const fragments: Fragment[] = []
    const certificates: Certificate[] = []
    const removed: ObjectKey[] = []
    for (const [key, sent] of this.#sent) {
      const entry = world.entry(key, this.#ordinal)
      if (entry === null) {
        if (sent !== null) removed.push(key)
        continue
      }
      const { assignment, payload } = entry
      if (sent !== null && sameAssignment(sent, assignment)) continue
      assignments.push(assignment)
      if (payload === null || sent?.digest === assignment.digest) continue
      if ('chain' in payload) certificates.push(payload)
      else fragments.push(payload)
    }
    this.#sent.clear()
    const { checksums } = world
    const before = this.#checksums
    const same = checksums.ingress === before.ingress && checksums.secret === before.secret
    if (assignments.length === 0 && removed.length === 0 && same) return null
    const base = this.#stateHash
    this.#stateHash = world.stateHash(this.#ordinal)
    this.#checksums = checksums
    return { base, assignments, fragments, certificates, removed, checksums, stateHash: this.#stateHash }
  }

  /** Endpoints to send before the delta, and Services whose endpoints nobody needs any more, to send after it. They count as sent. */
  endpoints(world: World): { readonly upserts: EndpointTable; readonly removals: readonly ServiceKey[] } {
    const now = world.endpoints()
    const upserts = new Map<ServiceKey, readonly string[]>()
    const removals: ServiceKey[] = []
    for (const service of this.#services) {
      const addresses = now.get(service)
      if (addresses === undefined) removals.push(service)
      else upserts.set(service, addresses)
    }
    this.#services.clear()
    return { upserts: Object.fromEntries(upserts), removals }
  }
}
