/** The gates in order, and what their verdicts mean together. */
import type { Verdict, WindowFigures } from '../types.ts'
import { ALARMING, NOT_COMPARED, NOT_SIGNIFICANT, verdict } from './gate.ts'
import type { Gate, GateInput } from './gate.ts'
import { closedPaths } from './closed.ts'
import { clientErrorRate, connectFailureRate, redirectRate } from './answer-classes.ts'
import { failures } from '../figures.ts'
import type { EventClass } from '../figures.ts'
import { latencyP99 } from './latency-p99.ts'
import { NOT_FOUND_RATE, notFoundRate } from './not-found-rate.ts'
import { FAILING, NOT_PROBED, PROBES_NAME, probes } from './probes.ts'
import { successRate } from './success-rate.ts'
import { TLS_FAILURE_RATE, tlsFailureRate } from './tls-failure-rate.ts'

const GATES: readonly Gate[] = [
  closedPaths,
  successRate,
  notFoundRate,
  clientErrorRate,
  redirectRate,
  connectFailureRate,
  latencyP99,
  tlsFailureRate,
  probes,
]

/** The verdicts of all gates that the policy asks for, in order; of a closed revision first that it is closed. */
export function evaluate(input: GateInput): readonly Verdict[] {
  return GATES.map(gate => gate(input)).filter(one => one !== null)
}

/** What counts against an update, where it is not 5xx. */
const EVENTS: ReadonlyMap<string, EventClass> = new Map([
  ...[NOT_FOUND_RATE, 'clientErrorRate'].map(name => [name, 3] as const),
  ['redirectRate', 2],
])

/**
 * The same; and what fails has to fail as well on what was counted in the same time.
 * @param sideBySide of the same window. Only asked where something fails
 */
export function evaluateFairly(input: GateInput, sideBySide: WindowFigures['sideBySide']): readonly Verdict[] {
  const all = evaluate(input)
  if (sideBySide === undefined || all.every(one => one.verdict !== 'fail')) return all
  const fails = (name: string): boolean => {
    const fair = { ...input, ...sideBySide(EVENTS.get(name) ?? 4), sameTime: true }
    return evaluate(fair).some(one => one.name === name && one.verdict === 'fail')
  }
  return all.map(one => {
    if (one.verdict !== 'fail' || fails(one.name)) return one
    const message = `${one.message}; what the pods on the stable revision counted in the same time does not tell yet`
    return verdict(one.name, 'inconclusive', NOT_COMPARED, message, one.figures)
  })
}

/**
 * The gate whose evidence a batch cannot do without; of the others only what looks bad keeps it waiting. For an Ingress the
 * success rate, for a Secret the TLS failures, for a deletion the 404; where the policy has no such gate, the next one.
 */
export function required(kind: GateInput['kind'], deletion: boolean): readonly string[] {
  const others = ['latencyP99', 'clientErrorRate', 'redirectRate', 'connectFailureRate']
  if (kind === 'Secret') return ['tlsFailureRate', 'successRate', 'notFoundRate', ...others]
  return deletion
    ? ['notFoundRate', 'successRate', 'tlsFailureRate', ...others]
    : ['successRate', 'notFoundRate', 'tlsFailureRate', ...others]
}

export type Outcome =
  /** `excused`: what is missing, and what probes stand in for; absent: nothing is. */
  | { readonly verdict: 'pass'; readonly excused?: Verdict }
  | { readonly verdict: 'fail'; readonly because: Verdict }
  | { readonly verdict: 'inconclusive'; readonly because: Verdict }

const DOUBTS: ReadonlySet<string> = new Set([NOT_SIGNIFICANT, ALARMING, FAILING, NOT_COMPARED])

/** More requests would tell, of the update or of what it is compared with. */
const MISSING: ReadonlySet<string> = new Set([
  ...['TooFewRequests', 'TooFewHandshakes', 'NoReference', NOT_SIGNIFICANT, NOT_PROBED],
])

/** What requests of probes can stand in for. */
const PROBED_INSTEAD: ReadonlySet<string> = new Set(['TooFewRequests', 'NoReference'])

/** Nothing but traffic is missing: what a policy may excuse at the deadline. */
export function onlyTrafficIsMissing(verdicts: readonly Verdict[]): boolean {
  return verdicts.every(({ verdict, reason }) => verdict === 'pass' || MISSING.has(reason))
}

/** The first failure; else what is missing for a pass. When it may pass is not asked here. */
export function outcome(input: GateInput, verdicts: readonly Verdict[]): Outcome {
  // Who hardly asks for what is being deleted gets a 404: that is what a deletion does.
  const isMissedByFew = input.mayMiss !== null && input.update.notFound <= input.mayMiss
  const told = isMissedByFew ? verdicts.filter(one => one.name !== NOT_FOUND_RATE) : verdicts
  const failed = told.find(one => one.verdict === 'fail')
  if (failed !== undefined) return { verdict: 'fail', because: failed }
  // Too high, but chance may have done that: more requests will tell, and a lost path with few of them is not let by.
  const doubtful = told.find(one => one.verdict === 'inconclusive' && DOUBTS.has(one.reason))
  if (doubtful !== undefined) return { verdict: 'inconclusive', because: doubtful }
  // Closed: whatever is missing will not come, and others who fail on the same host are no reason to stay open.
  if (input.closed !== null || isMissedByFew) return { verdict: 'pass' }
  const decisive = required(input.kind, input.deletion)
    .map(name => verdicts.find(one => one.name === name))
    .find(one => one !== undefined)
  if (decisive === undefined || decisive.verdict === 'pass') return { verdict: 'pass' }
  if (isProbedInstead(input, verdicts, decisive)) return { verdict: 'pass', excused: decisive }
  const probed = verdicts.find(one => one.name === PROBES_NAME)
  const isWorse = probed?.verdict === 'inconclusive' && probed.reason !== NOT_PROBED
  return { verdict: 'inconclusive', because: isWorse && PROBED_INSTEAD.has(decisive.reason) ? probed : decisive }
}

/** Too few clients came, every pod with the update passes every probe, and none of the few got a failure. */
function isProbedInstead({ update }: GateInput, verdicts: readonly Verdict[], { name, reason }: Verdict): boolean {
  const passes = verdicts.some(one => one.name === PROBES_NAME && one.verdict === 'pass')
  // There is no handshake in a probe.
  return passes && name !== TLS_FAILURE_RATE && PROBED_INSTEAD.has(reason) && failures(update) === 0
}
