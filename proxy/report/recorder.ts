/**
 * What one worker counts between two flushes. Requests are counted in rows of numbers; which row a route has stands in an
 * array by its number, so that counting makes no garbage and looks nothing up.
 */
import type { Route } from '../table/contract.ts'
import {
  CODES_OF_ROW,
  kindOf,
  type Carried,
  type CountsDelta,
  type RowName,
  type TlsCounts,
  type TlsSession,
} from './counts.ts'
import {
  CLOSED,
  CONNECT,
  CONNECT_SUM,
  FIRST_BYTE,
  FIRST_BYTE_SUM,
  INTERNAL,
  LATENCY,
  LATENCY_SUM,
  NOT_FOUND,
  REQUESTS,
  REQUEST_BYTES,
  RESPONSE_BYTES,
  RETRIES,
  STATUS,
  UPSTREAM_ERRORS,
  WIDTH,
  bucketOf,
  upstreamBucketOf,
} from './columns.ts'
import { Rows } from './rows.ts'

export interface FinishedRequest {
  /** Table.requestHost of the request. */
  readonly host: string | null
  /** Null: nothing of the table answered. */
  readonly route: Route | null
  /** As counted: 499 for a client that went. */
  readonly status: number
  readonly notFound: boolean
  readonly upstreamError: boolean
  /** Our own fault: counted apart, and left out of what reports and gates see. */
  readonly internal: boolean
  /** Answered 503 because the path is closed: counted apart, too. */
  readonly closed: boolean
  readonly milliseconds: number
  /** Until the connection to the backend was open; null: one was there already, or none came. */
  readonly connectMs: number | null
  /** From the beginning to the head of the backend's answer; null: there was none. */
  readonly firstByteMs: number | null
  /** Endpoints that were tried; 0: none. */
  readonly attempts: number
  readonly requestBytes: number
  readonly responseBytes: number
}

const FEWEST_ROUTES = 64

export class Recorder {
  readonly #rows = new Rows(WIDTH)
  /** Whose row it is. */
  #names: RowName[] = []
  /** By row and status code, but for 200. */
  #codes = new Map<number, number>()
  /** By the number of a route: its row and 1; 0: none. */
  #rowOf = new Uint32Array(FEWEST_ROUTES)
  /** Numbers of routes with a row. */
  #routes: number[] = []
  /** Rows of what has no number of its own: no route, the route of another host, a number that was given anew. */
  #others = new Map<string, number>()
  #tlsCounts = new Map<string | null, TlsCounts>()
  #connectFailures = 0
  #defects = 0
  #carried = { relay: 0, full: 0 }
  #events = new Map<string, number>()

  request(finished: FinishedRequest): void {
    const { host, route } = finished
    const row = route === null ? this.#otherRow(host, null) : this.#routeRow(host, route)
    const figures = this.#rows.pieceOf(row)
    const base = this.#rows.baseOf(row)
    add(figures, base + REQUESTS, 1)
    add(figures, base + STATUS + classOf(finished.status), 1)
    if (finished.status !== 200) this.#code(row, finished.status)
    if (finished.internal) add(figures, base + INTERNAL, 1)
    if (finished.closed) add(figures, base + CLOSED, 1)
    if (finished.notFound) add(figures, base + NOT_FOUND, 1)
    if (finished.upstreamError) add(figures, base + UPSTREAM_ERRORS, 1)
    // How long our own faults and refusals take is no evidence either.
    if (!finished.internal && !finished.closed) {
      add(figures, base + LATENCY + bucketOf(finished.milliseconds), 1)
      add(figures, base + LATENCY_SUM, finished.milliseconds)
    }
    const { firstByteMs, connectMs, attempts } = finished
    if (firstByteMs !== null) {
      add(figures, base + FIRST_BYTE + upstreamBucketOf(firstByteMs), 1)
      add(figures, base + FIRST_BYTE_SUM, firstByteMs)
    }
    if (connectMs !== null) {
      add(figures, base + CONNECT + upstreamBucketOf(connectMs), 1)
      add(figures, base + CONNECT_SUM, connectMs)
    }
    if (attempts > 1) add(figures, base + RETRIES, attempts - 1)
    add(figures, base + REQUEST_BYTES, finished.requestBytes)
    add(figures, base + RESPONSE_BYTES, finished.responseBytes)
  }

