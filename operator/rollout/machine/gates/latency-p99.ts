/** The 99th percentile of the latency against that of the stable pods, from histograms. */
import { failures, percentile, slowerThan, totalOf, withoutHistogram } from '../figures.ts'
import type { Histogram } from '../figures.ts'
import { chanceAbove, chanceOfRise, thinned } from '../statistics.ts'
import type { Sample } from '../statistics.ts'
import type { Verdict } from '../types.ts'
import { FAILS_EVERYWHERE, NOT_SIGNIFICANT, verdict } from './gate.ts'
import type { Gate, GateInput } from './gate.ts'
import { FEWEST, evidenceOf, ownPast } from './rise.ts'
import { round } from './success-rate.ts'

const NAME = 'latencyP99'
const TAIL = 0.01
/** Slower by less than that is no harm, however fast the reference is: half as slow again as 2 ms is the noise of a scheduler. */
const LEAST_MS = 5

interface SlowReference {
  readonly name: string
  /** Of the same moment: what slows everything slows it, too. */
  readonly isConcurrent: boolean
  readonly p99: number
  /** Slower than that is more than what all pods were a moment ago; as a percentile, in milliseconds. */
  readonly worst: number
  /** Its requests above a limit. */
  readonly slow: (limitMs: number) => Sample
  /** So many times as slow as before are all other hosts on the pods; 1: no more than that, or it is of the same moment. */
  readonly everywhere: number
}

export const latencyP99: Gate = input => {
  const threshold = input.gates.latencyP99
  if (threshold === null) return null
  const { update, minRequests } = input
  const p99 = percentile(update.latency, 0.99)
  const against = referenceOf(input)
  const figures = { requests: update.requests, ...(p99 === null ? {} : { p99Ms: round(p99) }) }
  const say = (result: Verdict['verdict'], reason: string, message: string): Verdict =>
    verdict(NAME, result, reason, message, figures)
  const tooFew = `${update.requests} of ${minRequests} requests seen on ${input.pods}`
  if (p99 === null) return say('inconclusive', 'TooFewRequests', tooFew)
  const seen = `p99 ${inMs(p99)} of ${update.requests} requests on ${input.pods}`
  if (against === null) {
    if (update.requests < minRequests) return say('inconclusive', 'TooFewRequests', tooFew)
    const message = `${seen}; nothing to compare it with: too few requests that the stable revision served`
    return say('inconclusive', 'NoReference', message)
  }
  return compared(input, against, { maxRise: threshold.maxRise, p99, seen, tooFew, figures })
}

interface Seen {
  /** Percent. */
  readonly maxRise: number
  readonly p99: number
  /** For messages. */
  readonly seen: string
  readonly tooFew: string
  readonly figures: Verdict['figures']
}

function compared(input: GateInput, against: SlowReference, { maxRise, p99, seen, tooFew, figures }: Seen): Verdict {
  const { update, minRequests } = input
  const limitOver = (p99_: number): number => Math.max(p99_ * (1 + maxRise / 100), p99_ + LEAST_MS)
  const limit = limitOver(against.p99)
  const failing = limitOver(against.worst)
  const atWorst = against.worst === against.p99 ? '' : `, ${inMs(against.worst)} at its slowest`
  const compared = `${against.name}: ${inMs(against.p99)}${atWorst}`
  const say = (result: Verdict['verdict'], reason: string, message: string): Verdict =>
    verdict(NAME, result, reason, message, {
      ...figures,
      ...{ referenceP99Ms: round(against.p99), limitMs: round(failing) },
    })
  const calm = withoutItsSlowestMoment(update.latency, input.updateReports, failing)
  const calmP99 = percentile(calm, 0.99)
  const rise = riseOver(input, against, calm)
  const isSlow = (over: number): boolean =>
    rise.isCertain(over) || (calmP99 !== null && calmP99 > over && rise.isLikely(over))
  if (isSlow(failing)) {
    const { everywhere } = against
    if (everywhere > 1 && !isSlow(failing * everywhere)) {
      const message = `${seen} is too slow, and not by the update alone (${compared}; all other hosts on these pods: ${everywhere.toFixed(1)} times as slow as before)`
      return say('inconclusive', FAILS_EVERYWHERE, message)
    }
    const message = `${seen} is above ${inMs(failing)}, which is ${maxRise} % more than the reference (${compared})`
    return say('fail', 'Slower', message)
  }
  if (update.requests < minRequests) return say('inconclusive', 'TooFewRequests', tooFew)
  if (calmP99 === null) return say('inconclusive', 'TooFewRequests', `${seen}, all of one moment`)
  if (calmP99 > limit) {
    return say('inconclusive', NOT_SIGNIFICANT, `${seen} is too slow, but chance may have done that (${compared})`)
  }
  const but = p99 > limit ? `, ${inMs(calmP99)} but for one moment of one pod` : ''
  return say('pass', 'WithinLimits', `${seen}${but} (${compared})`)
}

