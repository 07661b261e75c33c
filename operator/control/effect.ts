/**
 * What a step of the rollout machine makes of the object's record. Pure: the driver stores the outcome in one write, and then copies
 * it into the annotations. So content, name and index of a batch are there together, or not at all.
 */
import type { Revision } from '../../protocol/objects.ts'
import { advance, begin, complete, release, remember, retry, takeBack, withdraw } from '../assign/records.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { SourceObject } from '../model/types.ts'
import { memoryOf } from '../rollout/machine/memory.ts'
import { isActive } from '../rollout/machine/state.ts'
import type { Command, State } from '../rollout/machine/types.ts'

export interface Effect {
  /** As it is to be stored; the same reference: there is nothing to store. */
  readonly record: ReleaseRecord | null
  /** The annotations are to say what the record says: it moved, or they are to be as it is. */
  readonly stamp: boolean
}

export interface Stepped {
  readonly record: ReleaseRecord | null
  /** Null: the object is gone. */
  readonly source: SourceObject | null
  /** Of the rollout: its revision, and the UID of its object. */
  readonly revision: Revision
  readonly uid: string
  readonly before: State
  readonly next: State
  readonly commands: readonly Command[]
}

/** @throws RecordError where the content was taken back meanwhile */
export function effectOf(stepped: Stepped): Effect {
  const effect = stepped.commands.reduce<Effect>((so, command) => after(so, command, stepped), begun(stepped))
  const memory = memoryOf(stepped.next, stepped.revision)
  if (effect.record === null || memory === null) return effect
  // The annotations say nothing of it, and may be what a person moves just now.
  return { ...effect, record: remember(effect.record, memory) }
}

/** On its way, on no pod yet: content and name are in the record before anything can refer to them. */
function begun({ record, source, revision, uid, before, next }: Stepped): Effect {
  const isItsContent = source?.uid === uid && source.revision === revision
  if (before.phase !== 'Pending' || !isActive(next) || !isItsContent) return { record, stamp: false }
  // A later attempt was told to go out again, whatever was said against the one before.
  const base = record !== null && next.attempt > 1 ? retry(record, revision) : record
  return record?.update === revision ? { record, stamp: false } : { record: begin(base, source), stamp: true }
}

function after(effect: Effect, command: Command, { source, revision, uid, next }: Stepped): Effect {
  const { record } = effect
  const isItsContent = source?.uid === uid && source.revision === revision
  const isOut = record?.update === revision
  const changed = (to: ReleaseRecord): Effect => ({ record: to, stamp: true })
  const why = next.cause === null ? undefined : { attempt: next.attempt, cause: next.cause }
  switch (command.type) {
    case 'setIndex':
      if (!isOut) return effect
      return changed(record.index === command.index ? record : advance(record, command.index))
    case 'release':
      if (isOut) return changed(retry(complete(record), revision))
      return isItsContent ? changed(release(record, source)) : effect
    case 'takeBack':
      if (isOut) {
        return changed(command.refuse ? takeBack(record, why) : withdraw(record))
      }
      if (isItsContent && command.refuse && !record?.refused.includes(revision)) {
        return changed(takeBack(begin(record, source), why))
      }
      return effect
    case 'begin':
      return isItsContent && record !== null ? changed(begin(retry(record, revision), source)) : effect
    case 'event':
    case 'requeue':
      return effect
  }
}
