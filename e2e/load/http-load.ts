/** Plain HTTP on kept-alive connections to several proxies in turn, at a fixed rate. */
import { Agent, request } from 'node:http'
import type { ClientRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { Pace } from './pace.ts'
import type { LoadRecord } from './record.ts'
import { checkAddress } from './targets.ts'
import type { Target } from './targets.ts'

export interface LoadOptions {
  readonly targets: readonly Target[]
  /** Host header, and the name asked for by TLS. */
  readonly host: string
  readonly path: string
  readonly perSecond: number
  /** A request without its whole answer after this many milliseconds failed with TIMEOUT. */
  readonly timeoutMs: number
  /** The load stops by itself after so long. */
  readonly maxMs: number
  readonly maxRequests: number
  readonly onRecord: (record: LoadRecord) => void
}

export interface HttpLoadOptions extends LoadOptions {
  readonly connectionsPerTarget: number
}

export interface ConnectionCounts {
  readonly opened: number
  /** Ended or reset by the other side while the load was running, without a word. */
  readonly closedByPeer: number
  /** How many requests those carried that ended with an answer that said so (Connection: close). */
  readonly ended: readonly number[]
}

// Beyond this the other side is lost anyway, and this process should not be.
const MAX_IN_FLIGHT = 2_000

export class HttpLoad {
  readonly #options: HttpLoadOptions
  readonly #agents: readonly CountingAgent[]
  readonly #inFlight = new Set<ClientRequest>()
  readonly #used = new WeakSet<Duplex>()
  readonly #pace: Pace
  #stopped: Promise<void> | null = null

  constructor(options: HttpLoadOptions) {
    for (const target of options.targets) checkAddress(target.address)
    this.#options = options
    this.#agents = options.targets.map(
      () => new CountingAgent({ keepAlive: true, maxSockets: options.connectionsPerTarget, scheduling: 'fifo' }),
    )
    const { perSecond, maxMs, maxRequests } = options
    const pace = { perSecond, maxMs, maxCalls: maxRequests, now: () => performance.now() }
    this.#pace = new Pace(pace, n => this.#send(n))
  }

  get sent(): number {
    return this.#pace.calls
  }

  /** Connections per target, in the order of the targets. */
  get connections(): readonly ConnectionCounts[] {
    return this.#agents.map(agent => agent.counts)
  }

  /** No new request; waits for those under way (at most timeoutMs), then closes the connections. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end()
    return this.#stopped
  }

  async #end(): Promise<void> {
    this.#pace.stop()
    await Promise.all([...this.#inFlight].map(r => new Promise<void>(resolve => r.once('close', resolve))))
    for (const agent of this.#agents) agent.end()
  }

  #send(n: number): void {
    const { targets, host, path, timeoutMs, onRecord } = this.#options
    const index = n % targets.length
    const target = targets[index]
    const agent = this.#agents[index]
    if (target === undefined || agent === undefined) return
    const at = performance.now()
    let done = false
    const record = (status: number | null, version: string | null, error: string | null, reused: boolean): void => {
      if (done) return
      done = true
      const connection = reused ? 'reused' : 'new'
      const ms = performance.now() - at
      onRecord({ kind: 'http', at, ms, ordinal: target.ordinal, status, version, issuer: null, error, connection })
    }
    if (this.#inFlight.size >= MAX_IN_FLIGHT) {
      record(null, null, 'OVERLOAD', false)
      return
    }
    const call = request({ host: target.address, port: target.port, path, agent, headers: { host } })
    this.#inFlight.add(call)
    // Node's own reusedSocket says false for a request that had to wait for a connection.
    let reused = false
    call.on('socket', socket => {
      reused = this.#used.has(socket)
      this.#used.add(socket)
      agent.carries(socket)
    })
    const timer = setTimeout(() => call.destroy(new LoadTimeout()), timeoutMs)
    call.on('response', response => {
      const version = response.headers['x-echo-version']
      if (response.headers.connection?.toLowerCase() === 'close') agent.ends(response.socket)
      response.on('end', () =>
        record(response.statusCode ?? null, typeof version === 'string' ? version : null, null, reused),
      )
      response.on('error', error => record(response.statusCode ?? null, null, codeOf(error), reused))
      response.resume()
    })
    call.on('error', error => record(null, null, codeOf(error), reused))
    call.on('close', () => {
      clearTimeout(timer)
      this.#inFlight.delete(call)
      record(null, null, 'CLOSED', reused)
    })
    call.end()
  }
}

/** An agent that knows how many connections it made, and how many the other side took away. */
class CountingAgent extends Agent {
  #opened = 0
  #closedByPeer = 0
  readonly #requests = new WeakMap<Duplex, number>()
  readonly #announced = new WeakSet<Duplex>()
  readonly #carried: number[] = []
  #ended = false

  get counts(): ConnectionCounts {
    return { opened: this.#opened, closedByPeer: this.#closedByPeer, ended: this.#carried }
  }

  carries(socket: Duplex): void {
    this.#requests.set(socket, (this.#requests.get(socket) ?? 0) + 1)
  }

  ends(socket: Duplex): void {
    this.#announced.add(socket)
    this.#carried.push(this.#requests.get(socket) ?? 0)
  }

  override createConnection(...args: Parameters<Agent['createConnection']>): Duplex | null | undefined {
    const socket = super.createConnection(...args)
    this.#opened++
    let counted = false
    const lost = (): void => {
      if (counted || this.#ended || (socket != null && this.#announced.has(socket))) return
      counted = true
      this.#closedByPeer++
    }
    socket?.once('end', lost)
    socket?.once('error', error => {
      if (!(error instanceof LoadTimeout)) lost()
    })
    return socket
  }

  end(): void {
    this.#ended = true
    this.destroy()
  }
}

export class LoadTimeout extends Error {
  override readonly name = 'LoadTimeout'
  readonly code = 'TIMEOUT'
}

/** The code of anything thrown; not by instanceof, which fails for errors of another realm (jest). */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'ERROR'
  if ('code' in error && typeof error.code === 'string') return error.code
  return 'message' in error && typeof error.message === 'string' ? error.message : 'ERROR'
}