/** Is the percentile above a limit, and by more than chance? It is exactly if more than 1 % of the requests are: a share, and compared as such. */
function riseOver(
  input: GateInput,
  against: SlowReference,
  calm: Histogram,
): { readonly isCertain: (over: number) => boolean; readonly isLikely: (over: number) => boolean } {
  const { update, stable, past, minRequests } = input
  const evidence = evidenceOf(input, NAME, 'slow', update.requests, minRequests)
  const total = totalOf(calm)
  const isSlower = (over: number, chance: number): boolean => {
    const slow = (latency: Histogram): Sample => ({ count: slowerThan(latency, over), total: totalOf(latency) })
    const own =
      past === null
        ? null
        : ownPast(slow(calm), slow(stable.latency), slow(past.update.latency), slow(past.stable.latency), past.busier)
    const share = thinned(slow(calm), evidence.dispersion)
    const rose = (than: Sample): boolean => chanceOfRise(share, thinned(than, evidence.dispersion)) <= chance
    return rose(against.slow(over)) && (own === null || rose(own.expected))
  }
  const { certain, likely } = evidence.chances
  return {
    // A moment in which everything stands still looks like the update's doing where there are no others: not before the bake is over.
    isCertain: over =>
      against.isConcurrent &&
      total >= Math.min(minRequests, FEWEST) &&
      chanceAbove(thinned({ count: slowerThan(calm, over), total }, evidence.dispersion), TAIL) <= certain &&
      isSlower(over, certain),
    isLikely: over => evidence.decisive && isSlower(over, likely),
  }
}

/**
 * A pod that stood still for a moment (a garbage collection, a neighbour on its node) tells nothing of the update, which is slow in
 * every moment: what counts has to hold without the worst of them. Two reports in a row, as a moment may lie between two.
 */
function withoutItsSlowestMoment(latency: Histogram, reports: GateInput['updateReports'], limitMs: number): Histogram {
  let [worst, most] = [NO_MOMENT, 0]
  for (const ofPod of reports) {
    for (const [i, report] of ofPod.entries()) {
      const moment = [report, ...ofPod.slice(i + 1, i + 2)]
      const slow = moment.reduce((sum, one) => sum + slowerThan(one, limitMs), 0)
      if (slow > most) [worst, most] = [moment, slow]
    }
  }
  return worst.reduce(withoutHistogram, latency)
}

const NO_MOMENT: readonly Histogram[] = []

/**
 * A reference that answered mostly 404 or 5xx is none: it did not do the work. A new host has its 404 from the stable
 * pods in no time, and a repaired backend is slower than one that refuses.
 */
function referenceOf(input: GateInput): SlowReference | null {
  const { stable, baseline, past, minRequests } = input
  const p99 = percentile(stable.latency, 0.99)
  const worked = stable.requests - stable.notFound - failures(stable)
  if (p99 !== null && stable.requests >= minRequests) {
    const slow = (limit: number): Sample => ({ count: slowerThan(stable.latency, limit), total: stable.requests })
    if (worked * 2 < stable.requests) return null
    return { name: 'stable pods', isConcurrent: true, p99, worst: p99, slow, everywhere: 1 }
  }
  if (baseline?.latencyP99Ms == null || baseline.requests < minRequests) return null
  // Of its requests no more is known than that one of a hundred was above the percentile.
  const slow = (): Sample => ({ count: TAIL * baseline.requests, total: baseline.requests })
  if (baseline.successRate - baseline.notFoundRate < 50) return null
  // Nobody is there who would be slow for the same reason: what all pods were for a while before, they may be again.
  const worst = Math.max(baseline.latencyP99Ms, past?.slowestMs ?? 0)
  const everywhere = slowerEverywhere(input)
  return { name: 'before the rollout', isConcurrent: false, p99: baseline.latencyP99Ms, worst, slow, everywhere }
}

function slowerEverywhere({ others, past, minRequests }: GateInput): number {
  if (past === null || Math.min(others.requests, past.others.requests) < minRequests) return 1
  const [now, before] = [percentile(others.latency, 0.99), percentile(past.others.latency, 0.99)]
  return now === null || before === null || before <= 0 ? 1 : Math.max(1, now / before)
}

function inMs(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}
