/** The metrics of a proxy. prom-client writes the text; the figures are merged from the workers' counts. */
import { Counter, Gauge, Registry, collectDefaultMetrics, type Metric } from 'prom-client'
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { WorkerState } from '../workers/fleet.ts'
import type { TotalCounts } from './aggregate.ts'
import { SIZE_BUCKETS, type Histogram, type RequestCounts } from './counts.ts'

export interface MetricsSource {
  readonly totals: TotalCounts
  readonly version: string
  readonly workers: () => {
    readonly serving: number
    readonly crashes: number
    readonly stalls: number
  }
  readonly workerStates: () => readonly WorkerState[]
  readonly table: () => {
    readonly ingresses: number
    readonly hosts: number
    readonly certificates: number
    readonly services: number
  }
  /** Milliseconds since the epoch; null: nothing was applied yet. */
  readonly appliedAt: () => number | null
  readonly stream: () => {
    readonly stateHash: string
    readonly source: string
    readonly connected: boolean
    readonly refusals: number
    readonly diskError: string | null
  }
}

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const

export function createMetrics(source: MetricsSource): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  requestMetrics(registry, source.totals)
  stateMetrics(registry, source)
  return registry
}

function requestMetrics(registry: Registry, totals: TotalCounts): void {
  const registers = [registry]
  new Counter({
    name: 'sluice_requests_total',
    help: 'Answered requests by host, Ingress (namespace/name) and status class; 499 (client gone) is 4xx.',
    labelNames: ['host', 'ingress', 'status'],
    registers,
    collect() {
      this.reset()
      for (const counts of totals.requests()) {
        CLASSES.forEach((status, i) => {
          const count = counts.status[i as 0]
          if (count > 0) this.inc({ ...labelsOf(counts), status }, count)
        })
      }
    },
  })
  const simple = (name: string, help: string, of: (counts: RequestCounts) => number): unknown =>
    new Counter({
      ...{ name, help, labelNames: ['host', 'ingress'], registers },
      collect() {
        this.reset()
        for (const counts of totals.requests()) if (of(counts) > 0) this.inc(labelsOf(counts), of(counts))
      },
    })
  simple('sluice_not_found_total', 'Requests answered 404 because no route matched.', c => c.notFound)
  simple(
    'sluice_upstream_errors_total',
    'Requests answered 502, 503 or 504 by the proxy itself.',
    c => c.upstreamErrors,
  )
  registry.registerMetric(
    merged('sluice_request_duration_seconds', 'From the head of a request to the last byte of its answer.', totals, {
      ...{ bounds: LATENCY_BUCKETS_MS, scale: 1000, of: counts => counts.latency },
    }),
  )
  registry.registerMetric(
    merged('sluice_request_size_bytes', 'Size of requests, head and body.', totals, {
      ...{ bounds: SIZE_BUCKETS, scale: 1, of: counts => counts.requestBytes },
    }),
  )
  registry.registerMetric(
    merged('sluice_response_size_bytes', 'Size of answers, head and body.', totals, {
      ...{ bounds: SIZE_BUCKETS, scale: 1, of: counts => counts.responseBytes },
    }),
  )
  const tls = (name: string, help: string, of: (c: { handshakes: number; failures: number }) => number): unknown =>
    new Counter({
      ...{ name, help, labelNames: ['host'], registers },
      collect() {
        this.reset()
        for (const counts of totals.tls()) this.inc({ host: counts.host ?? 'other' }, of(counts))
      },
    })
  tls('sluice_tls_handshakes_total', 'TLS handshakes finished, by host.', c => c.handshakes)
  tls(
    'sluice_tls_failures_total',
    'TLS handshakes not finished, and connections closed by the client after it without a request, by host.',
    c => c.failures,
  )
  new Counter({
    name: 'sluice_upstream_connect_failures_total',
    help: 'Attempts to connect to an endpoint that failed; the request may have gone to another one.',
    registers,
    collect() {
      this.reset()
      this.inc(totals.connectFailures)
    },
  })
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
  const worker = { labelNames: ['worker'] as const, registers: [registry] }
  const heap = new Gauge({
    name: 'sluice_worker_heap_bytes',
    help: 'Heap that a worker uses.',
    ...worker,
    registers: [],
  })
  new Gauge({
    name: 'sluice_worker_event_loop_lag_seconds',
    help: 'The longest lag of the event loop of a worker since the last scrape; one that hangs: for how long by now.',
    ...worker,
    // Asked once for both: the lag is gone then.
    collect() {
      this.reset()
      heap.reset()
      for (const { number, lagSeconds, heapBytes } of source.workerStates()) {
        this.set({ worker: String(number) }, lagSeconds)
        heap.set({ worker: String(number) }, heapBytes)
      }
    },
  })
  // After the one that fills it.
  registry.registerMetric(heap)
  gauge('sluice_table_ingresses', 'Ingresses in the table.', () => source.table().ingresses)
  gauge('sluice_table_hosts', 'Hosts in the table.', () => source.table().hosts)
  gauge('sluice_table_certificates', 'Certificates in the table.', () => source.table().certificates)
  gauge('sluice_table_services', 'Services whose endpoints are known.', () => source.table().services)
  gauge(
    'sluice_table_age_seconds',
    'Time since the last update was served by every worker; NaN before the first.',
    () => {
      const at = source.appliedAt()
      return at === null ? Number.NaN : (Date.now() - at) / 1000
    },
  )
  gauge('sluice_stream_connected', '1 while a stream to an operator is open.', () => Number(source.stream().connected))
  gauge('sluice_updates_refused', 'Reasons why an update is refused; 0: none is.', () => source.stream().refusals)
  gauge('sluice_disk_copy_failed', '1 while the copy of the table on disk cannot be written.', () =>
    Number(source.stream().diskError !== null),
  )
  info('sluice_table_info', 'Hash of the applied state and where it came from.', () => ({
    state_hash: source.stream().stateHash,
    source: source.stream().source,
  }))
  info('sluice_build_info', 'Version of the proxy and of Node.', () => ({
    version: source.version,
    node: process.version,
  }))
}

function labelsOf({ host, object }: RequestCounts): { host: string; ingress: string } {
  const key = object === null ? null : parseObjectKey(object)
  return { host: host ?? 'other', ingress: key ? `${key.namespace}/${key.name}` : '' }
}

interface MergedHistogram {
  readonly bounds: readonly number[]
  /** Bounds and sums are divided by it: Prometheus counts in seconds. */
  readonly scale: number
  readonly of: (counts: RequestCounts) => Histogram
}

/** A histogram whose buckets were counted elsewhere; prom-client's own takes single observations only. */
function merged(name: string, help: string, totals: TotalCounts, { bounds, scale, of }: MergedHistogram): Metric {
  const get = () => {
    const values = totals.requests().flatMap(counts => {
      const { counts: buckets, sum } = of(counts)
      const labels = labelsOf(counts)
      let total = 0
      const lines = buckets.map((count, i) => {
        const bound = bounds[i]
        total += count
        return {
          metricName: `${name}_bucket`,
          labels: { ...labels, le: bound === undefined ? '+Inf' : bound / scale },
          value: total,
        }
      })
      return [
        ...lines,
        { metricName: `${name}_sum`, labels, value: sum / scale },
        { metricName: `${name}_count`, labels, value: total },
      ]
    })
    return Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values })
  }
  return { name, help, get, reset: () => undefined } as unknown as Metric
}
