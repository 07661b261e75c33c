/** What a proven step changes for the workers. Pure. Found out with the proof, in small steps, so that making it is short. */
import type { Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { Steps } from '../turns.ts'
import type { Entry } from '../table/entry.ts'
import type { Changes } from './state.ts'

/**
 * Payloads that stay the same are not handed to the workers again.
 * @param before the state as it is; it must not change until this has ended
 * @param removed null: `upsert` is the whole state
 */
export function* changesOf(
  before: ReadonlyMap<ObjectKey, Entry>,
  removed: readonly ObjectKey[] | null,
  upsert: ReadonlyMap<ObjectKey, Entry>,
): Steps<Changes> {
  const fragments: { readonly upsert: Fragment[]; readonly remove: ObjectKey[] } = { upsert: [], remove: [] }
  const certificates: { readonly upsert: Certificate[]; readonly remove: ObjectKey[] } = { upsert: [], remove: [] }
  const needs = new Map<ServiceKey, number>()
  const revisions = new Map<ObjectKey, string | null>()
  const changed = (key: ObjectKey, old: Entry | undefined, next: Entry | null): void => {
    const [from, to] = [old?.payload ?? null, next?.payload ?? null]
    if (from?.revision !== to?.revision) revisions.set(key, to?.revision ?? null)
    if (old?.assignment.digest === next?.assignment.digest) return
    if (to !== null) addNeeds(needs, to, 1)
    if (from !== null) addNeeds(needs, from, -1)
    if (to === null) {
      if (from !== null) ('chain' in from ? certificates : fragments).remove.push(key)
    } else if ('chain' in to) certificates.upsert.push(to)
    else fragments.upsert.push(to)
  }
  for (const key of removed ?? before.keys()) {
    if (removed === null && upsert.has(key)) continue
    changed(key, before.get(key), null)
    yield
  }
  for (const [key, entry] of upsert) {
    changed(key, before.get(key), entry)
    yield
  }
  return { fragments, certificates, needs, revisions }
}

/** Counts the paths of a payload that go to a Service. */
export function addNeeds(needs: Map<ServiceKey, number>, payload: Fragment | Certificate, by: 1 | -1): void {
  if ('chain' in payload) return
  for (const host of payload.hosts) {
    for (const { backend } of host.paths) {
      if (!('service' in backend)) continue
      const count = (needs.get(backend.service) ?? 0) + by
      if (count === 0) needs.delete(backend.service)
      else needs.set(backend.service, count)
    }
  }
}
