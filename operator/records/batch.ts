/** What waits to be written, and what it was decided on. Pure but for the promises that it settles. */
import type { ReleaseRecord } from '../assign/types.ts'
import { KubeError } from '../kube/errors.ts'

export interface Pending {
  /** Null: none any more. */
  readonly record: ReleaseRecord | null
  /** What was stored when it was decided. */
  readonly base: ReleaseRecord | null
  readonly done: readonly { resolve: () => void; reject: (error: unknown) => void }[]
}

/** By UID. */
export type Batch = Map<string, Pending>

/** Adds what was decided before all that waits there: the later decision counts, made on what the earlier one was made on. */
export function addOlder(batch: Batch, uid: string, older: Pending): void {
  const newer = batch.get(uid)
  batch.set(
    uid,
    newer === undefined ? older : { record: newer.record, base: older.base, done: [...older.done, ...newer.done] },
  )
}

export function merge(
  records: ReadonlyMap<string, ReleaseRecord>,
  batch: ReadonlyMap<string, Pending>,
): Map<string, ReleaseRecord> {
  const merged = new Map(records)
  for (const [uid, { record }] of batch) {
    if (record === null) merged.delete(uid)
    else merged.set(uid, record)
  }
  return merged
}

/** A record that is what is to be stored is none that moved on: the answer to our own write was lost. */
export function refuseOutdated(records: ReadonlyMap<string, ReleaseRecord>, batch: Batch): void {
  for (const [uid, { record, base }] of batch) {
    const stored = records.get(uid) ?? null
    if (isSame(stored, base) || isSame(stored, record)) continue
    const { key = uid } = stored ?? record ?? {}
    refuse(batch, uid, new KubeError('KUBE_CONFLICT', `${key}: another record was stored meanwhile`))
  }
}

export function refuse(batch: Batch, uid: string, error: Error): void {
  const done = batch.get(uid)?.done ?? []
  batch.delete(uid)
  for (const { reject } of done) reject(error)
}

export function isSame(a: ReleaseRecord | null, b: ReleaseRecord | null): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
