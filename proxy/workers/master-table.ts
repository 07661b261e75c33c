/** What the pod serves, as the main thread keeps it: the table in memory that workers share, and the endpoints that they are told of. */
import type { ObjectKey, Revision, ServiceKey } from '../../protocol/objects.ts'
import type { Objects } from '../table/objects.ts'
import { SharedTableWriter } from '../table/shared-writer.ts'
import type { ReadStored, StoredTable } from '../table/stored.ts'
import type { Published, TableUpdate } from '../table/update.ts'
import { atOnce, chunks, type Steps } from '../turns.ts'

const NO_ENDPOINTS: TableUpdate['endpoints'] = { upsert: new Map(), remove: [] }

export class MasterTable {
  readonly #table = new SharedTableWriter()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  /** Of lists that somebody asked about: a list never changes, another one takes its place. */
  readonly #addressSets = new WeakMap<readonly string[], ReadonlySet<string>>()

  /** For workers to read. */
  get memory(): SharedArrayBuffer {
    return this.#table.memory.buffer
  }

  /** The newest one that workers may be told of. */
  get generation(): number {
    return this.#table.generation
  }

  /**
   * Takes an update, in small steps, between which nothing else may be given to it; one that needs many messages comes in many.
   * @param served the generation that every worker serves, or a later one
   * @param most Services in one message
   * @returns what to tell the workers, one message after the other
   */
  *steps(update: TableUpdate, served: number, most: number): Steps<readonly Published[]> {
    const { upsert } = update.endpoints
    const remove = (update.reset ? [...this.#endpoints.keys()] : update.endpoints.remove).filter(
      key => !upsert.has(key),
    )
    const before = this.generation
    const { generation, certificates } = yield* this.#table.steps(update, served)
    for (const service of remove) this.#endpoints.delete(service)
    for (const [service, addresses] of upsert) this.#endpoints.set(service, addresses)
    return piecesOf({ generation, certificates, endpoints: { upsert, remove } }, before, most)
  }

  /**
   * Takes up a table that was stored, in place of a first update; nothing may be given to it meanwhile.
   * @returns also what to tell the workers, as `steps`; null: there is none
   */
  async restore<S extends StoredTable>(
    read: ReadStored<S>,
    most: number,
  ): Promise<{ readonly stored: S; readonly pieces: readonly Published[] } | null> {
    const before = this.generation
    const stored = await this.#table.restore(read)
    if (stored === null) return null
    for (const [service, addresses] of stored.endpoints) this.#endpoints.set(service, addresses)
    const endpoints = { upsert: new Map(this.#endpoints), remove: [] }
    return { stored, pieces: piecesOf({ generation: this.generation, certificates: [], endpoints }, before, most) }
  }

  /** The same in one go, as one message. */
  apply(update: TableUpdate, served = this.generation): Published {
    const [published] = atOnce(this.steps(update, served, Infinity))
    return published ?? { generation: this.generation, certificates: [], endpoints: NO_ENDPOINTS }
  }

  /**
   * For a worker that starts and that nobody asks yet: everything that is not in memory. The table may change between two pieces, if
   * only the worker is told of that, too: it may learn of a thing twice, and never misses one.
   */
  *pieces(most: number): Generator<Published, void, void> {
    yield { generation: this.generation, certificates: [], endpoints: NO_ENDPOINTS }
    for (const some of chunks(this.#endpoints, most)) {
      yield { generation: this.generation, certificates: [], endpoints: { upsert: new Map(some), remove: [] } }
    }
  }

  /** The objects of the newest generation. To be closed. */
  objects(): Objects {
    return this.#table.objects()
  }

  /** Everything as one update: what tests compare tables by. */
  snapshot(): TableUpdate {
    const objects = this.objects()
    const entries = [...objects.entries()]
    objects.close()
    return {
      reset: true,
      objects: { upsert: entries, remove: [] },
      endpoints: { upsert: new Map(this.#endpoints), remove: [] },
      observed: this.#table.observed(),
    }
  }

  get sizes(): {
    readonly ingresses: number
    readonly hosts: number
    readonly certificates: number
    readonly services: number
    readonly memoryBytes: number
    /** Of these: what only workers that did not take the newest update need. */
    readonly waitingBytes: number
  } {
    const { fragments, names, certificates, sizes } = this.#table
    const { used: memoryBytes, waiting: waitingBytes } = sizes
    return {
      ...{ ingresses: fragments, hosts: names, certificates, services: this.#endpoints.size },
      ...{ memoryBytes, waitingBytes },
    }
  }

  /** Revision served per object. */
  revisions(): Record<ObjectKey, Revision> {
    return Object.fromEntries(this.#table.revisions())
  }

  revision(object: ObjectKey): Revision | null {
    return this.#table.revision(object)
  }

  /** A name that metrics may carry: anything else is `other`. */
  knows(host: string): boolean {
    return this.#table.knows(host)
  }

  /** A Service, and an address of it, that metrics may carry. @param address null: the Service alone */
  knowsService(service: ServiceKey, address: string | null): boolean {
    const addresses = this.#endpoints.get(service)
    if (addresses === undefined || address === null) return addresses !== undefined
    let known = this.#addressSets.get(addresses)
    if (known === undefined) this.#addressSets.set(addresses, (known = new Set(addresses)))
    return known.has(address)
  }

  /** Reports carry the figures of observed hosts and of those of governed objects. */
  reports(host: string): boolean {
    return this.#table.isObserved(host) || this.#table.isGoverned(host)
  }
}

/** One message, or several where it has more than so many Services. @param before the generation that workers serve until then */
function piecesOf(published: Published, before: number, most: number): readonly Published[] {
  const { generation, certificates, endpoints } = published
  const { upsert, remove } = endpoints
  if (upsert.size + remove.length <= most) return [published]
  const at = (generation_: number, some: TableUpdate['endpoints']): Published => ({
    ...{ generation: generation_, certificates: [], endpoints: some },
  })
  return [
    // What the new table may need is there before it, and what the old one may need goes after it.
    ...[...chunks(upsert, most)].map(some => at(before, { upsert: new Map(some), remove: [] })),
    { generation, certificates, endpoints: NO_ENDPOINTS },
    ...[...chunks(remove, most)].map(some => at(generation, { upsert: new Map(), remove: some })),
  ]
}
