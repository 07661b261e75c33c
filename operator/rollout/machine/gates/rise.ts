/** The one comparison behind the relative gates: is a share of bad events higher than on the stable pods? */
import type { Aggregate, Share } from '../figures.ts'
import { chanceAbove, chanceOfRise, shareOf, thinned } from '../statistics.ts'
import type { Chances, Sample } from '../statistics.ts'
import type { GateInput } from './gate.ts'

/** Below so many events nothing is certain, whatever the interval says: one client that repeats itself is not a fleet. */
export const FEWEST = 20

/** So many requests from before the rollout say enough of a pod, however many there are now. */
const SAYS_ENOUGH = 1_000

/** A difference of the pods before the rollout that chance makes more seldom than this may be one, */
export const DIFFERENT = 0.05
/** and than this is one. */
const SURELY_DIFFERENT = 1e-4

/** What chance makes less often than this in one direction is the less chance's, the more seldom it is. */
const BY_CHANCE = 0.02

/** Stable pods that saw so much less than the update are those of a moment: in the last batch, of the one before they confirmed. */
const A_MOMENT = 1 / 20

/** What the update is compared with. */
export interface Reference extends Sample {
  /** For messages: `stable pods` or `before the rollout`. */
  readonly name: string
  readonly own: Own | null
  /** It is enough to see that something is much worse, and not that nothing is. */
  readonly isThin: boolean
}

/** What is known of the same pods without the update. */
export interface Own {
  /** As before the rollout, moved as the stable pods moved since. */
  readonly expected: Sample
  /** By how much their share was above that of the others before, if it surely was; 0 to 1. */
  readonly excess: number
}

/**
 * The stable pods in the same window if they saw enough, else the figures from before the rollout if those are enough; else
 * whatever there is most of: a few requests without an error say enough against a hundred that all fail. Null: hardly any.
 * @param before the last minute on all pods
 * @param past the last quarter of an hour on the update's pods
 * @param sameTime GateInput.sameTime: a few stable requests come before all else where they speak for something that hits all pods
 */
export function reference(
  update: Sample,
  stable: Sample,
  before: Sample | null,
  enough: number,
  own: Own | null,
  past: Sample | null = null,
  sameTime = false,
): Reference | null {
  const called = (name: string, sample: Sample | null): readonly Reference[] =>
    sample === null ? [] : [{ ...sample, name, own, isThin: sample.total < enough }]
  const [minute] = called('before the rollout', before)
  const isEnough = minute !== undefined && minute.total >= enough
  const known = isEnough || past === null ? minute : past
  const outage = sameTime && stable.total >= FEWEST && known !== undefined && chanceOfRise(stable, known) <= DIFFERENT
  if (stable.total >= enough || outage) {
    const isMoment = stable.total < update.total * A_MOMENT && isEnough && minute.total > stable.total
    return isMoment ? minute : { ...stable, name: 'stable pods', own, isThin: stable.total < enough }
  }
  if (isEnough) return minute
  const most = [...called('before the rollout', past), ...called('before the rollout', before)]
    .concat(called('stable pods', stable))
    .sort((a, b) => b.total - a.total)[0]
  return most !== undefined && most.total >= FEWEST ? most : null
}

/** The `own` of a reference, for a share of the gates' figures. */
export function ownOf({ update, stable, past }: GateInput, of: (figures: Aggregate) => Sample): Own | null {
  return past === null ? null : ownPast(of(update), of(stable), of(past.update), of(past.stable), past.busier)
}

/**
 * Difference in differences. A pod with one broken keep-alive client, on a bad node, in another zone was worse before the
 * update, and tells nothing of it.
 * @param busier a stuck client goes on at its pace when the others sleep: of fewer requests its errors are a larger share
 */
export function ownPast(
  update: Sample,
  stable: Sample,
  updateBefore: Sample,
  stableBefore: Sample,
  busier = 1,
): Own | null {
  if (updateBefore.total <= 0) return null
  const chance = chanceOfRise(updateBefore, stableBefore)
  // A short past cannot bear witness, unless what it shows is plainly a difference of the pods.
  const long = updateBefore.total >= Math.min(update.total, SAYS_ENOUGH)
  if (!long && chance > DIFFERENT) return null
  const comparable = stable.total >= update.total * A_MOMENT && stableBefore.total > 0
  const moved = comparable ? shareOf(stable) - shareOf(stableBefore) : 0
  const differs = chance <= SURELY_DIFFERENT
  const own = differs ? updateBefore : drawnTo(stableBefore, updateBefore, Math.min(chance, 1 - chance) / BY_CHANCE)
  // Three shares were measured, and the doubts of all of them add up.
  const total = comparable ? 1 / (1 / own.total + 1 / stable.total + 1 / stableBefore.total) : own.total
  const excess = differs ? (shareOf(updateBefore) - shareOf(stableBefore)) * busier : 0
  const alike = differs ? shareOf(stableBefore) : shareOf(own)
  // Without others in the window nobody can tell a rise of the share from a fall of the traffic: as many errors a second are none.
  const share = comparable ? alike + excess + moved : shareOf(own) * busier
  const expected = { count: Math.min(1, Math.max(0, share)) * total, total }
  return { expected, excess }
}

