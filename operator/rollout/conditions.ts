/**
 * The conditions of an IngressRollout: what pipelines wait for. `Ready`, `Reconciling` and `Stalled` are those that kstatus
 * (cli-utils pkg/kstatus/status: Flux, helm) reads: Reconciling=True is "in progress", Stalled=True is "failed", Ready
 * that is False or Unknown is "in progress"; without any of these, at the observed generation, an object is "current".
 */
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

/** Where it stands as kstatus sees it. */
export type Standing = 'reconciling' | 'stalled' | 'ready' | 'superseded'

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
  const made = (type: string, holds: boolean, { reason, message }: Words): Condition =>
    condition(previous, {
      ...{ type, status: holds ? 'True' : 'False', reason, message: message.slice(0, 4096) },
      ...{ observedGeneration: generation, lastTransitionTime: now },
    })
  return [
    ...forKstatus(standingOf(state)).map(([type, holds]) => made(type, holds, wordsOf(type, holds, state))),
    ...TRUE_IN.map(([type, phases]) => {
      const holds = phases.includes(state.phase)
      return made(type, holds, holds ? wordsIf(type, state) : wordsIfNot(type, state))
    }),
  ]
}

/** It ends by itself: when the time is over, the other rollout, or the use. */
const ENDS_BY_ITSELF: ReadonlySet<string | null> = new Set(['WaitingForTime', 'OtherRollout', 'InUse'])

/**
 * A pause that ends by itself is progress; one that waits for a person is not. Evidence that does not come (Inconclusive)
 * is like a Deployment beyond its progressDeadlineSeconds: it may still come, and whoever waits should not.
 */
export function standingOf(state: State): Standing {
  switch (state.phase) {
    case 'Pending':
    case 'Progressing':
    case 'RollingBack':
      return 'reconciling'
    case 'Paused':
      return ENDS_BY_ITSELF.has(pausedReason(state)) ? 'reconciling' : 'stalled'
    case 'RolledBack':
    case 'Held':
      return 'stalled'
    case 'Complete':
      return 'ready'
    case 'Superseded':
      return 'superseded'
  }
}

/**
 * What is superseded has no Ready: kstatus takes it for current, so that nobody waits for it or fails with it (the newer
 * rollout is what counts), and whoever waits for Ready of this revision is not told that it went out.
 */
export function forKstatus(standing: Standing): readonly (readonly ['Ready' | 'Reconciling' | 'Stalled', boolean])[] {
  return [
    ...(standing === 'superseded' ? [] : [['Ready', standing === 'ready'] as const]),
    ['Reconciling', standing === 'reconciling'],
    ['Stalled', standing === 'stalled'],
  ]
}

/** All three say why, also those that are False: the column REASON of kubectl is that of Reconciling, which is always there. */
function wordsOf(type: string, holds: boolean, state: State): Words {
  const { phase, message } = state
  return { reason: reasonOf(state), message: holds || type === 'Ready' ? message : `the phase is ${phase}` }
}

function reasonOf(state: State): string {
  switch (state.phase) {
    case 'Pending':
      return 'WaitingForTurn'
    case 'Progressing':
      return PROGRESS[state.step.name]
    case 'Paused':
      return pausedReason(state) ?? state.phase
    case 'Complete':
      return 'Released'
    case 'RollingBack':
    case 'RolledBack':
    case 'Held':
      return state.cause?.reason ?? state.phase
    case 'Superseded':
      return state.phase
  }
}

function wordsIf(type: ConditionType, state: State): Words {
  const { message, phase, cause } = state
  switch (type) {
    case 'Progressing':
    case 'Complete':
    case 'Paused':
      return { reason: reasonOf(state), message }
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
