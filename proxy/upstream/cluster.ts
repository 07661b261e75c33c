/** The endpoints of one Service: who takes a request, over which connection, and what that says of its health. */
import { hash } from 'node:crypto'
import type { ServiceKey } from '../../protocol/objects.ts'
import { DataPlaneError } from '../errors.ts'
import { RetryBudget } from './retry-budget.ts'
import { nextInTurn, powerOfTwoChoices, quickerOfTwo, type Admission, type Choose } from './choose.ts'
import { EVERYONE, oneOfSubset, ownerOf, valueOf } from './rendezvous.ts'
import type { Connection, Taker } from './backend-connection.ts'
import type { Cluster, Lease, LeaseRequest, LeaseResult, LeaseWaiter } from './contract.ts'
import type { Endpoint, Surroundings } from './endpoint.ts'
import { CONNECTS, CONNECT_FAILURES, FAILURES, LEASES, RETRIES, type Tallied } from './endpoint-counters.ts'

/** What all clusters of a worker have in common. */
export interface ClusterSurroundings extends Surroundings {
  /** For one choice after the other. */
  readonly admission: EndpointAdmission
}

/** Since the cluster was made. */
export interface ClusterCounts {
  /** Connections that were begun to be opened. */
  connects: number
  connectFailures: number
  /** Wishes that ended for want of descriptors, ports or memory of our own. */
  localFailures: number
  /** Leases over a connection that was idle. */
  reuses: number
  stale: number
  /** Retries granted. */
  retries: number
  /** Requests that probed a suspect endpoint. */
  probes: number
  /** Times that all endpoints were suspect, and one of them was taken nevertheless. */
  desperate: number
}

/**
 * A connection that was idle for longer (ms) than this is looked at for a turn of the event loop before it is lent.
 * Backends close after seconds of idleness (gunicorn 2, Node 5, Apache 5, nginx 75): what is in steady use does not wait.
 * What cannot be sent again does not get such a one at all: a look does not see an end that is still on its way.
 */
const TRUSTED_MS = 1_000

/** Hexadecimal digits. */
const ALIAS_LENGTH = 32

const nothing = (): void => undefined

export class EndpointCluster implements Cluster, Tallied {
  readonly service: ServiceKey
  readonly address = null
  readonly idle = 0
  row = -1
  toldOpen = 0
  toldIdle = 0
  /** Follows the operator; a new list whenever it changes. */
  endpoints: readonly Endpoint[] = []
  /** Who holds it, and whether the operator names it: see ClusterSet. */
  holders = 0
  named = false
  /** Connections lent or awaited through this cluster. */
  open = 0
  readonly #near: ClusterSurroundings
  readonly #choose: Choose
  /** Both only for those that have traffic: most of 100 000 Services have none. */
  #counts: ClusterCounts | null = null
  #budget: RetryBudget | null = null
  /** A suspect one was taken, because all are, and no answer came since. */
  #desperate = false
  /** Place of the endpoint that was taken last in its turn; -1: none was. */
  #last = -1
  /** Made for the first who asks, for one list of endpoints. */
  #aliases: { readonly of: readonly Endpoint[]; readonly addresses: ReadonlyMap<string, string> } | null = null

  constructor(service: ServiceKey, near: ClusterSurroundings, choose: Choose = powerOfTwoChoices) {
    this.service = service
    this.#near = near
    this.#choose = choose
  }

  get size(): number {
    return this.endpoints.length
  }

  now(): number {
    return this.#near.now()
  }

  get counts(): ClusterCounts {
    this.#counts ??= noCounts()
    return this.#counts
  }

