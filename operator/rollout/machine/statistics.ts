/**
 * Is a difference real, or would chance alone make it? Every comparison of the gates is a probability: how often would two
 * groups of pods that are alike differ so much? Exact for few events, where intervals that lean on the normal curve blame
 * chance far more often than they say: 4 errors of 120 requests against a true share of 0.5 % is "one in 2 000" by
 * Wilson's interval, and one in 300 in fact.
 */

/** How often chance may take a good change back, for each share that is judged; docs/rollout-policy.md has what comes of it, measured. */
const ROLLOUT_CHANCE = 1e-3

export interface Chances {
  /**
   * For a verdict at any moment. Looked at every few seconds, chance gets a try every time: while the evidence grows
   * hundredfold that is about thirty independent ones.
   */
  readonly certain: number
  /** For the look when the bake is over, and, halved each time, whenever the evidence has doubled since. */
  readonly likely: number
}

/** Each of the batches gets its part; its first look half of that, the second a quarter, and so on. */
export function batchChances(batches: number): Chances {
  return { certain: 1e-5, likely: ROLLOUT_CHANCE / 2 / Math.max(1, batches) }
}

/**
 * For the last minute of a batch that waits, which may be judged for days. At any moment only what chance does not do in a
 * year of waiting; else what one minute showed has to be shown by the next one again: 3e-4 squared, 3 840 minutes in a weekend.
 */
export const LATE_CHANCES: Chances = { certain: 1e-9, likely: 3e-4 }

export interface Sample {
  readonly count: number
  readonly total: number
}

/** Nothing of nothing is 0. */
export function shareOf({ count, total }: Sample): number {
  return total > 0 ? count / total : 0
}

/** Of so many events as are as good as independent: those that come in bunches of `dispersion` count once. */
export function thinned({ count, total }: Sample, dispersion: number): Sample {
  return { count: count / dispersion, total: total / dispersion }
}

/**
 * How probable it is that `a` has so many events or more, if its true share is no higher than that of `b` (0 to 1).
 * Conditional on the events of both (Przyborowski and Wilenski 1940, the binomial form of Fisher's test), with half the
 * weight of the outcome itself ("mid-p", Lancaster 1961). Takes events to be rare: where they are not it errs to the side of
 * waiting.
 */
export function chanceOfRise(a: Sample, b: Sample): number {
  if (a.total <= 0 || b.total <= 0) return 1
  return midTail(a.count, a.count + b.count, a.total / (a.total + b.total))
}

/** How probable it is that `a` has so many events or more if its true share is no higher than `share` (0 to 1). */
export function chanceAbove(a: Sample, share: number): number {
  return a.total <= 0 ? 1 : midTail(a.count, a.total, share)
}

/** P(X > x) + P(X = x) / 2 of a binomial distribution; counts need not be whole. */
function midTail(x: number, n: number, p: number): number {
  if (x <= 0) return 1
  if (p <= 0) return 0
  return p >= 1 ? 1 : (upperTail(x, n, p) + upperTail(x + 1, n, p)) / 2
}

/** P(X >= x): the regularized incomplete beta function I_p(x, n - x + 1). */
function upperTail(x: number, n: number, p: number): number {
  if (x <= 0) return 1
  return x >= n + 1 ? 0 : incompleteBeta(p, x, n - x + 1)
}

/** The fraction converges fast on one side of the mean only. Decided once: at the mean itself rounding may say either of both sides. */
function incompleteBeta(x: number, a: number, b: number): number {
  return x > (a + 1) / (a + b + 2) ? 1 - betaFraction(1 - x, b, a) : betaFraction(x, a, b)
}

/** By its continued fraction (DLMF 8.17.22) with Lentz' method. */
function betaFraction(x: number, a: number, b: number): number {
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a
  const tiny = 1e-300
  const safe = (value: number): number => (Math.abs(value) < tiny ? tiny : value)
  let d = 1 / safe(1 - ((a + b) * x) / (a + 1))
  let c = 1
  let fraction = d
  for (let m = 1; m <= 5_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / safe(1 + even * d)
    c = safe(1 + even / c)
    fraction *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / safe(1 + odd * d)
    c = safe(1 + odd / c)
    fraction *= d * c
    if (Math.abs(d * c - 1) < 1e-12) break
  }
  return Math.min(1, front * fraction)
}

/** Stirling's series, for arguments above 0 moved up to where it is exact to twelve digits. */
function logGamma(x: number): number {
  let [shift, z] = [0, x]
  for (; z < 10; z++) shift += Math.log(z)
  const w = 1 / (z * z)
  const series = (1 / 12 - w * (1 / 360 - w * (1 / 1_260 - w / 1_680))) / z
  return (z - 0.5) * Math.log(z) - z + Math.log(2 * Math.PI) / 2 + series - shift
}
