/** Clients of all kinds at an even pace, which look at every answer. */
import { TLSSocket } from 'node:tls'
import { Connection } from '../bench/http-answer.ts'
import { sentOf } from './backend.ts'
import { Roster } from './roster.ts'
import type { Fact, Truth } from './truth.ts'

export const KINDS = ['plain', 'TLS', 'new plain', 'new TLS'] as const
export type Kind = (typeof KINDS)[number]

/** How many of a kind there are, and their part of the requests. */
const LANES: Readonly<Record<Kind, { readonly count: number; readonly share: number }>> = {
  plain: { count: 64, share: 0.6 },
  TLS: { count: 40, share: 0.365 },
  'new plain': { count: 4, share: 0.03 },
  'new TLS': { count: 4, share: 0.005 },
}
/** After so many requests a kept-alive TLS connection is left for one to another host. */
const REQUESTS_PER_TLS = 200
/** Parts of the requests that have a body; that go to hosts which changed lately; that go to hosts which are gone. */
const POSTS = 0.08
const TO_CHANGED = 0.2
const TO_GONE = 0.01
/** Small, in one piece, and longer than the proxy gathers before it chooses a backend (64 KiB). */
const BODIES = [64, 64, 64, 4_096, 4_096, 100_000].map(bytes => 'sluice-soak-body'.repeat(Math.ceil(bytes / 16)))
const DIGESTS = BODIES.map(body => sentOf('POST', body))
const SILENCE_MS = 30_000
/** What a stall kept back beyond this is left out rather than sent in one burst. */
const BACKLOG_MS = 1_000
const EXAMPLES = 5
const WAKE_MS = 20

export interface Ports {
  readonly http: number
  readonly https: number
}

export interface Faults {
  /** Answers that were not right, or a certificate that was not. */
  readonly wrong: number
  /** Requests without a whole answer. */
  readonly cut: number
  /** Connections that the proxy ended between two requests. */
  readonly closed: number
}

export interface ClientFigures {
  readonly requests: Readonly<Record<Kind, number>>
  readonly posts: number
  /** Right ones: of hosts that were gone, or on their way. */
  readonly notFound: number
  /** Requests that were due while too many others were. */
  readonly skipped: number
  readonly faults: Faults
  /** The first of them, in words. */
  readonly examples: readonly string[]
  /** Milliseconds from when a request was due to its answer. */
  readonly p50: number
  readonly p99: number
}

const NO_REQUESTS: Readonly<Record<Kind, number>> = { plain: 0, TLS: 0, 'new plain': 0, 'new TLS': 0 }

class Phase {
  readonly requests: Record<Kind, number> = { ...NO_REQUESTS }
  readonly faults: Record<keyof Faults, number> = { wrong: 0, cut: 0, closed: 0 }
  readonly examples: string[] = []
  readonly times: number[] = []
  posts = 0
  notFound = 0
  skipped = 0

  fault(kind: keyof Faults, text: string): void {
    this.faults[kind]++
    if (this.examples.length < EXAMPLES) this.examples.push(`${kind}: ${text}`)
  }

  get figures(): ClientFigures {
    const sorted = Float64Array.from(this.times).sort()
    const at = (share: number): number => Math.max(0, sorted[Math.floor(sorted.length * share)] ?? 0)
    const { requests, faults, examples, posts, notFound, skipped } = this
    return { requests, faults, examples, posts, notFound, skipped, p50: at(0.5), p99: at(0.99) }
  }
}

interface Open {
  readonly connection: Connection
  /** Null: it may ask for any. */
  readonly host: string | null
  asked: number
}

/** A client whose certificate is not of the host that it asked for. */
const isRefusal = (error: unknown): boolean =>
  /SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test((error as NodeJS.ErrnoException).code ?? '')

export class Clients {
  readonly #truth: Truth
  readonly #ports: Ports
  readonly #authority: string
  readonly #random: () => number
  readonly #hosts = new Roster()
  readonly #tls = new Roster()
  readonly #changed = new Roster(64)
  readonly #gone = new Roster(64)
  #phase = new Phase()
  #perSecond = 0
  #inFlight = 0
  #ended = false

