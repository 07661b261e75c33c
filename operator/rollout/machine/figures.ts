/** Figures that gates judge: sums over pods and time, and the rates that follow from them. */
import { LATENCY_BUCKETS_MS } from '../../../protocol/messages.ts'
import type { Sample } from './statistics.ts'

/** What a group of pods counted on the hosts of a rollout. */
export interface Aggregate {
  /** Without answers of closed paths, like every count but `closed`. */
  readonly requests: number
  /** Answers by class, index 0 = 1xx … 4 = 5xx. */
  readonly status: readonly [number, number, number, number, number]
  /** Answered 404 because no route matched. */
  readonly notFound: number
  /** Answered 502, 503 or 504 by the proxy: the backend could not be reached, or broke off before it answered. */
  readonly upstreamErrors: number
  /** Handshakes finished. */
  readonly tlsHandshakes: number
  /** See HostCounters: some of them finished the handshake first, some did not. */
  readonly tlsFailures: number
  /** One count per LATENCY_BUCKETS_MS and one for slower. */
  readonly latency: readonly number[]
  /**
   * Answers of closed paths: no failures, and no requests that a gate could judge. Null: some proxy does not count them
   * apart (an older one); what it has of them is among the 5xx.
   */
  readonly closed: number | null
}

/** Answers that count against an update, by their index in Aggregate.status: redirects, refusals, failures. */
export type EventClass = 2 | 3 | 4

/** The object's figures on the stable revision, kept as rates: what goes into the status of an IngressRollout. Rates in percent. */
export interface Baseline {
  readonly requests: number
  readonly successRate: number
  readonly notFoundRate: number
  /** Of the requests that had a route. Null: not known (an older operator wrote it). */
  readonly clientErrorRate: number | null
  readonly redirectRate: number | null
  readonly connectFailureRate: number | null
  readonly tlsHandshakes: number
  readonly tlsFailureRate: number
  /** Null: no requests. */
  readonly latencyP99Ms: number | null
}

export const EMPTY_AGGREGATE: Aggregate = {
  requests: 0,
  status: [0, 0, 0, 0, 0],
  notFound: 0,
  upstreamErrors: 0,
  tlsHandshakes: 0,
  tlsFailures: 0,
  latency: new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0),
  closed: 0,
}

export function addAggregates(a: Aggregate, b: Aggregate): Aggregate {
  return {
    requests: a.requests + b.requests,
    status: [
      ...([a.status[0] + b.status[0], a.status[1] + b.status[1], a.status[2] + b.status[2]] as const),
      ...([a.status[3] + b.status[3], a.status[4] + b.status[4]] as const),
    ],
    notFound: a.notFound + b.notFound,
    upstreamErrors: a.upstreamErrors + b.upstreamErrors,
    tlsHandshakes: a.tlsHandshakes + b.tlsHandshakes,
    tlsFailures: a.tlsFailures + b.tlsFailures,
    latency: EMPTY_AGGREGATE.latency.map((_, i) => (a.latency[i] ?? 0) + (b.latency[i] ?? 0)),
    closed: a.closed === null || b.closed === null ? null : a.closed + b.closed,
  }
}

/** So many times every count. */
export function scaleAggregate(of: Aggregate, factor: number): Aggregate {
  const [a, b, c, d, e] = of.status
  return {
    ...{ requests: of.requests * factor, notFound: of.notFound * factor, upstreamErrors: of.upstreamErrors * factor },
    ...{ tlsHandshakes: of.tlsHandshakes * factor, tlsFailures: of.tlsFailures * factor },
    closed: of.closed === null ? null : of.closed * factor,
    status: [a * factor, b * factor, c * factor, d * factor, e * factor],
    latency: of.latency.map(count => count * factor),
  }
}

/** Answers with a 5xx status. */
export function failures(of: Aggregate): number {
  return of.status[4]
}

/** Requests to closed paths, too: there was a route for them. */
export function requestsAndClosed(of: Aggregate): number {
  return of.requests + (of.closed ?? 0)
}

/** Requests for which there was a route. */
export function routed(of: Aggregate): number {
  return of.requests - of.notFound
}

/** Answers 4xx to requests that had a route. */
export function clientErrors(of: Aggregate): number {
  return Math.max(0, of.status[3] - of.notFound)
}

/** Answers 3xx. */
export function redirects(of: Aggregate): number {
  return of.status[2]
}

/**
 * Connections that began a handshake, as near as the counters tell: a client that refuses the certificate after the
 * handshake counts as finished and failed, one that sends an alert before its end counts as failed only.
 */
export function tlsAttempts(of: Aggregate): number {
  return Math.max(of.tlsHandshakes, of.tlsFailures)
}

/** What the gates compare, each as a share: events of all that could have been one. */
export type Share = 'failures' | 'notFound' | 'clientErrors' | 'redirects' | 'connectFailures' | 'tlsFailures'

