/**
 * How everything in a worker gets at a backend: a Cluster per Service, which lends connections to its endpoints.
 * Full path, relay and upgrades take the same leases.
 */
import type { Socket } from 'node:net'
import type { ServiceKey } from '../../protocol/objects.ts'
import type { SocketWriter } from '../io/contract.ts'

/** Who reads a backend's connection right now. No method may throw. */
export interface BackendReader {
  /** @param chunk a view of what the next read overwrites: what is kept has to be copied */
  onData(chunk: Buffer): void
  /** Everything that was written is on its way: write again. */
  onDrain(): void
  /** Called once, when the backend said that it sends no more. The connection may still take bytes. */
  onEnd(): void
  /** Called once, the last call. @param error null: closed in good order */
  onClose(error: Error | null): void
}

/**
 * One connection to an endpoint. Its listeners are attached once for its life; what happens goes to `reader`, which is
 * null while the connection is idle (then any byte, end or error closes it and takes it out of the idle list).
 */
export interface BackendConnection {
  readonly socket: Socket
  readonly out: SocketWriter
  reader: BackendReader | null
}

/**
 * How a lease ended.
 * - `reusable`: the exchange is over and both sides may use the connection again: back to the idle list
 * - `close`: it worked, and the connection is not to be used again (Connection: close, until-close body, early answer,
 *   abandoned by the client, tunnel): destroyed here unless the borrower already did
 * - `failed`: broken by the backend, before or in its answer, or it did not answer in time: destroyed, counts against
 *   the endpoint's health
 * - `stale`: a reused connection that broke before the first byte of an answer: destroyed, says nothing of the
 *   endpoint's health
 */
export type LeaseResult = 'reusable' | 'close' | 'failed' | 'stale'

export interface Lease {
  /** `ip:port`. */
  readonly address: string
  readonly connection: BackendConnection
  /** It was idle: after an exchange, or because the wish that it was opened for was taken back. `stale` applies. */
  readonly reused: boolean
  /** Milliseconds spent connecting; 0 where it is reused. */
  readonly connectMs: number
  /** When it was lent: performance.now(). */
  readonly at: number
  /** Gives the connection back. Exactly once; later calls do nothing. @param now performance.now(), if it is known */
  done(result: LeaseResult, now?: number): void
}

/** What an Ingress says of connections that are opened for its requests, in place of UpstreamSettings. */
export interface ConnectLimits {
  /** Milliseconds; null: as for all. */
  readonly timeout: number | null
  /** No further endpoint when so many milliseconds went by since the wish; 0: no limit. */
  readonly attemptTime: number
  /** The next endpoint is asked where one does not accept. */
  readonly onError: boolean
  /** Where one does not answer in time. */
  readonly onTimeout: boolean
}

/** How an endpoint is chosen, in place of the less busy of two. */
export interface Balance {
  /** Each in its turn; the quicker of two; the one, or one of `subset`, that the key belongs to. */
  readonly by: 'round_robin' | 'ewma' | 'hash'
  /** Above 1: of so many the less busy of two. */
  readonly subset: number
}

export interface LeaseRequest {
  /** Addresses that this exchange tried and that failed: not chosen again while there are others. */
  readonly exclude: ReadonlySet<string> | null
  /** No connection that was used before: for the one more try after `stale`; then `on` is preferred if it is given. */
  readonly fresh: boolean
  /**
   * It cannot be sent again (RFC 9110 9.2.2: a proxy MUST NOT retry what is not idempotent): no connection that was idle
   * for so long that its backend may be closing it right now.
   */
  readonly unrepeatable: boolean
  /** Preferred address. */
  readonly on: string | null
  /** Endpoints that are connected to at most. Counts only with `connecting`. */
  readonly attempts: number
  /** Null: as for all. */
  readonly connecting: ConnectLimits | null
  /** Null: the less busy of two. */
  readonly balance: Balance | null
  /** Of 32 bits; counts only where endpoints are chosen by `hash`. */
  readonly key: number
}

/** Called exactly once, possibly before `lease` returns. */
export interface LeaseWaiter {
  leased(lease: Lease): void
  /** An endpoint is about to be connected to or used. */
  trying(address: string): void
  /**
   * Nobody accepted: DataPlaneError SLUICE_CONNECT_FAILED, SLUICE_CONNECT_TIMEOUT, SLUICE_NO_ENDPOINT,
   * SLUICE_ENDPOINTS_FULL (every endpoint at its limit), or SLUICE_LOCAL_RESOURCES (EMFILE, ENFILE, ENOMEM,
   * EADDRNOTAVAIL, ENOBUFS: our own fault, says nothing of any endpoint).
   */
  failed(error: Error): void
}

/** The endpoints of one Service. */
export interface Cluster {
  readonly service: ServiceKey
  /** Addresses that may serve now. */
  readonly size: number
  /**
   * Lends a connection. Endpoints that do not accept are gone past (each at most once, within the limits of attempts
   * and time in the settings).
   * @returns takes the wish back; does nothing once the waiter was called. A connection that is being opened then and
   *   has no other taker is kept as idle if it comes, and none is opened for nobody
   * @param now performance.now(), if it is known
   */
  lease(request: LeaseRequest, waiter: LeaseWaiter, now?: number): () => void
  /** A key of 32 bits that belongs to an endpoint, where endpoints are chosen by `hash`; as chance has it. */
  keyFor(address: string): number
  /** The address that a key belongs to, whatever its health; null: there is none. */
  ownerOf(key: number): string | null
  /** A hash that names an endpoint without saying its address. */
  aliasOf(address: string): string
  /** Null: no endpoint has this alias. */
  addressOf(alias: string): string | null
  /** True if one more try of an exchange fits the retry budget of this Service; counts it. */
  mayRetry(): boolean
}

/** All clusters of a worker, following the table's endpoints. */
export interface Clusters {
  /**
   * The cluster of a Service, made where there is none: without endpoints until the operator names some. The same object
   * until it is released as often as it was held and the operator names it no more. Every route holds its cluster.
   */
  hold(service: ServiceKey): Cluster
  release(service: ServiceKey): void
}
