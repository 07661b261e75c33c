/**
 * One address, with its connections and its health. Services that name the same address share it: a connection does not
 * know for which of them it was opened, and an endpoint that is down is down for all.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import type { ServiceKey } from '../../protocol/objects.ts'
import { splitAddress } from './address.ts'
import type { SocketIo } from '../io/contract.ts'
import { connectFailure, Connection, type ConnectionOwner, type Taker } from './backend-connection.ts'
import type { Timed } from './choose.ts'
import { Health } from './health.ts'
import { IdleConnections, isOld } from './idle-connections.ts'
import { Latency } from './latency.ts'
import { hashText, type Hashed } from './rendezvous.ts'
import type { UpstreamSettings } from './settings.ts'
import { warmth } from './slow-start.ts'
import { CONNECTS, CONNECT_FAILURES, FAILURES, LEASES, RESTS, type Tallied, type Tally } from './endpoint-counters.ts'

/** Opens a connection. @param onData gets what arrives on it, in place of `data` events: a view for as long as it looks */
export type Connect = (host: string, port: number, onData: (chunk: Buffer) => void) => Socket

/** What all endpoints of a worker have in common. */
export interface Surroundings {
  readonly settings: UpstreamSettings
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** From 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly connect: Connect
  readonly io: SocketIo
  /** An endpoint did not take a connection. */
  readonly connectFailed: () => void
  readonly tally: Tally
  /** A connection became idle: somebody has to sweep it away one day. */
  readonly idled: () => void
}

/** Bytes that one read may bring. */
const READ_SIZE = 65_536

/**
 * Opens connections whose reads go into one buffer of the worker, which whoever reads looks into: a buffer of 64 KiB for
 * each answer of a few hundred bytes costs more than to copy what is to be kept, and so does a stream in between.
 * allowHalfOpen: a backend may say that it sends no more while we still send; who reads decides what that means.
 */
export function tcpConnector(): Connect {
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE)
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 }
  return (host, port, onData) => {
    const callback = (length: number): boolean => {
      onData(buffer.subarray(0, length))
      return true
    }
    const onread = { buffer, callback }
    return connectSocket({ host, port, noDelay: true, allowHalfOpen: true, ...keepAlive, onread })
  }
}

const NOT_NEW = -1

export class Endpoint implements Timed, Hashed, ConnectionOwner, Tallied {
  readonly address: string
  /** Which named it first, for metrics: nearly always there is no other. */
  readonly service: ServiceKey
  readonly health = new Health()
  /** Services that name it; without any it keeps no connection. */
  named = 0
  /** Connections lent or awaited. */
  open = 0
  row = -1
  toldOpen = 0
  toldIdle = 0
  readonly #near: Surroundings
  /** Most endpoints of a large table have none. */
  #pool: IdleConnections | null = null
  /** When it came to a Service that had others. */
  #newSince = NOT_NEW
  /** Made for the first who asks: most Services ask for neither. */
  #hash: number | null = null
  #latency: Latency | null = null

  constructor(address: string, service: ServiceKey, near: Surroundings) {
    this.address = address
    this.service = service
    this.#near = near
  }

  get hash(): number {
    this.#hash ??= hashText(this.address)
    return this.#hash
  }

  latency(now: number): number | null {
    return this.#latency === null ? null : this.#latency.at(now)
  }

