/** A proxy process put together: stream → table → workers, counts → reports and metrics, admin server. */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { Worker } from 'node:worker_threads'
import { createAdminServer } from './admin/server.ts'
import { everyAddress } from './admin/every-address.ts'
import type { DataPlaneConfig } from './config.ts'
import { createDefaultCertificate } from './frontdoor/default-certificate.ts'
import { TICKET_SECRET_BYTES, ownSecrets } from './frontdoor/ticket-keys.ts'
import { ReportCounts } from './report/aggregate.ts'
import { working } from './io/choose.ts'
import { Output } from './log/output.ts'
import type { CounterSource } from './report/counter-source.ts'
import { Prober, type ProbeSource } from './probe/prober.ts'
import { createMetrics } from './report/metrics.ts'
import { TotalCounts } from './report/totals.ts'
import { UpstreamTotals } from './report/upstream-totals.ts'
import { shutDown } from './shutdown.ts'
import type { StreamHandle, StreamStatus } from './stream/contract.ts'
import type { TableSink, TicketSink } from './table/update.ts'
import { mergeDescriptions } from './workers/describe-host.ts'
import { mergeExplanations } from './workers/explain.ts'
import { WorkerFleet, type FleetLog } from './workers/fleet.ts'
import type { WorkerSetup } from './workers/messages.ts'

export interface ProxyParts {
  readonly config: DataPlaneConfig
  readonly version: string
  readonly log: FleetLog & { info(fields: object, message: string): void }
  /** Takes the process's own lines too: only one writes to a descriptor. None: it is opened where the settings ask for it. */
  readonly stdout?: Output
  /** Makes a thread that runs proxy/worker.ts with this workerData. */
  readonly spawn: (setup: WorkerSetup) => Worker
  /** Called once, when the workers can take updates. The first one that it gives to the sink opens the ports. */
  readonly startStream: (parts: {
    readonly sink: TableSink
    readonly tickets: TicketSink
    readonly counters: CounterSource
    readonly probes: ProbeSource
  }) => StreamHandle
}

const NO_STREAM: StreamStatus = {
  ...{ stateHash: '', source: 'none', checksums: { ingress: null, secret: null } },
  ...{ connected: false, refusals: 0, diskError: null, diskRefused: 0 },
}

/** How long a report waits for the counts of a busy worker, in milliseconds; they come with the next one otherwise. */
const FLUSH_WAIT_MS = 500

/** How long /route waits for the answers of workers, in milliseconds. */
const EXPLAIN_WAIT_MS = 1_000

export interface RunningProxy {
  /** Those of traffic are 0 before the first table where the settings say so: nothing listens there until then. */
  readonly ports: { readonly http: number; readonly https: number; readonly admin: number }
  /** Drains and ends. Called again: the same promise. */
  shutdown(): Promise<void>
}

