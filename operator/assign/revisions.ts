/** Questions about the revisions of a record. */
import type { Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ReleaseRecord } from './types.ts'

/** Hash of the content that a name is bound to; null: the record does not know the name. */
export function hashOf(record: ReleaseRecord, revision: Revision | null): Revision | null {
  if (revision === null) return null
  if (Object.hasOwn(record.revisions, revision)) return record.revisions[revision]?.hash ?? null
  if (record.bound !== undefined && Object.hasOwn(record.bound, revision)) return record.bound[revision] ?? null
  return revision === ABSENT_REVISION ? ABSENT_REVISION : null
}

/** The record holds what is needed to serve it. */
export function knows(record: ReleaseRecord, revision: Revision): boolean {
  return Object.hasOwn(record.revisions, revision)
}

/** The last released revision: the update where all pods serve it, else the current one. */
export function releasedOf(record: ReleaseRecord): Revision | null {
  return record.update !== null && record.index === -1 ? record.update : record.current
}

/** Taken back before, under this name or with this content, and not what is released now. */
export function isRefused(record: ReleaseRecord, revision: Revision): boolean {
  if (revision === record.current) return false
  const hash = hashOf(record, revision)
  return record.refused.includes(revision) || (hash !== null && record.refused.includes(hash))
}
