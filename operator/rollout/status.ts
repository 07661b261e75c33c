/** Machine state ⇄ IngressRollout. */
import type { ObjectKind, Revision } from '../../protocol/objects.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import type { Remembered } from './machine/resume.ts'
import type { Observation, Settings, State } from './machine/types.ts'

/** `<ing|sec>-<object, cut at 200>-<revision>`: a name that a pipeline can compute. */
export function rolloutName(kind: ObjectKind, objectName: string, revision: Revision): string {
  const cut = objectName.slice(0, 200).replace(/[^a-z0-9]+$/, '')
  return `${kind === 'Ingress' ? 'ing' : 'sec'}-${cut}-${revision}`
}

export interface StatusContext {
  /** The status as it is; undefined: none yet. Of another attempt: its conditions do not count. */
  readonly previous: IngressRolloutStatus | undefined
  /** metadata.generation that the commands were read from. */
  readonly generation: number
}

export function toStatus(
  state: State,
  observation: Observation,
  settings: Settings,
  context: StatusContext,
): IngressRolloutStatus {
  throw new Error(`not yet: ${state.phase} ${observation.now} ${settings.bakeMs} ${context.generation}`)
}

/** Null: the status is empty, the rollout has not begun. */
export function fromStatus(status: IngressRolloutStatus | undefined): Remembered | null {
  throw new Error(`not yet: ${status?.phase ?? ''}`)
}
