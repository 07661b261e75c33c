/** What every gate is: a pure function from figures to a verdict. */
import type { ObjectKind } from '../../../../protocol/objects.ts'
import type { Aggregate, Baseline, Dispersion } from '../figures.ts'
import type { Chances } from '../statistics.ts'
import type { GateSettings, Look, ProbeSeen, Verdict, WindowFigures } from '../types.ts'

/** Before the rollout: the pods that serve the update now, and those that do not. */
export interface Past {
  readonly update: Aggregate
  readonly stable: Aggregate
  readonly dispersion: Dispersion
  /** Before.slowestMs */
  readonly slowestMs: number | null
  /** So many times the requests per second that the update's pods have now they had then; at least 1. */
  readonly busier: number
}

export interface GateInput {
  readonly kind: ObjectKind
  readonly deletion: boolean
  /** 404 that the few who still ask for what leaves may get; null: nobody may. */
  readonly mayMiss: number | null
  /** Observation.closed: there are no requests to wait for. */
  readonly closed: string | null
  readonly gates: GateSettings
  readonly minRequests: number
  readonly update: Aggregate
  readonly stable: Aggregate
  /** Both were counted in the very same time: of an outage stable pods know before there is much that they counted, and nobody else does. */
  readonly sameTime: boolean
  /** See WindowFigures. */
  readonly bunched?: WindowFigures['bunched']
  readonly calm?: WindowFigures['calm']
  readonly baseline: Baseline | null
  /** Null: not known. */
  readonly past: Past | null
  /** What probes showed, and the names of the ready pods that are to serve the update; null: nothing is probed. */
  readonly probes: { readonly seen: readonly ProbeSeen[]; readonly ready: readonly string[] } | null
  /** The pods that serve the update, for messages: `pod 0`, `pods 0-3`. */
  readonly pods: string
  /** The bake time is over: what is likely decides, at few looks. Before, only what is certain fails. */
  readonly baked: boolean
  /** The looks that were spent on that, by gate. */
  readonly looks: Readonly<Record<string, Look>>
  readonly chances: Chances
  /** The last minute of a batch that may wait for days: absolute limits are for the bake. */
  readonly late: boolean
}

/** Reason of the verdict that figures are beyond the limit, but chance may have done that. */
export const NOT_SIGNIFICANT = 'NotSignificant'

/** Reason of the verdict that an absolute limit is exceeded, and on the stable pods, too. */
export const FAILS_EVERYWHERE = 'FailsEverywhere'

/** Reason of the verdict that figures look bad, and nothing is there to compare them with. */
export const ALARMING = 'Alarming'

/** Reason of the verdict that figures are beyond the limit, but not all stable pods have been heard of since. */
export const NOT_COMPARED = 'NotCompared'

/** Null: the policy does not ask for this gate. */
export type Gate = (input: GateInput) => Verdict | null

export function verdict(
  name: string,
  result: Verdict['verdict'],
  reason: string,
  message: string,
  figures: Readonly<Record<string, number>>,
): Verdict {
  return { name, verdict: result, reason, message, figures }
}

/** A percentage for people: `99.5 %`, with a second digit only where one digit would hide the difference. */
export function inPercent(value: number): string {
  return `${value > 0 && value < 100 && (value > 99.9 || value < 0.1) ? value.toFixed(2) : value.toFixed(1)} %`
}

/** `0, 1, 2, 4` → `pods 0-2, 4`. */
export function podsInWords(ordinals: readonly number[]): string {
  const ranges: string[] = []
  const sorted = [...ordinals].sort((a, b) => a - b)
  for (let i = 0; i < sorted.length; i++) {
    const first = sorted[i] ?? 0
    while (sorted[i + 1] === (sorted[i] ?? 0) + 1) i++
    const last = sorted[i] ?? first
    ranges.push(first === last ? `${first}` : `${first}-${last}`)
  }
  if (ranges.length === 0) return 'no pod'
  const shown = ranges.length > 8 ? [...ranges.slice(0, 8), '…'] : ranges
  return `${ordinals.length === 1 ? 'pod' : 'pods'} ${shown.join(', ')}`
}
