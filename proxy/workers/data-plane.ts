/** All of one worker: table, front door, gateway, upstream. Knows nothing of threads. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { Arrivals } from '../arrival/arrivals.ts'
import type { DataPlaneConfig } from '../config.ts'
import type { Connections } from '../connection/connections.ts'
import type { MemoryReading } from '../connection/memory-pressure.ts'
import { openAccessLog } from '../exchange/access-log.ts'
import type { AccessLog } from '../exchange/exchange.ts'
import { ClientLines, viaLines } from '../exchange/headers.ts'
import { HttpDate } from '../exchange/http-date.ts'
import { RequestIds } from '../exchange/request-ids.ts'
import { TrustedAddresses } from '../exchange/trust.ts'
import type { ForwardContext, ForwardSettings } from '../forward/forward.ts'
import { RouteSettingsOf } from '../forward/route-settings.ts'
import { Contexts, type KeyPair } from '../frontdoor/contexts.ts'
import type { TicketSecrets } from '../frontdoor/ticket-keys.ts'
import { FrontDoor } from '../frontdoor/frontdoor.ts'
import { Gateway, type GatewayParts } from '../gateway/gateway.ts'
import { Paths } from '../gateway/paths.ts'
import type { Transport } from '../gateway/transport.ts'
import { FLOOD_LIMITS } from '../http2/floods.ts'
import { ioOf } from '../io/choose.ts'
import type { Random } from '../table/split.ts'
import type { LineSink } from '../log/lines.ts'
import { Output } from '../log/output.ts'
import type { CountsDelta } from '../report/counts.ts'
import { Recorder } from '../report/recorder.ts'
import { askSelf, type ProbeAnswer, type ProbeRequest } from '../probe/self.ts'
import { SharedTable } from '../table/shared-table.ts'
import type { Published } from '../table/update.ts'
import { describeHost, type HostDescription } from './describe-host.ts'
import { explain, type Explained, type Question } from './explain.ts'
import { ClusterSet } from '../upstream/cluster-set.ts'
import type { UpstreamCounts } from '../upstream/endpoint-counters.ts'
import { memoryReader } from './memory.ts'
import { BEAT_MS, type Open } from './heartbeat.ts'

export interface DataPlaneSetup {
  readonly config: DataPlaneConfig
  readonly defaultCertificate: KeyPair
  /** What the main thread writes (table/shared-writer.ts). Empty for this thread until it is told of a generation. */
  readonly table: SharedArrayBuffer
  /** Of the pod, until `setTicketSecrets` brings the fleet's. */
  readonly ticketSecrets: TicketSecrets
  /** Told of what threw; it ended one request or connection. */
  readonly onDefect?: (error: unknown) => void
  /** Told of certificates that OpenSSL refused. */
  readonly onWarning?: (message: string) => void
  /** Where lines of the access log go, if there is one; none given: right to where the settings say. */
  readonly lines?: LineSink
  /** Reads how much memory is used; none given: that of this process and thread. */
  readonly memory?: () => MemoryReading
  /** Draws for the weights of canaries; none given: Math.random. */
  readonly random?: Random
}

/** How long a chunked body, whose size nobody knows, is waited for before its head goes on, in milliseconds. */
const BUFFER_TIME_MS = 250

interface Parts {
  readonly config: DataPlaneConfig
  readonly recorder: Recorder
  readonly context: ForwardContext
  readonly gatewayParts: Omit<GatewayParts, 'context' | 'transport'>
  readonly accessLog: AccessLog
  readonly clusters: ClusterSet
  readonly table: SharedTable
  readonly contexts: Contexts
  readonly transport: Transport
  readonly gateway: Gateway
  readonly arrivals: Arrivals
  readonly frontDoor: FrontDoor
  readonly plain: Server
  /** Looks at the memory; null: nobody does. */
  readonly looking: NodeJS.Timeout | null
}

export class DataPlane {
  readonly recorder: Recorder
  readonly connections: Connections
  readonly #parts: Parts
  readonly #probeRecorder = new Recorder()
  /** Takes what this worker asks itself; null: it has not yet. */
  #probes: Promise<{ readonly gateway: Gateway; readonly transport: Transport }> | null = null