/**
 * What is to be expected of pods whose past may be their own or chance's: beside their own requests as many of the others
 * count, the fewer the less chance explains the difference. Their own alone would be held for a trait for ever, however much
 * the update shows, and a past that chance made half a point worse would hide an update that is half a point worse.
 * @param weight of as many requests of the others; from 1 on all of them count
 */
function drawnTo(others: Sample, own: Sample, weight: number): Sample {
  const total = Math.min(own.total, others.total) * Math.min(1, weight)
  return { count: own.count + shareOf(others) * total, total: own.total + total }
}

/**
 * `above` or not `within` the limit; `unsure`: above by the plain figures, but chance may have done it.
 * `early`: evidence suffices to fail before the bake time is over.
 */
export type Comparison = 'within' | 'unsure' | 'above'

/** Percentage points by which the update's share is above the reference's. */
export function rise(update: Sample, against: Sample): number {
  return (shareOf(update) - shareOf(against)) * 100
}

export interface Evidence {
  /** Events on the update below which only the certain counts. */
  readonly enough: number
  /** The look is one of the few at which the likely counts. */
  readonly decisive: boolean
  readonly chances: Chances
  /** See `Dispersion`. */
  readonly dispersion: number
}

/** What the input says of the evidence for a share; `total`: events on the update. */
export function evidenceOf(
  input: GateInput,
  name: string,
  share: Share | 'slow',
  total: number,
  enough: number,
): Evidence {
  const look = input.looks[name] ?? { taken: 0, total: 0 }
  return {
    enough,
    decisive: input.baked && total >= enough && total >= look.total * 2,
    chances: { certain: input.chances.certain, likely: input.chances.likely / 2 ** look.taken },
    dispersion: input.past?.dispersion[share] ?? 1,
  }
}

/** Compares with a reference; the limit in percentage points, which themselves are allowed. */
export function compareRise(update: Sample, against: Reference, limit: number, evidence: Evidence): Comparison {
  const { chances, decisive } = evidence
  if (mayBeCertain(update, evidence) && isWorse(update, against, chances.certain, evidence, limit)) return 'above'
  if (!exceeds(rise(update, against) - excessOf(against), limit)) return 'within'
  return decisive && isWorse(update, against, chances.likely, evidence) ? 'above' : 'unsure'
}

/**
 * Compares with a fixed limit in percent, which itself is allowed. Like every limit it is exceeded only where chance would not
 * do that: two errors among a hundred requests are no 2 %.
 *
 * `shared`: above, and so may the reference be. What the update did not cause is no evidence against it, and a rollback to
 * what is as bad would help nobody.
 * @param against null: there is nothing to compare with, the limit stands alone
 */
export function compareShare(
  update: Sample,
  against: Reference | null,
  limit: number,
  evidence: Evidence,
): Comparison | 'shared' {
  if (update.total === 0 || !exceeds(shareOf(update) * 100 - excessOf(against), limit)) return 'within'
  const { chances, decisive, enough, dispersion } = evidence
  const isAbove = (chance: number): boolean => chanceAbove(thinned(update, dispersion), limit / 100) <= chance
  const worse = (chance: number): boolean => against === null || isWorse(update, against, chance, evidence)
  const beyondHope = update.count > (limit / 100) * Math.max(update.total, enough)
  const certain = mayBeCertain(update, evidence) && beyondHope && isAbove(chances.certain)
  if (certain && worse(chances.certain)) return 'above'
  const ripe = decisive && isAbove(chances.likely)
  if (ripe && worse(chances.likely)) return 'above'
  return certain || ripe ? 'shared' : 'unsure'
}

/** Worse than the reference by more than the limit, in points, and than the same pods were. */
function isWorse(update: Sample, against: Reference, chance: number, { dispersion }: Evidence, limit = 0): boolean {
  const rose = (over: Sample): boolean => chanceOfRise(thinned(update, dispersion), thinned(over, dispersion)) <= chance
  const allowed = { count: against.count + (limit / 100) * against.total, total: against.total }
  return rose(allowed) && (against.own === null || rose(against.own.expected))
}

/** Percentage points that the same pods had before, and that nobody can hold against the update. */
function excessOf(against: Reference | null): number {
  return (against?.own?.excess ?? 0) * 100
}

function mayBeCertain(update: Sample, { enough }: Evidence): boolean {
  return update.total >= Math.min(enough, FEWEST)
}

/** Above by more than rounding: 0.5 of 100 is not above 0.5 %. */
function exceeds(value: number, limit: number): boolean {
  return value - limit > 1e-9
}