  /** Whatever is not counted here is 200: nearly all of it, and it costs nothing. */
  #code(row: number, status: number): void {
    const key = row * CODES_OF_ROW + status
    this.#codes.set(key, (this.#codes.get(key) ?? 0) + 1)
  }

  /** A request goes to a backend, this way. */
  carried(path: keyof Carried): void {
    this.#carried[path]++
  }

  tlsHandshake(host: string | null, session: TlsSession): void {
    this.#tls(host, session, 'handshakes')
  }

  /** @param session null: the handshake was not finished */
  tlsFailure(host: string | null, session: TlsSession | null): void {
    this.#tls(host, session, 'failures')
  }

  connectFailure(): void {
    this.#connectFailures++
  }

  /** Something of ours threw: it ended one request or connection. */
  defect(): void {
    this.#defects++
  }

  /** What could not be read as a request. @param code one of a few fixed words */
  refusedRequest(code: string): void {
    this.#count(`request ${code}`)
  }

  /** A connection that was not taken, or ended before it said anything of use. @param code one of a few fixed words */
  refusedConnection(code: string): void {
    this.#count(`connection ${code}`)
  }

  /** An idle connection that was closed to make room. @param code what there was too little of */
  shedConnections(code: string, count: number): void {
    if (count > 0) this.#count(`shed-connection ${code}`, count)
  }

  /** A request that was answered 503 because there was too little of something of ours. @param code of what */
  shedRequest(code: string): void {
    this.#count(`shed-request ${code}`)
  }

  /** A request that was to be forwarded did not get all of a backend's answer. @param code one of a few fixed words */
  failure(code: string): void {
    this.#count(`failure ${code}`)
  }

  /** A connection of HTTP/2 that was ended for what its client did. @param code one of a few fixed words */
  endedHttp2(code: string): void {
    this.#count(`http2 ${code}`)
  }

  /** What happened to a TLS context. */
  tlsContext(event: 'made' | 'evicted' | 'refused'): void {
    this.#count(`context ${event}`)
  }

  #count(id: string, count = 1): void {
    this.#events.set(id, (this.#events.get(id) ?? 0) + count)
  }

  /**
   * What was counted since the last call; null: nothing. After it no number of a route is in use here: the table may give
   * those of routes that are gone to others.
   */
  flush(): CountsDelta | null {
    const carried = this.#carried
    const rest = this.#connectFailures + this.#defects + this.#events.size + carried.relay + carried.full
    if (this.#names.length === 0 && this.#tlsCounts.size === 0 && rest === 0) return null
    const delta = {
      requests: { names: this.#names, figures: this.#rows.drain(), codes: [...this.#codes] },
      tls: [...this.#tlsCounts.values()],
      connectFailures: this.#connectFailures,
      defects: this.#defects,
      carried,
      events: [...this.#events],
    }
    for (const id of this.#routes) this.#rowOf[id] = 0
    this.#routes = []
    this.#names = []
    this.#codes = new Map()
    this.#others = new Map()
    this.#tlsCounts = new Map()
    this.#connectFailures = 0
    this.#defects = 0
    this.#carried = { relay: 0, full: 0 }
    this.#events = new Map()
    return delta
  }

  #routeRow(host: string | null, route: Route): number {
    const { id } = route
    const known = this.#rowOf[id] ?? 0
    if (known > 0) {
      const name = this.#names[known - 1]
      // A request that outlived its route may end under a number that is another's by now.
      return name !== undefined && isOf(name, host, route) ? known - 1 : this.#otherRow(host, route)
    }
    // A host that only falls back to the route is one of many that do: it has no claim to the route's row.
    if (host !== route.host) return this.#otherRow(host, route)
    const row = this.#take(host, route)
    if (id >= this.#rowOf.length) {
      const larger = new Uint32Array(Math.max(id + 1, this.#rowOf.length * 2))
      larger.set(this.#rowOf)
      this.#rowOf = larger
    }
    this.#rowOf[id] = row + 1
    this.#routes.push(id)
    return row
  }

  #otherRow(host: string | null, route: Route | null): number {
    const id = `${host ?? ' '} ${route?.object ?? ''} ${route?.revision ?? ''}`
    const known = this.#others.get(id)
    if (known !== undefined) return known
    const row = this.#take(host, route)
    this.#others.set(id, row)
    return row
  }

  #take(host: string | null, route: Route | null): number {
    const { object = null, revision = '', governed = false } = route ?? {}
    this.#names.push({ host, object, revision, governed })
    return this.#rows.take()
  }

  #tls(host: string | null, session: TlsSession | null, what: 'handshakes' | 'failures'): void {
    const counts: TlsCounts = this.#tlsCounts.get(host) ?? { host, handshakes: 0, failures: 0, kinds: new Map() }
    this.#tlsCounts.set(host, counts)
    counts[what]++
    const kind = kindOf(session)
    const ofKind = counts.kinds.get(kind) ?? { handshakes: 0, failures: 0 }
    counts.kinds.set(kind, ofKind)
    ofKind[what]++
  }
}

function add(figures: Float64Array, at: number, value: number): void {
  figures[at] = (figures[at] ?? 0) + value
}

function isOf(name: RowName, host: string | null, { object, revision, governed }: Route): boolean {
  return name.host === host && name.object === object && name.revision === revision && name.governed === governed
}

function classOf(status: number): 0 | 1 | 2 | 3 | 4 {
  if (status < 200) return 0
  if (status < 300) return 1
  if (status < 400) return 2
  return status < 500 ? 3 : 4
}