export const SHARES: Readonly<Record<Share, (of: Aggregate) => Sample>> = {
  failures: of => ({ count: failures(of), total: of.requests }),
  // A closed path is not lost: without its requests the scanners that are always there would look like a host that is gone.
  notFound: of => ({ count: of.notFound, total: requestsAndClosed(of) }),
  clientErrors: of => ({ count: clientErrors(of), total: routed(of) }),
  redirects: of => ({ count: redirects(of), total: routed(of) }),
  connectFailures: of => ({ count: of.upstreamErrors, total: routed(of) }),
  tlsFailures: of => ({ count: of.tlsFailures, total: tlsAttempts(of) }),
}

/**
 * How much more events, and slow answers, vary from one stretch of time to the next than independent ones would; at least 1.
 * A client that sends its twenty bad requests in one second is one event, not twenty.
 */
export type Dispersion = Readonly<Record<Share | 'slow', number>>

export interface PodBefore {
  /** -1: it has none. */
  readonly ordinal: number
  readonly counted: Aggregate
}

/** What each pod counted before the rollout began. What is always different on a pod is no evidence against an update. */
export interface Before {
  /** By name of the pod. */
  readonly pods: ReadonlyMap<string, PodBefore>
  /** The time that they cover, in milliseconds. */
  readonly ms: number
  readonly dispersion: Dispersion
  /** The 99th percentile of the slowest stretch of it on all pods, in milliseconds; null: none had enough requests to say. */
  readonly slowestMs: number | null
}

/** One past of two that do not overlap. @param later counts where a pod has another ordinal */
export function joinBefore(earlier: Before, later: Before): Before {
  const pods = new Map(earlier.pods)
  for (const [name, { ordinal, counted }] of later.pods) {
    const known = pods.get(name)?.counted ?? EMPTY_AGGREGATE
    pods.set(name, { ordinal, counted: addAggregates(known, counted) })
  }
  const most = (of: keyof Dispersion): number => Math.max(earlier.dispersion[of], later.dispersion[of])
  return {
    pods,
    ms: earlier.ms + later.ms,
    dispersion: {
      ...{ failures: most('failures'), notFound: most('notFound'), clientErrors: most('clientErrors') },
      ...{ redirects: most('redirects'), connectFailures: most('connectFailures') },
      ...{ tlsFailures: most('tlsFailures'), slow: most('slow') },
    },
    slowestMs:
      earlier.slowestMs === null || later.slowestMs === null
        ? (earlier.slowestMs ?? later.slowestMs)
        : Math.max(earlier.slowestMs, later.slowestMs),
  }
}

/** Part of whole in percent; 0 of 0 is 0. */
export function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100
}

export function baselineOf(figures: Aggregate): Baseline {
  const attempts = tlsAttempts(figures)
  return {
    requests: figures.requests,
    successRate: figures.requests === 0 ? 100 : percent(figures.requests - failures(figures), figures.requests),
    notFoundRate: percent(figures.notFound, figures.requests),
    clientErrorRate: percent(clientErrors(figures), routed(figures)),
    redirectRate: percent(redirects(figures), routed(figures)),
    connectFailureRate: percent(figures.upstreamErrors, routed(figures)),
    tlsHandshakes: attempts,
    tlsFailureRate: percent(figures.tlsFailures, attempts),
    latencyP99Ms: percentile(figures.latency, 0.99),
  }
}

/**
 * The value below which the share `q` (0 to 1) of all counts lies, in milliseconds, linear inside a bucket.
 * The last bucket has no upper bound: its lower bound is the answer. Null: the histogram is empty.
 */
export function percentile(histogram: readonly number[], q: number): number | null {
  const total = histogram.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  const rank = Math.min(Math.max(q, 0), 1) * total
  let below = 0
  for (const [i, count] of histogram.entries()) {
    if (count > 0 && below + count >= rank) {
      const low = i === 0 ? 0 : (LATENCY_BUCKETS_MS[i - 1] ?? 0)
      const high = LATENCY_BUCKETS_MS[i] ?? low
      return low + (high - low) * Math.max(0, (rank - below) / count)
    }
    below += count
  }
  return LATENCY_BUCKETS_MS.at(-1) ?? null
}

/** How many counts lie above `ms`, linear inside a bucket; those in the last bucket count as slower than anything below its bound. */
export function slowerThan(histogram: readonly number[], ms: number): number {
  let slower = 0
  for (const [i, count] of histogram.entries()) {
    const low = i === 0 ? 0 : (LATENCY_BUCKETS_MS[i - 1] ?? 0)
    const high = LATENCY_BUCKETS_MS[i]
    if (low >= ms) slower += count
    else if (high !== undefined && high > ms) slower += (count * (high - ms)) / (high - low)
  }
  return slower
}
