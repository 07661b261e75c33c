/** A data plane with real sockets for tests: backends and clients on 127.0.0.1, ended with the test. */
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import {
  createServer,
  request as httpRequest,
  type Agent,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http'
import {
  connect as netConnect,
  createServer as createNetServer,
  type AddressInfo,
  type Server as NetServer,
  type Socket,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataPlaneConfig } from '../../config.ts'
import { createDefaultCertificate } from '../../frontdoor/default-certificate.ts'
import { TotalCounts } from '../../report/totals.ts'
import type { RequestCounts } from '../../report/counts.ts'
import { endpoints, fragment, host, path, upsert } from '../../table/testing/fixtures.ts'
import type { TableUpdate } from '../../table/update.ts'
import { ownSecrets } from '../../frontdoor/ticket-keys.ts'
import { DataPlane, type DataPlaneSetup } from '../data-plane.ts'
import { MasterTable } from '../master-table.ts'
import { askHttp2 } from './http2-client.ts'
import { overTls } from './over-tls.ts'
import { wayUnderTest } from './ways.ts'

export type Environment = Readonly<Record<string, string>>

/** Free ports, loopback, no log; all of it may be overwritten. */
export const TEST_ENVIRONMENT: Environment = {
  ...{ HTTP_PORT: '0', HTTPS_PORT: '0', ADMIN_PORT: '0', LISTEN_ADDRESS: '127.0.0.1', ACCESS_LOG: 'off' },
  ...{ WORKERS: '1', DRAIN_DELAY: '0', DRAIN_TIMEOUT: '2s' },
}

/** Longer than anything here takes, shorter than a hung test run. */
const PATIENCE_MS = 4_500

/** Ends what it was given, the last one first. */
export class Ends {
  readonly #ends: (() => unknown)[] = []

  add(end: () => unknown): void {
    this.#ends.push(end)
  }

  async all(): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    // The others are ended all the same: what stays open keeps the test run from its end.
    if (failures.length > 0) throw failures[0]
  }
}

export interface Rig {
  readonly plane: DataPlane
  /** As the main thread does it, at once. */
  readonly apply: (update: TableUpdate) => void
  readonly http: number
  readonly https: number
  /** Everything counted so far. */
  readonly totals: () => TotalCounts
}

export async function startPlane(
  ends: Ends,
  env: Environment = {},
  setup: Pick<DataPlaneSetup, 'memory'> = {},
): Promise<Rig> {
  const way = wayUnderTest()
  const config = dataPlaneConfig({ ...TEST_ENVIRONMENT, ...way.env, ...env })
  const defaultCertificate = await createDefaultCertificate()
  const table = new MasterTable()
  const plane = await DataPlane.create({
    config,
    table: table.memory,
    defaultCertificate,
    ticketSecrets: ownSecrets(Buffer.alloc(32, 7)),
    ...setup,
  })
  const { httpPort, httpsPort: https } = await plane.listen(0, 0)
  ends.add(() => plane.close())
  let http = way.http2 === true ? https : httpPort
  if (way.overTls) {
    const { port, end } = await overTls(https)
    ends.add(end)
    http = port
  }
  const totals = new TotalCounts(() => true)
  const counted = (): TotalCounts => {
    const delta = plane.flushCounts()
    if (delta) totals.add(delta)
    return totals
  }
  ends.add(() => {
    // Where everything is to take the full path nothing takes another; the relay leaves it what it does not carry.
    const relayed = totals.carried.relay + (plane.flushCounts()?.carried.relay ?? 0)
    if (config.requestPath === 'full' && relayed > 0) throw new Error('a request took the relay')
  })
  return {
    ...{ plane, http, https, apply: update => plane.apply(table.apply(update, plane.generation)) },
    totals: counted,
  }
}

/** The counts of all requests, added up. */
export function summed(totals: TotalCounts): Pick<RequestCounts, 'requests' | 'notFound' | 'upstreamErrors'> & {
  readonly status: readonly number[]
} {
  const all = totals.requests()
  const sum = (of: (counts: RequestCounts) => number): number => all.reduce((n, counts) => n + of(counts), 0)
  return {
    ...{ requests: sum(c => c.requests), notFound: sum(c => c.notFound), upstreamErrors: sum(c => c.upstreamErrors) },
    status: [0, 1, 2, 3, 4].map(i => sum(c => c.status[i] ?? 0)),
  }
}