  /** @param authority PEM: who signs all certificates */
  constructor(truth: Truth, ports: Ports, authority: string, random: () => number) {
    this.#truth = truth
    this.#ports = ports
    this.#authority = authority
    this.#random = random
    for (const kind of KINDS) for (let i = 0; i < LANES[kind].count; i++) void this.#lane(kind, i)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Requests a second, of all together; 0: none. */
  set pace(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** No more requests, for good. */
  end(): void {
    this.#ended = true
  }

  /** Follows what may be asked for. */
  notice({ kind, ...fact }: Fact): void {
    if (!('host' in fact)) return
    const { host } = fact
    const isServed = this.#truth.routeOf(host) !== null
    if (kind === 'route') this.#hosts.set(host, isServed)
    this.#tls.set(host, isServed && this.#truth.certificateOf(host) !== null)
    this.#changed.set(host, isServed)
    this.#gone.set(host, !isServed)
  }

  /** What was seen since the last call. */
  figures(): ClientFigures {
    const { figures } = this.#phase
    this.#phase = new Phase()
    return figures
  }

  async #lane(kind: Kind, index: number): Promise<void> {
    const { count, share } = LANES[kind]
    let open: Open | null = null
    for (let due = performance.now(), paced = 0; !this.#ended;) {
      if (this.#perSecond !== paced) {
        paced = this.#perSecond
        // Lanes of a kind take turns.
        due = performance.now() + (paced === 0 ? 0 : (1_000 * index) / (share * paced))
      }
      if (paced === 0) {
        await new Promise(resolve => setTimeout(resolve, WAKE_MS))
        continue
      }
      const now = performance.now()
      const every = (1_000 * count) / (share * paced)
      if (now - due > BACKLOG_MS) {
        const skipped = Math.floor((now - due) / every)
        this.#phase.skipped += skipped
        due += skipped * every
      }
      if (due > now) {
        await new Promise(resolve => setTimeout(resolve, Math.min(due - now, WAKE_MS)))
        continue
      }
      this.#inFlight++
      open = await this.#once(kind, open, due)
      this.#inFlight--
      due += every
    }
    open?.connection.end()
  }

  /** One request. @returns the connection for the next one */
  async #once(kind: Kind, kept: Open | null, due: number): Promise<Open | null> {
    let open = kept
    if (open?.connection.closed === true) {
      this.#phase.fault('closed', `a ${kind} connection after ${open.asked} requests`)
      open = null
    }
    if (kind === 'TLS' && open !== null && open.asked >= REQUESTS_PER_TLS) {
      open.connection.end()
      open = null
    }
    const host = open?.host ?? this.#pick(kind)
    if (host === null) return open
    const began = performance.now()
    try {
      open ??= kind === 'TLS' || kind === 'new TLS' ? await this.#openTls(host, began) : await this.#open()
      if (open === null) return null
      const isLast = await this.#ask(kind, open, host, due)
      open.asked++
      if (!isLast && (kind === 'plain' || (kind === 'TLS' && this.#truth.certificateOf(host) !== null))) return open
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? ''
      this.#phase.fault('cut', `${kind} ${host}: ${code} ${(error as Error).message}`)
    }
    open?.connection.end()
    return null
  }

  async #open(): Promise<Open> {
    const connection = await Connection.open(this.#ports.http)
    return { connection: limited(connection), host: null, asked: 0 }
  }

  /** Null: the host has no certificate any more, or not yet. */
  async #openTls(host: string, began: number): Promise<Open | null> {
    try {
      const connection = await Connection.openTls(this.#ports.https, host, this.#authority)
      const { socket } = connection
      const fingerprint = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : ''
      if (!this.#truth.certificatesSince(host, began).includes(fingerprint))
        this.#phase.fault('wrong', `${host} has a certificate that was replaced`)
      return { connection: limited(connection), host, asked: 0 }
    } catch (error) {
      if (isRefusal(error) && this.#truth.certificatesSince(host, began).includes(null)) return null
      throw error
    }
  }

  /** @returns whether the connection ends with this answer */
  async #ask(kind: Kind, { connection }: Open, host: string, due: number): Promise<boolean> {
    const target = this.#target(host)
    const index = this.#random() < POSTS ? Math.floor(this.#random() * BODIES.length) : -1
    const [method, body, sent] = index < 0 ? ['GET', '', 'GET'] : ['POST', BODIES[index] ?? '', DIGESTS[index] ?? '']
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`
    const sentAt = performance.now()
    const answer = await connection.exchange(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${length}\r\n${body}`)
    const phase = this.#phase
    phase.requests[kind]++
    if (method === 'POST') phase.posts++
    phase.times.push(performance.now() - due)
    const fault = this.#truth.faultOf({ host, target, sent }, answer, sentAt)
    if (fault !== null) phase.fault('wrong', `${kind} ${method} ${host}${target}: ${fault}`)
    else if (answer.status === 404) phase.notFound++
    if (answer.last) phase.fault('closed', `a ${kind} connection, with the answer of ${host}`)
    return answer.last
  }

  /** Null: there is none. */
  #pick(kind: Kind): string | null {
    if (kind === 'TLS' || kind === 'new TLS') return this.#tls.pick(this.#random)
    const chance = this.#random()
    const some = chance < TO_GONE ? this.#gone : chance < TO_GONE + TO_CHANGED ? this.#changed : this.#hosts
    return some.pick(this.#random) ?? this.#hosts.pick(this.#random)
  }

  #target(host: string): string {
    const extra = this.#truth.routeOf(host)?.extra ?? null
    const chance = this.#random()
    return extra !== null && chance < 0.5 ? `${extra.path}/x` : chance < 0.75 ? '/' : '/some/path?q=1'
  }
}

/** A request that nobody answers is cut. */
function limited(connection: Connection): Connection {
  const { socket } = connection
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`no answer within ${SILENCE_MS / 1_000} s`)))
  return connection
}
