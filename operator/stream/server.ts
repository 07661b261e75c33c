/**
 * The stream's HTTPS server: `GET /v1/stream` and `POST /v1/report`. Every replica runs one; reports are the leader's.
 * HTTP/1.1 on purpose: one stream per pod, and back pressure of a slow client is that of its own socket.
 */
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import { isProtocolError } from '../../protocol/errors.ts'
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import type { Report, TicketsMessage } from '../../protocol/messages.ts'
import { ZSTD, acceptsZstd, zstdInto } from '../../protocol/zstd.ts'
import { StreamAuthError } from './auth.ts'
import type { PodIdentity } from './auth.ts'
import { Connection } from './connection.ts'
import { line } from './lines.ts'
import { ReportReader } from './report-reader.ts'
import type { WorldChange } from './world.ts'

export interface StreamLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface ServingCertificate {
  /** PEM. */
  readonly cert: string
  /** PEM. Never logged. */
  readonly key: string
}

export interface StreamServerOptions {
  readonly certificate: ServingCertificate
  readonly auth: {
    /** Rejects with StreamAuthError. */
    authenticate(token: string): Promise<PodIdentity>
    stillOurs(pod: PodIdentity): boolean
  }
  /** Version of this operator, for the hello. */
  readonly version: string
  /** `host:port` of the leader's stream server; null while there is none. */
  readonly leader: () => string | null
  readonly isLeader: () => boolean
  /** Called once per report that came; what it throws is answered with 500, and the pod sends the report again. */
  readonly onReport: (pod: PodIdentity, report: Report) => void
  readonly log: StreamLog
  /** Default 5 s. */
  readonly pingMs?: number
  /** A client that reads nothing for so long is dropped; default 60 s. */
  readonly stallMs?: number
  readonly now?: () => number
}

const MAX_REPORT_BYTES = 32 * 1024 * 1024

const NOTHING: WorldChange['objects'] = new Map()

class HttpError extends Error {
  readonly status: number
  readonly body: object
  constructor(status: number, body: object) {
    super(`HTTP ${status}`)
    this.status = status
    this.body = body
  }
}

