/** The table as Maps, one per worker. Each update touches only the hosts it names; an Ingress that did not change keeps its routes. */
import type { Backend, Certificate, Fragment, HostFragment, ObjectKey, PathFragment } from '../../protocol/objects.ts'
import type { Clusters } from '../upstream/contract.ts'
import { wildcardOf, type HostEntry, type Route, type Table } from './contract.ts'
import { exchange } from './groups.ts'
import { HostRoutes } from './host-routes.ts'
import { Owner, TableRoute, listOf, routesOf, type HostShare, type Some, type TlsShare } from './owner.ts'
import { fits } from './path-match.ts'
import { OPEN, closedPolicy, type Policy } from './policy.ts'
import { RouteIds } from './route-ids.ts'
import { NO_CERTIFICATES, SecretSlot } from './secret-slot.ts'
import { TlsName } from './tls-names.ts'
import type { TableUpdate } from './update.ts'

const HOSTS = {
  isGroup: (value: HostShare | HostRoutes): value is HostRoutes => value instanceof HostRoutes,
  needsGroup: (share: HostShare) => !(share instanceof TableRoute),
  make: () => new HostRoutes(),
}
const NAMES = {
  isGroup: (value: TlsShare | TlsName): value is TlsName => value instanceof TlsName,
  needsGroup: ({ secrets }: TlsShare) => Array.isArray(secrets),
  make: () => new TlsName(),
}

export class MapTable implements Table {
  readonly #clusters: Clusters
  readonly #ids = new RouteIds()
  readonly #owners = new Map<ObjectKey, Owner>()
  /** A single route stands by itself. */
  readonly #hosts = new Map<string, HostShare | HostRoutes>()
  /** ACME challenges, apart: a host that has nothing else is none. Nearly always empty. */
  readonly #challenges = new Map<string, HostShare | HostRoutes>()
  readonly #names = new Map<string, TlsShare | TlsName>()
  readonly #secrets = new Map<ObjectKey, SecretSlot>()
  #certificateVersion = 0
  /** For names without a certificate of their own (`--default-ssl-certificate`). */
  #default = NO_CERTIFICATES
  #observed: ReadonlySet<string> = new Set()

  constructor(clusters: Clusters) {
    this.#clusters = clusters
  }

