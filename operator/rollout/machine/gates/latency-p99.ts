/** The 99th percentile of the latency against that of the stable pods, from histograms. */
import { failures, percentile, slowerThan, totalOf, withoutHistogram } from '../figures.ts'
import type { Histogram } from '../figures.ts'
import { chanceAbove, chanceOfRise, thinned } from '../statistics.ts'
import type { Sample } from '../statistics.ts'
import type { LatencyReport, Verdict } from '../types.ts'
import { NOT_SIGNIFICANT, verdict } from './gate.ts'
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
  if (isSlower(input, against, failing, p99 > failing) && isSlowAllTheTime(input, against, failing)) {
    const message = `${seen} is above ${inMs(failing)}, which is ${maxRise} % more than the reference (${compared})`
    return say('fail', 'Slower', message)
  }
  if (update.requests < minRequests) return say('inconclusive', 'TooFewRequests', tooFew)
  if (p99 <= limit) return say('pass', 'WithinLimits', `${seen} (${compared})`)
  return say('inconclusive', NOT_SIGNIFICANT, `${seen} is too slow, but chance may have done that (${compared})`)
}

/**
 * By more than chance? The percentile is above a limit exactly if more than 1 % of the requests are: a share, and compared as such.
 * @param isAbove the percentile is above the limit
 */
function isSlower(input: GateInput, against: SlowReference, over: number, isAbove: boolean): boolean {
  const { update, stable, past, minRequests } = input
  const slow = (latency: Histogram): Sample => ({ count: slowerThan(latency, over), total: totalOf(latency) })
  const evidence = evidenceOf(input, NAME, 'slow', update.requests, minRequests)
  const own =
    past === null
      ? null
      : ownPast(
          ...([slow(update.latency), slow(stable.latency)] as const),
          ...([slow(past.update.latency), slow(past.stable.latency), past.busier] as const),
        )
  const share = thinned(slow(update.latency), evidence.dispersion)
  const rose = (chance: number): boolean =>
    [against.slow(over), ...(own === null ? [] : [own.expected])].every(
      than => chanceOfRise(share, thinned(than, evidence.dispersion)) <= chance,
    )
  const { certain, likely } = evidence.chances
  // A moment in which everything stands still looks like the update's doing where there are no others: not before the bake is over.
  const isCertain =
    against.isConcurrent && update.requests >= Math.min(minRequests, FEWEST) && chanceAbove(share, TAIL) <= certain
  return (isCertain && rose(certain)) || (evidence.decisive && isAbove && rose(likely))
}

/** A chance that is no more than that says that the rest is slow as well: a slow backend is, a pod that stood still is not. */
const AS_WELL = 0.05

function isSlowAllTheTime({ update, updateReports }: GateInput, against: SlowReference, over: number): boolean {
  const calm = withoutItsSlowestMoment(update.latency, updateReports, over)
  const share: Sample = { count: slowerThan(calm, over), total: totalOf(calm) }
  return chanceAbove(share, TAIL) <= AS_WELL && chanceOfRise(share, against.slow(over)) <= AS_WELL
}

/**
 * A pod that stood still for a moment (a garbage collection, a neighbour on its node) tells nothing of the update, which is slow in
 * every moment. Reports that say what happened in more than a moment leave nothing out.
 */
function withoutItsSlowestMoment(latency: Histogram, reports: GateInput['updateReports'], limitMs: number): Histogram {
  let [worst, most] = [NO_MOMENT, 0]
  for (const ofPod of reports) {
    const slow = ofPod.map(one => slowerThan(one.latency, limitMs))
    for (const [i, { begin }] of ofPod.entries()) {
      const moment = ofPod.slice(i, i + MOST_IN_A_MOMENT).filter(({ end }) => end - begin <= MOMENT_MS)
      const ofMoment = slow.slice(i, i + moment.length).reduce((sum, one) => sum + one, 0)
      if (ofMoment > most) [worst, most] = [moment, ofMoment]
    }
  }
  return worst.reduce((rest, one) => withoutHistogram(rest, one.latency), latency)
}

/** Two reports in a row, which come every 2 s while something is rolled out: a moment may lie between two. And some, for a late one. */
const MOMENT_MS = 5_000
/** Reports also come when something changes, as soon as 0.2 s after the last one. */
const MOST_IN_A_MOMENT = MOMENT_MS / 200
const NO_MOMENT: readonly LatencyReport[] = []

/**
 * A reference that answered mostly 404 or 5xx is none: it did not do the work. A new host has its 404 from the stable
 * pods in no time, and a repaired backend is slower than one that refuses.
 */
function referenceOf({ stable, baseline, past, minRequests }: GateInput): SlowReference | null {
  const p99 = percentile(stable.latency, 0.99)
  const worked = stable.requests - stable.notFound - failures(stable)
  if (p99 !== null && stable.requests >= minRequests) {
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

function inMs(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}
