/** Hosts, Services and certificates that change all the time: which change comes next, what it makes right and wrong, and how one sees that it is served. */
import { X509Certificate } from 'node:crypto'
import type { ObjectKey } from '../../protocol/objects.ts'
import { certificate, fragment, host as hostOf, path, tls } from '../../proxy/table/testing/fixtures.ts'
import type { MergedExplanation } from '../../proxy/workers/explain.ts'
import type { Leaf } from '../pki/pki.ts'
import type { TestWorld } from '../stream/world.ts'
import type { Fact, Route } from './truth.ts'

export const CHANGE_KINDS = ['host comes', 'host goes', 'paths', 'endpoints', 'certificate'] as const
export type ChangeKind = (typeof CHANGE_KINDS)[number]

/** Cumulated parts of the changes; a host goes where there are more than at the beginning, else one comes. */
const CHANCES: readonly (readonly [number, 'turnover' | Exclude<ChangeKind, `host ${string}`>])[] = [
  ...([
    [0.4, 'turnover'],
    [0.6, 'paths'],
    [0.8, 'endpoints'],
    [1, 'certificate'],
  ] as const),
]
/** One host in so many has a certificate; a Service of its own; a second path. */
const EVERY = { tls: 10, own: 10, extra: 3 }
const HOSTS_PER_SERVICE = 50
const MOST_ENDPOINTS = 5
const FIRST_ENDPOINTS = 3

export type What = Pick<MergedExplanation, 'answer' | 'endpoints'> & {
  readonly route: Pick<NonNullable<MergedExplanation['route']>, 'revision'> | null
  readonly certificate: { readonly certificates: readonly { readonly revision: string }[] }
}

export interface Change {
  readonly kind: ChangeKind
  /** Right from now on, and… */
  readonly allowed: readonly Fact[]
  /** …wrong once it is served. */
  readonly forbidden: readonly Fact[]
  readonly apply: (world: TestWorld) => void
  /** What nobody needs any more once it is served. */
  readonly applyLast: (world: TestWorld) => void
  /** Of whom the proxy is asked, and whether it serves the change by what it says. */
  readonly host: string
  readonly isServed: (what: What) => boolean
  /** Addresses that are of no use any more then. */
  readonly retired: readonly string[]
  /** What it concerns may change again. */
  readonly done: () => void
}

export interface Sources {
  /** A new address, `ip:port`. */
  readonly address: () => Promise<string>
  readonly leaf: (host: string) => Promise<Leaf>
}

interface Host {
  readonly number: number
  readonly name: string
  /** The Service of its own. */
  readonly own: string | null
  route: Route
  revision: number
  /** Null: it has no certificate. */
  fingerprint: string | null
  renewals: number
}

/** Of one length: later names take no more memory than early ones. */
const digitsOf = (n: number): string => String(n).padStart(7, '0')
const nothing = (): void => undefined
const revisionOf = (n: number): string => `r${n}`
const ingressKey = ({ number }: Host): ObjectKey => `Ingress/ns/host-${digitsOf(number)}`
const secretKey = ({ number }: Host): ObjectKey => `Secret/ns/cert-${digitsOf(number)}`

export class Population {
  readonly #wanted: number
  readonly #random: () => number
  readonly #sources: Sources
  readonly #hosts: Host[] = []
  readonly #endpoints = new Map<string, readonly string[]>()
  readonly #shared: string[] = []
  /** Hosts and Services of which a change is on its way. */
  readonly #busy = new Set<Host | string>()
  #next = 0

  /** @param random from 0 to below 1 */
  constructor(hosts: number, random: () => number, sources: Sources) {
    this.#wanted = hosts
    this.#random = random
    this.#sources = sources
  }

  get size(): number {
    return this.#hosts.length
  }