  apply(update: TableUpdate): void {
    this.#applyCertificates(update)
    const named = new Set<ObjectKey>()
    for (const fragment of update.fragments.upsert) {
      named.add(fragment.key)
      const old = this.#owners.get(fragment.key) ?? null
      if (old === null || !sameContent(old, fragment)) this.#replace(old, this.#own(fragment))
    }
    // After what is new: a path that moves from one Ingress to another keeps its cluster, with its connections.
    const removed = update.reset ? [...this.#owners.keys()] : update.fragments.remove
    for (const key of removed) {
      const old = named.has(key) ? undefined : this.#owners.get(key)
      if (old) this.#replace(old, null)
    }
    if (update.observed !== null) this.#observed = new Set(update.observed)
  }

  reclaim(): void {
    this.#ids.reclaim()
  }

  route(host: string, path: string): Route | null {
    const challenges = this.#challenges.size === 0 ? undefined : this.#challenges.get(host)
    const challenge = challenges === undefined ? null : match(challenges, path)
    if (challenge !== null) return challenge
    const chosen = this.#hosts.get(host) ?? this.#hosts.get(wildcardOf(host) ?? '')
    const route = chosen === undefined ? null : match(chosen, path)
    if (route !== null) return route
    const any = this.#hosts.get('')
    if (any === undefined || any === chosen) return null
    return chosen === undefined ? match(any, path) : defaultOf(any)
  }

  certificates(serverName: string): readonly Certificate[] {
    const wildcard = wildcardOf(serverName)
    const chosen = this.#ready(serverName) ?? (wildcard === null ? null : this.#ready(wildcard)) ?? NO_CERTIFICATES
    return chosen.length === 0 ? this.#default : chosen
  }

  entries(host: string): readonly HostEntry[] {
    const entry = (
      kind: HostEntry['kind'],
      name: string | null,
      among: ReadonlyMap<string, HostShare | HostRoutes> = this.#hosts,
    ): readonly HostEntry[] => {
      const found = name === null ? undefined : among.get(name)
      if (name === null || found === undefined) return []
      const shares = found instanceof HostRoutes ? found.shares : [found]
      const routes = shares.flatMap(routesOf).map(route => ({ route, createdAt: route.owner.createdAt }))
      return [{ kind, host: name, routes }]
    }
    if (host === '') return entry('default', '')
    const challenges = entry('challenges', host, this.#challenges)
    return [...challenges, ...entry('exact', host), ...entry('wildcard', wildcardOf(host)), ...entry('default', '')]
  }

  requestHost(host: string): string | null {
    return countedAs(host, name => this.#hosts.has(name) || this.#observed.has(name))
  }

  tlsHost(serverName: string): string | null {
    return countedAs(serverName, name => this.#hosts.has(name) || this.#names.has(name) || this.#observed.has(name))
  }

  /** Null: nobody names it. Empty: whoever has the name has no certificate for it (yet). */
  #ready(name: string): readonly Certificate[] | null {
    const found = this.#names.get(name)
    if (found === undefined) return null
    return found instanceof TlsName ? found.ready(this.#certificateVersion) : (found.secrets as SecretSlot).ready
  }

  #applyCertificates({ certificates, reset }: TableUpdate): void {
    const named = new Set<ObjectKey>()
    for (const certificate of certificates.upsert) {
      named.add(certificate.key)
      const slot = this.#slot(certificate.key)
      if (!sameCertificate(slot.certificate, certificate)) slot.set(certificate)
      if (certificate.isDefault === true) this.#default = slot.ready
      else if (this.#default[0]?.key === certificate.key) this.#default = NO_CERTIFICATES
    }
    for (const key of reset ? [...this.#secrets.keys()] : certificates.remove) {
      const slot = named.has(key) ? undefined : this.#secrets.get(key)
      if (slot === undefined) continue
      slot.set(null)
      if (this.#default[0]?.key === key) this.#default = NO_CERTIFICATES
      this.#prune(slot)
    }
    this.#certificateVersion++
  }

  #own(fragment: Fragment): Owner {
    const owner = new Owner(fragment)
    let closed: Policy | null = null
    const policyOf = (backend: Backend): Policy => {
      if (!('status' in backend)) return OPEN
      const { status, reason, protects = true } = backend
      if (closed?.closed?.reason !== reason || closed.closed.protects !== protects) {
        closed = closedPolicy(status, reason, protects)
      }
      return closed
    }
    const route = (host: string, path: PathFragment): TableRoute => {
      const { backend } = path
      const cluster = 'service' in backend ? this.#clusters.hold(backend.service) : null
      return new TableRoute(this.#ids.take(), host, path, cluster, policyOf(backend), owner)
    }
    owner.shares = some(
      byHost(fragment.hosts).map(({ host, paths }): HostShare => {
        const routes = paths.map(path => route(host, path))
        return routes.length === 1 && routes[0] !== undefined ? routes[0] : { host, owner, routes }
      }),
    )
    owner.tls = some(
      byName(fragment).map(({ name, keys }): TlsShare => {
        const secrets = keys.map(key => this.#slot(key))
        for (const slot of secrets) slot.uses++
        return { name, owner, secrets: some(secrets) }
      }),
    )
    return owner
  }

  #replace(old: Owner | null, next: Owner | null): void {
    if (old !== null && next !== null && old.challenges !== next.challenges) {
      this.#replace(old, null)
      this.#replace(null, next)
      return
    }
    if (next !== null) this.#owners.set(next.key, next)
    else if (old !== null) this.#owners.delete(old.key)
    const isOfChallenges = (next ?? old)?.challenges === true
    const exchangeHost = isOfChallenges ? this.#exchangeChallenges : this.#exchangeHost
    pairs(old?.shares ?? null, next?.shares ?? null, hostOf, exchangeHost)
    pairs(old?.tls ?? null, next?.tls ?? null, nameOf, this.#exchangeName)
    if (old !== null) this.#drop(old)
  }

  readonly #exchangeHost = (host: string, old: HostShare | null, next: HostShare | null): void => {
    exchange<HostShare, HostRoutes>(this.#hosts, host, old, next, HOSTS)
  }

  readonly #exchangeChallenges = (host: string, old: HostShare | null, next: HostShare | null): void => {
    exchange<HostShare, HostRoutes>(this.#challenges, host, old, next, HOSTS)
  }

  readonly #exchangeName = (name: string, old: TlsShare | null, next: TlsShare | null): void => {
    exchange<TlsShare, TlsName>(this.#names, name, old, next, NAMES)
  }

  #drop({ shares, tls }: Owner): void {
    for (const share of listOf(shares)) {
      for (const { id, cluster } of routesOf(share)) {
        this.#ids.give(id)
        if (cluster !== null) this.#clusters.release(cluster.service)
      }
    }
    for (const { secrets } of listOf(tls)) {
      for (const slot of listOf(secrets)) {
        slot.uses--
        this.#prune(slot)
      }
    }
  }

  #slot(key: ObjectKey): SecretSlot {
    const slot = this.#secrets.get(key) ?? new SecretSlot(key)
    this.#secrets.set(key, slot)
    return slot
  }

  #prune(slot: SecretSlot): void {
    if (slot.certificate === null && slot.uses === 0) this.#secrets.delete(slot.key)
  }
}

function match(chosen: HostShare | HostRoutes, path: string): TableRoute | null {
  if (chosen instanceof TableRoute) return fits(chosen, path) ? chosen : null
  return chosen instanceof HostRoutes ? chosen.match(path) : null
}

function defaultOf(any: HostShare | HostRoutes): TableRoute | null {
  if (any instanceof TableRoute) return any.type === 'Default' ? any : null
  return any instanceof HostRoutes ? any.default : null
}

function countedAs(host: string, known: (name: string) => boolean): string | null {
  if (known(host)) return host
  const wildcard = wildcardOf(host)
  if (wildcard !== null && known(wildcard)) return wildcard
  return known('') ? '' : null
}

/** Of the same revision alone one cannot tell: an operator of another version may compile it differently. */
function sameContent(owner: Owner, fragment: Fragment): boolean {
  const { revision, createdAt, governed, challenges } = fragment
  return (
    owner.challenges === (challenges === true) &&
    owner.revision === revision &&
    owner.createdAt === createdAt &&
    owner.governed === governed &&
    sameList(owner.shares, byHost(fragment.hosts), sameHost) &&
    sameList(owner.tls, byName(fragment), sameName)
  )
}

function sameList<A extends object, B>(some: Some<A>, list: readonly B[], same: (a: A, b: B) => boolean): boolean {
  if (!Array.isArray(some)) return list.length === 1 && list[0] !== undefined && same(some as A, list[0])
  const own = some as readonly A[]
  return own.length === list.length && list.every((item, i) => own[i] !== undefined && same(own[i], item))
}

function sameHost(share: HostShare, { host, paths }: HostFragment): boolean {
  if (share.host !== host) return false
  return sameList(share instanceof TableRoute ? share : share.routes, paths, samePath)
}

function sameName({ name, secrets }: TlsShare, named: NamedSecrets): boolean {
  return name === named.name && sameList(secrets, named.keys, (slot, key) => slot.key === key)
}

function samePath(route: TableRoute, { type, path, backend }: PathFragment): boolean {
  if (route.type !== type || route.path !== path) return false
  if ('service' in backend) return route.cluster?.service === backend.service
  const { closed } = route.policy
  return closed?.reason === backend.reason && closed.protects === (backend.protects ?? true)
}

function sameCertificate(a: Certificate | null, b: Certificate): boolean {
  return (
    a !== null &&
    a.revision === b.revision &&
    a.governed === b.governed &&
    a.isDefault === b.isDefault &&
    a.chain === b.chain &&
    a.privateKey === b.privateKey
  )
}

/** A host that is named twice is one host. */
function byHost(hosts: readonly HostFragment[]): readonly HostFragment[] {
  if (hosts.length < 2) return hosts
  return [...Map.groupBy(hosts, ({ host }) => host)].map(([host, all]) => ({ host, paths: all.flatMap(h => h.paths) }))
}

interface NamedSecrets {
  readonly name: string
  readonly keys: readonly ObjectKey[]
}

function byName({ tls, defaultTls = [] }: Fragment): readonly NamedSecrets[] {
  const [first] = tls
  if (defaultTls.length === 0) {
    if (first === undefined) return []
    if (tls.length === 1 && first.hosts.length === 1) return [{ name: first.hosts[0] ?? '', keys: [first.secret] }]
  }
  const names = new Map<string, ObjectKey[]>()
  for (const { hosts, secret } of tls) {
    for (const host of hosts) {
      const keys = names.get(host)
      if (keys === undefined) names.set(host, [secret])
      else if (!keys.includes(secret)) keys.push(secret)
    }
  }
  for (const name of defaultTls) if (!names.has(name)) names.set(name, [])
  return [...names].map(([name, keys]) => ({ name, keys }))
}

function hostOf(share: HostShare): string {
  return share.host
}

function nameOf(share: TlsShare): string {
  return share.name
}

function some<T extends object>(list: readonly T[]): Some<T> {
  return list.length === 1 && list[0] !== undefined ? list[0] : list
}

/** Calls for each name of either side, with what each side says of it. */
function pairs<T extends object>(
  old: Some<T> | null,
  next: Some<T> | null,
  nameOf: (share: T) => string,
  call: (name: string, before: T | null, after: T | null) => void,
): void {
  // Nearly always one name, and the same: an update of thousands should not make a Map for each.
  if (!Array.isArray(old) && !Array.isArray(next)) {
    const [before, after] = [old as T | null, next as T | null]
    if (before === null || after === null || nameOf(before) === nameOf(after)) {
      const name = before ?? after
      if (name !== null) call(nameOf(name), before, after)
      return
    }
  }
  const before = new Map((old === null ? [] : listOf(old)).map(share => [nameOf(share), share]))
  for (const share of next === null ? [] : listOf(next)) {
    const name = nameOf(share)
    call(name, before.get(name) ?? null, share)
    before.delete(name)
  }
  for (const [name, share] of before) call(name, share, null)
}