  /** An answer of it was there after so many milliseconds, from the connecting on. */
  took(milliseconds: number, now: number): void {
    if (this.#latency === null) this.#latency = new Latency(milliseconds, now)
    else this.#latency.add(milliseconds, now)
  }

  get idle(): number {
    return this.#pool === null ? 0 : this.#pool.idle.length
  }

  /** Being opened, and nobody waits. */
  get untaken(): number {
    return this.#pool === null ? 0 : this.#pool.untaken.length
  }

  /** One that would be taken over is being opened. */
  isOpening(timeout: number): boolean {
    return this.#pool?.untaken.some(connection => connection.timeout === timeout) === true
  }

  /** Idle connections and those that nobody waits for make room where they must. */
  get full(): boolean {
    const most = this.#near.settings.maxConnectionsPerEndpoint
    return most > 0 && this.open >= most
  }

  /** From now on it gets a part of its share that rises, where that is set. */
  startSlowly(now: number): void {
    if (this.#near.settings.slowStart > 0) this.#newSince = now
  }

  /** The part of its share that it gets: from a tenth to 1. */
  warmth(now: number): number {
    if (this.#newSince === NOT_NEW) return 1
    const part = warmth(now - this.#newSince, this.#near.settings.slowStart)
    if (part === 1) this.#newSince = NOT_NEW
    return part
  }

  /** Chosen: a connection is about to be lent or opened. */
  begin(): void {
    this.open++
    this.#near.tally.touch(this)
  }

  /** The lease, or the wish for one, is over. */
  end(): void {
    this.open--
    this.#near.tally.touch(this)
  }

  leased(): void {
    this.#near.tally.add(this, LEASES)
  }

  /**
   * The one that was used last: the others get old, and go when they are not needed any more.
   * @param within it was used in so many milliseconds
   */
  takeIdle(now: number, within = Infinity): Connection | null {
    if (this.#pool === null || this.#pool.idle.length === 0) return null
    this.#near.tally.touch(this)
    return this.#pool.take(now, within, this.#near.settings)
  }

  /**
   * Opens a connection, or takes over one that is being opened for nobody. Its taker hears of it, at once where the
   * address is unusable.
   * @param timeout milliseconds; one that was begun with another is left to others
   */
  connect(taker: Taker, probe: boolean, now: number, timeout: number): Connection | null {
    const begun = this.#pool?.takeUntaken(timeout) ?? null
    if (begun !== null) {
      begun.taker = taker
      begun.probe ||= probe
      return begun
    }
    const { maxConnectionsPerEndpoint: most } = this.#near.settings
    if (most > 0 && this.open + this.idle > most) this.#pool?.idle.shift()?.socket.destroy()
    this.#near.tally.add(this, CONNECTS)
    try {
      const { host, port } = splitAddress(this.address)
      const { connect, io } = this.#near
      const opening = { open: connect.bind(null, host, port), io, timeout }
      return new Connection(this, opening, taker, probe, now)
    } catch (error) {
      // Node throws for ports and options that cannot be, and reports everything else by an event.
      this.#connectFailed(now, probe)
      taker.refused(connectFailure(this.address, error instanceof Error ? error : new Error(String(error))))
      return null
    }
  }

  /** Nobody waits for it any more: it is kept for the next one. */
  abandon(connection: Connection): void {
    connection.taker = null
    if (this.named > 0) this.#pooled().untaken.push(connection)
    else connection.socket.destroy()
  }

  /** A connection that was lent, or taken and not used. */
  keep(connection: Connection, now: number): void {
    const { maxIdlePerEndpoint, maxRequestsPerConnection } = this.#near.settings
    const { socket } = connection
    connection.reader = null
    if (
      this.named === 0 ||
      maxIdlePerEndpoint === 0 ||
      connection.exchanges >= maxRequestsPerConnection ||
      !connection.sound ||
      isOld(connection, now, this.#near.settings)
    ) {
      socket.destroy()
      return
    }
    // An idle connection has to notice its end.
    if (socket.isPaused()) socket.resume()
    this.#pooled().keep(connection, maxIdlePerEndpoint)
    this.#near.tally.touch(this)
    this.#near.idled()
  }

  /** Closes what was idle for too long. */
  sweep(now: number): void {
    this.#pool?.sweep(now, this.#near.settings)
  }

  /** No Service names it any more. What is lent goes when it is given back. */
  retire(): void {
    if (this.#pool === null) return
    this.#near.tally.touch(this)
    this.#pool.closeAll()
  }

  opened(connection: Connection): void {
    const { taker } = connection
    if (taker !== null) {
      connection.taker = null
      taker.connected(connection)
      return
    }
    const now = this.#near.now()
    this.#pool?.taken(connection)
    connection.idleSince = now
    this.keep(connection, now)
  }

  refused(connection: Connection, cause: Error): void {
    const error = connectFailure(this.address, cause)
    const { taker } = connection
    this.#pool?.taken(connection)
    if (error.code !== 'SLUICE_LOCAL_RESOURCES') this.#connectFailed(this.#near.now(), connection.probe)
    connection.taker = null
    taker?.refused(error)
  }

  /** An exchange broke that the backend is to blame for. */
  exchangeBroke(now: number, probe: boolean): void {
    this.#near.tally.add(this, FAILURES)
    if (this.health.exchangeBroke(now, probe)) this.#near.tally.add(this, RESTS)
  }

  answered(): void {
    if (this.health.suspect) this.health.answered()
  }

  /** Those that we closed come here, too. */
  lost(connection: Connection): void {
    if (this.#pool === null) return
    this.#pool.lost(connection)
    this.#near.tally.touch(this)
  }

  #connectFailed(now: number, probe: boolean): void {
    this.#near.tally.add(this, CONNECT_FAILURES)
    if (this.health.connectFailed(now, probe)) this.#near.tally.add(this, RESTS)
  }

  #pooled(): IdleConnections {
    this.#pool ??= new IdleConnections()
    return this.#pool
  }
}