export class StreamServer {
  readonly #options: StreamServerOptions
  readonly #server: Server
  readonly #now: () => number
  /** By pod name: a pod that connects again has lost its old connection. */
  readonly #connections = new Map<string, Connection>()
  readonly #pings: NodeJS.Timeout
  readonly #reports = new ReportReader()
  #last: WorldChange | null = null
  #closing = false
  /** Line of the fleet's secrets for session tickets; null: they are not known yet. */
  #tickets: string | null = null

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#now = options.now ?? ((): number => performance.now())
    this.#server = createServer({
      ...options.certificate,
      minVersion: 'TLSv1.2',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      // Above the interval of reports, so that their connection lives on.
      keepAliveTimeout: 75_000,
      keepAlive: true,
    })
    this.#server.on('request', (request, response) => void this.#answer(request, response))
    this.#server.on('tlsClientError', error => {
      options.log.warn({ err: error.message }, 'stream: TLS handshake failed')
    })
    this.#pings = setInterval(() => this.#beat(), options.pingMs ?? 5_000)
  }

  /** Resolves with the address when it listens. @throws if the port is taken */
  listen(port: number, host?: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        this.#server.off('error', reject)
        resolve(this.#server.address() as AddressInfo)
      })
    })
  }

  /** Connections that are open keep theirs. */
  setCertificate(certificate: ServingCertificate): void {
    this.#server.setSecureContext({ ...certificate, minVersion: 'TLSv1.2' })
  }

  /** Pushes what changed to every open connection. Nothing is served before the first call. */
  publish(change: WorldChange): void {
    // A connection that comes later begins with the whole world, whatever changed last.
    this.#last = { world: change.world, objects: NOTHING, services: [], observe: true }
    for (const connection of this.#connections.values()) connection.publish(change)
  }

  /** Tells every pod at once who leads now. */
  announceLeader(): void {
    const ping = this.#ping()
    for (const connection of this.#connections.values()) connection.say(ping)
  }

  /** Tells every pod, those that connect later too, what the keys of session tickets are made from. */
  setTicketSecrets(secrets: TicketsMessage['secrets']): void {
    const tickets = line({ type: 'tickets', secrets })
    if (tickets === this.#tickets) return
    this.#tickets = tickets
    for (const connection of this.#connections.values()) connection.tell(tickets)
  }

  /** Pods with an open stream. */
  get connected(): readonly PodIdentity[] {
    return [...this.#connections.values()].map(connection => connection.pod)
  }

  /** Ends the streams: clients go to another replica. */
  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#pings)
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const connection of this.#connections.values()) connection.end()
    const timer = setTimeout(() => this.#server.closeAllConnections(), 1_000)
    this.#server.closeIdleConnections()
    await closed
    clearTimeout(timer)
  }

  #ping(): string {
    return line({ type: 'ping', leader: this.#options.leader() })
  }

  #beat(): void {
    const { auth, log, stallMs = 60_000 } = this.#options
    for (const connection of this.#connections.values()) {
      const { pod } = connection
      if (connection.blockedFor >= stallMs) {
        log.warn({ pod: pod.name, blockedMs: connection.blockedFor }, 'stream: dropped a pod that does not read')
        connection.destroy()
      } else if (!auth.stillOurs(pod)) {
        log.info({ pod: pod.name, uid: pod.uid }, 'stream: the pod is gone')
        connection.end()
      } else connection.say(this.#ping())
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'https://operator')
      const route = `${request.method ?? ''} ${url.pathname}`
      if (route !== 'GET /v1/stream' && route !== 'POST /v1/report') {
        throw new HttpError(404, { error: 'only GET /v1/stream and POST /v1/report are here' })
      }
      const pod = await this.#options.auth.authenticate(bearer(request))
      if (route === 'GET /v1/stream') this.#open(pod, url.searchParams.get('stateHash'), request, response)
      else await this.#report(pod, request, response)
    } catch (error) {
      request.resume()
      this.#refuse(request, response, error)
    }
  }

  #open(pod: PodIdentity, clientHash: string | null, request: IncomingMessage, response: ServerResponse): void {
    const { log, version, leader } = this.#options
    // The client left while its token was looked at: nobody would hear of its end.
    if (response.destroyed) return
    if (this.#closing) throw new HttpError(503, { error: 'this replica is stopping' })
    const small = acceptsZstd(request.headers['accept-encoding'])
    response.writeHead(200, {
      ...{ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      ...(small ? { 'content-encoding': ZSTD } : {}),
    })
    const to = small ? zstdInto(response) : response
    const connection = new Connection({ pod, to, response, clientHash, now: this.#now })
    this.#connections.get(pod.name)?.destroy()
    this.#connections.set(pod.name, connection)
    response.on('close', () => {
      if (this.#connections.get(pod.name) === connection) this.#connections.delete(pod.name)
      log.info({ pod: pod.name }, 'stream: closed')
    })
    log.info({ pod: pod.name, uid: pod.uid, ordinal: pod.ordinal, resume: clientHash !== null }, 'stream: opened')
    connection.say(
      line({
        type: 'hello',
        protocol: PROTOCOL_VERSION,
        operator: version,
        leader: leader(),
        pod: pod.name,
        ordinal: pod.ordinal,
      }),
    )
    if (this.#tickets !== null) connection.tell(this.#tickets)
    if (this.#last !== null) connection.publish(this.#last)
  }

  async #report(pod: PodIdentity, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { isLeader, leader, onReport } = this.#options
    if (!isLeader()) throw new HttpError(421, { leader: leader() })
    const report = this.#reports.read(pod.name, await body(request))
    if (report.pod !== pod.name) {
      throw new HttpError(403, { error: `a report of ${report.pod} came with the token of ${pod.name}` })
    }
    onReport(pod, report)
    answer(response, 200, {})
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (response.headersSent || response.destroyed) return void response.destroy()
    const { log } = this.#options
    const from = request.socket.remoteAddress
    if (error instanceof HttpError) {
      answer(response, error.status, error.body)
      return
    }
    if (error instanceof StreamAuthError) {
      log.warn({ from, code: error.code }, `stream: refused: ${error.message}`)
      answer(response, error.status, { error: error.message })
      return
    }
    if (isProtocolError(error)) {
      log.warn({ from, code: error.code }, `stream: report refused: ${error.message}`)
      answer(response, 400, { error: error.message })
      return
    }
    log.warn({ from, err: error instanceof Error ? error.message : String(error) }, 'stream: a request failed')
    answer(response, 500, { error: 'internal error' })
  }
}

function answer(response: ServerResponse, status: number, content: object): void {
  const text = JSON.stringify(content)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

function bearer(request: IncomingMessage): string {
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_REPORT_BYTES) throw new HttpError(413, { error: `a report of more than ${MAX_REPORT_BYTES} bytes` })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
