/**
 * A worker's side of the table in shared memory (shared-writer.ts has the other). Routes and certificates are objects only where they are
 * asked for.
 */
import type { CanaryRule, Certificate, ObjectKey } from '../../protocol/objects.ts'
import { NOWHERE } from '../memory/layout.ts'
import { nameOf } from '../memory/names.ts'
import { SharedMemory } from '../memory/shared-memory.ts'
import { VersionedReader } from '../memory/versions.ts'
import type { Clusters } from '../upstream/contract.ts'
import { countedAs, wildcardOf, type HostEntry, type Route, type TableExplainer, type TableReader } from './contract.ts'
import { TableRoute, byAge, type RouteOwner } from './route.ts'
import { PathMatch, fits } from './path-match.ts'
import { Policies } from './policy.ts'
import {
  ROOTS,
  fragmentOf,
  readCanaryRule,
  readCertificate,
  readDefault,
  readHead,
  readPaths,
  readSecrets,
  readSettings,
  readShares,
} from './records.ts'
import { RouteIds } from './route-ids.ts'
import { Split } from './split.ts'
import { Views, originOf, type Origin } from './views.ts'

/** Views that are looked at, with every flush of the counters, for whether what they were made of is still there. */
const SWEPT = 64
const NO_CERTIFICATES: readonly Certificate[] = Object.freeze([])

/** What one fragment says of a host. */
interface HostShare extends Origin {
  readonly owner: RouteOwner
  /** Null: it serves its paths; else which requests it takes of those of others. */
  readonly rule: CanaryRule | null
  readonly routes: readonly TableRoute[]
}

interface HostView {
  /** Oldest first. */
  shares: readonly HostShare[]
  /** False: canaries alone name the host, which is as if nobody did. */
  readonly serves: boolean
  /** Those that serve, of the oldest Ingress first. */
  readonly routes: readonly TableRoute[]
  /** Null: there is one route and no other. */
  readonly paths: PathMatch | null
}

/** What the oldest fragment says of a server name. */
interface NameView {
  readonly secrets: readonly ObjectKey[]
  /** For the generation in which it was chosen. */
  ready: readonly Certificate[]
  chosen: number
}

/** The certificate of names that have no other. */
interface DefaultView {
  readonly key: ObjectKey
  ready: readonly Certificate[]
}

export class SharedTable implements TableReader, TableExplainer {
  readonly #memory: SharedMemory
  readonly #clusters: Clusters
  readonly #ids = new RouteIds()
  readonly #maps: VersionedReader[] = []
  readonly #observed: VersionedReader
  readonly #hosts: Views<HostView>
  readonly #challenges: Views<HostView>
  readonly #names: Views<NameView>
  readonly #certificates: Views<Certificate>
  readonly #default: Views<DefaultView>
  readonly #policies = new Policies()

  /** It has nothing until `advance`. */
  constructor(buffer: SharedArrayBuffer, clusters: Clusters) {
    this.#memory = new SharedMemory(buffer)
    this.#clusters = clusters
    const map = (root: number): VersionedReader => {
      const reader = new VersionedReader(this.#memory, root)
      this.#maps.push(reader)
      return reader
    }
    this.#observed = map(ROOTS.observed)
    const hostViews = (reader: VersionedReader): Views<HostView> =>
      new Views(this.#memory, reader, {
        make: (node, before) => this.#hostView(node, before),
        end: view => this.#endHostView(view),
      })
    const plain = { end: (): void => undefined }
    this.#hosts = hostViews(map(ROOTS.hosts))
    this.#challenges = hostViews(map(ROOTS.challenges))
    this.#names = new Views(this.#memory, map(ROOTS.serverNames), { ...plain, make: node => this.#nameView(node) })
    const certificates = map(ROOTS.certificates)
    this.#certificates = new Views(this.#memory, certificates, {
      ...plain,
      make: node => readCertificate(this.#memory, node),
    })
    this.#default = new Views(this.#memory, certificates, {
      ...plain,
      make: node => ({ key: readDefault(this.#memory, node), ready: NO_CERTIFICATES }),
    })
  }

