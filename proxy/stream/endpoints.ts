/**
 * Addresses per Service port, apart from the verified state: they flow whatever a checksum says. What the operator no
 * longer lists is kept while a served fragment needs it, so that a refused configuration never takes away the addresses
 * of the one that goes on serving.
 */
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Addresses } from '../table/update.ts'
import type { Steps } from '../turns.ts'

export interface EndpointChange {
  readonly upsert: Addresses
  readonly remove: readonly ServiceKey[]
}

/** What it comes to when other fragments are served (`plan`): right for as long as nothing else changes. */
export interface ServingPlan {
  /** How many more paths need each Service, or less (changes.ts). */
  readonly needs: ReadonlyMap<ServiceKey, number>
  /** All that are needed then; null: few change. */
  readonly needed: Map<ServiceKey, number> | null
  /** Services that may go then. */
  readonly free: readonly ServiceKey[]
}

/** Handled between two yields: some hundredths of a millisecond. */
const STEP = 128
/** Up to so many changes are made in place; for more the counts are written anew. */
const FEW = 1_000

export class Endpoints {
  readonly #addresses = new Map<ServiceKey, readonly string[]>()
  /** How many served paths need a Service. */
  #needed = new Map<ServiceKey, number>()
  /** Not listed any more, still needed. */
  readonly #condemned = new Set<ServiceKey>()
  /** Services named since a full listing began; null: none is under way. */
  #listing: Set<ServiceKey> | null = null

  get size(): number {
    return this.#addresses.size
  }

  /** A copy, made in small steps. */
  all(): Steps<Addresses> {
    return copyOf(this.#addresses)
  }

  entries(): readonly (readonly [ServiceKey, readonly string[]])[] {
    return [...this.#addresses]
  }

  beginListing(): void {
    this.#listing = new Set()
  }

  /** Part of it was lost: nothing may be taken for gone. */
  abandonListing(): void {
    this.#listing = null
  }

  /** What was not named since the listing began is gone. */
  endListing(): EndpointChange {
    const listing = this.#listing
    this.#listing = null
    if (listing === null) return { upsert: new Map(), remove: [] }
    return this.change(
      [],
      [...this.#addresses.keys()].filter(service => !listing.has(service)),
    )
  }

  /** Returns what the workers must be told. */
  change(upsert: Iterable<readonly [ServiceKey, readonly string[]]>, remove: readonly ServiceKey[]): EndpointChange {
    const changed = new Map<ServiceKey, readonly string[]>()
    for (const [service, addresses] of upsert) {
      this.#condemned.delete(service)
      this.#listing?.add(service)
      const before = this.#addresses.get(service)
      if (before?.length === addresses.length && before.every((a, i) => a === addresses[i])) continue
      this.#addresses.set(service, addresses)
      changed.set(service, addresses)
    }
    const removed = remove.filter(service => {
      this.#listing?.delete(service)
      if (!this.#addresses.has(service)) return false
      if (this.#needed.has(service)) {
        this.#condemned.add(service)
        return false
      }
      return this.#addresses.delete(service)
    })
    return { upsert: changed, remove: removed }
  }

  /**
   * Finds out in small steps what it comes to when other fragments are served; nothing changes before `serve`.
   * @param needs how many more paths need each Service, or less (changes.ts)
   */
  *plan(needs: ReadonlyMap<ServiceKey, number>): Steps<ServingPlan> {
    const needed = needs.size > FEW ? yield* copyOf(this.#needed) : null
    let seen = 0
    for (const [service, by] of needed === null ? [] : needs) {
      if (seen++ % STEP === 0) yield
      if (needed !== null) count(needed, service, by)
    }
    const isNeeded = (service: ServiceKey): boolean =>
      needed === null ? (this.#needed.get(service) ?? 0) + (needs.get(service) ?? 0) > 0 : needed.has(service)
    const free: ServiceKey[] = []
    for (const service of this.#condemned) {
      if (seen++ % STEP === 0) yield
      if (!isNeeded(service)) free.push(service)
    }
    return { needs, needed, free }
  }

  /** The served fragments changed, as planned. */
  serve({ needs, needed, free }: ServingPlan): void {
    if (needed === null) for (const [service, by] of needs) count(this.#needed, service, by)
    else this.#needed = needed
    for (const service of free) {
      this.#condemned.delete(service)
      this.#addresses.delete(service)
    }
  }
}

function count(needed: Map<ServiceKey, number>, service: ServiceKey, by: number): void {
  const sum = (needed.get(service) ?? 0) + by
  if (sum > 0) needed.set(service, sum)
  else needed.delete(service)
}

function* copyOf<K, V>(map: ReadonlyMap<K, V>): Steps<Map<K, V>> {
  const copy = new Map<K, V>()
  for (const [key, value] of map) {
    if (copy.size % STEP === 0) yield
    copy.set(key, value)
  }
  return copy
}
