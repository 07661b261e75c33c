/** Inputs for the tests of the gates: healthy, with every gate on, before the end of the bake. */
import { baselineOf } from '../figures.ts'
import { batchChances } from '../statistics.ts'
import type { Baseline } from '../figures.ts'
import { SETTINGS, counted } from '../testing.ts'
import type { Counted } from '../testing.ts'
import type { GateInput } from './gate.ts'

export interface Inputs extends Partial<Omit<GateInput, 'update' | 'stable' | 'baseline'>> {
  readonly update?: Counted
  readonly stable?: Counted
  readonly before?: Counted
}

export function input({ update = {}, stable = {}, before, ...rest }: Inputs = {}): GateInput {
  const baseline: Baseline | null = before === undefined ? null : baselineOf(counted(before))
  return {
    ...{
      kind: 'Ingress',
      deletion: false,
      mayMiss: null,
      closed: null,
      gates: SETTINGS.gates,
      minRequests: 100,
      pods: 'pod 0',
      baked: false,
    },
    ...{ update: counted(update), stable: counted(stable), sameTime: false, baseline },
    ...{ probes: null, past: null, looks: {}, chances: batchChances(1), late: false },
    ...rest,
  }
}

export function baked(of: Inputs): GateInput {
  return input({ ...of, baked: true })
}
