/** All clusters and endpoints of a worker, as the operator names them. */
import type { ServiceKey } from '../../protocol/objects.ts'
import type { TableUpdate } from '../table/update.ts'
import { EndpointAdmission, EndpointCluster, type ClusterCounts, type ClusterSurroundings } from './cluster.ts'
import type { SocketIo } from '../io/contract.ts'
import { STREAMS } from '../io/streams.ts'
import type { Cluster, Clusters } from './contract.ts'
import { tcpConnector, Endpoint, type Connect } from './endpoint.ts'
import type { UpstreamSettings } from './settings.ts'
import { Tally, type UpstreamCounts } from './endpoint-counters.ts'

/** Each has its real counterpart as default. */
export interface ClusterSetParts {
  /** An endpoint did not take a connection. */
  readonly connectFailed?: () => void
  /** Milliseconds, monotonic. */
  readonly now?: () => number
  readonly random?: () => number
  readonly connect?: Connect
  readonly io?: SocketIo
}

export interface ClusterSizes extends Readonly<ClusterCounts> {
  readonly endpoints: number
  /** Suspect ones of those. */
  readonly suspects: number
  /** Connections lent or awaited through this cluster. */
  readonly open: number
  /** Idle connections of its endpoints; those of an address that several Services name count for each. */
  readonly idle: number
}

export interface ClusterSetSizes {
  readonly endpoints: number
  readonly suspects: number
  /** Connections lent or awaited. */
  readonly open: number
  readonly idle: number
  /** Connections being opened that nobody waits for any more. */
  readonly untaken: number
  readonly clusters: ReadonlyMap<ServiceKey, ClusterSizes>
}

/** What is known of an endpoint, for people. */
export interface EndpointState {
  readonly address: string
  readonly suspect: boolean
  /** Milliseconds until a request may probe it; 0: it may now, or it is not suspect. */
  readonly restsFor: number
  /** Part of its share of requests that it gets: less than 1 while it starts slowly. */
  readonly share: number
  /** Connections lent or awaited, and kept. */
  readonly open: number
  readonly idle: number
}

/** How often idle connections are looked through at most and at least, in milliseconds. */
const SWEEP = { most: 5_000, least: 20 }

export class ClusterSet implements Clusters {
  readonly #clusters = new Map<ServiceKey, EndpointCluster>()
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #near: ClusterSurroundings
  readonly #sweepEvery: number
  #sweeping: NodeJS.Timeout | null = null
  #destroyed = false

