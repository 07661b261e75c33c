/** The open client connections of a worker: their number, their time, and their end. */
import type { ConnectionState, OpenConnection } from './contract.ts'

export interface ConnectionCounts {
  readonly open: number
  /** Of these, over TLS. */
  readonly secured: number
  readonly idle: number
  /** Requests under way. */
  readonly busy: number
  readonly tunnels: number
}

/** How often deadlines are looked at, in milliseconds: at most, at least. A deadline is met this much late. */
const LOOK = { most: 500, least: 20 }
/** A look that comes this much later than it should, in milliseconds, follows a stall of the event loop. */
const STALL_MS = 50
/** Within this of its opening a connection's first request is likely on its way: round trips, a handshake. Milliseconds. */
const FIRST_REQUEST_MS = 1_000

export class Connections {
  readonly #open = new Set<OpenConnection>()
  readonly #counts: Record<ConnectionState, number> = {
    ...{ idle: 0, head: 0, busy: 0, discarding: 0, tunnel: 0, closing: 0, closed: 0 },
  }
  #secured = 0
  /** Requests under way on connections that have one already. */
  #besides = 0
  readonly #every: number
  readonly #firstRequestMs: number
  #timer: NodeJS.Timeout | null = null
  /** When deadlines were looked at last. */
  #looked = 0
  #onEmpty: (() => void) | null = null
  readonly #waiting = new Set<NodeJS.Timeout>()
  /** performance.now() at which the last tunnel is closed; null: no drain. */
  #drainUntil: number | null = null
  /** The look before was left out, because it came late. */
  #skipped = false

  /**
   * @param shortest the shortest time limit of a connection, in milliseconds
   * @param firstRequestMs for so long a connection on which nothing was asked yet is not closed for being idle
   */
  constructor(shortest: number, firstRequestMs = FIRST_REQUEST_MS) {
    this.#firstRequestMs = firstRequestMs
    this.#every = Math.max(LOOK.least, Math.min(LOOK.most, shortest / 4))
  }

  get size(): number {
    return this.#open.size
  }

  get busy(): number {
    return this.#counts.busy + this.#besides
  }

  get counts(): ConnectionCounts {
    const { idle, tunnel } = this.#counts
    return { open: this.#open.size, secured: this.#secured, idle, busy: this.busy, tunnels: tunnel }
  }

  /** So many more requests are under way, or fewer, on a connection that has one already. */
  besides(change: 1 | -1): void {
    this.#besides += change
  }

  add(connection: OpenConnection): void {
    this.#open.add(connection)
    if (connection.peer.tls !== null) this.#secured++
    this.#counts[connection.state]++
    if (this.#timer !== null) return
    this.#looked = performance.now()
    this.#timer = setInterval(() => this.#tick(), this.#every)
  }

  changed(connection: OpenConnection, from: ConnectionState): void {
    this.#counts[from]--
    this.#counts[connection.state]++
    // An Upgrade that was under way when the drain began.
    if (connection.state === 'tunnel' && this.#drainUntil !== null) {
      this.#stagger([connection], Math.max(0, this.#drainUntil - performance.now()))
    }
  }

  remove(connection: OpenConnection): void {
    if (!this.#open.delete(connection)) return
    if (connection.peer.tls !== null) this.#secured--
    this.#counts[connection.state]--
    if (this.#open.size > 0) return
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    this.#onEmpty?.()
  }

  /** Makes room: closes the connection that has been idle for longest. @returns false: none is idle */
  closeOldestIdle(): boolean {
    // Sets keep the order of opening; the first idle ones are nearly the oldest, and a full look costs too much here.
    if (this.#counts.idle === 0) return false
    let oldest: OpenConnection | null = null
    let looked = 0
    for (const connection of this.#open) {
      if (connection.state === 'idle' && (oldest === null || connection.idleSince < oldest.idleSince))
        oldest = connection
      if (++looked >= 64 && oldest !== null) break
    }
    // At once, as nginx does: one that is closed in good order would hold its place for seconds.
    oldest?.drop()
    return oldest !== null
  }

  /** Closes those that have been idle for longest, in good order, but for those that were just opened. @returns how many */
  closeIdle(most: number): number {
    const now = performance.now()
    const idle: OpenConnection[] = []
    for (const connection of this.#open) {
      if (connection.state === 'idle' && this.#sparedFor(connection, now) === 0) idle.push(connection)
    }
    const oldest = idle.sort((a, b) => a.idleSince - b.idleSince).slice(0, most)
    for (const connection of oldest) connection.close()
    return oldest.length
  }

  /** Those that are busy let go of what they keep for later. */
  saveMemory(): void {
    if (this.#counts.busy === 0) return
    for (const connection of this.#open) connection.saveMemory()
  }

  /**
   * Closes idle connections now, those that were just opened with their first answer or a moment later, the others with
   * their answer, and tunnels one after the other over the time, so that their clients do not all come back at the same
   * moment; resolves when none is open.
   * @param tunnelsWithin milliseconds
   */
  drain(tunnelsWithin: number): Promise<void> {
    const now = performance.now()
    this.#drainUntil = now + tunnelsWithin
    const tunnels: OpenConnection[] = []
    for (const connection of this.#open) {
      const spareMs = this.#sparedFor(connection, now)
      if (connection.state === 'tunnel') tunnels.push(connection)
      else if (connection.state === 'idle' && spareMs > 0) this.#later(spareMs, () => connection.close())
      else connection.close()
    }
    this.#stagger(tunnels, tunnelsWithin)
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise(resolve => (this.#onEmpty = resolve))
  }

  destroyAll(): void {
    for (const timer of this.#waiting) clearTimeout(timer)
    this.#waiting.clear()
    for (const connection of this.#open) connection.drop()
  }

  #stagger(tunnels: OpenConnection[], within: number): void {
    const pause = within / (tunnels.length + 1)
    const next = (): void => {
      const tunnel = tunnels.pop()
      if (!tunnel) return
      this.#later(pause, () => {
        tunnel.leave()
        next()
      })
    }
    next()
  }

  /**
   * Milliseconds for which it is not closed for being idle. Clients send again what was not answered on a connection that they
   * had used before (RFC 9112, 9.3.1); on a new one they take it for a failure.
   */
  #sparedFor({ requests, openedAt }: OpenConnection, now: number): number {
    return requests > 0 ? 0 : Math.max(0, openedAt + this.#firstRequestMs - now)
  }

  #later(afterMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(timer)
      act()
    }, afterMs)
    this.#waiting.add(timer)
  }

  #tick(): void {
    const now = performance.now()
    const late = now - this.#looked > this.#every + STALL_MS
    this.#looked = now
    // After a stall of ours the clock has run on while what the clients sent lies unread: they get another look.
    // Never twice: under a load that lasts, somebody has to be late.
    this.#skipped = late && !this.#skipped
    if (this.#skipped) return
    for (const connection of this.#open) connection.tick(now)
  }
}