  lease(request: LeaseRequest, waiter: LeaseWaiter, now = this.#near.now()): () => void {
    if (request.exclude === null && !request.fresh) this.#retries().request(now)
    const endpoint = this.pick(request, NONE, now)
    if (endpoint === null) {
      waiter.failed(this.nobody())
      return nothing
    }
    const probe = this.begin(endpoint, now)
    waiter.trying(endpoint.address)
    const idle = probe || request.fresh ? null : endpoint.takeIdle(now, request.unrepeatable ? TRUSTED_MS : Infinity)
    // What every request wants to be: nothing is made but the lease.
    if (idle !== null && now - idle.idleSince < TRUSTED_MS) {
      this.counts.reuses++
      waiter.leased(this.loan(endpoint, idle, true, now, 0, request))
      return nothing
    }
    const wish = new Wish(this, this.#near, request, waiter, now)
    wish.attempt(endpoint, probe, idle, now)
    return () => wish.cancel()
  }

  keyFor(address: string): number {
    const wanted = this.endpoints.find(endpoint => endpoint.address === address)
    const { random } = this.#near
    return wanted === undefined ? Math.floor(random() * 2 ** 32) : valueOf(this.endpoints, wanted, random)
  }

  ownerOf(key: number): string | null {
    return ownerOf<Endpoint>(this.endpoints, EVERYONE, key)?.address ?? null
  }

  aliasOf(address: string): string {
    return hash('sha256', `${this.service}\n${address}`).slice(0, ALIAS_LENGTH)
  }

  addressOf(alias: string): string | null {
    if (this.#aliases?.of !== this.endpoints) {
      const addresses = new Map(this.endpoints.map(({ address }) => [this.aliasOf(address), address]))
      this.#aliases = { of: this.endpoints, addresses }
    }
    return this.#aliases.addresses.get(alias) ?? null
  }

  mayRetry(): boolean {
    if (!this.#retries().mayRetry(this.#near.now())) return false
    this.counts.retries++
    this.#near.tally.add(this, RETRIES)
    return true
  }

  /** The next endpoint for a wish. @param tried those that did not accept it */
  pick(request: LeaseRequest, tried: readonly Endpoint[], now: number): Endpoint | null {
    const { admission, random } = this.#near
    admission.begin(request.exclude, tried, now, random)
    if (request.on !== null) {
      const preferred = this.endpoints.find(endpoint => endpoint.address === request.on)
      // It may be excluded for what another connection of it did.
      if (preferred?.health.mayServe(now) === true && !preferred.full && !tried.includes(preferred)) return preferred
    }
    if (request.balance?.by === 'hash') admission.slowly = false
    let chosen = this.#next(request, now)
    if (chosen !== null) return chosen
    // Whoever warms up is better than nobody.
    if (admission.warming) {
      admission.slowly = false
      chosen = this.#next(request, now)
      if (chosen !== null) return chosen
    }
    // Better an answer of ours after a try than one without: while there is an address, it is asked.
    admission.suspects = true
    admission.slowly = false
    chosen = this.#next(request, now)
    if (chosen === null && request.exclude !== null) {
      admission.exclude = null
      chosen = this.#next(request, now)
    }
    if (chosen?.health.mayServe(now) === false) {
      this.counts.desperate++
      this.#desperate = true
    }
    return chosen
  }

  #next({ balance, key }: LeaseRequest, now: number): Endpoint | null {
    const { admission, random } = this.#near
    const { endpoints } = this
    if (balance === null) return this.#choose(endpoints, admission, random)
    switch (balance.by) {
      case 'ewma':
        return quickerOfTwo(endpoints, admission, random, now)
      case 'hash':
        return balance.subset > 1
          ? oneOfSubset(endpoints, admission, key, balance.subset, random)
          : ownerOf(endpoints, admission, key)
      case 'round_robin': {
        // Workers begin at different ones, so that they do not all run to the same.
        if (this.#last === -1) this.#last = Math.floor(random() * endpoints.length)
        const at = nextInTurn(endpoints, admission, this.#last)
        if (at === -1) return null
        this.#last = at
        return endpoints[at] ?? null
      }
    }
  }

  /** Why `pick` found nobody for a wish that tried none. */
  nobody(): DataPlaneError {
    return this.#near.admission.full
      ? new DataPlaneError('SLUICE_ENDPOINTS_FULL', `every endpoint of ${this.service} has all its connections in use`)
      : new DataPlaneError('SLUICE_NO_ENDPOINT', `service ${this.service} has no endpoint`)
  }

  /** An endpoint was chosen. @returns true if the request probes it */
  begin(endpoint: Endpoint, now: number): boolean {
    this.open++
    this.#near.tally.touch(this)
    endpoint.begin()
    const probe = endpoint.health.chosen(now)
    if (probe) this.counts.probes++
    return probe
  }

  /** It did not come to a lease. */
  undo(endpoint: Endpoint): void {
    this.open--
    this.#near.tally.touch(this)
    endpoint.end()
  }

  loan(
    endpoint: Endpoint,
    connection: Connection,
    reused: boolean,
    at: number,
    connectMs: number,
    { balance }: LeaseRequest,
  ): Lease {
    this.#near.tally.add(this, LEASES)
    endpoint.leased()
    return new Loan(this, endpoint, connection, reused, at, connectMs, balance?.by === 'ewma')
  }

  connecting(): void {
    this.counts.connects++
    this.#near.tally.add(this, CONNECTS)
  }

  connectFailed(): void {
    this.counts.connectFailures++
    this.#near.tally.add(this, CONNECT_FAILURES)
    this.#near.connectFailed()
  }

  returned(endpoint: Endpoint, connection: Connection, result: LeaseResult, now = this.#near.now()): void {
    this.undo(endpoint)
    if (result === 'failed') {
      this.#near.tally.add(this, FAILURES)
      endpoint.exchangeBroke(now, connection.probe)
    } else if (result === 'stale') this.counts.stale++
    // A client that left before the answer says nothing of the endpoint.
    else if (connection.answered) this.#succeeded(endpoint, now)
    connection.probe = false
    connection.reader = null
    if (result === 'reusable') {
      connection.idleSince = now
      endpoint.keep(connection, now)
    } else connection.socket.destroy()
  }

  #retries(): RetryBudget {
    this.#budget ??= new RetryBudget()
    return this.#budget
  }

  #succeeded(endpoint: Endpoint, now: number): void {
    endpoint.health.succeeded()
    if (!this.#desperate) return
    this.#desperate = false
    for (const other of this.endpoints) other.health.hasten(now)
  }
}

function noCounts(): ClusterCounts {
  return {
    ...{ connects: 0, connectFailures: 0, localFailures: 0, reuses: 0, stale: 0, retries: 0, probes: 0, desperate: 0 },
  }
}

/** Whom a wish may go to. One object per worker, filled anew for each choice. */
export class EndpointAdmission implements Admission<Endpoint> {
  exclude: ReadonlySet<string> | null = null
  /** Suspect endpoints too. */
  suspects = false
  /** Somebody was not admitted because of the limit alone. */
  full = false
  /** Endpoints that warm up are admitted as often as their share is large: of those drawn, that makes them so much rarer. */
  slowly = true
  /** Somebody was not admitted because it warms up. */
  warming = false
  #tried: readonly Endpoint[] = NONE
  #now = 0
  #random: () => number = Math.random

  begin(exclude: ReadonlySet<string> | null, tried: readonly Endpoint[], now: number, random: () => number): void {
    this.exclude = exclude
    this.slowly = true
    this.warming = false
    this.#random = random
    this.suspects = false
    this.full = false
    this.#tried = tried
    this.#now = now
  }

  admits(endpoint: Endpoint): boolean {
    if (!this.suspects && !endpoint.health.mayServe(this.#now)) return false
    if (this.exclude?.has(endpoint.address) === true) return false
    if (this.#tried.length > 0 && this.#tried.includes(endpoint)) return false
    if (endpoint.full) {
      this.full = true
      return false
    }
    const part = this.slowly ? endpoint.warmth(this.#now) : 1
    if (part === 1 || this.#random() < part) return true
    this.warming = true
    return false
  }
}

const NONE: readonly Endpoint[] = []

class Loan implements Lease {
  readonly connection: Connection
  readonly reused: boolean
  readonly at: number
  readonly connectMs: number
  readonly #cluster: EndpointCluster
  readonly #endpoint: Endpoint
  /** Somebody chooses by it. */
  readonly #timed: boolean
  #over = false

  constructor(
    cluster: EndpointCluster,
    endpoint: Endpoint,
    connection: Connection,
    reused: boolean,
    at: number,
    connectMs: number,
    timed: boolean,
  ) {
    this.#cluster = cluster
    this.#endpoint = endpoint
    this.connection = connection
    this.reused = reused
    this.at = at
    this.connectMs = connectMs
    this.#timed = timed
    connection.answered = false
    connection.exchanges++
  }

  get address(): string {
    return this.#endpoint.address
  }

  done(result: LeaseResult, now?: number): void {
    if (this.#over) return
    this.#over = true
    if (this.#timed && result !== 'failed' && this.connection.answered) {
      const end = now ?? this.#cluster.now()
      this.#endpoint.took(end - this.at + this.connectMs, end)
    }
    this.#cluster.returned(this.#endpoint, this.connection, result, now)
  }
}

/** A wish that has to wait: for a connection to open, or for a look at one that was idle for long. */
class Wish implements Taker {
  readonly #cluster: EndpointCluster
  readonly #near: ClusterSurroundings
  readonly #request: LeaseRequest
  readonly #waiter: LeaseWaiter
  readonly #begun: number
  readonly #tried: Endpoint[] = []
  #endpoint: Endpoint | null = null
  #probe = false
  #attemptBegun = 0
  /** Being opened for it. */
  #connecting: Connection | null = null
  #over = false

  constructor(
    cluster: EndpointCluster,
    near: ClusterSurroundings,
    request: LeaseRequest,
    waiter: LeaseWaiter,
    now: number,
  ) {
    this.#cluster = cluster
    this.#near = near
    this.#request = request
    this.#waiter = waiter
    this.#begun = now
  }

  /** @param endpoint begun and announced @param idle of its connections, to be looked at first */
  attempt(endpoint: Endpoint, probe: boolean, idle: Connection | null, now: number): void {
    this.#endpoint = endpoint
    this.#probe = probe
    this.#attemptBegun = now
    this.#tried.push(endpoint)
    if (idle === null) this.#connect(endpoint, now)
    else this.#lookAt(endpoint, idle, now)
  }

  cancel(): void {
    if (this.#over) return
    this.#over = true
    const endpoint = this.#endpoint
    if (endpoint === null) return
    this.#cluster.undo(endpoint)
    if (this.#connecting !== null) endpoint.abandon(this.#connecting)
  }

  connected(connection: Connection): void {
    this.#lend(connection, false)
  }

  refused(error: DataPlaneError): void {
    const endpoint = this.#endpoint
    if (this.#over || endpoint === null) return
    this.#connecting = null
    this.#endpoint = null
    this.#cluster.undo(endpoint)
    if (error.code === 'SLUICE_LOCAL_RESOURCES') this.#cluster.counts.localFailures++
    else this.#cluster.connectFailed()
    const next = this.#mayGoOn(error) ? this.#cluster.pick(this.#request, this.#tried, this.#near.now()) : null
    if (next === null) {
      this.#over = true
      this.#waiter.failed(error)
      return
    }
    const now = this.#near.now()
    const probe = this.#cluster.begin(next, now)
    this.#waiter.trying(next.address)
    const within = this.#request.unrepeatable ? TRUSTED_MS : Infinity
    this.attempt(next, probe, probe || this.#request.fresh ? null : next.takeIdle(now, within), now)
  }

  #mayGoOn({ code }: DataPlaneError): boolean {
    // Without descriptors or ports every other endpoint would fail as well.
    if (code === 'SLUICE_LOCAL_RESOURCES') return false
    const { connecting } = this.#request
    const { maxAttempts, attemptTime } =
      connecting === null
        ? this.#near.settings
        : { maxAttempts: this.#request.attempts, attemptTime: connecting.attemptTime }
    if (connecting !== null && !(code === 'SLUICE_CONNECT_TIMEOUT' ? connecting.onTimeout : connecting.onError)) {
      return false
    }
    if (this.#tried.length >= maxAttempts) return false
    return attemptTime === 0 || this.#near.now() - this.#begun < attemptTime
  }

  #connect(endpoint: Endpoint, now: number): void {
    const { connectTimeout } = this.#near.settings
    const timeout = this.#request.connecting?.timeout ?? connectTimeout
    if (!endpoint.isOpening(timeout)) this.#cluster.connecting()
    const connection = endpoint.connect(this, this.#probe, now, timeout)
    // Where the address is unusable, `refused` was called meanwhile and went on.
    if (connection !== null) this.#connecting = connection
  }

  #lend(connection: Connection, reused: boolean): void {
    const endpoint = this.#endpoint
    if (this.#over || endpoint === null) return
    this.#over = true
    this.#connecting = null
    const now = this.#near.now()
    const connectMs = reused ? 0 : now - this.#attemptBegun
    this.#waiter.leased(this.#cluster.loan(endpoint, connection, reused, now, connectMs, this.#request))
  }

  /**
   * A close that has arrived, but that the event loop has not read yet, must not take the request with it. The first
   * setImmediate comes after the events that the loop has fetched already, the second after it asked the kernel again.
   * What arrives later than that is what `stale` is for.
   */
  #lookAt(endpoint: Endpoint, idle: Connection, now: number): void {
    if (now - idle.idleSince < TRUSTED_MS) {
      this.#cluster.counts.reuses++
      this.#lend(idle, true)
      return
    }
    setImmediate(() => setImmediate(() => this.#looked(endpoint, idle)))
  }

  #looked(endpoint: Endpoint, idle: Connection): void {
    const now = this.#near.now()
    if (this.#over) {
      endpoint.keep(idle, now)
      return
    }
    if (idle.sound) {
      this.#cluster.counts.reuses++
      this.#lend(idle, true)
      return
    }
    idle.socket.destroy()
    // It was looked at together with this one: what is idle still is alive.
    const other = endpoint.takeIdle(now)
    if (other === null) this.#connect(endpoint, now)
    else {
      this.#cluster.counts.reuses++
      this.#lend(other, true)
    }
  }
}
