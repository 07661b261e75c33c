/** Does a figure grow? A line through what it never falls below, how sure that line is, and what is called flat. Pure. */

export interface Point {
  /** Hours. */
  readonly x: number
  readonly y: number
}

export interface Line {
  /** Units of y an hour. */
  readonly slope: number
  /** Of the slope. */
  readonly standardError: number
  /** The interval that holds the slope with 95 %. */
  readonly low: number
  readonly high: number
  /** Mean of y. */
  readonly level: number
}

export type Verdict = 'flat' | 'grows' | 'unclear'

/** Growth in a day, as a part of the level, up to which nobody would have to restart a pod within a week. */
export const GROWTH_A_DAY = 0.1
/** What may hide in the noise, as a part of the level: if the figure could double within a day, nothing has been shown. */
export const HIDDEN_A_DAY = 1
const HOURS_A_DAY = 24

/** The least of each window of `width` hours: what garbage collection leaves, without how much was waiting for it. */
export function windowMinima(points: readonly Point[], width: number): readonly Point[] {
  const least = new Map<number, Point>()
  const from = points[0]?.x ?? 0
  for (const point of points) {
    const window = Math.floor((point.x - from) / width)
    const known = least.get(window)
    if (known === undefined || point.y < known.y) least.set(window, point)
  }
  return [...least.values()]
}

/**
 * Least squares. Neighbours in time resemble each other, so that n points say less than n independent ones would: the
 * error counts as many as their correlation leaves (n (1-r) / (1+r), r from one residual to the next). Null: fewer than
 * four points, or all at one time.
 */
export function fitLine(points: readonly Point[]): Line | null {
  const n = points.length
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / n
  const [x, level] = [mean(point => point.x), mean(point => point.y)]
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0)
  if (n < 4 || spread === 0) return null
  const slope = points.reduce((sum, point) => sum + (point.x - x) * (point.y - level), 0) / spread
  const residuals = points.map(point => point.y - level - slope * (point.x - x))
  const squares = residuals.reduce((sum, one) => sum + one ** 2, 0)
  const products = residuals.slice(1).reduce((sum, one, i) => sum + one * (residuals[i] ?? 0), 0)
  const r = squares === 0 ? 0 : Math.max(0, products / squares)
  const degrees = Math.max(1, (n * (1 - r)) / (1 + r) - 2)
  const standardError = Math.sqrt(squares / degrees / spread)
  const margin = t95(degrees) * standardError
  return { slope, standardError, low: slope - margin, high: slope + margin, level }
}

/** 97.5 % of Student's t distribution lies below it (Cornish and Fisher's series, right to 1 %; below three degrees from the table). */
export function t95(degrees: number): number {
  const z = 1.959964
  if (degrees < 2) return 12.706 + (degrees - 1) * (4.303 - 12.706)
  if (degrees < 3) return 4.303 + (degrees - 2) * (3.182 - 4.303)
  const first = (z ** 3 + z) / 4
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384
  return z + first / degrees + second / degrees ** 2 + third / degrees ** 3
}

/** No line: too few samples to say. @param level what growth is a part of */
export function verdictOf(line: Line | null, level = line?.level ?? 0): Verdict {
  if (line === null) return 'unclear'
  const aDay = (slope: number): number => slope * HOURS_A_DAY
  if (line.low > 0 && aDay(line.slope) > GROWTH_A_DAY * level) return 'grows'
  return aDay(line.high) > HIDDEN_A_DAY * level ? 'unclear' : 'flat'
}
