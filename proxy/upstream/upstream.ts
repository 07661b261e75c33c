/** Requests to endpoints: one undici pool per endpoint, failover while connecting, never a retry after a byte was sent. */
import type { Socket } from 'node:net'
import { Pool, type Dispatcher } from 'undici'
import type { ServiceKey } from '../../protocol/objects.ts'
import { DataPlaneError } from '../errors.ts'
import type { TableUpdate } from '../table/update.ts'
import type { Cluster, Clusters } from './contract.ts'
import { Balancer } from './balancer.ts'
import { splitAddress } from './address.ts'
import { connectEndpoint, endpointConnector, isConnectFailure } from './connector.ts'

export interface UpstreamTimeouts {
  /** All in milliseconds. */
  readonly connect: number
  /** From the last byte of the request to the head of the answer. */
  readonly headers: number
  /** Between two pieces of the answer's body. */
  readonly body: number
}

export interface UpstreamRequest {
  readonly service: ServiceKey
  readonly addresses: readonly string[]
  readonly method: string
  readonly path: string
  /** [name, value, …] */
  readonly headers: string[]
  /** Called anew for each attempt, read only once connected; null: no body. */
  readonly body: (() => AsyncIterable<Uint8Array>) | null
  readonly signal: AbortSignal
  /** Each endpoint that is tried, before it is. */
  readonly onAttempt: (address: string) => void
  /** Interim answers (1xx). */
  readonly onInformation: (status: number, headers: readonly string[]) => void
}

export interface UpstreamAnswer {
  readonly status: number
  readonly message: string
  /** [name, value, …], as received. */
  readonly headers: readonly string[]
  readonly body: Dispatcher.ResponseData['body']
  /** Filled when the body ended. */
  readonly trailers: Readonly<Record<string, string>>
}

export class Upstream implements Clusters {
  readonly timeouts: UpstreamTimeouts
  readonly #balancer = new Balancer()
  readonly #pools = new Map<string, Pool>()
  /** Which services name an address: a pool goes when none does. */
  readonly #named = new Map<ServiceKey, readonly string[]>()
  readonly #uses = new Map<string, number>()
  readonly #onConnectFailure: (service: ServiceKey) => void

  constructor(timeouts: UpstreamTimeouts, onConnectFailure: (service: ServiceKey) => void) {
    this.timeouts = timeouts
    this.#onConnectFailure = onConnectFailure
  }

  /** A stand-in until clusters own their connections: it only says how many endpoints there are. */
  hold(service: ServiceKey): Cluster {
    const size = (): number => this.addresses(service).length
    const lease = (): never => {
      throw new TypeError('connections are not lent yet')
    }
    return {
      ...{ service, lease, mayRetry: () => false },
      get size() {
        return size()
      },
    }
  }

  release(): void {
    // Nothing is kept for a cluster.
  }

  /** Addresses that may serve now. */
  addresses(service: ServiceKey): readonly string[] {
    return this.#named.get(service) ?? []
  }

  /** Follows the endpoints. Pools of endpoints that are gone close when their last request ends. */
  apply(update: TableUpdate): void {
    const { upsert, remove } = update.endpoints
    const removed = update.reset ? [...this.#named.keys()].filter(service => !(service in upsert)) : remove
    const before: string[] = []
    for (const service of removed) before.push(...this.#name(service, []))
    for (const [service, addresses] of Object.entries(upsert)) before.push(...this.#name(service, addresses))
    const gone = before.filter(address => !this.#uses.has(address))
    this.#balancer.forget(removed, gone)
    for (const address of gone) {
      const pool = this.#pools.get(address)
      this.#pools.delete(address)
      pool?.close().catch(() => undefined)
    }
  }

  /** @throws DataPlaneError when no endpoint could be connected to, else what undici throws */
  request(request: UpstreamRequest): Promise<UpstreamAnswer> {
    return this.#failover(request, async address => {
      const answer = await this.#pool(address).request({
        path: request.path,
        method: request.method,
        headers: request.headers,
        body: (request.body?.() ?? null) as Dispatcher.DispatchOptions['body'] & null,
        signal: request.signal,
        responseHeaders: 'raw',
        onInfo: ({ statusCode, headers }) => request.onInformation(statusCode, headers as unknown as string[]),
      })
      return {
        status: answer.statusCode,
        message: answer.statusText,
        headers: answer.headers as unknown as string[],
        body: answer.body,
        trailers: answer.trailers,
      }
    })
  }

  /** A raw connection to one endpoint, for upgrades. */
  connect(request: Pick<UpstreamRequest, 'service' | 'addresses' | 'onAttempt'>): Promise<Socket> {
    return this.#failover(request, address => connectEndpoint(address, this.timeouts.connect))
  }

  async destroy(): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map(pool => pool.destroy()))
  }

  async #failover<T>(
    { service, addresses, onAttempt }: Pick<UpstreamRequest, 'service' | 'addresses' | 'onAttempt'>,
    attempt: (address: string) => Promise<T>,
  ): Promise<T> {
    let last: unknown = new DataPlaneError('SLUICE_NO_ENDPOINT', `service ${service} has no endpoint`)
    for (const address of this.#balancer.order(service, addresses)) {
      onAttempt(address)
      try {
        const result = await attempt(address)
        this.#balancer.succeeded(address)
        return result
      } catch (error) {
        if (!isConnectFailure(error)) throw error
        this.#balancer.failed(address)
        this.#onConnectFailure(service)
        last = error
      }
    }
    throw last
  }

  #pool(address: string): Pool {
    const found = this.#pools.get(address)
    if (found) return found
    const { host, port } = splitAddress(address)
    const pool = new Pool(`http://${host.includes(':') ? `[${host}]` : host}:${port}`, {
      connect: endpointConnector(address, this.timeouts.connect),
      headersTimeout: this.timeouts.headers,
      bodyTimeout: this.timeouts.body,
      pipelining: 1,
    })
    // A request that began before its endpoint went may still open a pool: nobody would ever close it.
    if (this.#uses.has(address)) this.#pools.set(address, pool)
    else setImmediate(() => void pool.close().catch(() => undefined))
    return pool
  }

  /** Returns the addresses that the service named before. */
  #name(service: ServiceKey, addresses: readonly string[]): readonly string[] {
    const before = this.#named.get(service) ?? []
    for (const address of addresses) this.#uses.set(address, (this.#uses.get(address) ?? 0) + 1)
    for (const address of before) {
      const uses = (this.#uses.get(address) ?? 1) - 1
      if (uses === 0) this.#uses.delete(address)
      else this.#uses.set(address, uses)
    }
    if (addresses.length === 0) this.#named.delete(service)
    else this.#named.set(service, addresses)
    return before
  }
}
