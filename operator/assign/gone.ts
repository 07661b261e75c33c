/**
 * An object that is gone from the API server, and whose deletion is rolled out like any change. What of it is served is in its
 * record; until the deletion is released that stands for the object (docs/adr/0030-deletions.md).
 */
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { SourceObject } from '../model/types.ts'
import type { ReleaseRecord } from './types.ts'

/**
 * What takes the object's place; null: nothing has to. Of what people drive by its annotations nobody could drive the deletion,
 * so that there a finalizer holds the object, and what nobody governs goes at once.
 */
export function goneObject(record: ReleaseRecord | null): SourceObject | null {
  if (record === null || !record.governed || record.byHand || record.policy === undefined) return null
  const { key, uid, createdAt, current, update } = record
  if (current === null && update === null) return null
  const absent = { state: 'absent' } as const
  return {
    ...{ key, uid, createdAt, gone: true, deleting: true, ours: true, resourceVersion: '' },
    // What is served is in the record, by revision.
    content: { kind: 'Ingress', annotations: {}, spec: {} },
    ...{ className: null, labels: {}, finalizers: [], revision: ABSENT_REVISION },
    stamp: { flag: absent, current: absent, update: absent, index: absent },
  }
}

/** Pods have something of it, or may have: an object that is made again under its name goes on from there. */
export function isStillServed(record: ReleaseRecord | null): boolean {
  if (record === null || goneObject(record) === null) return false
  return [record.current, record.update].some(revision => (revision ?? ABSENT_REVISION) !== ABSENT_REVISION)
}
