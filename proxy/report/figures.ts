/** Figures of a row (columns.ts) for people: rates, shares and quantiles. Pure. */
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import {
  CONNECT,
  CONNECT_SUM,
  FIRST_BYTE,
  FIRST_BYTE_SUM,
  LATENCY,
  LATENCY_SUM,
  RETRIES,
  UPSTREAM_BUCKETS_MS,
  readRow,
} from './columns.ts'

/** Milliseconds, to a thousandth. Quantiles are estimated: within a bucket times are taken to lie evenly, as Prometheus does. */
export interface Times {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface Figures {
  readonly requests: number
  readonly perSecond: number
  /** The share of answers that are no 5xx; null: there was none. */
  readonly successRate: number | null
  readonly status: Readonly<Record<string, number>>
  readonly notFound: number
  readonly upstreamErrors: number
  readonly internalErrors: number
  readonly closed: number
  readonly retries: number
  readonly requestBytes: number
  readonly responseBytes: number
  /** Null: nothing was observed. */
  readonly durationMs: Times | null
  readonly upstreamFirstByteMs: Times | null
  readonly upstreamConnectMs: Times | null
}

/** @param row WIDTH figures @param seconds in which they were counted */
export function figuresOf(row: Float64Array, seconds: number): Figures {
  const { requests, status, notFound, upstreamErrors, internal, closed, requestBytes, responseBytes } = readRow(row, 0)
  return {
    requests,
    perSecond: rounded(requests / seconds),
    successRate: requests === 0 ? null : rounded(1 - (status[4] ?? 0) / requests),
    status: Object.fromEntries(status.map((count, i) => [`${i + 1}xx`, count])),
    ...{ notFound, upstreamErrors, internalErrors: internal, closed, retries: row[RETRIES] ?? 0 },
    ...{ requestBytes, responseBytes },
    durationMs: timesOf(row, LATENCY, LATENCY_SUM, LATENCY_BUCKETS_MS),
    upstreamFirstByteMs: timesOf(row, FIRST_BYTE, FIRST_BYTE_SUM, UPSTREAM_BUCKETS_MS),
    upstreamConnectMs: timesOf(row, CONNECT, CONNECT_SUM, UPSTREAM_BUCKETS_MS),
  }
}

function timesOf(row: Float64Array, first: number, sum: number, bounds: readonly number[]): Times | null {
  const counts = [...row.subarray(first, first + bounds.length + 1)]
  const count = counts.reduce((all, one) => all + one, 0)
  if (count === 0) return null
  const quantile = (share: number): number => rounded(quantileOf(counts, bounds, share))
  return {
    ...{ count, mean: rounded((row[sum] ?? 0) / count) },
    ...{ p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) },
  }
}

/**
 * The value that this share of all lies below.
 * @param counts one per bound, and one for what is above them all: of that the last bound is told
 */
export function quantileOf(counts: readonly number[], bounds: readonly number[], share: number): number {
  const rank = share * counts.reduce((all, one) => all + one, 0)
  let before = 0
  for (const [i, bound] of bounds.entries()) {
    const count = counts[i] ?? 0
    if (count > 0 && before + count >= rank) {
      const lower = bounds[i - 1] ?? 0
      return lower + ((bound - lower) * (rank - before)) / count
    }
    before += count
  }
  return bounds.at(-1) ?? 0
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}
