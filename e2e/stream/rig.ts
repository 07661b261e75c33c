/** The operator's real stream server and the proxy's real client on one machine, with a world that tests change by hand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StreamAuthError } from '../../operator/stream/auth.ts'
import { StreamServer } from '../../operator/stream/server.ts'
import type { StreamServerOptions } from '../../operator/stream/server.ts'
import type { Report } from '../../protocol/messages.ts'
import type { StreamHandle } from '../../proxy/stream/contract.ts'
import { FakeLog, FakeSink } from '../../proxy/stream/testing/messages.ts'
import { startStream } from '../../proxy/stream/stream.ts'
import type { StreamParts } from '../../proxy/stream/stream.ts'
import type { Counts } from '../../proxy/report/counter-source.ts'
import type { TicketSink } from '../../proxy/table/update.ts'
import type { MasterTable } from '../../proxy/workers/master-table.ts'
import { Authority } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'
import { reset } from '../../protocol/testing/reset.ts'

export const POD = 'sluice-proxy-0'
/** Resolves to the machine itself; the certificates carry it and no address. */
export const SERVICE = 'localhost'
export const NO_COUNTS: Counts = { hosts: {}, objects: {} }

/** Ends what was started, the last first. */
export class Cleanup {
  readonly #ends: (() => unknown)[] = []

  add(end: () => unknown): void {
    this.#ends.push(end)
  }

  async run(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end()
  }
}

export async function until(what: string, done: () => boolean, withinMs = 4_000): Promise<void> {
  const end = performance.now() + withinMs
  while (!done()) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

/** One replica. It takes the tokens that are in `tokens`. */
export class Operator {
  readonly tokens = new Set(['token-1'])
  /** Tokens of all requests, in their order. */
  readonly asked: string[] = []
  readonly reports: Report[] = []
  readonly log = new FakeLog()
  /** `host:port`, or null. */
  leader: string | null = null
  leads = true
  /** Called before a report counts; may throw. */
  onReport: (report: Report) => void = () => undefined
  readonly server: StreamServer
  #port = 0

  private constructor(certificate: Leaf, more: Partial<StreamServerOptions>) {
    this.server = new StreamServer({
      certificate: { cert: certificate.chain, key: certificate.privateKey },
      auth: { authenticate: token => this.#authenticate(token), stillOurs: () => true },
      version: 'test',
      leader: () => this.leader,
      isLeader: () => this.leads,
      onReport: (_pod, report) => {
        this.onReport(report)
        this.reports.push(report)
      },
      log: this.log,
      ...more,
    })
  }

  static async start(
    cleanup: Cleanup,
    certificate: Leaf,
    port = 0,
    more: Partial<StreamServerOptions> = {},
  ): Promise<Operator> {
    const operator = new Operator(certificate, more)
    operator.#port = (await operator.server.listen(port, '127.0.0.1')).port
    operator.leader = operator.address
    cleanup.add(() => operator.server.close())
    return operator
  }

  get port(): number {
    return this.#port
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  #authenticate(token: string): Promise<{ name: string; uid: string; ordinal: number }> {
    this.asked.push(token)
    if (this.tokens.has(token)) return Promise.resolve({ name: POD, uid: 'uid', ordinal: 0 })
    return Promise.reject(new StreamAuthError('SLUICE_UNAUTHENTICATED', 'not a token of ours'))
  }
}

/** Bytes pass through it until it is told otherwise: what a network does to a stream. */
export class Wire {
  readonly #sockets = new Set<Socket>()
  #port = 0
  /** Bytes that still get through to clients; a connection that needs more is stalled for good, and left open. */
  budget = Infinity
  accepted = 0
  /** Bytes that got through to clients. */
  bytes = 0
  /** Connections that were stalled. */
  stalls = 0

  static async start(cleanup: Cleanup, target: () => number): Promise<Wire> {
    const wire = new Wire()
    const server = createServer(client => wire.#join(client, createConnection(target(), '127.0.0.1')))
    server.listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    wire.#port = (server.address() as AddressInfo).port
    cleanup.add(() => {
      server.close()
      wire.cut()
    })
    return wire
  }

  get port(): number {
    return this.#port
  }

  #join(client: Socket, server: Socket): void {
    this.accepted++
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => this.#sockets.delete(socket))
    }
    let stalled = false
    client.pipe(server)
    server.on('data', (chunk: Buffer) => {
      if (stalled) return
      const passed = chunk.subarray(0, Math.min(chunk.length, this.budget))
      this.budget -= passed.length
      this.bytes += passed.length
      stalled = passed.length < chunk.length
      if (stalled) this.stalls++
      if (passed.length > 0) client.write(passed)
    })
    client.on('close', () => server.destroy())
    server.on('close', () => {
      if (!stalled) client.destroy()
    })
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) reset(socket)
  }
}

export interface Proxy {
  readonly stream: StreamHandle
  readonly log: FakeLog
  readonly table: MasterTable
  /** Those that came, in base64. */
  readonly ticketSecrets: readonly string[]
  readonly config: StreamParts['config']
  close(): Promise<void>
}

export interface Site {
  readonly authority: Authority
  readonly leaf: Leaf
  readonly folder: string
}

/** Authority, certificate of the Service, and a folder with token and CA file. */
export async function prepare(cleanup: Cleanup): Promise<Site> {
  const authority = await Authority.root('stream')
  const leaf = await authority.issue({ hosts: [SERVICE] })
  const folder = await mkdtemp(join(tmpdir(), 'sluice-stream-'))
  await writeFile(join(folder, 'token'), 'token-1\n')
  await writeFile(join(folder, 'ca.crt'), authority.pem)
  cleanup.add(() => rm(folder, { recursive: true }))
  return { authority, leaf, folder }
}

/** A proxy without workers: its table is what `sink` was given. Fast where a pod would be patient. */
export function startProxySide(
  cleanup: Cleanup,
  site: Site,
  port: number,
  more: Partial<Omit<StreamParts, 'config'>> & { readonly stateDir?: string } = {},
): Proxy {
  const log = new FakeLog()
  const sink = new FakeSink()
  const ticketSecrets: string[] = []
  const tickets: TicketSink = {
    setTicketSecrets: secrets =>
      ticketSecrets.push(secrets.map(({ secret }) => Buffer.from(secret).toString('base64')).join()),
  }
  const config = {
    pod: POD,
    operator: { host: SERVICE, port },
    tokenFile: join(site.folder, 'token'),
    caFile: join(site.folder, 'ca.crt'),
    stateDir: more.stateDir ?? null,
  }
  const stream = startStream({
    ...{ config, log, sink, tickets, counters: { take: () => Promise.resolve(NO_COUNTS) } },
    probes: { observe: () => undefined, take: () => ({}) },
    ...more,
    clientTimings: { retryFirst: 20, retryMost: 200, ...more.clientTimings },
    reporterTimings: { retryFirst: 20, retryMost: 200, ...more.reporterTimings },
  })
  let closed: Promise<void> | null = null
  const close = (): Promise<void> => (closed ??= stream.close())
  cleanup.add(close)
  return {
    ...{ stream, log, ticketSecrets, config, close },
    get table() {
      return sink.table
    },
  }
}
