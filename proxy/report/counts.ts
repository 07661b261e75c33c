/** Counts as they go from a worker to the main thread: plain data, differences since the last flush. */
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'

export interface Histogram {
  /** One count per bound and one for more. Not cumulative. */
  readonly counts: number[]
  sum: number
}

/** Requests of one host answered by one object at one revision. */
export interface RequestCounts {
  /** As Table.requestHost says; null: no name of ours. */
  readonly host: string | null
  readonly object: ObjectKey | null
  readonly revision: Revision
  readonly governed: boolean
  requests: number
  readonly status: [number, number, number, number, number]
  notFound: number
  upstreamErrors: number
  /** Our own faults (part of 5xx). Reports leave them out: they are evidence of nothing. */
  internal: number
  /** Milliseconds. */
  readonly latency: Histogram
  /** Head and body, all requests together: their mean is of use, and two histograms per host are not worth their size. */
  requestBytes: number
  responseBytes: number
}

export interface TlsCounts {
  readonly host: string | null
  handshakes: number
  failures: number
}

export interface CountsDelta {
  readonly requests: readonly RequestCounts[]
  readonly tls: readonly TlsCounts[]
  readonly connectFailures: number
  /** Things of ours that threw. */
  readonly defects: number
  /** What has no host: [`request <code>` or `connection <code>` (refused), `context <event>`, how many] */
  readonly events: readonly (readonly [string, number])[]
}

export function histogram(bounds: readonly number[]): Histogram {
  return { counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 }
}

export function observe(into: Histogram, bounds: readonly number[], value: number): void {
  let bucket = 0
  while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++
  into.counts[bucket] = (into.counts[bucket] ?? 0) + 1
  into.sum += value
}

export function addHistogram(into: Histogram, from: Histogram): void {
  from.counts.forEach((count, i) => (into.counts[i] = (into.counts[i] ?? 0) + count))
  into.sum += from.sum
}

export function requestCounts(of: Pick<RequestCounts, 'host' | 'object' | 'revision' | 'governed'>): RequestCounts {
  const { host, object, revision, governed } = of
  return {
    ...{ host, object, revision, governed, requests: 0, notFound: 0, upstreamErrors: 0, internal: 0 },
    ...{ requestBytes: 0, responseBytes: 0 },
    status: [0, 0, 0, 0, 0],
    latency: histogram(LATENCY_BUCKETS_MS),
  }
}

export function addRequestCounts(into: RequestCounts, from: RequestCounts): void {
  into.requests += from.requests
  from.status.forEach((count, i) => (into.status[i as 0] += count))
  into.notFound += from.notFound
  into.upstreamErrors += from.upstreamErrors
  into.internal += from.internal
  addHistogram(into.latency, from.latency)
  into.requestBytes += from.requestBytes
  into.responseBytes += from.responseBytes
}
