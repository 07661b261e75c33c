/** The 99th percentile of the latency against that of the stable pods, from histograms. */
import { failures, percentile, slowerThan } from '../figures.ts'
import type { Aggregate } from '../figures.ts'
import { chanceAbove, chanceOfRise, shareOf, thinned } from '../statistics.ts'
import type { Sample } from '../statistics.ts'
import { NOT_SIGNIFICANT, verdict } from './gate.ts'
import type { Gate, GateInput } from './gate.ts'
import { DIFFERENT, FEWEST, evidenceOf, ownPast } from './rise.ts'
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
}

export const latencyP99: Gate = input => {
  const threshold = input.gates.latencyP99
  if (threshold === null) return null
  const { update, minRequests } = input
  const p99 = percentile(update.latency, 0.99)
  const against = referenceOf(input)
  const figures = { requests: update.requests, ...(p99 === null ? {} : { p99Ms: round(p99) }) }
  const tooFew = verdict(
    NAME,
    'inconclusive',
    'TooFewRequests',
    `${update.requests} of ${minRequests} requests seen on ${input.pods}`,
    figures,
  )
  if (p99 === null) return tooFew
  const seen = `p99 ${inMs(p99)} of ${update.requests} requests on ${input.pods}`
  if (against === null) {
    if (update.requests < minRequests) return tooFew
    const message = `${seen}; nothing to compare it with: too few requests that the stable revision served`
    return verdict(NAME, 'inconclusive', 'NoReference', message, figures)
  }
  const limitOver = (p99_: number): number => Math.max(p99_ * (1 + threshold.maxRise / 100), p99_ + LEAST_MS)
  const limit = limitOver(against.p99)
  const failing = limitOver(against.worst)
  const all = { ...figures, referenceP99Ms: round(against.p99), limitMs: round(failing) }
  const atWorst = against.worst === against.p99 ? '' : `, ${inMs(against.worst)} at its slowest`
  const compared = `${against.name}: ${inMs(against.p99)}${atWorst}`
  // The percentile is above the limit exactly if more than 1 % of the requests are: a share, and compared as such.
  const slow = ({ latency, requests }: Aggregate): Sample => ({ count: slowerThan(latency, failing), total: requests })
  const own =
    input.past === null
      ? null
      : ownPast(slow(update), slow(input.stable), slow(input.past.update), slow(input.past.stable), input.past.busier)
  const evidence = evidenceOf(input, NAME, 'slow', update.requests, minRequests)
  // A moment in which everything stands still is one event; with nobody beside the update, only its own seconds tell that it was a moment.
  const isAlone = !against.isConcurrent && p99 > failing
  const bunches = isAlone ? (input.bunched?.(failing) ?? 1) : 1
  const dispersion = Math.max(evidence.dispersion, bunches)
  const isSlower = (of: Sample, chance: number): boolean => {
    const share = thinned(of, dispersion)
    const rose = (over: Sample): boolean => chanceOfRise(share, thinned(over, dispersion)) <= chance
    return rose(against.slow(failing)) && (own === null || rose(own.expected))
  }
  const { certain, likely } = evidence.chances
  const fails = (of: Sample): boolean => {
    // A moment in which everything stands still looks like the update's doing where there are no others: not before the bake is over.
    const isCertain =
      against.isConcurrent &&
      of.total >= Math.min(minRequests, FEWEST) &&
      chanceAbove(thinned(of, dispersion), TAIL) <= certain &&
      isSlower(of, certain)
    return isCertain || (evidence.decisive && shareOf(of) > TAIL && isSlower(of, likely))
  }
  // Beside others a moment may be one of some pods alone: one that restarts, a node that is busy. What is slow is so at other times, too.
  if (fails(slow(update)) && (!against.isConcurrent || input.calm === undefined || fails(input.calm(failing)))) {
    const message = `${seen} is above ${inMs(failing)}, which is ${threshold.maxRise} % more than the reference (${compared})`
    return verdict(NAME, 'fail', 'Slower', message, all)
  }
  if (update.requests < minRequests) return { ...tooFew, figures: all }
  if (p99 > limit) {
    const message = `${seen} is too slow, but chance may have done that (${compared})`
    return verdict(NAME, 'inconclusive', NOT_SIGNIFICANT, message, all)
  }
  return verdict(NAME, 'pass', 'WithinLimits', `${seen} (${compared})`, all)
}

/**
 * A reference that answered mostly 404 or 5xx is none: it did not do the work. A new host has its 404 from the stable
 * pods in no time, and a repaired backend is slower than one that refuses.
 */
function referenceOf({ stable, baseline, past, minRequests, sameTime }: GateInput): SlowReference | null {
  const p99 = percentile(stable.latency, 0.99)
  const worked = stable.requests - stable.notFound - failures(stable)
  const suffices = sameTime && isSlowerThan(stable, baseline) ? Math.min(minRequests, FEWEST) : minRequests
  if (p99 !== null && stable.requests >= suffices) {
    const slow = (limit: number): Sample => ({ count: slowerThan(stable.latency, limit), total: stable.requests })
    return worked * 2 >= stable.requests ? { name: 'stable pods', isConcurrent: true, p99, worst: p99, slow } : null
  }
  if (baseline?.latencyP99Ms == null || baseline.requests < minRequests) return null
  // Of its requests no more is known than that one of a hundred was above the percentile.
  const slow = (): Sample => ({ count: TAIL * baseline.requests, total: baseline.requests })
  if (baseline.successRate - baseline.notFoundRate < 50) return null
  // Nobody is there who would be slow for the same reason: what all pods were for a while before, they may be again.
  const worst = Math.max(baseline.latencyP99Ms, past?.slowestMs ?? 0)
  return { name: 'before the rollout', isConcurrent: false, p99: baseline.latencyP99Ms, worst, slow }
}

/** Surely more than one of a hundred are slower than that was before: a few requests speak for something that slows all pods. */
function isSlowerThan({ latency, requests }: Aggregate, before: GateInput['baseline']): boolean {
  if (before === null || before.latencyP99Ms === null) return false
  const known = { count: TAIL * before.requests, total: before.requests }
  return chanceOfRise({ count: slowerThan(latency, before.latencyP99Ms), total: requests }, known) <= DIFFERENT
}

function inMs(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}
