/** What a row of figures of requests consists of (rows.ts): counters and histograms. What reports need of it comes first. */
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { RequestCounts } from './counts.ts'

/** Columns. All are counts but the sums of bytes and of milliseconds. */
export const REQUESTS = 0
/** 1xx to 5xx. */
export const STATUS = 1
export const CLASSES = 5
export const NOT_FOUND = STATUS + CLASSES
export const UPSTREAM_ERRORS = NOT_FOUND + 1
export const INTERNAL = UPSTREAM_ERRORS + 1
export const CLOSED = INTERNAL + 1
export const REQUEST_BYTES = CLOSED + 1
export const RESPONSE_BYTES = REQUEST_BYTES + 1
export const LATENCY_SUM = RESPONSE_BYTES + 1
/** One per LATENCY_BUCKETS_MS and one for slower. Not cumulative. */
export const LATENCY = LATENCY_SUM + 1
export const BUCKETS = LATENCY_BUCKETS_MS.length + 1
/** Columns of reports: they keep rows of nearly every host, and none of what follows. */
export const REPORT_WIDTH = LATENCY + BUCKETS

/** Endpoints beyond the first that a request was sent to, or tried to be. */
export const RETRIES = REPORT_WIDTH
/** Upper bounds of what follows, in milliseconds: half a decade each, from a connection within a rack to a slow answer. */
export const UPSTREAM_BUCKETS_MS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000] as const
const UPSTREAM_BUCKETS = UPSTREAM_BUCKETS_MS.length + 1
/** Milliseconds, of requests that a backend answered. */
export const FIRST_BYTE_SUM = RETRIES + 1
export const FIRST_BYTE = FIRST_BYTE_SUM + 1
/** Milliseconds, of requests that a connection was opened for. */
export const CONNECT_SUM = FIRST_BYTE + UPSTREAM_BUCKETS
export const CONNECT = CONNECT_SUM + 1
export const WIDTH = CONNECT + UPSTREAM_BUCKETS

/** Which bucket of FIRST_BYTE and CONNECT a time (milliseconds) falls into. */
export function upstreamBucketOf(milliseconds: number): number {
  return bucketIn(UPSTREAM_BUCKETS_MS, milliseconds)
}

/** Which bucket of the histogram a time (milliseconds) falls into. */
export function bucketOf(milliseconds: number): number {
  return bucketIn(LATENCY_BUCKETS_MS, milliseconds)
}

function bucketIn(bounds: readonly number[], milliseconds: number): number {
  let bucket = 0
  while (bucket < bounds.length && milliseconds > (bounds[bucket] ?? 0)) bucket++
  return bucket
}

/** One row as an object. */
export function readRow(figures: Float64Array, row: number): RequestCounts {
  const at = (column: number): number => figures[row * WIDTH + column] ?? 0
  const several = (column: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => at(column + i))
  return {
    requests: at(REQUESTS),
    status: several(STATUS, CLASSES),
    notFound: at(NOT_FOUND),
    upstreamErrors: at(UPSTREAM_ERRORS),
    internal: at(INTERNAL),
    closed: at(CLOSED),
    requestBytes: at(REQUEST_BYTES),
    responseBytes: at(RESPONSE_BYTES),
    latency: { sum: at(LATENCY_SUM), counts: several(LATENCY, BUCKETS) },
  }
}
