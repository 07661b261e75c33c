/** What is true of one object right now: its plan and the compiled form of both revisions. */
import { payloadDigest } from '../../protocol/hash.ts'
import type { Certificate, Fragment, ObjectKey, Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { revisionFor } from '../assign/plan.ts'
import type { Plan } from '../assign/types.ts'
import type { Shares } from '../stream/state-hashes.ts'
import type { WorldEntry } from '../stream/world.ts'

export interface Payload {
  readonly revision: Revision
  readonly governed: boolean
  readonly value: Fragment | Certificate
  readonly digest: string
}

export interface LiveEntry {
  readonly key: ObjectKey
  readonly plan: Plan & { readonly announced: Revision }
  /** The ID in the global checksum; empty where the ID form leaves the object out. */
  readonly id: string
  readonly update: Payload | null
  readonly current: Payload | null
}

export function payload(value: Fragment | Certificate): Payload {
  return { revision: value.revision, governed: value.governed, value, digest: payloadDigest(value) }
}

/** What the pod of this ordinal is to serve of it. */
export function assignmentFor(entry: LiveEntry, ordinal: number): WorldEntry {
  return entryAt(entry, revisionFor(entry.plan, ordinal))
}

/** What the pods have of it, and where one ends. */
export function sharesOf(entry: LiveEntry): Shares {
  const { update, current, index } = entry.plan
  const high = entryAt(entry, current).assignment
  if (update === null || update === current) return { index: 0, low: high, high }
  return { index: index === -1 ? Infinity : index, low: entryAt(entry, update).assignment, high }
}

function entryAt(entry: LiveEntry, revision: Revision | null): WorldEntry {
  const found =
    revision === null || revision === ABSENT_REVISION
      ? null
      : ([entry.update, entry.current].find(p => p?.revision === revision) ?? null)
  return {
    assignment: {
      key: entry.key,
      id: entry.id,
      announced: entry.plan.announced,
      current: entry.plan.current,
      assigned: found === null ? null : found.revision,
      digest: found === null ? null : found.digest,
    },
    payload: found === null ? null : found.value,
  }
}

/**
 * What pods may be given of an object whose newest form is not published: where that form takes pods off the update, the
 * released one does so, too, under the same ID. Null: it takes nothing back.
 */
export function retreat(released: LiveEntry, newest: LiveEntry): LiveEntry | null {
  const { plan } = released
  const index = fallenTo(plan, newest.plan)
  return index === null ? null : { ...released, plan: { ...plan, index } }
}

function fallenTo(plan: Plan, newest: Plan): number | null {
  if (plan.update === null || plan.update === plan.current || plan.index === 0) return null
  if (newest.update === plan.update && newest.current === plan.current) {
    return newest.index !== -1 && (plan.index === -1 || newest.index < plan.index) ? newest.index : null
  }
  // Every pod is to serve what the released form falls back to.
  const everywhere = newest.update === null || newest.update === newest.current || newest.index === 0
  return everywhere && newest.current === plan.current ? 0 : null
}

/** Pods that did not count requests of the object before are to serve it now: they count those of what is governed. */
export function isCountedOnMore(before: LiveEntry | null, after: LiveEntry | null): boolean {
  return countedOn(after) > countedOn(before)
}

/** Below which ordinal pods count; Infinity: all. Those that what is on its way takes it off from count as they did. */
function countedOn(entry: LiveEntry | null): number {
  if (entry === null) return 0
  const { plan, current, update } = entry
  if (current?.governed === true) return Infinity
  if (update?.governed !== true) return 0
  return plan.index === -1 ? Infinity : plan.index
}

export function sameEntry(a: LiveEntry | undefined, b: LiveEntry): boolean {
  return (
    a !== undefined &&
    a.id === b.id &&
    a.plan.announced === b.plan.announced &&
    a.plan.current === b.plan.current &&
    a.plan.update === b.plan.update &&
    a.plan.index === b.plan.index &&
    a.update?.digest === b.update?.digest &&
    a.current?.digest === b.current?.digest
  )
}

/** Whatever revision a pod is to serve of it, its content is there: else proxies would refuse the whole state. */
export function isWhole({ plan, update, current }: LiveEntry): boolean {
  const there = (revision: Revision | null, payload: Payload | null): boolean =>
    revision === null || revision === ABSENT_REVISION || payload !== null
  return there(plan.update, update) && there(plan.current, current)
}
