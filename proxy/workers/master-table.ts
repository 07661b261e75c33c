/** The main thread's copy of what the workers serve: for workers that start later, and for what the admin server says. */
import type { Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { chunks, type Held } from '../table/portions.ts'
import { EMPTY_UPDATE, type TableUpdate } from '../table/update.ts'

export class MasterTable implements Held {
  readonly #fragments = new Map<ObjectKey, Fragment>()
  readonly #certificates = new Map<ObjectKey, Certificate>()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  /** Which fragments name a host, in rules or TLS: nearly always one, and a Set of one costs more than all the rest. */
  readonly #byHost = new Map<string, ObjectKey | Set<ObjectKey>>()
  #observed: readonly string[] = []
  #observedSet: ReadonlySet<string> = new Set()

  apply(update: TableUpdate): void {
    if (update.reset) {
      this.#fragments.clear()
      this.#certificates.clear()
      this.#endpoints.clear()
      this.#byHost.clear()
    }
    for (const key of update.fragments.remove) this.#removeFragment(key)
    for (const fragment of update.fragments.upsert) {
      // It keeps its place: `pieces` may be on its way through.
      this.#unname(this.#fragments.get(fragment.key))
      this.#fragments.set(fragment.key, fragment)
      for (const host of hostsOf(fragment)) this.#name(host, fragment.key)
    }
    for (const key of update.certificates.remove) this.#certificates.delete(key)
    for (const certificate of update.certificates.upsert) this.#certificates.set(certificate.key, certificate)
    for (const service of update.endpoints.remove) this.#endpoints.delete(service)
    for (const [service, addresses] of update.endpoints.upsert) this.#endpoints.set(service, addresses)
    if (update.observed !== null) {
      this.#observed = update.observed
      this.#observedSet = new Set(update.observed)
    }
  }

  /**
   * Everything, for a worker that starts and that nobody asks yet. The table may change between two pieces, if only the
   * worker is told of that, too: it may learn of a thing twice, and never misses one.
   */
  *pieces(size: number): Generator<TableUpdate, void, void> {
    yield { ...EMPTY_UPDATE, observed: this.#observed }
    for (const upsert of chunks(this.#certificates.values(), size)) {
      yield { ...EMPTY_UPDATE, certificates: { upsert, remove: [] } }
    }
    for (const some of chunks(this.#endpoints, size)) {
      yield { ...EMPTY_UPDATE, endpoints: { upsert: new Map(some), remove: [] } }
    }
    for (const upsert of chunks(this.#fragments.values(), size)) {
      yield { ...EMPTY_UPDATE, fragments: { upsert, remove: [] } }
    }
  }

  /** Everything as one update: what tests compare tables by. */
  snapshot(): TableUpdate {
    return {
      reset: true,
      fragments: { upsert: [...this.#fragments.values()], remove: [] },
      certificates: { upsert: [...this.#certificates.values()], remove: [] },
      endpoints: { upsert: new Map(this.#endpoints), remove: [] },
      observed: this.#observed,
    }
  }

  get sizes(): {
    readonly ingresses: number
    readonly hosts: number
    readonly certificates: number
    readonly services: number
  } {
    return {
      ingresses: this.#fragments.size,
      hosts: this.#byHost.size,
      certificates: this.#certificates.size,
      services: this.#endpoints.size,
    }
  }

  /** Revision served per object. */
  revisions(): Record<ObjectKey, string> {
    return Object.fromEntries([...this.#fragments, ...this.#certificates].map(([key, { revision }]) => [key, revision]))
  }

  revision(object: ObjectKey): string | null {
    return (this.#fragments.get(object) ?? this.#certificates.get(object))?.revision ?? null
  }

  /** A name that metrics may carry: anything else is `other`. */
  knows(host: string): boolean {
    return this.#byHost.has(host) || this.#observedSet.has(host)
  }

  /** Of lists that somebody asked about: a list never changes, another one takes its place. */
  readonly #addressSets = new WeakMap<readonly string[], ReadonlySet<string>>()

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
    if (this.#observedSet.has(host)) return true
    const keys = this.#byHost.get(host) ?? []
    for (const key of typeof keys === 'string' ? [keys] : keys) {
      const fragment = this.#fragments.get(key)
      if (fragment?.governed) return true
      if (fragment?.tls.some(t => t.hosts.includes(host) && this.#certificates.get(t.secret)?.governed)) return true
    }
    return false
  }

  fragmentKeys(): Iterable<ObjectKey> {
    return this.#fragments.keys()
  }

  certificateKeys(): Iterable<ObjectKey> {
    return this.#certificates.keys()
  }

  services(): Iterable<ServiceKey> {
    return this.#endpoints.keys()
  }

  fragment(key: ObjectKey): Fragment | undefined {
    return this.#fragments.get(key)
  }

  #removeFragment(key: ObjectKey): void {
    this.#unname(this.#fragments.get(key))
    this.#fragments.delete(key)
  }

  #unname(fragment: Fragment | undefined): void {
    if (fragment === undefined) return
    const { key } = fragment
    for (const host of hostsOf(fragment)) {
      const keys = this.#byHost.get(host)
      if (keys === key) this.#byHost.delete(host)
      else if (keys instanceof Set && keys.delete(key) && keys.size === 0) this.#byHost.delete(host)
    }
  }

  #name(host: string, key: ObjectKey): void {
    const keys = this.#byHost.get(host)
    if (keys === undefined) this.#byHost.set(host, key)
    else if (typeof keys === 'string') this.#byHost.set(host, new Set([keys, key]))
    else keys.add(key)
  }
}

function hostsOf({ hosts, tls, defaultTls = [] }: Fragment): ReadonlySet<string> {
  return new Set([...hosts.map(h => h.host), ...tls.flatMap(t => t.hosts), ...defaultTls])
}
