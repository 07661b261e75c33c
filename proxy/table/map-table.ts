/** The table as Maps, one per worker. Each update rebuilds only the hosts it names. */
import type { Certificate, Fragment, HostFragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { wildcardOf, type Route, type Table } from './contract.ts'
import { HostRoutes, byAge, type HostShare } from './host-routes.ts'
import type { TableUpdate } from './update.ts'

/** What one Ingress says about the certificates of one server name, in the order in which it says it. */
interface TlsShare {
  readonly fragment: Fragment
  readonly secrets: readonly ObjectKey[]
}

export class MapTable implements Table {
  readonly #fragments = new Map<ObjectKey, Fragment>()
  readonly #certificates = new Map<ObjectKey, Certificate>()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  readonly #shares = new Map<string, Map<ObjectKey, HostShare>>()
  readonly #routes = new Map<string, HostRoutes>()
  readonly #tls = new Map<string, Map<ObjectKey, TlsShare>>()
  #observed: ReadonlySet<string> = new Set()

  apply(update: TableUpdate): void {
    const touched = new Set<string>()
    if (update.reset) this.#clear(touched)
    for (const key of update.fragments.remove) this.#removeFragment(key, touched)
    for (const fragment of update.fragments.upsert) {
      this.#removeFragment(fragment.key, touched)
      this.#addFragment(fragment, touched)
    }
    for (const host of touched) this.#rebuild(host)
    for (const key of update.certificates.remove) this.#certificates.delete(key)
    for (const certificate of update.certificates.upsert) this.#certificates.set(certificate.key, certificate)
    for (const service of update.endpoints.remove) this.#endpoints.delete(service)
    for (const [service, addresses] of Object.entries(update.endpoints.upsert)) this.#endpoints.set(service, addresses)
    if (update.observed !== null) this.#observed = new Set(update.observed)
  }

  route(host: string, path: string): Route | null {
    const any = this.#routes.get('')
    const chosen = this.#routes.get(host) ?? this.#routes.get(wildcardOf(host) ?? '') ?? any
    return chosen?.match(path) ?? any?.default ?? null
  }

  certificates(serverName: string): readonly Certificate[] {
    const own = this.#choose(serverName)
    if (own.length > 0) return own
    const wildcard = wildcardOf(serverName)
    return wildcard === null ? [] : this.#choose(wildcard)
  }

  endpoints(service: ServiceKey): readonly string[] | undefined {
    return this.#endpoints.get(service)
  }

  requestHost(host: string): string | null {
    return countedAs(host, name => this.#routes.has(name) || this.#observed.has(name))
  }

  tlsHost(serverName: string): string | null {
    return countedAs(serverName, name => this.#routes.has(name) || this.#tls.has(name) || this.#observed.has(name))
  }

  #clear(touched: Set<string>): void {
    for (const host of this.#routes.keys()) touched.add(host)
    this.#fragments.clear()
    this.#certificates.clear()
    this.#endpoints.clear()
    this.#shares.clear()
    this.#tls.clear()
  }

  #addFragment(fragment: Fragment, touched: Set<string>): void {
    this.#fragments.set(fragment.key, fragment)
    for (const [host, hosts] of Map.groupBy(fragment.hosts, (h: HostFragment) => h.host)) {
      inner(this.#shares, host).set(fragment.key, { fragment, hosts })
      touched.add(host)
    }
    for (const host of new Set(fragment.tls.flatMap(t => t.hosts))) {
      const secrets = fragment.tls.filter(t => t.hosts.includes(host)).map(t => t.secret)
      inner(this.#tls, host).set(fragment.key, { fragment, secrets })
    }
  }

  #removeFragment(key: ObjectKey, touched: Set<string>): void {
    const fragment = this.#fragments.get(key)
    if (!fragment) return
    this.#fragments.delete(key)
    for (const { host } of fragment.hosts) {
      prune(this.#shares, host, key)
      touched.add(host)
    }
    for (const host of fragment.tls.flatMap(t => t.hosts)) prune(this.#tls, host, key)
  }

  #rebuild(host: string): void {
    const shares = this.#shares.get(host)
    if (shares) this.#routes.set(host, new HostRoutes(host, shares.values()))
    else this.#routes.delete(host)
  }

  #choose(name: string): readonly Certificate[] {
    const shares = this.#tls.get(name)
    if (!shares) return []
    const chosen = new Map<Certificate['keyType'], Certificate>()
    for (const { secrets } of [...shares.values()].sort((a, b) => byAge(a.fragment, b.fragment))) {
      for (const secret of secrets) {
        const certificate = this.#certificates.get(secret)
        if (certificate && !chosen.has(certificate.keyType)) chosen.set(certificate.keyType, certificate)
      }
    }
    return [...chosen.values()]
  }
}

function countedAs(host: string, known: (name: string) => boolean): string | null {
  if (known(host)) return host
  const wildcard = wildcardOf(host)
  if (wildcard !== null && known(wildcard)) return wildcard
  return known('') ? '' : null
}

function inner<V>(outer: Map<string, Map<ObjectKey, V>>, host: string): Map<ObjectKey, V> {
  const found = outer.get(host) ?? new Map<ObjectKey, V>()
  outer.set(host, found)
  return found
}

function prune<V>(outer: Map<string, Map<ObjectKey, V>>, host: string, key: ObjectKey): void {
  const found = outer.get(host)
  if (found?.delete(key) && found.size === 0) outer.delete(host)
}