  static async create(setup: DataPlaneSetup): Promise<DataPlane> {
    const { config, defaultCertificate, ticketSecrets, onDefect, onWarning, lines, memory = memoryReader() } = setup
    const { table: tableMemory } = setup
    const recorder = new Recorder()
    const io = ioOf(config.socketIo)
    const clusters = new ClusterSet(config.upstream, { io, connectFailed: () => recorder.connectFailure() })
    const table = new SharedTable(tableMemory, clusters)
    const accessLog = openAccessLog(config.accessLog === 'off' ? null : (lines ?? directLines(config)))
    const forward: ForwardSettings = {
      headersTimeout: config.upstreamHeadersTimeout,
      bodyTimeout: config.upstreamBodyTimeout,
      sendTimeout: config.upstreamHeadersTimeout,
      tunnelTimeout: null,
      maxResponseHeadBytes: config.maxResponseHeaderBytes,
      maxBody: Infinity,
      bufferedBody: config.bodyBuffer,
      bufferTime: BUFFER_TIME_MS,
      streamed: false,
      maxTries: config.upstream.maxAttempts,
      triesTime: config.upstream.attemptTime,
      ...{ onError: true, onTimeout: true, onInvalid: true, onStatus: null, unsafe: false },
      connecting: null,
      balancing: null,
      affinity: null,
      underscores: config.underscoresInHeaders,
      own: viaLines(config.via),
    }
    const context: ForwardContext = {
      ...{ table, recorder, accessLog, publicPorts: config.publicPorts, date: new HttpDate(), ids: new RequestIds() },
      clientLines: new ClientLines(),
      random: setup.random ?? Math.random,
      trusted: new TrustedAddresses(config.trustedAddresses),
      forward,
      routes: new RouteSettingsOf(forward),
      onDefect: error => {
        recorder.defect()
        onDefect?.(error)
      },
    }
    const transport = await Paths.create(config.requestPath, context)
    const gatewayParts: Parts['gatewayParts'] = {
      ...{ io, maxConnections: config.maxConnections, maxRequests: config.maxRequests },
      maxConnectionsPerClient: config.maxConnectionsPerClient,
      memoryHighWater: config.memoryHighWater / 100,
      http2: { maxStreams: config.http2MaxStreams, floods: FLOOD_LIMITS },
      limits: {
        headers: config.headersTimeout,
        request: config.requestTimeout,
        keepAlive: config.keepAliveTimeout,
        bodyIdle: config.bodyIdleTimeout,
        linger: config.lingerTimeout,
        lingerIdle: config.lingerIdleTimeout,
        tunnelIdle: config.tunnelIdleTimeout,
        tunnelHalfClosed: config.tunnelHalfClosedTimeout,
        maxHeadBytes: config.maxHeaderBytes,
        maxLineBytes: config.maxLineBytes,
        maxRequests: config.keepAliveRequests,
        maxAge: config.keepAliveAge,
      },
    }
    const gateway = new Gateway({ ...gatewayParts, context, transport })
    const contexts = new Contexts({
      ...{ fallback: defaultCertificate, ticketSecrets, memory: config.tlsContextMemory },
      events: {
        made: () => recorder.tlsContext('made'),
        evicted: () => recorder.tlsContext('evicted'),
        refused: message => {
          recorder.tlsContext('refused')
          onWarning?.(message)
        },
      },
    })
    const arrivals = new Arrivals({
      balancers: new TrustedAddresses(config.proxyProtocolFrom),
      timeout: config.headersTimeout,
      most: config.maxConnections,
      refused: () => recorder.refusedConnection('proxy-protocol'),
    })
    const frontDoor = new FrontDoor({
      ...{ table, contexts, recorder },
      handshakeTimeout: config.handshakeTimeout,
      handshakeLag: config.handshakeLag,
      maxHandshakes: config.maxHandshakes,
      arrive: (socket, next) => arrivals.open(socket, next),
      admit: (socket, address) => gateway.admit(socket, address),
      protocols: config.http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      onConnection: (socket, peer, admitted) => {
        if (socket.alpnProtocol === 'h2') gateway.acceptHttp2(socket, peer)
        else gateway.accept(socket, peer, admitted)
      },
    })
    // allowHalfOpen: what a client's end means depends on what is under way; the connection's owner decides.
    const plain = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true },
      socket => {
        arrivals.open(socket, source => {
          const admitted = gateway.admit(socket, source.address)
          gateway.accept(socket, { ...source, tls: null }, admitted)
        })
      },
    )
    const looking = config.memoryHighWater === 0 ? null : setInterval(() => gateway.relieve(memory()), BEAT_MS).unref()
    return new DataPlane({
      ...{
        config,
        recorder,
        context,
        gatewayParts,
        accessLog,
        clusters,
        table,
        contexts,
        transport,
        gateway,
        arrivals,
        frontDoor,
        plain,
        looking,
      },
    })
  }

  private constructor(parts: Parts) {
    this.#parts = parts
    this.recorder = parts.recorder
    this.connections = parts.gateway.connections
  }

  /**
   * What was counted since the last call; null: nothing. Numbers of routes that are gone may be given anew after it: all
   * that was counted under them is in what is returned, or was before.
   */
  flushCounts(): CountsDelta | null {
    const delta = this.recorder.flush()
    // What probes counted is nobody's; but it must not outlive the numbers of its routes.
    this.#probeRecorder.flush()
    this.#parts.table.reclaim()
    return delta
  }

  /** What was done with backends since the last call, for metrics; null: nothing. */
  flushUpstream(): UpstreamCounts | null {
    return this.#parts.clusters.flush()
  }

  /** Where a request would go, and why. */
  explain(question: Question): Explained {
    const { table, clusters } = this.#parts
    return explain(question, { table, endpoints: service => clusters.describe(service) })
  }

  /** @param name lower case @returns null: nobody knows it */
  describeHost(name: string): HostDescription | null {
    const { table, clusters } = this.#parts
    return describeHost(name, { table, endpoints: service => clusters.describe(service) })
  }

  /** Asks itself: as a client's request is routed, rewritten and answered, and in none of its counts and logs. */
  async probe(probe: ProbeRequest): Promise<ProbeAnswer> {
    this.#probes ??= this.#openProbes()
    const { gateway } = await this.#probes
    const { table, config } = this.#parts
    return askSelf(probe, {
      ...{ table, maxHeadBytes: config.maxResponseHeaderBytes },
      accept: (socket, peer) => gateway.accept(socket, peer, true),
    })
  }

  /** The same gateway once more: its clients are ourselves, and no limit on clients is theirs. */
  async #openProbes(): Promise<{ readonly gateway: Gateway; readonly transport: Transport }> {
    const { context: clients, gatewayParts } = this.#parts
    const accessLog: AccessLog = { write: () => undefined, flush: () => undefined }
    const context: ForwardContext = { ...clients, recorder: this.#probeRecorder, accessLog }
    const transport = await Paths.create(this.#parts.config.requestPath, context)
    const unlimited = { maxConnections: 0, maxRequests: 0, maxConnectionsPerClient: 0 }
    return { gateway: new Gateway({ ...gatewayParts, ...unlimited, context, transport }), transport }
  }

  /** What clients have open here. */
  get open(): Open {
    const { open, secured, busy, tunnels } = this.connections.counts
    return { http: open - secured, https: secured, requests: busy, tunnels }
  }

  /** Open and idle connections to backends, for tests. */
  get upstream(): ClusterSet['sizes'] {
    return this.#parts.clusters.sizes
  }

  /** Synchronous, so that no request sees a half. */
  apply({ generation, certificates, endpoints }: Published): void {
    const { table, contexts, clusters } = this.#parts
    table.advance(generation)
    table.forget(certificates)
    contexts.forget(certificates)
    clusters.apply(endpoints)
  }

  /** Of the table that it serves. */
  get generation(): number {
    return this.#parts.table.generation
  }

  /** The fleet's: sessions that began at any pod resume here. */
  setTicketSecrets(secrets: TicketSecrets): void {
    this.#parts.contexts.setTicketSecrets(secrets)
  }

  /** @returns the ports in use */
  async listen(httpPort: number, httpsPort: number): Promise<{ httpPort: number; httpsPort: number }> {
    const { config, plain, frontDoor } = this.#parts
    return {
      httpPort: await listen(plain, config.listenAddress, httpPort),
      httpsPort: await listen(frontDoor.server, config.listenAddress, httpsPort),
    }
  }

  /** From now on answers ask their clients to reconnect elsewhere. */
  announceDrain(): void {
    this.#parts.gateway.announceDrain()
  }

  /** Accepts no more and resolves when the last connection ended by itself. */
  async drain(): Promise<void> {
    const { plain, frontDoor, arrivals, config } = this.#parts
    this.announceDrain()
    plain.close()
    frontDoor.server.close()
    arrivals.end()
    frontDoor.end()
    // The last tenth is for the slowest.
    await this.connections.drain(config.drainTimeout * 0.9)
  }

  async close(): Promise<void> {
    const { plain, frontDoor, arrivals, clusters, transport, accessLog, looking } = this.#parts
    if (looking !== null) clearInterval(looking)
    plain.close()
    frontDoor.server.close()
    arrivals.end()
    frontDoor.end()
    this.connections.destroyAll()
    const probes = await this.#probes
    probes?.gateway.connections.destroyAll()
    await probes?.transport.close()
    clusters.destroy()
    await transport.close()
    accessLog.flush()
  }

  flushLog(): void {
    this.#parts.accessLog.flush()
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
