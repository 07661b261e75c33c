/** The record's readable copy: the rollout annotations, as merge patches of metadata.annotations (null removes). */
import { parseObjectKey } from '../../protocol/ids.ts'
import { DEFAULT_ANNOTATION_PREFIX, stampNames } from '../model/stamp.ts'
import type { SourceObject } from '../model/types.ts'
import { isSecret } from './left.ts'
import type { Governance, ReleaseRecord } from './types.ts'

export type AnnotationPatch = Readonly<Record<string, string | null>>

/** The annotations that say what the record says; without a current or update revision that annotation is removed. */
export function stampFor(record: ReleaseRecord, prefix: string = DEFAULT_ANNOTATION_PREFIX): AnnotationPatch {
  const names = stampNames(parseObjectKey(record.key).kind, prefix)
  return {
    [names.flag]: 'true',
    [names.current]: record.current,
    [names.update]: record.update,
    [names.index]: String(record.index),
  }
}

/**
 * Whether the annotations of the record's update were ever there. A rollout that has begun and is on no pod yet may not
 * have been stamped (somebody else wrote first), and then nobody took them away. What is driven by hand began with them.
 */
export function wasStamped({ byHand, current, update, index }: ReleaseRecord): boolean {
  return byHand || update === null || index !== 0 || update === current
}

/**
 * What to write where annotations of an object that the store knows were lost; null: nothing. Where people may drive, an
 * annotation that is there is left to whoever wrote it, also an invalid one; but without update or index the others mean
 * nothing, and all are written anew. A Secret is written to only where a person drives it by hand.
 * @param agreed the annotations were seen to say what this record says: what differs is somebody else's doing
 */
export function restoreStamps(
  object: SourceObject,
  governance: Governance,
  record: ReleaseRecord,
  prefix: string = DEFAULT_ANNOTATION_PREFIX,
  agreed = false,
): AnnotationPatch | null {
  if (isSecret(object) && governance.by !== 'hand') return null
  if (governance.by === 'policy' && !governance.manual) return copyOf(object, record, prefix)
  const { flag, current, update, index } = object.stamp
  if (!record.governed || [flag, update, index].some(part => part.state === 'invalid')) return null
  if (flag.state === 'valid' && !flag.value) return null
  const names = stampNames(parseObjectKey(record.key).kind, prefix)
  if (record.update === null) {
    return record.byHand && flag.state === 'absent' && update.state === 'absent' ? { [names.flag]: 'true' } : null
  }
  if (update.state === 'absent' || index.state === 'absent') return stampFor(record, prefix)
  if (governance.by === 'policy' && !agreed && isOurs(object, record)) return stampFor(record, prefix)
  const missing: Record<string, string> = {}
  if (flag.state === 'absent') missing[names.flag] = 'true'
  if (current.state === 'absent' && record.current !== null) missing[names.current] = record.current
  return Object.keys(missing).length === 0 ? null : missing
}

/** They say what an earlier record said: its leader stored the next one, and did not come to write them. */
function isOurs({ stamp: { current, update, index } }: SourceObject, record: ReleaseRecord): boolean {
  if (update.state !== 'valid' || index.state !== 'valid') return false
  // Nothing is on its way: there is no index that a person could move.
  if (record.update === record.current) {
    const isSame = current.state === 'valid' && current.value === record.current && index.value === record.index
    return update.value === record.update ? !isSame : record.refused.includes(update.value)
  }
  const { indexBefore, blocked = null } = record.rollout ?? {}
  // A leader saw that a person moved it, and asked.
  if (blocked?.reason === 'ManualIndex') return false
  return update.value === record.update && index.value !== record.index && index.value === indexBefore
}

/** What differs from the record. The flag is a person's: it asks for opting out. */
function copyOf(object: SourceObject, record: ReleaseRecord, prefix: string): AnnotationPatch | null {
  if (!record.governed) return null
  const { flag: flagName, ...names } = stampNames(parseObjectKey(record.key).kind, prefix)
  const { flag, ...stamp } = object.stamp
  const begun = record.update !== null
  const wanted = { current: begun ? record.current : null, update: record.update, index: begun ? record.index : null }
  const patch: Record<string, string | null> = {}
  for (const part of ['current', 'update', 'index'] as const) {
    const is = stamp[part].state === 'valid' ? stamp[part].value : null
    if (stamp[part].state === 'invalid' || is !== wanted[part]) {
      patch[names[part]] = wanted[part] === null ? null : String(wanted[part])
    }
  }
  if (begun && flag.state === 'absent') patch[flagName] = 'true'
  return Object.keys(patch).length === 0 ? null : patch
}

/**
 * Removes the stamp that the operator wrote for a policy which does not govern the object any more, so that it does not
 * pass for one written by hand. Null: there is nothing to remove, or it is a Secret (`left.ts`).
 */
export function removeStamps(
  object: SourceObject,
  governance: Governance,
  record: ReleaseRecord | null,
  prefix: string = DEFAULT_ANNOTATION_PREFIX,
): AnnotationPatch | null {
  const { flag } = object.stamp
  if (governance.by !== 'none' || record === null || record.byHand || isSecret(object)) return null
  if (flag.state !== 'valid' || !flag.value) return null
  const names = stampNames(parseObjectKey(object.key).kind, prefix)
  return Object.fromEntries(Object.values(names).map((name): [string, null] => [name, null]))
}
