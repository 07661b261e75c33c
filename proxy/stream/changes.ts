/** What a proven step changes. Pure. Found out with the proof, in small steps, so that making it is short. */
import { routedHosts, sameAssignment } from '../../protocol/objects.ts'
import type { Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { Steps } from '../turns.ts'
import type { Entry } from '../table/entry.ts'
import type { Changes, StreamState } from './state.ts'

/**
 * Objects that stay the same are not written again.
 * @param before the objects as they are; they must not change until this has ended
 * @param removed null: `upsert` is the whole state
 */
export function* changesOf(
  before: StreamState['objects'],
  removed: readonly ObjectKey[] | null,
  upsert: ReadonlyMap<ObjectKey, Entry>,
): Steps<Changes> {
  const objects: { readonly upsert: Entry[]; readonly remove: ObjectKey[] } = { upsert: [], remove: [] }
  const needs = new Map<ServiceKey, number>()
  const revisions = new Map<ObjectKey, string | null>()
  const changed = (key: ObjectKey, old: Entry | null, next: Entry | null): void => {
    const [from, to] = [old?.payload ?? null, next?.payload ?? null]
    if (from?.revision !== to?.revision) revisions.set(key, to?.revision ?? null)
    if (old?.assignment.digest === next?.assignment.digest) return
    if (to !== null) addNeeds(needs, to, 1)
    if (from !== null) addNeeds(needs, from, -1)
  }
  for (const key of removed ?? before.keys()) {
    yield
    if (removed === null && upsert.has(key)) continue
    const old = before.entry(key)
    if (old === null) continue
    objects.remove.push(key)
    changed(key, old, null)
  }
  for (const [key, entry] of upsert) {
    yield
    const old = before.entry(key)
    if (old !== null && sameAssignment(old.assignment, entry.assignment)) continue
    objects.upsert.push(entry)
    changed(key, old, entry)
  }
  return { objects, needs, revisions }
}

/** Counts the paths of a payload that go to a Service. */
export function addNeeds(needs: Map<ServiceKey, number>, payload: Fragment | Certificate, by: 1 | -1): void {
  if ('chain' in payload) return
  for (const host of routedHosts(payload)) {
    for (const { backend } of host.paths) {
      if (!('service' in backend)) continue
      const count = (needs.get(backend.service) ?? 0) + by
      if (count === 0) needs.delete(backend.service)
      else needs.set(backend.service, count)
    }
  }
}
