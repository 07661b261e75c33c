/**
 * What may become of a record. Pure; the leader stores the outcome before it stamps anything ("store first, then
 * stamp"). Each function keeps the invariants: what is current or on its way is stored; a name means one content.
 */
import type { Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { SourceObject } from '../model/types.ts'
import { isRemembered } from '../rollout/machine/memory.ts'
import type { Memory, TakenBackMemory } from '../rollout/machine/memory.ts'
import { isSecret, withLeft } from './left.ts'
import { hashOf, isRefused, knows, releasedOf } from './revisions.ts'
import type { Governance, Plan, ReleaseRecord, StoredRevision } from './types.ts'

/** Refused revisions that are remembered per object, the newest. */
const MAX_REFUSED = 50

/** Hand-written names whose binding is remembered per object, the newest. */
const MAX_BOUND = 50

/** Thrown where a transition would release what may not be released. The caller decided on old knowledge: look again. */
export class RecordError extends Error {
  readonly code = 'SLUICE_RECORD'
  override readonly name = 'RecordError'
}

/** Served already when it is first governed: recorded as current, without a rollout. */
export function adopt(object: SourceObject, byHand = false): ReleaseRecord {
  const record = serve(null, object)
  return { ...record, governed: true, byHand }
}

/** Created while governed: nothing of it is released. */
export function create(object: SourceObject, byHand = false): ReleaseRecord {
  return {
    uid: object.uid,
    key: object.key,
    createdAt: object.createdAt,
    governed: true,
    byHand,
    seen: null,
    current: null,
    update: null,
    index: -1,
    refused: [],
    revisions: {},
  }
}

/** Ungoverned content is served: it is what pods fall back to when the object becomes governed. */
export function serve(record: ReleaseRecord | null, object: SourceObject): ReleaseRecord {
  const absent = object.revision === ABSENT_REVISION
  const base = record ?? create(object)
  return prune({
    ...bind(base, object.revision, object),
    uid: object.uid,
    createdAt: object.createdAt,
    governed: false,
    byHand: false,
    seen: null,
    current: absent ? null : object.revision,
    update: null,
    index: -1,
  })
}

/** It became governed, or by somebody else than before. */
export function govern(record: ReleaseRecord, byHand: boolean): ReleaseRecord {
  return { ...record, governed: true, byHand, seen: null }
}

/** It stopped being governed: the content that it has now stays in until it changes; what was released stays. */
export function ungovern(record: ReleaseRecord, object: SourceObject): ReleaseRecord {
  const current = releasedOf(record)
  return prune({
    ...record,
    governed: false,
    byHand: false,
    seen: hashOf(record, current) === object.revision ? null : object.revision,
    current,
    update: null,
    index: -1,
  })
}

/**
 * An object that was deleted and made again goes on from the record of its predecessor. That the deletion was to be kept from
 * pods was said of that one.
 */
export function inherit(record: ReleaseRecord, object: SourceObject): ReleaseRecord {
  const refused = record.refused.filter(revision => revision !== ABSENT_REVISION)
  return { ...record, uid: object.uid, key: object.key, createdAt: object.createdAt, refused }
}

/**
 * A rollout of the object's content starts: on its way, on no pod yet. What all pods served before is current.
 * Throws RecordError for a revision that was taken back.
 */
export function begin(record: ReleaseRecord | null, object: SourceObject): ReleaseRecord {
  const base = record ?? create(object)
  const { revision } = object
  const current = releasedOf(base)
  if (base.refused.includes(revision) && hashOf(base, current) !== revision) {
    throw new RecordError(`${object.key}: revision ${revision} was taken back; it goes out again only on retry`)
  }
  // Content that is released already keeps the name under which it is.
  const update = current !== null && hashOf(base, current) === revision ? current : revision
  // Of what went before nothing is to be known any more.
  const { rollout, takenBack, ...bound } = bind(base, update, object)
  return prune({ ...bound, governed: true, seen: null, current, update, index: 0 })
}

/** Throws RangeError for an index below -1 or a fraction. */
export function advance(record: ReleaseRecord, index: number): ReleaseRecord {
  if (!Number.isInteger(index) || index < -1) throw new RangeError(`${record.key}: ${index} is not an index`)
  const { rollout } = record
  if (rollout === undefined) return { ...record, index }
  return { ...record, index, rollout: { ...rollout, indexBefore: record.index } }
}

/** Where the rollout of the update is: the same reference if it is there, or something else is on its way. */
export function remember(record: ReleaseRecord, memory: Memory): ReleaseRecord {
  const { rollout, update, current } = record
  if (update !== memory.revision || update === current || isRemembered(rollout, memory)) return record
  return { ...record, rollout: { ...rollout, ...memory } }
}

/** Every pod serves the update: it is what pods fall back to from now on. */
export function complete(record: ReleaseRecord): ReleaseRecord {
  return prune({ ...record, current: record.update ?? record.current, index: -1 })
}

/**
 * The update is taken back: every pod serves the current revision, and that revision stays refused.
 * @param why of which attempt, and the cause; left out: a person did
 */
export function takeBack(record: ReleaseRecord, why?: Omit<TakenBackMemory, 'revision'>): ReleaseRecord {
  const { update, current } = record
  if (update === null || update === current) return { ...record, index: 0 }
  const hash = hashOf(record, update)
  const refused = [...record.refused, update, ...(hash === null || hash === update ? [] : [hash])]
  return prune({
    ...record,
    ...(why === undefined ? {} : { takenBack: { revision: update, ...why } }),
    ...{ refused: [...new Set(refused)].slice(-MAX_REFUSED), update: current, index: 0 },
  })
}

/** The update is off the pods, and nothing is said against it: other content came, or nobody drives it any more. */
export function withdraw(record: ReleaseRecord): ReleaseRecord {
  return prune({ ...record, update: record.current, index: 0 })
}

/** Somebody said retry: the revision may be rolled out again. */
export function retry(record: ReleaseRecord, revision: Revision): ReleaseRecord {
  const hash = hashOf(record, revision)
  return { ...record, refused: record.refused.filter(r => r !== revision && r !== hash) }
}

/** Somebody said promote: the object's content is released to all pods, whatever was said against it. */
export function release(record: ReleaseRecord | null, object: SourceObject): ReleaseRecord {
  const base = retry(record ?? create(object), object.revision)
  const stored = bind(base, object.revision, object)
  return prune({
    ...stored,
    seen: null,
    current: object.revision,
    update: base.update === null ? null : object.revision,
    index: -1,
  })
}

export type Binding =
  | { readonly ok: true; readonly record: ReleaseRecord }
  /** The name is bound to other content already, or is reserved. */
  | { readonly ok: false; readonly boundTo: Revision }

/**
 * Binds a name that somebody wrote to the object's content, and puts it on its way at the index that the annotations
 * say (0 without one). What the revision before reached with index -1 counts as released.
 */
export function bindByHand(record: ReleaseRecord, name: Revision, object: SourceObject): Binding {
  const bound = hashOf(record, name)
  if (bound !== null && bound !== object.revision) return { ok: false, boundTo: bound }
  if (bound === null && record.refused.includes(name)) return { ok: false, boundTo: name }
  const { index } = object.stamp
  const current = releasedOf(record)
  return {
    ok: true,
    record: prune({
      ...bind(record, name, object),
      current,
      update: name,
      index: index.state === 'valid' ? index.value : 0,
    }),
  }
}

export interface Followed {
  /** Equal to the given one (the same reference) if there is nothing to write. */
  readonly record: ReleaseRecord
  /** The name is bound to other content; null: no conflict. */
  readonly conflict: Revision | null
}

/**
 * The record follows annotations that somebody wrote by hand: a new name is bound, the index taken over, and
 * current = update with index -1 completes. Anything missing, invalid or refused changes nothing.
 *
 * @param invalid The object's content cannot be served: no name is bound to it.
 */
export function follow(record: ReleaseRecord, object: SourceObject, invalid: boolean): Followed {
  const { flag, current, update, index } = object.stamp
  const same: Followed = { record, conflict: null }
  if (flag.state !== 'valid' || !flag.value || update.state !== 'valid' || index.state !== 'valid') return same
  const name = update.value
  let next = record
  if (name !== record.update) {
    if (isRefused(record, name) || record.refused.includes(object.revision)) return same
    if (name === record.current) next = { ...record, update: name }
    else if (invalid) return same
    else {
      const binding = bindByHand(record, name, object)
      if (!binding.ok) return { record, conflict: binding.boundTo }
      next = binding.record
    }
  }
  if (next.index !== index.value) next = advance(next, index.value)
  const done = index.value === -1 && current.state === 'valid' && current.value === name
  if (done && next.current !== name) next = complete(next)
  return { record: next, conflict: null }
}

/**
 * Nothing refers to it any more: no content is kept, and of what was refused, and of names that were given, the memory.
 * Null: there is nothing to remember.
 */
export function forgotten(record: ReleaseRecord): ReleaseRecord | null {
  const none = { governed: false, byHand: false, seen: null, current: null, update: null, index: -1 }
  const rest = prune({ ...record, ...none })
  return rest.refused.length === 0 && Object.keys(rest.bound ?? {}).length === 0 ? null : rest
}

/** Without the content of revisions that nobody can be served any more, and without a rollout that is over. */
export function prune(all: ReleaseRecord): ReleaseRecord {
  const record = withoutEnded(all)
  const needed = new Set([record.current, record.update])
  const stored = Object.entries(record.revisions)
  const kept = stored.filter(([name]) => needed.has(name))
  if (kept.length === stored.length) return record
  const named = stored
    .filter(([name, { hash }]) => !needed.has(name) && name !== hash)
    .map(([name, { hash }]): [Revision, Revision] => [name, hash])
  const revisions = Object.fromEntries(kept)
  if (named.length === 0) return { ...record, revisions }
  const bound: Record<string, Revision> = Object.fromEntries(
    [...Object.entries(record.bound ?? {}), ...named].slice(-MAX_BOUND),
  )
  return { ...record, revisions, bound }
}

function withoutEnded(record: ReleaseRecord): ReleaseRecord {
  const { rollout, ...others } = record
  if (rollout === undefined) return record
  return rollout.revision === record.update && record.update !== record.current ? record : others
}

/** With the name of the policy that governs it; the same reference if it is there. What is left of a Secret asks for none. */
export function withPolicy(record: ReleaseRecord, governance: Governance): ReleaseRecord {
  if (record.key.startsWith('Secret/')) return record
  const { policy, ...others } = record
  if (governance.by === 'policy')
    return policy === governance.policy ? record : { ...record, policy: governance.policy }
  return policy === undefined ? record : others
}

export interface Observation {
  readonly object: SourceObject
  readonly governance: Governance
  readonly record: ReleaseRecord | null
  /** The plan for exactly these. */
  readonly plan: Plan
  readonly invalid: boolean
  /** A fresh install: objects are taken over as they are, governed or not. */
  readonly fresh: boolean
}

/**
 * The bookkeeping that the leader does whenever it looks at an object, apart from any rollout: served content is kept,
 * governance that came or went is noted. Null: nothing to write. A record with another uid than before replaces that one.
 */
export function noted(observation: Observation): ReleaseRecord | null {
  const { object, governance, record } = observation
  const next = notedBesideStamps(observation)
  const known = next ?? record
  const whole = known === null ? null : withLeft(known, object, governance)
  return whole === record ? null : whole
}

function notedBesideStamps({ object, governance, record, plan, invalid, fresh }: Observation): ReleaseRecord | null {
  const { flag } = object.stamp
  if (governance.by === 'none') {
    if (record !== null && record.governed && (!record.byHand || plan.hold !== null)) return ungovern(record, object)
    // Our stamp of a policy that is gone has to go first: until then it tells why the object is not governed by hand.
    if (record !== null && !record.byHand && flag.state === 'valid' && flag.value && !isSecret(object)) return null
    if (plan.hold !== null || plan.announced === null || plan.announced === ABSENT_REVISION) return null
    const served = record !== null && record.uid === object.uid && record.current === object.revision
    return served && record.seen === null && !record.governed ? null : serve(record, object)
  }
  const byHand = governance.by === 'hand'
  // A flag that does not parse governs only as long as it stands there.
  if (flag.state === 'invalid' && byHand) return null
  if (record === null) {
    if (object.revision === ABSENT_REVISION) return null
    return fresh && !invalid ? adopt(object, byHand) : create(object, byHand)
  }
  const own = record.uid === object.uid ? record : inherit(record, object)
  const noticed = own.governed && own.byHand === byHand && own.seen === null ? own : govern(own, byHand)
  return noticed === record ? null : noticed
}

function bind(record: ReleaseRecord, name: Revision, object: SourceObject): ReleaseRecord {
  if (knows(record, name) && record.revisions[name]?.hash === object.revision) return record
  const stored: StoredRevision = {
    hash: object.revision,
    content: object.revision === ABSENT_REVISION ? null : object.content,
  }
  return { ...record, revisions: { ...record.revisions, [name]: stored } }
}
