/**
 * The metrics of a proxy. prom-client writes those of the process; those of hosts are written here, in portions: with a
 * listed host in every line of a large table one text would hold up the main thread, and with it probes and the stream.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { SocketIoName } from '../io/contract.ts'
import type { WorkerState } from '../workers/fleet.ts'
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
  RETRIES as REQUEST_RETRIES,
  STATUS,
  UPSTREAM_BUCKETS_MS,
  UPSTREAM_ERRORS,
} from './columns.ts'
import { escapeLabel, type Series } from './series.ts'
import type { HostSeries, TotalCounts } from './totals.ts'
import type { UpstreamTotals } from './upstream-totals.ts'
import {
  CONNECTS,
  CONNECT_FAILURES,
  FAILURES,
  IDLE,
  LEASES,
  OPEN,
  RESTS,
  RETRIES,
} from '../upstream/endpoint-counters.ts'

export interface MetricsSource {
  readonly totals: TotalCounts
  readonly upstream: UpstreamTotals
  readonly version: string
  readonly socketIo: SocketIoName
  readonly workers: () => {
    readonly serving: number
    readonly crashes: number
    readonly stalls: number
    /** Part of the crashes. */
    readonly outOfMemory: number
    readonly heapLimitBytes: number
  }
  /** Lines that nobody read in time: of the access log, and of the process's own. */
  readonly logDropped: () => { readonly access: number; readonly own: number }
  readonly workerStates: () => readonly WorkerState[]
  readonly table: () => {
    readonly ingresses: number
    readonly hosts: number
    readonly certificates: number
    readonly services: number
    readonly memoryBytes: number
  }
  /** Milliseconds since the epoch; null: nothing was applied yet. */
  readonly appliedAt: () => number | null
  /** Why it takes no update any more; null: it does. */
  readonly tableBroken: () => string | null
  /** Session tickets are those of the whole fleet. */
  readonly ticketsOfFleet: () => boolean
  /** Requests that the proxy sent itself for rollouts. */
  readonly probes: () => { readonly ok: number; readonly failed: number }
  readonly stream: () => {
    readonly stateHash: string
    readonly source: string
    readonly connected: boolean
    readonly refusals: number
    readonly diskError: string | null
    readonly diskRefused: number
  }
}

export interface Metrics {
  readonly contentType: string
  /** The text, piece by piece; the loop turns between two pieces. */
  portions(): AsyncGenerator<string, void>
}

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** Series written in one go: some 60 KiB of text and a millisecond where they are histograms. */
const PORTION = 32

export function createMetrics(source: MetricsSource): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  stateMetrics(registry, source)
  return {
    contentType: registry.contentType,
    portions: async function* () {
      yield await registry.metrics()
      for (const texts of [hostMetrics(source.totals), upstreamMetrics(source.upstream)]) {
        for (const text of texts) {
          await nextTurn()
          yield text
        }
      }
    },
  }
}

type Write<S extends Series> = (series: S) => string