/** Host `name` with everything under / at these addresses. */
export function site(name: string, addresses: readonly string[], service = `ns/${name}:80`): readonly TableUpdate[] {
  return [
    upsert(fragment(name.replaceAll('*', 'any'), [host(name, path('Prefix /', service))])),
    endpoints({ [service]: addresses }),
  ]
}

async function listening(server: NetServer | Server, ends: Ends): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => undefined)
    sockets.add(socket.once('close', () => sockets.delete(socket)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.add(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** @returns `ip:port` */
export function startBackend(
  ends: Ends,
  listener: RequestListener,
  prepare?: (server: Server) => void,
): Promise<string> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  server.maxHeadersCount = 0
  prepare?.(server)
  return listening(server, ends)
}

/** A backend that speaks bytes. */
export function startRawBackend(ends: Ends, onConnection: (socket: Socket) => void): Promise<string> {
  return listening(createNetServer(onConnection), ends)
}

/** An address where nothing listens. */
export async function deadAddress(): Promise<string> {
  const server = createNetServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return `127.0.0.1:${port}`
}

export async function bodyOf(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message.setEncoding('latin1') as AsyncIterable<string>) text += chunk
  return text
}

export interface Ask {
  readonly host?: string
  readonly method?: string
  readonly path?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
  readonly agent?: Agent
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly trailers: IncomingMessage['trailers']
  readonly informations: readonly object[]
  readonly body: string
}

/** One request by Node's client, on a connection of its own unless it is given an agent. */
export async function ask(port: number, asked: Ask): Promise<Answered> {
  const { host: name = 'a.example', body, headers, ...rest } = asked
  if (wayUnderTest().http2 === true) return askHttp2(port, asked)
  const request = httpRequest({ port, host: '127.0.0.1', headers: { host: name, ...headers }, agent: false, ...rest })
  const informations: object[] = []
  request.on('information', (info: { statusCode: number; headers: object }) => informations.push(info))
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const text = await bodyOf(response)
  const { statusCode: status = 0, headers: received, rawHeaders, trailers } = response
  return { status, headers: received, rawHeaders, trailers, informations, body: text }
}

/** A client that speaks bytes. */
export class RawClient {
  readonly socket: Socket
  #received = ''

  constructor(port: number, socket: Socket = netConnect(port, '127.0.0.1')) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', chunk => (this.#received += chunk.toString('latin1')))
  }

  get received(): string {
    return this.#received
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Resolves when the proxy closed the connection. */
  async ended(): Promise<string> {
    await eventually(() => this.socket.closed)
    return this.#received
  }

  /** Resolves with all that was received once it matches or the connection closed. */
  async until(pattern: RegExp): Promise<string> {
    await eventually(() => pattern.test(this.#received) || this.socket.closed).catch(() => undefined)
    return this.#received
  }
}

/** Sends bytes and resolves with everything that came until the proxy closed the connection. */
export async function exchangeRaw(port: number, text: string): Promise<string> {
  const client = new RawClient(port)
  client.send(text)
  await client.ended()
  return client.received
}

/** Resolves when it is true. @throws if it is not for too long: nothing may go on after its test */
export async function eventually(is: () => boolean, withinMs = PATIENCE_MS): Promise<void> {
  const end = performance.now() + withinMs
  while (!is()) {
    if (performance.now() > end) throw new Error(`it never came true: ${is.toString()}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

export function temporaryFile(ends: Ends): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'))
  ends.add(() => rmSync(folder, { recursive: true }))
  return join(folder, 'file')
}

/** The lines of an access log, once there are this many. */
export async function accessLines(file: string, count = 1): Promise<readonly Readonly<Record<string, unknown>>[]> {
  await eventually(() => existsSync(file) && readFileSync(file, 'utf8').split('\n').length > count)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map(line => JSON.parse(line) as Readonly<Record<string, unknown>>)
}
