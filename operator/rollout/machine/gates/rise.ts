/** The one comparison behind the relative gates: is a share of bad events higher than on the stable pods? */
import { CERTAIN, LIKELY, interval, leastRise } from '../statistics.ts'
import type { Sample } from '../statistics.ts'

/** Below so many events nothing is certain, whatever the interval says: one client that repeats itself is not a fleet. */
export const FEWEST = 20

/** What the update is compared with. */
export interface Reference extends Sample {
  /** For messages: `stable pods` or `before the rollout`. */
  readonly name: string
}

/** The stable pods in the same window if they saw enough, else the figures from before the rollout if those are enough; else null. */
export function reference(stable: Sample, before: Sample | null, enough: number): Reference | null {
  if (stable.total >= enough) return { ...stable, name: 'stable pods' }
  return before !== null && before.total >= enough ? { ...before, name: 'before the rollout' } : null
}

/**
 * `above` or not `within` the limit; `unsure`: above by the plain figures, but chance may have done it.
 * `early`: evidence suffices to fail before the bake time is over.
 */
export type Comparison = 'within' | 'unsure' | 'above'

/** Percentage points by which the update's share is above the reference's. */
export function rise(update: Sample, against: Sample): number {
  const share = (of: Sample): number => (of.total === 0 ? 0 : of.count / of.total)
  return (share(update) - share(against)) * 100
}

export interface Evidence {
  /** Events on the update below which only the certain counts. */
  readonly enough: number
  readonly baked: boolean
}

/** Compares with a reference; the limit in percentage points, which themselves are allowed. */
export function compareRise(update: Sample, against: Sample, limit: number, evidence: Evidence): Comparison {
  if (mayBeCertain(update, evidence.enough) && leastRise(update, against, CERTAIN) * 100 > limit) return 'above'
  if (!exceeds(rise(update, against), limit)) return 'within'
  const ripe = evidence.baked && update.total >= evidence.enough
  return ripe && leastRise(update, against, LIKELY) > 0 ? 'above' : 'unsure'
}

/**
 * Compares with a fixed limit in percent, which itself is allowed. Like every limit it is exceeded only beyond the interval:
 * two chance errors among a hundred requests are no 2 %.
 *
 * `shared`: above, and so may the reference be. What the update did not cause is no evidence against it, and a rollback to
 * what is as bad would help nobody.
 * @param against null: there is nothing to compare with, the limit stands alone
 */
export function compareShare(
  update: Sample,
  against: Sample | null,
  limit: number,
  evidence: Evidence,
): Comparison | 'shared' {
  if (update.total === 0 || !exceeds((update.count / update.total) * 100, limit)) return 'within'
  const isAbove = (deviations: number): boolean => interval(update.count, update.total, deviations).low * 100 > limit
  const isWorse = (deviations: number): boolean => against === null || leastRise(update, against, deviations) > 0
  const beyondHope = update.count > (limit / 100) * Math.max(update.total, evidence.enough)
  const certain = mayBeCertain(update, evidence.enough) && beyondHope && isAbove(CERTAIN)
  if (certain && isWorse(CERTAIN)) return 'above'
  const ripe = evidence.baked && update.total >= evidence.enough && isAbove(LIKELY)
  if (ripe && isWorse(LIKELY)) return 'above'
  return certain || ripe ? 'shared' : 'unsure'
}

function mayBeCertain(update: Sample, enough: number): boolean {
  return update.total >= Math.min(enough, FEWEST)
}

/** Above by more than rounding: 0.5 of 100 is not above 0.5 %. */
function exceeds(value: number, limit: number): boolean {
  return value - limit > 1e-9
}