  constructor(settings: UpstreamSettings, parts: ClusterSetParts = {}) {
    this.#near = {
      settings,
      now: parts.now ?? (() => performance.now()),
      random: parts.random ?? Math.random,
      connect: parts.connect ?? tcpConnector(),
      io: parts.io ?? STREAMS,
      tally: new Tally(),
      admission: new EndpointAdmission(),
      connectFailed: parts.connectFailed ?? (() => undefined),
      idled: () => this.#idled(),
    }
    this.#sweepEvery = Math.max(SWEEP.least, Math.min(SWEEP.most, settings.idleTimeout / 4))
  }

  hold(service: ServiceKey): Cluster {
    const cluster = this.#cluster(service)
    cluster.holders++
    return cluster
  }

  release(service: ServiceKey): void {
    const cluster = this.#clusters.get(service)
    if (cluster === undefined || cluster.holders === 0) return
    cluster.holders--
    this.#dropUnused(cluster)
  }

  /** Follows the endpoints. Costs as much as the Services that change; the others are not looked at. */
  apply({ upsert, remove }: TableUpdate['endpoints']): void {
    const before: Endpoint[] = []
    for (const [service, addresses] of upsert) {
      const cluster = this.#cluster(service)
      cluster.named = true
      this.#name(cluster, addresses, before)
    }
    for (const service of remove) {
      const cluster = this.#clusters.get(service)
      if (cluster === undefined) continue
      cluster.named = false
      this.#name(cluster, [], before)
      this.#dropUnused(cluster)
    }
    // Last: an address that goes from one Service to another keeps its connections.
    for (const endpoint of before) this.#unname(endpoint)
  }

  /** What was done since the last call, for metrics; null: nothing. */
  flush(): UpstreamCounts | null {
    return this.#near.tally.flush()
  }

  /** The endpoints of a Service as this worker sees them. */
  describe(service: ServiceKey): readonly EndpointState[] {
    const now = this.#near.now()
    return (this.#clusters.get(service)?.endpoints ?? []).map(endpoint => ({
      address: endpoint.address,
      suspect: endpoint.health.suspect,
      restsFor: endpoint.health.restsFor(now),
      share: endpoint.warmth(now),
      open: endpoint.open,
      idle: endpoint.idle,
    }))
  }

  get sizes(): ClusterSetSizes {
    const clusters = new Map<ServiceKey, ClusterSizes>()
    for (const [service, { endpoints, counts, open }] of this.#clusters) {
      const idle = endpoints.reduce((sum, endpoint) => sum + endpoint.idle, 0)
      const suspects = endpoints.filter(endpoint => endpoint.health.suspect).length
      clusters.set(service, { ...counts, endpoints: endpoints.length, suspects, open, idle })
    }
    let open = 0
    for (const cluster of clusters.values()) open += cluster.open
    const sums = { idle: 0, untaken: 0, suspects: 0 }
    for (const endpoint of this.#endpoints.values()) {
      sums.idle += endpoint.idle
      sums.untaken += endpoint.untaken
      if (endpoint.health.suspect) sums.suspects++
    }
    return { endpoints: this.#endpoints.size, open, ...sums, clusters }
  }

  /** Closes what is idle, stops the timer. What is lent is closed when it is given back. No wish is granted any more. */
  destroy(): void {
    this.#destroyed = true
    for (const cluster of this.#clusters.values()) cluster.endpoints = []
    for (const endpoint of this.#endpoints.values()) {
      endpoint.named = 0
      endpoint.retire()
    }
    this.#endpoints.clear()
    this.#clusters.clear()
    if (this.#sweeping !== null) clearInterval(this.#sweeping)
    this.#sweeping = null
  }

  #cluster(service: ServiceKey): EndpointCluster {
    let cluster = this.#clusters.get(service)
    if (cluster === undefined) {
      cluster = new EndpointCluster(service, this.#near)
      this.#clusters.set(service, cluster)
    }
    return cluster
  }

  #dropUnused(cluster: EndpointCluster): void {
    if (cluster.holders === 0 && !cluster.named) this.#clusters.delete(cluster.service)
  }

  /** @param before takes the endpoints that the cluster named until now */
  #name(cluster: EndpointCluster, addresses: readonly string[], before: Endpoint[]): void {
    for (const endpoint of cluster.endpoints) before.push(endpoint)
    // An address that is named twice must not be chosen twice as often.
    const unique = addresses.length < 2 ? addresses : [...new Set(addresses)]
    const others = cluster.endpoints.length > 0
    cluster.endpoints = this.#destroyed ? [] : unique.map(address => this.#endpoint(address, cluster.service, others))
  }

  /** @param others the Service had some already: one that is new among them starts slowly */
  #endpoint(address: string, service: ServiceKey, others: boolean): Endpoint {
    let endpoint = this.#endpoints.get(address)
    if (endpoint === undefined) {
      endpoint = new Endpoint(address, service, this.#near)
      if (others) endpoint.startSlowly(this.#near.now())
      this.#endpoints.set(address, endpoint)
    }
    endpoint.named++
    return endpoint
  }

  #unname(endpoint: Endpoint): void {
    endpoint.named--
    if (endpoint.named > 0) return
    this.#endpoints.delete(endpoint.address)
    endpoint.retire()
  }

  /** One timer for all connections, and none while nothing is idle. */
  #idled(): void {
    if (this.#sweeping !== null || this.#destroyed) return
    this.#sweeping = setInterval(() => this.#sweep(), this.#sweepEvery).unref()
  }

  #sweep(): void {
    const now = this.#near.now()
    let idle = 0
    for (const endpoint of this.#endpoints.values()) {
      endpoint.sweep(now)
      idle += endpoint.idle
    }
    if (idle > 0 || this.#sweeping === null) return
    clearInterval(this.#sweeping)
    this.#sweeping = null
  }
}
