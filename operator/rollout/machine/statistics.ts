/**
 * Is a difference real, or would chance alone make it? Score intervals for proportions (Wilson 1927; for a difference
 * Newcombe 1998, method 10): unlike the textbook interval they hold at 0 %, at 100 % and for few samples.
 */

/**
 * Standard deviations for a verdict before the bake time is over. It is looked at again and again, and chance gets a
 * try every time, therefore one in two thousand.
 */
export const CERTAIN = 3.29

/**
 * Standard deviations for a comparison when the bake time is over: one in two hundred at each look. In a simulation of
 * equal pods (0.1 % to 3 % errors, 3 to 50 requests a second) it blames the update in up to 4 % of batches, one in
 * twenty (1.645) in up to 13 %, and both find two points more of errors equally often.
 */
export const LIKELY = 2.576

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Where the true share lies when `count` of `total` were seen; 0 to 1. Nothing seen: anywhere. */
export function interval(count: number, total: number, deviations: number): Interval {
  if (total <= 0) return { low: 0, high: 1 }
  const share = Math.min(1, Math.max(0, count / total))
  const z2 = deviations ** 2
  const centre = share + z2 / (2 * total)
  const half = deviations * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total ** 2))
  return {
    low: count <= 0 ? 0 : Math.max(0, (centre - half) / (1 + z2 / total)),
    high: count >= total ? 1 : Math.min(1, (centre + half) / (1 + z2 / total)),
  }
}

export interface Sample {
  readonly count: number
  readonly total: number
}

/** By how much, at least, the true share of `a` is above that of `b`; -1 to 1. */
export function leastRise(a: Sample, b: Sample, deviations: number): number {
  const [shareA, shareB] = [a.total > 0 ? a.count / a.total : 0, b.total > 0 ? b.count / b.total : 0]
  const low = shareA - interval(a.count, a.total, deviations).low
  const high = interval(b.count, b.total, deviations).high - shareB
  return shareA - shareB - Math.sqrt(low ** 2 + high ** 2)
}
