/** Answers without a 5xx status: absolute, and against the pods still on stable. */
import { SHARES, percent } from '../figures.ts'
import type { Sample } from '../statistics.ts'
import type { Verdict } from '../types.ts'
import { FAILS_EVERYWHERE, NOT_SIGNIFICANT, inPercent, verdict } from './gate.ts'
import type { Gate, GateInput } from './gate.ts'
import { compareRise, compareShare, evidenceOf, ownOf, reference, rise } from './rise.ts'
import type { Reference } from './rise.ts'

const NAME = 'successRate'

export const successRate: Gate = input => {
  const thresholds = input.gates.successRate
  if (thresholds === null) return null
  const { min, maxDrop } = thresholds
  if (input.closed !== null && input.update.closed === null) {
    const message = `a proxy of an older version on ${input.pods} does not tell answers of closed paths from failures`
    return verdict(NAME, 'inconclusive', 'ClosedNotCounted', message, {})
  }
  const update = SHARES.failures(input.update)
  const against = referenceOf(input)
  const evidence = evidenceOf(input, NAME, 'failures', update.total, input.minRequests)
  const figures = figuresOf(update, against)
  const rate = inPercent(successPercent(update))
  const seen = `success rate ${rate} of ${update.total} requests on ${input.pods}`
  const compared =
    against === null ? '' : ` (${against.name}: ${inPercent(successPercent(against))} of ${against.total})`
  const say = (result: Verdict['verdict'], reason: string, message: string): Verdict =>
    verdict(NAME, result, reason, message, figures)

  const absolute = min === null || input.late ? 'within' : compareShare(update, against, 100 - min, evidence)
  if (absolute === 'above') {
    return say('fail', 'BelowMinimum', `${seen} is below the minimum ${min ?? 0} %${compared}`)
  }
  const relative = maxDrop === null || against === null ? 'within' : compareRise(update, against, maxDrop, evidence)
  if (relative === 'above' && against !== null) {
    const drop = rise(update, against).toFixed(2)
    return say(
      'fail',
      'Dropped',
      `${seen} is ${drop} points below the ${wordsOf(against)}, ${maxDrop ?? 0} are allowed`,
    )
  }
  if (absolute === 'shared') {
    const message = `${seen} is below the minimum ${min ?? 0} %, and not by the update alone${compared}`
    return say('inconclusive', FAILS_EVERYWHERE, message)
  }
  if (update.total < input.minRequests) {
    return say(
      'inconclusive',
      'TooFewRequests',
      `${update.total} of ${input.minRequests} requests seen on ${input.pods}`,
    )
  }
  if (absolute === 'unsure' || relative === 'unsure') {
    return say('inconclusive', NOT_SIGNIFICANT, `${seen} is too low, but chance may have done that${compared}`)
  }
  if (min === null && (against === null || against.isThin)) {
    return say(
      'inconclusive',
      'NoReference',
      `${seen}; ${against === null ? 'nothing' : 'too little'} to compare it with: too few requests on the stable revision`,
    )
  }
  return say('pass', 'WithinLimits', `${seen}${compared}`)
}

function wordsOf(against: Reference): string {
  const rate = `${inPercent(successPercent(against))} of ${against.total}`
  return against.name === 'stable pods' ? `stable pods (${rate})` : `rate from before the rollout (${rate})`
}

function successPercent(sample: Sample): number {
  return sample.total === 0 ? 100 : 100 - percent(sample.count, sample.total)
}

function referenceOf(input: GateInput): Reference | null {
  const { stable, baseline, minRequests } = input
  const before =
    baseline === null
      ? null
      : { count: ((100 - baseline.successRate) / 100) * baseline.requests, total: baseline.requests }
  return reference(
    SHARES.failures(input.update),
    SHARES.failures(stable),
    before,
    minRequests,
    ownOf(input, SHARES.failures),
    input.past === null ? null : SHARES.failures(input.past.update),
    input.sameTime,
  )
}

function figuresOf(update: Sample, against: Reference | null): Record<string, number> {
  return {
    requests: update.total,
    failures: update.count,
    successRate: round(successPercent(update)),
    ...(against === null
      ? {}
      : { referenceRequests: against.total, referenceSuccessRate: round(successPercent(against)) }),
  }
}

/** Four digits: status is written again only for what people can see. */
export function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
