/** All of one worker: table, front door, gateway, upstream. Knows nothing of threads. */
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import type { DataPlaneConfig } from '../config.ts'
import { Contexts, type KeyPair } from '../frontdoor/contexts.ts'
import { FrontDoor } from '../frontdoor/frontdoor.ts'
import { openAccessLog, type AccessLog } from '../gateway/access-log.ts'
import { Connections } from '../gateway/connections.ts'
import { createGateway } from '../gateway/gateway.ts'
import type { LineSink } from '../log/lines.ts'
import { Output } from '../log/output.ts'
import { Recorder } from '../report/recorder.ts'
import { MapTable } from '../table/map-table.ts'
import type { TableUpdate } from '../table/update.ts'
import { Upstream } from '../upstream/upstream.ts'

export interface DataPlaneSetup {
  readonly config: DataPlaneConfig
  readonly defaultCertificate: KeyPair
  readonly ticketSecret: Uint8Array
  /** Where lines of the access log go, if there is one; none given: right to where the settings say. */
  readonly lines?: LineSink
}

export class DataPlane {
  readonly recorder: Recorder
  readonly connections: Connections
  readonly #table: MapTable
  readonly #contexts: Contexts
  readonly #upstream: Upstream
  readonly #http: Server
  readonly #frontDoor: FrontDoor
  readonly #accessLog: AccessLog
  readonly #drain: { announced: boolean }
  readonly #config: DataPlaneConfig

  static async create({ config, defaultCertificate, ticketSecret, lines }: DataPlaneSetup): Promise<DataPlane> {
    const recorder = new Recorder()
    const connections = new Connections()
    const accessLog = openAccessLog(config.accessLog === 'off' ? null : (lines ?? directLines(config)))
    const table = new MapTable()
    const drain = { announced: false }
    const upstream = new Upstream(
      {
        connect: config.upstreamConnectTimeout,
        headers: config.upstreamHeadersTimeout,
        body: config.upstreamBodyTimeout,
      },
      () => recorder.connectFailure(),
    )
    const http = await createGateway({
      ...{ table, upstream, recorder, accessLog, connections },
      timeouts: {
        headers: config.headersTimeout,
        request: config.requestTimeout,
        keepAlive: config.keepAliveTimeout,
        bodyIdle: config.bodyIdleTimeout,
      },
      publicPorts: config.publicPorts,
      maxHeaderBytes: config.maxHeaderBytes,
      draining: () => drain.announced,
    })
    const contexts = new Contexts(defaultCertificate, Buffer.from(ticketSecret), config.tlsContexts)
    const frontDoor = new FrontDoor({
      ...{ table, contexts, recorder },
      handshakeTimeout: config.handshakeTimeout,
      onConnection: socket => http.emit('connection', socket),
    })
    return new DataPlane({
      ...{ recorder, connections, table, contexts, upstream, http, frontDoor, accessLog, drain, config },
    })
  }

  private constructor(parts: {
    recorder: Recorder
    connections: Connections
    table: MapTable
    contexts: Contexts
    upstream: Upstream
    http: Server
    frontDoor: FrontDoor
    accessLog: AccessLog
    drain: { announced: boolean }
    config: DataPlaneConfig
  }) {
    this.recorder = parts.recorder
    this.connections = parts.connections
    this.#table = parts.table
    this.#contexts = parts.contexts
    this.#upstream = parts.upstream
    this.#http = parts.http
    this.#frontDoor = parts.frontDoor
    this.#accessLog = parts.accessLog
    this.#drain = parts.drain
    this.#config = parts.config
  }

  /** Synchronous, so that no request sees a half. */
  apply(update: TableUpdate): void {
    this.#table.apply(update)
    this.#contexts.apply(update)
    this.#upstream.apply(update)
  }

  /** @returns the ports in use */
  async listen(httpPort: number, httpsPort: number): Promise<{ httpPort: number; httpsPort: number }> {
    return {
      httpPort: await listen(this.#http, this.#config.listenAddress, httpPort),
      httpsPort: await listen(this.#frontDoor.server, this.#config.listenAddress, httpsPort),
    }
  }

  /** From now on answers ask their clients to reconnect elsewhere. */
  announceDrain(): void {
    this.#drain.announced = true
  }

  /** Accepts no more and resolves when the last connection ended by itself. */
  async drain(): Promise<void> {
    this.announceDrain()
    this.#http.close()
    this.#frontDoor.server.close()
    this.#frontDoor.destroyOpening()
    await this.connections.drain()
  }

  async close(): Promise<void> {
    this.#http.close()
    this.#frontDoor.server.close()
    this.#frontDoor.destroyOpening()
    this.connections.destroyAll()
    await this.#upstream.destroy()
    this.#accessLog.flush()
  }

  flushLog(): void {
    this.#accessLog.flush()
  }
}

function directLines({ accessLog: to, accessLogBuffer: limit }: DataPlaneConfig): LineSink {
  const output = new Output({ to, limit })
  return { line: text => output.write(text), flush: () => output.flushSync() }
}

async function listen(server: Server, host: string | null, port: number): Promise<number> {
  // Every worker listens by itself; the kernel spreads connections (SO_REUSEPORT).
  server.listen({ port, reusePort: true, backlog: 4096, ...(host === null ? {} : { host }) })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
