/** The verdict on what the batch has shown so far. */
import { acknowledgement, owed, readyBelow } from './gates/acknowledgement.ts'
import { evaluate, outcome } from './gates/chain.ts'
import type { Outcome } from './gates/chain.ts'
import { podsInWords } from './gates/gate.ts'
import type { GateInput } from './gates/gate.ts'
import { NO_GATES } from '../../model/settings.ts'
import type { GateSettings, Observation, Settings, State, Verdict, WindowFigures } from './types.ts'

export interface Judgement {
  /** With owing and verdicts brought up to date. */
  readonly state: State
  /** Whether every ready pod of the batch confirmed. */
  readonly acknowledged: Verdict
  readonly outcome: Outcome
}

export function judge(state: State, observation: Observation, settings: Settings): Judgement {
  const { pods, revision, now } = observation
  const owing = state.index === 0 ? {} : owed(pods, state.index, revision, state.owing, now)
  const ack = { pods, index: state.index, owing, deadlineMs: settings.ackDeadlineMs, now }
  const acknowledged = acknowledgement(ack)
  const baked = state.step.name === 'baking' && now - state.step.since >= settings.bakeMs
  const whole = gateInput(state, observation, settings, observation.figures, baked)
  const all = evaluate(whole)
  // A fault that comes late must not drown in the good figures before it. Looked at all the time: only the certain counts.
  const late = observation.recent === null ? null : gateInput(state, observation, settings, observation.recent, false)
  const lateFailures = late === null ? [] : evaluate(late).filter(one => one.verdict === 'fail')
  const verdicts = all.map(one =>
    one.verdict === 'fail' ? one : (lateFailures.find(other => other.name === one.name) ?? one),
  )
  const judged: State = { ...state, owing, verdicts: [acknowledged, ...verdicts] }
  const result: Outcome =
    acknowledged.verdict === 'fail'
      ? { verdict: 'fail', because: acknowledged }
      : orderOf(outcome(whole, verdicts), acknowledged)
  return { state: judged, acknowledged, outcome: result }
}

/** A batch without confirmations cannot pass, whatever its figures say. */
function orderOf(gates: Outcome, acknowledged: Verdict): Outcome {
  if (gates.verdict === 'fail' || acknowledged.verdict === 'pass') return gates
  return { verdict: 'inconclusive', because: acknowledged }
}

/** Where a policy has no gate for what moved, the others are better than none. */
function gatesFor(gates: GateSettings, { moves }: Observation): GateSettings {
  if (!moves.handshakes) return { ...gates, tlsFailureRate: null }
  return moves.requests || gates.tlsFailureRate === null ? gates : { ...NO_GATES, tlsFailureRate: gates.tlsFailureRate }
}

function gateInput(
  state: State,
  observation: Observation,
  settings: Settings,
  figures: WindowFigures,
  baked: boolean,
): GateInput {
  const { kind, deletion, pods } = observation
  return {
    kind,
    deletion,
    gates: gatesFor(settings.gates, observation),
    minRequests: settings.minRequests,
    update: figures.update,
    stable: figures.stable,
    baseline: state.baseline,
    pods: podsInWords(readyBelow(pods, state.index).map(pod => pod.ordinal)),
    baked,
  }
}
