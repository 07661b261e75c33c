/**
 * How much events come in bunches. Intervals take requests to be independent; a client that repeats itself, a slow second, a
 * backend that restarts make many events of one cause.
 */
import { EMPTY_AGGREGATE, SHARES, addAggregates, percentile, slowerThan } from '../machine/figures.ts'
import type { Aggregate, Dispersion } from '../machine/figures.ts'
import { shareOf } from '../machine/statistics.ts'
import type { Sample } from '../machine/statistics.ts'

/** As long as the shortest usual bake: what is bunched in that is one event in its verdict. Milliseconds. */
export const BLOCK_MS = 30_000

/** Weighs like so many blocks without bunches: two events in one block by chance are not yet a bunch. */
const PRIOR_BLOCKS = 30

/** @param pods of each pod its blocks of time */
export function dispersionOf(pods: readonly (readonly Aggregate[])[]): Dispersion {
  const all = pods.flat().reduce(addAggregates, EMPTY_AGGREGATE)
  const p99 = percentile(all.latency, 0.99) ?? 0
  const of = (share: (of: Aggregate) => Sample): number => dispersion(pods.map(blocks => blocks.map(share)))
  return {
    failures: of(SHARES.failures),
    notFound: of(SHARES.notFound),
    clientErrors: of(SHARES.clientErrors),
    redirects: of(SHARES.redirects),
    tlsFailures: of(SHARES.tlsFailures),
    slow: of(({ latency, requests }) => ({ count: slowerThan(latency, p99), total: requests })),
  }
}

/**
 * Pearson's chi-square by its degrees of freedom (McCullagh and Nelder, quasi-likelihood), at least 1. Each pod against its own
 * mean: what is always different on a pod is no bunch.
 */
export function dispersion(pods: readonly (readonly Sample[])[]): number {
  let [sum, freedom] = [0, 0]
  for (const pod of pods) {
    const blocks = pod.filter(({ total }) => total > 0)
    const whole = blocks.reduce((a, b) => ({ count: a.count + b.count, total: a.total + b.total }), NOTHING)
    const share = shareOf(whole)
    // All or none: nothing varies, and nothing is known of how it would.
    if (share <= 0 || share >= 1) continue
    for (const { count, total } of blocks) sum += (count - total * share) ** 2 / (total * share * (1 - share))
    freedom += blocks.length - 1
  }
  return Math.max(1, (sum + PRIOR_BLOCKS) / (freedom + PRIOR_BLOCKS))
}

const NOTHING: Sample = { count: 0, total: 0 }
