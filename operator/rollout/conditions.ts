/** The conditions of an IngressRollout: what pipelines wait for. */
import type { Condition } from '../model/generated/crds.ts'
import { condition } from '../status/condition.ts'
import { pausedReason } from './machine/state.ts'
import type { BatchStep, Phase, State } from './machine/types.ts'

export interface ConditionContext {
  /** Of the same attempt; undefined: none. */
  readonly previous: readonly Condition[] | undefined
  readonly generation: number
  /** RFC 3339. */
  readonly now: string
}

type ConditionType = 'Progressing' | 'Complete' | 'RolledBack' | 'Paused' | 'DeletionHeld'
interface Words {
  readonly reason: string
  readonly message: string
}

/** The phases in which a condition is True. A held deletion is off the pods like any change that was taken back. */
const TRUE_IN: readonly (readonly [ConditionType, readonly Phase[]])[] = [
  ['Progressing', ['Progressing']],
  ['Complete', ['Complete']],
  ['RolledBack', ['RolledBack', 'Held']],
  ['Paused', ['Paused']],
  ['DeletionHeld', ['Held']],
]

const PROGRESS: Readonly<Record<BatchStep['name'], string>> = {
  raising: 'BatchStarting',
  acknowledging: 'WaitingForConfirmation',
  baking: 'Baking',
  waiting: 'BatchPassed',
  confirming: 'Released',
}

export function conditionsOf(state: State, { previous, generation, now }: ConditionContext): readonly Condition[] {
  return TRUE_IN.map(([type, phases]) => {
    const holds = phases.includes(state.phase)
    const { reason, message } = holds ? wordsIf(type, state) : wordsIfNot(type, state)
    return condition(previous, {
      ...{ type, status: holds ? 'True' : 'False', reason, message: message.slice(0, 4096) },
      ...{ observedGeneration: generation, lastTransitionTime: now },
    })
  })
}

function wordsIf(type: ConditionType, state: State): Words {
  const { message, phase, cause, step } = state
  switch (type) {
    case 'Progressing':
      return { reason: PROGRESS[step.name], message }
    case 'Complete':
      return { reason: 'Released', message }
    case 'Paused':
      return { reason: pausedReason(state) ?? phase, message }
    // The cause itself: a new leader reads it back from here.
    case 'RolledBack':
      return cause ?? { reason: phase, message }
    case 'DeletionHeld':
      return { reason: cause?.reason ?? phase, message }
  }
}

function wordsIfNot(type: ConditionType, { phase, cause }: State): Words {
  if (type === 'RolledBack' && phase === 'RollingBack' && cause !== null) return cause
  return { reason: phase, message: `the phase is ${phase}` }
}