/** Head and lines of a family, a portion of its series at a time. */
function* familyOf<S extends Series>(
  all: readonly S[],
  { name, type, help }: { readonly name: string; readonly type: string; readonly help: string },
  write: Write<S>,
): Generator<string, void> {
  yield `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
  for (let from = 0; from < all.length; from += PORTION) {
    const text = all
      .slice(from, from + PORTION)
      .map(series => (series.ended ? '' : write(series)))
      .join('')
    if (text !== '') yield text
  }
}

/** A line, or none where there is nothing to say. */
function lineOf(name: string, series: Series, column: number): string {
  const value = series.at(column)
  return value === 0 ? '' : `${name}{${series.labels}} ${value}\n`
}

/** Families of metrics, one after the other as the format wants it. What is 0 is left out; of a histogram nothing, once it has anything. */
function* hostMetrics(totals: TotalCounts): Generator<string, void> {
  const all = totals.series()
  const family = (name: string, type: string, help: string, write: Write<HostSeries>): Generator<string, void> =>
    familyOf(all, { name, type, help }, write)
  const counter = (name: string, help: string, column: number): Generator<string, void> =>
    family(name, 'counter', help, series => lineOf(name, series, column))
  /** Without quantiles: a sum and a number of observations. */
  const summary = (name: string, help: string, column: number): Generator<string, void> =>
    family(name, 'summary', help, series => {
      const at = series.labels
      return `${name}_sum{${at}} ${series.at(column)}\n${name}_count{${at}} ${series.at(REQUESTS)}\n`
    })

  yield* family(
    'sluice_requests_total',
    'counter',
    'Answered requests by host, Ingress (namespace/name) and status class; 499 (client gone) is 4xx.',
    series =>
      CLASSES.map((status, i) => {
        const count = series.at(STATUS + i)
        return count === 0 ? '' : `sluice_requests_total{${series.labels},status="${status}"} ${count}\n`
      }).join(''),
  )
  yield* family(
    'sluice_responses_total',
    'counter',
    'The same requests by status code; beyond some thirty codes of a host and Ingress by class.',
    series =>
      series
        .codes()
        .map(([code, count]) => `sluice_responses_total{${series.labels},code="${code}"} ${count}\n`)
        .join(''),
  )
  yield* counter('sluice_retries_total', 'Endpoints that requests were tried at beyond the first.', REQUEST_RETRIES)
  yield* counter('sluice_not_found_total', 'Requests answered 404 because no route matched.', NOT_FOUND)
  yield* counter(
    'sluice_upstream_errors_total',
    'Requests answered 502, 503 or 504 by the proxy itself.',
    UPSTREAM_ERRORS,
  )
  yield* family(
    'sluice_request_duration_seconds',
    'histogram',
    'From the head of a request to the last byte of its answer.',
    series => histogram('sluice_request_duration_seconds', series, LATENCY, LATENCY_SUM, DURATION_BOUNDS),
  )
  yield* family(
    'sluice_upstream_first_byte_seconds',
    'histogram',
    'From the head of a request to the head of the answer of its backend; requests that one answered.',
    series => histogram('sluice_upstream_first_byte_seconds', series, FIRST_BYTE, FIRST_BYTE_SUM, UPSTREAM_BOUNDS),
  )
  yield* family(
    'sluice_upstream_connect_seconds',
    'histogram',
    'Time to open a connection to a backend; requests that one was opened for.',
    series => histogram('sluice_upstream_connect_seconds', series, CONNECT, CONNECT_SUM, UPSTREAM_BOUNDS),
  )
  yield* summary('sluice_request_size_bytes', 'Size of requests, head and body.', REQUEST_BYTES)
  yield* summary('sluice_response_size_bytes', 'Size of answers, head and body.', RESPONSE_BYTES)
  yield* counter(
    'sluice_internal_errors_total',
    'Requests that failed by a fault of the proxy itself: part of 5xx, and no evidence for any gate.',
    INTERNAL,
  )
  yield* counter(
    'sluice_closed_total',
    'Requests answered 503 because the path is closed (its protection is not supported): part of 5xx, and no evidence for any gate.',
    CLOSED,
  )
  yield* tlsMetrics(totals)
  yield eventMetrics(totals)
}

const BOTH = [
  ['requests_total', 'counter', 'Requests sent, each try for itself', LEASES],
  ['failures_total', 'counter', 'Requests that the backend broke off or did not answer in time', FAILURES],
  ['connects_total', 'counter', 'Connections begun to be opened', CONNECTS],
  ['connect_failures_total', 'counter', 'Connections that could not be opened', CONNECT_FAILURES],
  ['in_flight', 'gauge', 'Connections lent to requests, or waited for, now', OPEN],
] as const

/** Of Services and endpoints. What is 0 is left out. */
function* upstreamMetrics(upstream: UpstreamTotals): Generator<string, void> {
  const services = upstream.services()
  const endpoints = upstream.endpoints()
  for (const [kind, all, more] of [
    ['service', services, [['retries_total', 'counter', 'Requests that were tried again', RETRIES]]],
    [
      'endpoint',
      endpoints,
      [
        ['rests_total', 'counter', 'Times that it was taken for unwell and left alone for a while', RESTS],
        ['idle_connections', 'gauge', 'Connections kept for the next request, now', IDLE],
      ],
    ],
  ] as const) {
    for (const [what, type, help, column] of [...BOTH, ...more]) {
      const name = `sluice_${kind}_${what}`
      yield* familyOf(all, { name, type, help: `${help}, by ${kind}.` }, series => lineOf(name, series, column))
    }
  }
}

/** What never became a request of a host. */
function eventMetrics({ events, defects, connectFailures, carried }: TotalCounts): string {
  const failures = 'sluice_upstream_connect_failures_total'
  let text =
    `# HELP ${failures} Attempts to connect to an endpoint that failed; the request may have gone to another one.\n` +
    `# TYPE ${failures} counter\n${failures} ${connectFailures}\n` +
    '# HELP sluice_defects_total Faults of the proxy that ended one request or connection; the log has each.\n' +
    `# TYPE sluice_defects_total counter\nsluice_defects_total ${defects}\n` +
    '# HELP sluice_requests_by_path_total Requests that went to a backend, by their way through the proxy.\n' +
    '# TYPE sluice_requests_by_path_total counter\n'
  for (const path of ['relay', 'full'] as const) {
    text += `sluice_requests_by_path_total{path="${path}"} ${carried[path]}\n`
  }
  for (const [name, kind, label, help] of [
    [
      'sluice_requests_refused_total',
      'request',
      'reason',
      'What could not be read as a request, by what is wrong with it.',
    ],
    ['sluice_connections_refused_total', 'connection', 'reason', 'Connections that were not taken, by reason.'],
    [
      'sluice_connections_shed_total',
      'shed-connection',
      'reason',
      'Idle connections closed to make room, by what was short.',
    ],
    [
      'sluice_requests_shed_total',
      'shed-request',
      'reason',
      'Requests answered 503 by the proxy itself, by what was short.',
    ],
    [
      'sluice_request_failures_total',
      'failure',
      'reason',
      'Requests on their way to a backend that got none of its answer, or not all of it, by reason.',
    ],
    [
      'sluice_http2_connections_ended_total',
      'http2',
      'reason',
      'Connections of HTTP/2 that were ended for what their client did.',
    ],
    [
      'sluice_tls_contexts_total',
      'context',
      'event',
      'Certificates that workers loaded (made), dropped to make room (evicted), or could not load (refused).',
    ],
  ] as const) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} counter\n`
    for (const [id, count] of events) {
      const [of, reason = ''] = id.split(' ')
      if (of === kind) text += `${name}{${label}="${escapeLabel(reason)}"} ${count}\n`
    }
  }
  return text
}

function* tlsMetrics(totals: TotalCounts): Generator<string, void> {
  const all = totals.tls()
  for (const [name, help, of] of [
    ['sluice_tls_handshakes_total', 'TLS handshakes finished, by host and what was agreed on.', 'handshakes'],
    [
      'sluice_tls_failures_total',
      'TLS handshakes not finished, and connections closed by the client after it without a request; `none`: it did not come to an agreement.',
      'failures',
    ],
  ] as const) {
    yield `# HELP ${name} ${help}\n# TYPE ${name} counter\n`
    for (let from = 0; from < all.length; from += PORTION) {
      yield all
        .slice(from, from + PORTION)
        .map(series => (series[of] === 0 ? '' : `${name}{${series.labels}} ${series[of]}\n`))
        .join('')
    }
  }
}

