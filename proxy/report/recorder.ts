/** What one worker counts between two flushes. */
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { Route } from '../table/contract.ts'
import { observe, requestCounts, type CountsDelta, type RequestCounts, type TlsCounts } from './counts.ts'

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
  readonly milliseconds: number
  readonly requestBytes: number
  readonly responseBytes: number
}

export class Recorder {
  #requests = new Map<string, RequestCounts>()
  #tls = new Map<string | null, TlsCounts>()
  #connectFailures = 0
  #defects = 0
  #events = new Map<string, number>()

  request(finished: FinishedRequest): void {
    const { host, route } = finished
    const id = `${host ?? ' '} ${route?.object ?? ''} ${route?.revision ?? ''}`
    let counts = this.#requests.get(id)
    if (!counts) {
      const governed = route?.governed ?? false
      counts = requestCounts({ host, object: route?.object ?? null, revision: route?.revision ?? '', governed })
      this.#requests.set(id, counts)
    }
    counts.requests++
    if (finished.internal) counts.internal++
    counts.status[classOf(finished.status)]++
    if (finished.notFound) counts.notFound++
    if (finished.upstreamError) counts.upstreamErrors++
    // How long our own faults take is no evidence either.
    if (!finished.internal) observe(counts.latency, LATENCY_BUCKETS_MS, finished.milliseconds)
    counts.requestBytes += finished.requestBytes
    counts.responseBytes += finished.responseBytes
  }

  tlsHandshake(host: string | null): void {
    this.#tlsOf(host).handshakes++
  }

  tlsFailure(host: string | null): void {
    this.#tlsOf(host).failures++
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

  /** What happened to a TLS context. */
  tlsContext(event: 'made' | 'evicted' | 'refused'): void {
    this.#count(`context ${event}`)
  }

  #count(id: string, count = 1): void {
    this.#events.set(id, (this.#events.get(id) ?? 0) + count)
  }

  /** What was counted since the last call; null: nothing. */
  flush(): CountsDelta | null {
    const rest = this.#connectFailures + this.#defects + this.#events.size
    if (this.#requests.size === 0 && this.#tls.size === 0 && rest === 0) return null
    const delta = {
      requests: [...this.#requests.values()],
      tls: [...this.#tls.values()],
      connectFailures: this.#connectFailures,
      defects: this.#defects,
      events: [...this.#events],
    }
    this.#requests = new Map()
    this.#tls = new Map()
    this.#connectFailures = 0
    this.#defects = 0
    this.#events = new Map()
    return delta
  }

  #tlsOf(host: string | null): TlsCounts {
    const found = this.#tls.get(host) ?? { host, handshakes: 0, failures: 0 }
    this.#tls.set(host, found)
    return found
  }
}

function classOf(status: number): 0 | 1 | 2 | 3 | 4 {
  if (status < 200) return 0
  if (status < 300) return 1
  if (status < 400) return 2
  return status < 500 ? 3 : 4
}
