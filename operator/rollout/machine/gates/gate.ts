/** What every gate is: a pure function from figures to a verdict. */
import type { ObjectKind } from '../../../../protocol/objects.ts'
import type { Aggregate, Baseline } from '../figures.ts'
import type { GateSettings, Verdict } from '../types.ts'

export interface GateInput {
  readonly kind: ObjectKind
  readonly gates: GateSettings
  readonly minRequests: number
  readonly update: Aggregate
  readonly stable: Aggregate
  readonly baseline: Baseline | null
  /** The pods that serve the update, for messages: `pod 0`, `pods 0-3`. */
  readonly pods: string
  /** The bake time is over: a plain comparison decides. Before, only what is certain fails. */
  readonly baked: boolean
}

/** Null: the policy does not ask for this gate. */
export type Gate = (input: GateInput) => Verdict | null