  get generation(): number {
    return this.#observed.generation
  }

  /** Serves this generation from now on, all of it at once; never an older one than before. */
  advance(generation: number): void {
    if (generation < this.generation) return
    for (const map of this.#maps) map.advance(generation)
  }

  /**
   * Numbers of routes that are gone may be given anew from now on. To be called when all that was counted under them has been read
   * (after a flush of the counters); without it numbers only grow.
   */
  reclaim(): void {
    this.#ids.reclaim()
    for (const views of [this.#hosts, this.#challenges, this.#names]) views.sweep(SWEPT)
  }

  /** These changed or went: no private key is kept for want of somebody who asks. */
  forget(keys: readonly ObjectKey[]): void {
    if (keys.length === 0) return
    for (const key of keys) this.#certificates.forget(key)
    const changed = new Set(keys)
    const holds = ({ ready }: { readonly ready: readonly Certificate[] }): boolean =>
      ready.some(({ key }) => changed.has(key))
    for (const view of this.#default.values()) if (holds(view)) view.ready = NO_CERTIFICATES
    for (const view of this.#names.values()) {
      if (!holds(view)) continue
      view.ready = NO_CERTIFICATES
      view.chosen = -1
    }
  }

  route(host: string, path: string): Route | null {
    const challenges = this.#challenges.get(host)
    const challenge = challenges === null ? null : match(challenges, path)
    if (challenge !== null) return challenge
    const chosen = this.#host(host) ?? this.#hostOr(wildcardOf(host))
    const route = chosen === null ? null : match(chosen, path)
    if (route !== null) return route
    const any = this.#host('')
    if (any === null || any === chosen) return null
    return chosen === null ? match(any, path) : defaultOf(any)
  }

  certificates(serverName: string): readonly Certificate[] {
    const chosen = this.#ready(serverName) ?? this.#ready(wildcardOf(serverName)) ?? NO_CERTIFICATES
    return chosen.length === 0 ? this.#defaultCertificates() : chosen
  }

  entries(host: string): readonly HostEntry[] {
    const entry = (kind: HostEntry['kind'], name: string | null, among = this.#hosts): readonly HostEntry[] => {
      const found = name === null ? null : among.get(name)
      if (name === null || found?.serves !== true) return []
      const routes = found.routes.map(route => ({ route, createdAt: route.owner.createdAt }))
      return [{ kind, host: name, routes }]
    }
    if (host === '') return entry('default', '')
    const challenges = entry('challenges', host, this.#challenges)
    return [...challenges, ...entry('exact', host), ...entry('wildcard', wildcardOf(host)), ...entry('default', '')]
  }

  requestHost(host: string): string | null {
    return countedAs(host, name => this.#host(name) !== null || this.#isObserved(name))
  }

  tlsHost(serverName: string): string | null {
    return countedAs(
      serverName,
      name => this.#host(name) !== null || this.#names.get(name) !== null || this.#isObserved(name),
    )
  }

  #isObserved(name: string): boolean {
    return this.#observed.find(name) !== NOWHERE
  }

  /** Null: nobody serves it. */
  #host(name: string): HostView | null {
    const view = this.#hosts.get(name)
    return view?.serves === true ? view : null
  }

  #hostOr(name: string | null): HostView | null {
    return name === null ? null : this.#host(name)
  }

  #hostView(node: number, before: HostView | null): HostView {
    // What is the same goes over to the new view with its routes, and is none of the old one's any more.
    const left = new Map((before?.shares ?? []).map(share => [share.node, share]))
    const shares = readShares(this.#memory, node)
      .map(place => this.#hostShare(place, left))
      .sort(byAge)
    if (before !== null) before.shares = [...left.values()]
    const routes = splitRoutes(shares)
    const serves = shares.some(({ rule }) => rule === null)
    return { shares, serves, routes, paths: routes.length === 1 ? null : new PathMatch(routes) }
  }

  /** @param left what it was made of is taken out */
  #hostShare(place: number, left: Map<number, HostShare>): HostShare {
    const memory = this.#memory
    const fragment = fragmentOf(memory, place)
    // Of the fragment: a share has a generation of its own only where it is a node by itself.
    const { since } = originOf(memory, fragment)
    const same = left.get(place)
    if (same?.since === since) {
      left.delete(place)
      return same
    }
    const owner = readHead(memory, fragment)
    const rule = owner.isCanary ? readCanaryRule(memory, fragment) : null
    const settings = readSettings(memory, fragment)
    const host = nameOf(memory, place)
    const routes = readPaths(memory, place).map(path => {
      const { backend } = path
      const cluster = 'service' in backend ? this.#clusters.hold(backend.service) : null
      return new TableRoute(this.#ids.take(), host, path, cluster, this.#policies.of(backend, settings), owner)
    })
    return { node: place, since, owner, rule, routes }
  }

  #endHostView({ shares }: HostView): void {
    for (const { routes } of shares) {
      for (const { id, cluster } of routes) {
        this.#ids.give(id)
        if (cluster !== null) this.#clusters.release(cluster.service)
      }
    }
  }

  #nameView(node: number): NameView {
    const memory = this.#memory
    const shares = readShares(memory, node).map(place => ({
      place,
      owner: readHead(memory, fragmentOf(memory, place)),
    }))
    const [oldest] = shares.sort(byAge)
    const secrets = oldest === undefined ? [] : readSecrets(memory, oldest.place)
    return { secrets, ready: NO_CERTIFICATES, chosen: -1 }
  }

  /** Null: nobody names it. Empty: whoever has the name has no certificate for it (yet). */
  #ready(name: string | null): readonly Certificate[] | null {
    const view = name === null ? null : this.#names.get(name)
    if (view === null) return null
    const { generation } = this
    if (view.chosen === generation) return view.ready
    view.chosen = generation
    const chosen: Certificate[] = []
    // At most one per key type, as the fragment names them.
    for (const key of view.secrets) {
      const certificate = this.#certificates.get(key)
      if (certificate !== null && chosen.every(c => c.keyType !== certificate.keyType)) chosen.push(certificate)
    }
    const { ready } = view
    if (chosen.length !== ready.length || chosen.some((c, i) => c !== ready[i])) view.ready = chosen
    return view.ready
  }

  #defaultCertificates(): readonly Certificate[] {
    const view = this.#default.get('')
    if (view === null) return NO_CERTIFICATES
    const certificate = this.#certificates.get(view.key)
    if (certificate === null) return NO_CERTIFICATES
    if (view.ready[0] !== certificate) view.ready = [certificate]
    return view.ready
  }
}

/** What serves of a host, each path with the canaries of the same type and path, oldest first. */
function splitRoutes(shares: readonly HostShare[]): readonly TableRoute[] {
  const serving = shares.flatMap(({ rule, routes }) => (rule === null ? routes : []))
  if (serving.length === 0 || shares.every(({ rule }) => rule === null)) return serving
  const canaries = shares.flatMap(({ rule, routes }) => (rule === null ? [] : routes.map(route => ({ route, rule }))))
  const byPath = Map.groupBy(canaries, ({ route }) => `${route.type} ${route.path}`)
  return serving.map(route => {
    const own = byPath.get(`${route.type} ${route.path}`)
    return own === undefined ? route : route.with(new Split(own, route))
  })
}

function match({ routes, paths }: HostView, path: string): TableRoute | null {
  if (paths !== null) return paths.match(path)
  const [route] = routes
  return route !== undefined && fits(route, path) ? route : null
}

function defaultOf({ routes, paths }: HostView): TableRoute | null {
  if (paths !== null) return paths.default
  const [route] = routes
  return route?.type === 'Default' ? route : null
}
