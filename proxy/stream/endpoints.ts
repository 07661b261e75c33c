/**
 * Addresses per Service port, apart from the verified state: they flow whatever a checksum says. What the operator no
 * longer lists is kept while a served fragment needs it, so that a refused configuration never takes away the addresses
 * of the one that goes on serving.
 */
import type { EndpointTable } from '../../protocol/messages.ts'
import type { ServiceKey } from '../../protocol/objects.ts'

export interface EndpointChange {
  readonly upsert: EndpointTable
  readonly remove: readonly ServiceKey[]
}

export class Endpoints {
  readonly #addresses = new Map<ServiceKey, readonly string[]>()
  /** How many served paths need a Service. */
  readonly #needed = new Map<ServiceKey, number>()
  /** Not listed any more, still needed. */
  readonly #condemned = new Set<ServiceKey>()
  /** Services named since a full listing began; null: none is under way. */
  #listing: Set<ServiceKey> | null = null

  get size(): number {
    return this.#addresses.size
  }

  all(): EndpointTable {
    return Object.fromEntries(this.#addresses)
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
    if (listing === null) return { upsert: {}, remove: [] }
    return this.change(
      {},
      [...this.#addresses.keys()].filter(service => !listing.has(service)),
    )
  }

  /** Returns what the workers must be told. */
  change(upsert: EndpointTable, remove: readonly ServiceKey[]): EndpointChange {
    const changed: [ServiceKey, readonly string[]][] = []
    for (const [service, addresses] of Object.entries(upsert)) {
      this.#condemned.delete(service)
      this.#listing?.add(service)
      const before = this.#addresses.get(service)
      if (before?.length === addresses.length && before.every((a, i) => a === addresses[i])) continue
      this.#addresses.set(service, addresses)
      changed.push([service, addresses])
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
    return { upsert: Object.fromEntries(changed), remove: removed }
  }

  /**
   * The served fragments changed; returns Services that may go now.
   * @param needs how many more paths need each, or less (changes.ts)
   */
  serve(needs: ReadonlyMap<ServiceKey, number>): readonly ServiceKey[] {
    for (const [service, by] of needs) {
      const count = (this.#needed.get(service) ?? 0) + by
      if (count > 0) this.#needed.set(service, count)
      else this.#needed.delete(service)
    }
    const free = [...this.#condemned].filter(service => !this.#needed.has(service))
    for (const service of free) {
      this.#condemned.delete(service)
      this.#addresses.delete(service)
    }
    return free
  }
}