/** @throws if the admin port is taken or a worker cannot start */
export async function startProxy({ config: asked, version, log, ...parts }: ProxyParts): Promise<RunningProxy> {
  const socketIo = await working(asked.socketIo, warning => log.warn({}, warning))
  const config = { ...asked, socketIo }
  const totals = new TotalCounts(
    (host, object) => fleet.table.knows(host) && (object === null || fleet.table.revision(object) !== null),
    { hosts: config.metricsHosts },
  )
  const reports = new ReportCounts({
    flush: () => fleet.flush(FLUSH_WAIT_MS),
    reports: host => fleet.table.reports(host),
    revision: object => fleet.table.revision(object),
  })
  const upstreamTotals = new UpstreamTotals((service, address) => fleet.table.knowsService(service, address), {
    most: config.metricsUpstreams,
  })
  const setup = {
    ...{ config, defaultCertificate: await createDefaultCertificate() },
    ticketSecrets: ownSecrets(randomBytes(TICKET_SECRET_BYTES)),
  }
  const onCounts: ConstructorParameters<typeof WorkerFleet>[0]['onCounts'] = delta => {
    totals.add(delta)
    reports.add(delta)
  }
  const accessLog = accessOutput(config, parts.stdout)
  let linesLost = 0
  const fleet = new WorkerFleet({
    ...{ setup, spawn: parts.spawn, onCounts, log },
    onUpstream: (worker, counts) => upstreamTotals.add(worker, counts),
    onGone: worker => upstreamTotals.forget(worker),
    onLines: (data, lines, done) =>
      accessLog?.write(data, lines, written => {
        if (!written) linesLost += lines
        done()
      }),
  })
  const prober = new Prober({
    ask: probe => fleet.probe(probe),
    revision: object => fleet.table.revision(object),
  })
  let stream: StreamHandle | null = null
  let draining = false
  const status = (): StreamStatus => stream?.status() ?? NO_STREAM

  const metrics = createMetrics({
    ...{ totals, upstream: upstreamTotals, version, socketIo },
    workers: () => ({
      ...{ serving: fleet.serving, crashes: fleet.crashes, stalls: fleet.stalls, outOfMemory: fleet.outOfMemory },
      heapLimitBytes: config.workerHeap * 1_048_576,
    }),
    workerStates: () => fleet.states(),
    logDropped: () => ({ access: fleet.logDropped + linesLost, own: parts.stdout?.dropped ?? 0 }),
    table: () => fleet.table.sizes,
    appliedAt: () => fleet.appliedAt,
    tableBroken: () => fleet.broken,
    ticketsOfFleet: () => fleet.ticketsOfFleet,
    probes: () => prober.totals,
    stream: status,
  })
  const admin = createAdminServer({
    metrics,
    notReady: () => {
      if (draining) return 'draining'
      if (fleet.appliedAt === null) return 'no table yet'
      if (fleet.listening === 0) return 'no worker listens'
      return fleet.ready ? null : 'no worker gives a sign of life'
    },
    broken: () => (fleet.stuck ? 'a worker hangs and cannot be ended' : null),
    explain: async question => {
      const { asked, answers } = await fleet.explain(question, EXPLAIN_WAIT_MS)
      const [refused] = answers.flatMap(one => (one.ok ? [] : [one.reason]))
      if (refused !== undefined) return { status: 400, error: `the request would be answered 400: ${refused}` }
      const [first, ...others] = answers.flatMap(one => (one.ok ? [one.explanation] : []))
      if (first !== undefined) return { status: 200, explanation: mergeExplanations([first, ...others], asked) }
      return { status: 503, error: asked === 0 ? 'no table yet' : 'no worker answers' }
    },
    host: async name => {
      const { asked, answers } = await fleet.describeHost(name, EXPLAIN_WAIT_MS)
      const [first, ...others] = answers.flatMap(one => one ?? [])
      if (first === undefined) {
        if (answers.length > 0) return { status: 404, error: unknownHost(name) }
        return { status: 503, error: asked === 0 ? 'no table yet' : 'no worker answers' }
      }
      // What workers count comes a quarter of a second later else.
      await fleet.flush(FLUSH_WAIT_MS)
      const { host, ...rest } = mergeDescriptions([first, ...others], asked)
      return { status: 200, explanation: { host, asked: name, ...rest, figures: totals.figures(host) } }
    },
    table: () => ({
      ...status(),
      ...fleet.table.sizes,
      appliedAt: fleet.appliedAt === null ? null : new Date(fleet.appliedAt).toISOString(),
      broken: fleet.broken,
      workers: {
        ...{ wanted: config.workers, listening: fleet.listening, serving: fleet.serving },
        ...{ crashes: fleet.crashes, stalls: fleet.stalls, outOfMemory: fleet.outOfMemory },
      },
      revisions: fleet.table.revisions(),
    }),
  })

  // First of all: probes and people learn what the process waits for.
  // Fastify's own default is the loopback interface, where no probe of a kubelet comes.
  await admin.listen({ port: config.adminPort, host: config.listenAddress ?? everyAddress() })
  const adminPort = (admin.server.address() as AddressInfo).port
  try {
    await fleet.start()
  } catch (error) {
    await admin.close()
    throw error
  }
  const ports = (): RunningProxy['ports'] => {
    const { httpPort: http, httpsPort: https } = fleet.ports
    return { http, https, admin: adminPort }
  }
  log.info({ port: adminPort, workers: config.workers }, 'started; connections are refused until there is a table')
  void fleet.opened.then(() => log.info({ ports: ports(), workers: config.workers }, 'serving'))
  const started = parts.startStream({ sink: fleet, tickets: fleet, counters: reports, probes: prober })
  stream = started

  const end = (): Promise<void> => {
    draining = true
    prober.end()
    return shutDown({ config, log, fleet, stream: started, admin, accessLog })
  }
  let ended: Promise<void> | null = null
  return {
    get ports() {
      return ports()
    },
    shutdown: () => (ended ??= end()),
  }
}

function unknownHost(name: string): string {
  return `no Ingress that is served here names ${name}, and no wildcard covers it: /route?host=${name} says what a request for it gets, /table what is served`
}

function accessOutput({ accessLog: to, accessLogBuffer }: DataPlaneConfig, stdout: Output | undefined): Output | null {
  if (to === 'off') return null
  return to === 'stdout' && stdout ? stdout : new Output({ to, limit: accessLogBuffer })
}