const boundsOf = (milliseconds: readonly number[]): readonly string[] => [
  ...milliseconds.map(bound => String(bound / 1_000)),
  '+Inf',
]
const DURATION_BOUNDS = boundsOf(LATENCY_BUCKETS_MS)
const UPSTREAM_BOUNDS = boundsOf(UPSTREAM_BUCKETS_MS)

/**
 * Prometheus counts in seconds, and a bucket holds what is in those below it.
 * @returns nothing where nothing was observed
 */
function histogram(name: string, series: Series, first: number, sum: number, bounds: readonly string[]): string {
  const { labels } = series
  let total = 0
  let text = ''
  bounds.forEach((bound, i) => {
    total += series.at(first + i)
    text += `${name}_bucket{${labels},le="${bound}"} ${total}\n`
  })
  if (total === 0) return ''
  return `${text}${name}_sum{${labels}} ${series.at(sum) / 1_000}\n${name}_count{${labels}} ${total}\n`
}

function stateMetrics(registry: Registry, source: MetricsSource): void {
  const gauge = (name: string, help: string, value: () => number): unknown =>
    new Gauge({
      ...{ name, help, registers: [registry] },
      collect() {
        this.set(value())
      },
    })
  const info = (name: string, help: string, labels: () => Record<string, string>): unknown =>
    new Gauge({
      ...{ name, help, labelNames: Object.keys(labels()), registers: [registry] },
      collect() {
        this.reset()
        this.set(labels(), 1)
      },
    })
  const counter = (name: string, help: string, value: () => number): unknown =>
    new Counter({
      ...{ name, help, registers: [registry] },
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  gauge(
    'sluice_workers',
    'Worker threads that accept connections and give signs of life.',
    () => source.workers().serving,
  )
  counter('sluice_worker_crashes_total', 'Worker threads that ended by themselves.', () => source.workers().crashes)
  counter('sluice_worker_stalls_total', 'Worker threads that hung and were replaced.', () => source.workers().stalls)
  counter(
    'sluice_worker_out_of_memory_total',
    'Worker threads whose heap was full; part of the crashes.',
    () => source.workers().outOfMemory,
  )
  gauge(
    'sluice_worker_heap_limit_bytes',
    'Heap that a worker may have (WORKER_HEAP).',
    () => source.workers().heapLimitBytes,
  )
  counter(
    'sluice_access_log_dropped_total',
    'Lines of the access log that were dropped: nobody read them in time, or they could not be written.',
    () => source.logDropped().access,
  )
  counter('sluice_log_dropped_total', 'The same of the own lines of the process.', () => source.logDropped().own)
  const ofWorker = (name: string, help: string, more: readonly string[] = []): Gauge =>
    new Gauge({ name, help, labelNames: ['worker', ...more], registers: [] })
  const connections = ofWorker(
    'sluice_connections_open',
    'Connections of clients, over TLS once the handshake is over.',
    ['protocol'],
  )
  const inFlight = ofWorker('sluice_requests_in_flight', 'Requests under way.')
  const tunnels = ofWorker(
    'sluice_tunnels_open',
    'Tunnels of WebSockets and other upgrades; their connections are among those that are open.',
  )
  const heap = ofWorker('sluice_worker_heap_bytes', 'Heap that a worker uses.')
  const filled = [heap, connections, inFlight, tunnels]
  new Gauge({
    name: 'sluice_worker_event_loop_lag_seconds',
    help: 'The longest lag of the event loop of a worker since the last scrape; one that hangs: for how long by now.',
    ...{ labelNames: ['worker'], registers: [registry] },
    // Asked once for all: the lag is gone then.
    collect() {
      this.reset()
      for (const gauge of filled) gauge.reset()
      for (const { number, lagSeconds, heapBytes, open } of source.workerStates()) {
        const worker = String(number)
        this.set({ worker }, lagSeconds)
        heap.set({ worker }, heapBytes)
        connections.set({ worker, protocol: 'http' }, open.http)
        connections.set({ worker, protocol: 'https' }, open.https)
        inFlight.set({ worker }, open.requests)
        tunnels.set({ worker }, open.tunnels)
      }
    },
  })
  // After the one that fills them.
  for (const gauge of filled) registry.registerMetric(gauge)
  gauge('sluice_table_ingresses', 'Ingresses in the table.', () => source.table().ingresses)
  gauge('sluice_table_hosts', 'Hosts in the table.', () => source.table().hosts)
  gauge('sluice_table_certificates', 'Certificates in the table.', () => source.table().certificates)
  gauge('sluice_table_services', 'Services whose endpoints are known.', () => source.table().services)
  gauge('sluice_table_memory_bytes', 'Memory that the table uses.', () => source.table().memoryBytes)
  gauge(
    'sluice_table_age_seconds',
    'Time since the last update was served by every worker; NaN before the first.',
    () => {
      const at = source.appliedAt()
      return at === null ? Number.NaN : (Date.now() - at) / 1000
    },
  )
  gauge(
    'sluice_table_broken',
    '1: an update could not be written to the table; what was served is served on, and none is taken until the pod starts anew.',
    () => (source.tableBroken() === null ? 0 : 1),
  )
  new Counter({
    name: 'sluice_probes_total',
    help: 'Requests that the proxy sent itself for rollouts (probes of a policy), by result; in no other count of requests.',
    ...{ labelNames: ['result'], registers: [registry] },
    collect() {
      this.reset()
      for (const [result, count] of Object.entries(source.probes())) this.inc({ result }, count)
    },
  })
  gauge('sluice_stream_connected', '1 while a stream to an operator is open.', () => Number(source.stream().connected))
  gauge(
    'sluice_tls_tickets_of_fleet',
    '1 once TLS sessions resume at every pod; 0 while no operator said the secret for it.',
    () => Number(source.ticketsOfFleet()),
  )
  gauge('sluice_updates_refused', 'Reasons why an update is refused; 0: none is.', () => source.stream().refusals)
  gauge('sluice_disk_copy_failed', '1 while the copy of the table on disk cannot be written.', () =>
    Number(source.stream().diskError !== null),
  )
  counter(
    'sluice_disk_copies_refused_total',
    'Copies of the table on disk that were not used, or not any more: damaged, of another version, or not proven.',
    () => source.stream().diskRefused,
  )
  info('sluice_table_info', 'Hash of the applied state and where it came from.', () => ({
    state_hash: source.stream().stateHash,
    source: source.stream().source,
  }))
  info('sluice_build_info', 'Version of the proxy and of Node.', () => ({
    version: source.version,
    node: process.version,
  }))
  info('sluice_socket_io_info', 'How bytes get into sockets and out of them (SOCKET_IO, if it works here).', () => ({
    socket_io: source.socketIo,
  }))
}
