/**
 * One address, with its connections and its health. Services that name the same address share it: a connection does not
 * know for which of them it was opened, and an endpoint that is down is down for all.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import { splitAddress } from './address.ts'
import { connectFailure, Connection, type ConnectionOwner, type Taker } from './connection.ts'
import type { Candidate } from './choose.ts'
import { Health } from './health.ts'
import type { UpstreamSettings } from './settings.ts'

export type Connect = (host: string, port: number) => Socket

/** What all endpoints of a worker have in common. */
export interface Surroundings {
  readonly settings: UpstreamSettings
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** From 0 to 1, 1 excluded. */
  readonly random: () => number
  readonly connect: Connect
  /** An endpoint did not take a connection. */
  readonly connectFailed: () => void
  /** A connection became idle: somebody has to sweep it away one day. */
  readonly idled: () => void
}

/** allowHalfOpen: a backend may say that it sends no more while we still send; who reads decides what that means. */
export function connectTcp(host: string, port: number): Socket {
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 }
  return connectSocket({ host, port, noDelay: true, allowHalfOpen: true, ...keepAlive })
}

export class Endpoint implements Candidate, ConnectionOwner {
  readonly address: string
  readonly health = new Health()
  /** Services that name it; without any it keeps no connection. */
  named = 0
  /** Connections lent or awaited. */
  open = 0
  readonly #near: Surroundings
  readonly #host: string
  readonly #port: number
  /** Used last comes last. */
  #idle: Connection[] = []
  /** Being opened for somebody who went away. */
  readonly #untaken: Connection[] = []

  constructor(address: string, near: Surroundings) {
    this.address = address
    this.#near = near
    const { host, port } = splitAddress(address)
    this.#host = host
    this.#port = port
  }

  get idle(): number {
    return this.#idle.length
  }

  /** Being opened, and nobody waits. */
  get untaken(): number {
    return this.#untaken.length
  }

  /** Idle connections and those that nobody waits for make room where they must. */
  get full(): boolean {
    const most = this.#near.settings.maxConnectionsPerEndpoint
    return most > 0 && this.open >= most
  }

  /**
   * The one that was used last: the others get old, and go when they are not needed any more.
   * @param within it was used in so many milliseconds
   */
  takeIdle(now: number, within = Infinity): Connection | null {
    for (;;) {
      const last = this.#idle.at(-1)
      if (last === undefined || now - last.idleSince >= within) return null
      const connection = this.#idle.pop()
      if (connection === undefined) return null
      if (connection.sound && !this.#old(connection, now)) return connection
      connection.socket.destroy()
    }
  }

  /**
   * Opens a connection, or takes over one that is being opened for nobody. Its taker hears of it, at once where the
   * address is unusable.
   */
  connect(taker: Taker, probe: boolean, now: number): Connection | null {
    const begun = this.#untaken.pop()
    if (begun !== undefined) {
      begun.taker = taker
      begun.probe ||= probe
      return begun
    }
    const { maxConnectionsPerEndpoint: most, connectTimeout } = this.#near.settings
    if (most > 0 && this.open + this.#idle.length > most) this.#idle.shift()?.socket.destroy()
    try {
      return new Connection(this, this.#near.connect(this.#host, this.#port), taker, probe, now, connectTimeout)
    } catch (error) {
      // Node throws for ports and options that cannot be, and reports everything else by an event.
      this.health.connectFailed(now, probe)
      taker.refused(connectFailure(this.address, error instanceof Error ? error : new Error(String(error))))
      return null
    }
  }

  /** Nobody waits for it any more: it is kept for the next one. */
  abandon(connection: Connection): void {
    connection.taker = null
    if (this.named > 0) this.#untaken.push(connection)
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
      this.#old(connection, now)
    ) {
      socket.destroy()
      return
    }
    // An idle connection has to notice its end.
    if (socket.isPaused()) socket.resume()
    if (this.#idle.length >= maxIdlePerEndpoint) this.#idle.shift()?.socket.destroy()
    this.#idle.push(connection)
    this.#near.idled()
  }

  /** Closes what was idle for too long. */
  sweep(now: number): void {
    if (this.#idle.length === 0) return
    const old = this.#idle.filter(connection => this.#old(connection, now))
    if (old.length === 0) return
    this.#idle = this.#idle.filter(connection => !this.#old(connection, now))
    for (const connection of old) connection.socket.destroy()
  }

  /** No Service names it any more. What is lent goes when it is given back. */
  retire(): void {
    for (const connection of this.#idle.splice(0)) connection.socket.destroy()
    for (const connection of this.#untaken.splice(0)) connection.socket.destroy()
  }

  opened(connection: Connection): void {
    const { taker } = connection
    if (taker !== null) {
      connection.taker = null
      taker.connected(connection)
      return
    }
    const now = this.#near.now()
    forget(this.#untaken, connection)
    connection.idleSince = now
    this.keep(connection, now)
  }

  refused(connection: Connection, cause: Error): void {
    const error = connectFailure(this.address, cause)
    const { taker } = connection
    forget(this.#untaken, connection)
    if (error.code !== 'SLUICE_LOCAL_RESOURCES') this.health.connectFailed(this.#near.now(), connection.probe)
    connection.taker = null
    taker?.refused(error)
  }

  answered(): void {
    if (this.health.suspect) this.health.answered()
  }

  lost(connection: Connection): void {
    forget(this.#idle, connection)
  }

  #old(connection: Connection, now: number): boolean {
    const { idleTimeout, maxAge } = this.#near.settings
    return now - connection.idleSince >= idleTimeout || (maxAge > 0 && now - connection.begun >= maxAge)
  }
}

function forget(list: Connection[], connection: Connection): void {
  const index = list.indexOf(connection)
  if (index >= 0) list.splice(index, 1)
}