  /** What there is at the beginning. */
  async found(): Promise<readonly Change[]> {
    const changes: Change[] = []
    for (let n = 0; n < Math.max(4, this.#wanted / HOSTS_PER_SERVICE); n++) {
      const service = `ns/shared-${n}:80`
      this.#shared.push(service)
      const addresses: string[] = []
      while (addresses.length < FIRST_ENDPOINTS) addresses.push(await this.#sources.address())
      changes.push(this.#endpointChange(service, '', addresses))
    }
    while (this.#hosts.length < this.#wanted) changes.push(await this.#comes())
    for (const { done } of changes) done()
    return changes
  }

  async next(): Promise<Change> {
    const chance = this.#random()
    const kind = CHANCES.find(([below]) => chance < below)?.[1] ?? 'paths'
    const host = this.#pick(one => kind !== 'certificate' || one.fingerprint !== null)
    if (host === null) return this.#comes()
    if (kind === 'turnover') return this.#hosts.length > this.#wanted ? this.#goes(host) : this.#comes()
    if (kind === 'paths') return this.#paths(host)
    if (kind === 'certificate') return this.#renewed(host)
    const service = host.route.service
    return this.#busy.has(service) ? this.#paths(host) : this.#endpointsOf(service, host)
  }

  /** Null: all of them are busy. */
  #pick(fits: (host: Host) => boolean): Host | null {
    const from = Math.floor(this.#random() * this.#hosts.length)
    const free = (host: Host): boolean => fits(host) && !this.#busy.has(host)
    return this.#hosts.slice(from).find(free) ?? this.#hosts.slice(0, from).find(free) ?? null
  }

  #sharedService(): string {
    return this.#shared[Math.floor(this.#random() * this.#shared.length)] ?? ''
  }

  async #comes(): Promise<Change> {
    const number = this.#next++
    const name = `host-${digitsOf(number)}.soak.example`
    const own = number % EVERY.own === EVERY.own / 2 ? `ns/own-${digitsOf(number)}:80` : null
    const extra = number % EVERY.extra === 0 ? { path: '/v1', service: this.#sharedService() } : null
    const route: Route = { service: own ?? this.#sharedService(), extra }
    const host: Host = { ...{ number, name, own, route, revision: 1, renewals: 0 }, fingerprint: null }
    const release = this.#take(host)
    const addresses = own === null ? [] : [await this.#sources.address()]
    const renewal = number % EVERY.tls === 0 ? await this.#renewal(host) : null
    this.#hosts.push(host)
    if (own !== null) this.#endpoints.set(own, addresses)
    return {
      ...{ kind: 'host comes', host: name, retired: [], applyLast: nothing, done: release },
      allowed: [
        ...addresses.map(address => ({ kind: 'endpoint' as const, service: own ?? '', address })),
        ...(renewal?.allowed ?? []),
        { kind: 'route', host: name, route },
      ],
      forbidden: [{ kind: 'route', host: name, route: null }, ...(renewal?.forbidden ?? [])],
      apply: world => {
        if (own !== null) world.setEndpoints(own, addresses)
        renewal?.apply(world)
        world.release(this.#fragment(host))
      },
      isServed: what =>
        isRoute(what, host.revision) && (renewal === null || renewal.isServed(what)) && what.endpoints.length > 0,
    }
  }

  #goes(host: Host): Change {
    const release = this.#take(host)
    const { name, own, route, fingerprint } = host
    this.#hosts.splice(this.#hosts.indexOf(host), 1)
    const addresses = own === null ? [] : (this.#endpoints.get(own) ?? [])
    if (own !== null) this.#endpoints.delete(own)
    const certificateOf = (value: string | null): readonly Fact[] =>
      fingerprint === null ? [] : [{ kind: 'certificate', host: name, fingerprint: value }]
    return {
      ...{ kind: 'host goes', host: name, retired: addresses, done: release },
      allowed: [{ kind: 'route', host: name, route: null }, ...certificateOf(null)],
      forbidden: [
        { kind: 'route', host: name, route },
        ...certificateOf(fingerprint),
        ...addresses.map(address => ({ kind: 'endpoint' as const, service: own ?? '', address })),
      ],
      apply: world => {
        world.remove(ingressKey(host))
        if (fingerprint !== null) world.remove(secretKey(host))
      },
      // Its Service goes when nobody asks for it any more.
      applyLast: world => {
        if (own !== null) world.setEndpoints(own, null)
      },
      isServed: what => what.route === null && what.certificate.certificates.length === 0,
    }
  }

  #paths(host: Host): Change {
    const release = this.#take(host)
    const { name, route: before } = host
    const revision = ++host.revision
    // As many as at the beginning: what grows is to be the proxy's memory, and not what it is told.
    const extra = this.#random() < 1 / EVERY.extra ? { path: `/v${revision}`, service: this.#sharedService() } : null
    host.route = { service: host.own ?? this.#sharedService(), extra }
    return {
      ...{ kind: 'paths', host: name, retired: [], applyLast: nothing, done: release },
      allowed: [{ kind: 'route', host: name, route: host.route }],
      forbidden: isSame(before, host.route) ? [] : [{ kind: 'route', host: name, route: before }],
      apply: world => world.release(this.#fragment(host)),
      isServed: what => isRoute(what, revision),
    }
  }

  /** One comes, one goes, or one takes another's place. */
  async #endpointsOf(service: string, host: Host): Promise<Change> {
    const releases = [this.#take(service), this.#take(host)]
    const before = this.#endpoints.get(service) ?? []
    const chance = this.#random()
    const [grows, shrinks] = [before.length < MOST_ENDPOINTS && chance < 0.3, before.length > 1 && chance > 0.7]
    const rest = grows && host.own === null ? before : before.slice(1)
    const after = shrinks ? rest : [...rest, await this.#sources.address()]
    const change = this.#endpointChange(service, host.name, after)
    return {
      ...change,
      done: () => {
        for (const release of releases) release()
      },
    }
  }

  #endpointChange(service: string, host: string, after: readonly string[]): Change {
    const before = this.#endpoints.get(service) ?? []
    this.#endpoints.set(service, after)
    const retired = before.filter(address => !after.includes(address))
    const facts = (addresses: readonly string[]): readonly Fact[] =>
      addresses.map(address => ({ kind: 'endpoint', service, address }))
    return {
      ...{ kind: 'endpoints', host, retired, applyLast: nothing, done: nothing },
      allowed: facts(after.filter(address => !before.includes(address))),
      forbidden: facts(retired),
      apply: world => world.setEndpoints(service, after),
      isServed: ({ endpoints }) =>
        endpoints.length === after.length && endpoints.every(({ address }) => after.includes(address)),
    }
  }

  async #renewed(host: Host): Promise<Change> {
    const release = this.#take(host)
    const renewal = await this.#renewal(host)
    return {
      ...{ ...renewal, kind: 'certificate', host: host.name, retired: [], applyLast: nothing, done: release },
    }
  }

  async #renewal(host: Host): Promise<Pick<Change, 'allowed' | 'forbidden' | 'apply' | 'isServed'>> {
    const { name, number, fingerprint: before } = host
    const revision = revisionOf(++host.renewals)
    const leaf = await this.#sources.leaf(name)
    const fingerprint = new X509Certificate(leaf.chain).fingerprint256
    host.fingerprint = fingerprint
    return {
      allowed: [{ kind: 'certificate', host: name, fingerprint }],
      forbidden: [{ kind: 'certificate', host: name, fingerprint: before }],
      apply: world => world.release(certificate(`cert-${digitsOf(number)}`, 'ECDSA', { revision, ...leaf })),
      isServed: ({ certificate: { certificates } }) => certificates[0]?.revision === revision,
    }
  }

  #fragment({ name, number, route, revision, fingerprint }: Host): ReturnType<typeof fragment> {
    const paths = [
      path('Prefix /', route.service),
      ...(route.extra === null ? [] : [path(`Prefix ${route.extra.path}`, route.extra.service)]),
    ]
    return fragment(`host-${digitsOf(number)}`, [hostOf(name, ...paths)], {
      ...{ revision: revisionOf(revision), governed: number % 2 === 0 },
      tls: fingerprint === null ? [] : [tls(`cert-${digitsOf(number)}`, name)],
    })
  }

  #take(one: Host | string): () => void {
    this.#busy.add(one)
    return () => void this.#busy.delete(one)
  }
}

const isSame = (a: Route, b: Route): boolean => JSON.stringify(a) === JSON.stringify(b)

function isRoute({ answer, route }: What, revision: number): boolean {
  return answer.kind === 'forward' && route?.revision === revisionOf(revision)
}
