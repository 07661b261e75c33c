/**
 * Proves a snapshot or delta before any of it is applied, all or nothing. Pure. A proof of 100 000 objects takes seconds:
 * it goes on in small steps, between which the main thread answers probes.
 * DESIGN "The consistency check": every payload is the one that was assigned, every assigned revision is the announced
 * or the current one, the IDs have the published MD5, and the state has the announced hash. What cannot be proven is
 * refused, and the table stays as it is.
 */
import { digestCheck, StateHash } from '../../protocol/hash.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Checksums, DeltaMessage, Refusal } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, ObjectKind, ServiceKey } from '../../protocol/objects.ts'
import { atOnce, type Steps } from '../turns.ts'
import { addNeeds, changesOf } from './changes.ts'
import { listedDifference, sortedChecksum, sortedIds, withIds } from './id-lists.ts'
import type { Entry } from '../table/entry.ts'
import { EMPTY_STATE } from './state.ts'
import type { IdLists, StateHead, Step, StreamState } from './state.ts'

export type Verdict = { readonly ok: true; readonly step: Step } | { readonly ok: false; readonly refusal: Refusal }

/** The collected items of a snapshot. */
export interface SnapshotParts {
  readonly assignments: readonly Assignment[]
  readonly fragments: readonly Fragment[]
  readonly certificates: readonly Certificate[]
}

/** What the message that ends a snapshot, or a delta, announces. */
export interface Announced {
  readonly checksums: Checksums
  readonly stateHash: string
}

/** A proof that is under way: every step is a small one, the last one says the verdict. */
export type Proof = Steps<Verdict>

/** The same in one go. */
export function verifySnapshot(served: StreamState, parts: SnapshotParts, announced: Announced): Verdict {
  return atOnce(proveSnapshot(served, parts, announced))
}

/** The same in one go. */
export function verifyDelta(served: StreamState, delta: Delta): Verdict {
  return atOnce(proveDelta(served, delta))
}

/** The state must not change until the proof has ended. */
export function* proveSnapshot(served: StreamState, parts: SnapshotParts, announced: Announced): Proof {
  const built = yield* buildEntries(parts, () => null)
  if (!built.ok) return built
  const hash = new StateHash()
  const ids: Record<ObjectKind, string[]> = { Ingress: [], Secret: [] }
  for (const { assignment } of built.entries.values()) {
    hash.toggle(assignment)
    ids[parseObjectKey(assignment.key).kind].push(assignment.id)
    yield
  }
  const counts = { Ingress: ids.Ingress.length, Secret: ids.Secret.length }
  const sorted = { Ingress: yield* sortedIds(ids.Ingress), Secret: yield* sortedIds(ids.Secret) }
  return yield* conclude(served, { removed: null, upsert: built.entries, counts, ids: sorted, hash }, announced)
}

type Delta = Omit<DeltaMessage, 'type' | 'sequence'>

/** The state must not change until the proof has ended. */
export function* proveDelta(served: StreamState, delta: Delta): Proof {
  if (delta.base !== served.hash.hex) {
    return refuse('StateHashMismatch', null, 'the delta starts from a state that is not the served one')
  }
  const built = yield* buildEntries(delta, key => served.objects.entry(key))
  if (!built.ok) return built
  const hash = new StateHash(served.hash)
  const gone: Record<ObjectKind, string[]> = { Ingress: [], Secret: [] }
  const come: Record<ObjectKind, string[]> = { Ingress: [], Secret: [] }
  // Read once: one Ingress may have thousands of hosts.
  const dropped = new Map<ObjectKey, Entry>()
  const drop = (key: ObjectKey): boolean => {
    const before = served.objects.entry(key)
    if (before === null) return false
    dropped.set(key, before)
    hash.toggle(before.assignment)
    gone[parseObjectKey(key).kind].push(before.assignment.id)
    return true
  }
  const removed = new Set(delta.removed)
  for (const key of removed) {
    if (built.entries.has(key)) return refuse('AssignmentInvalid', key, `${key} is both assigned and removed`)
    if (!drop(key)) return refuse('AssignmentInvalid', key, `${key} is removed but was never assigned`)
    yield
  }
  for (const [key, { assignment }] of built.entries) {
    drop(key)
    hash.toggle(assignment)
    come[parseObjectKey(key).kind].push(assignment.id)
    yield
  }
  const counts = {
    Ingress: served.counts.Ingress + come.Ingress.length - gone.Ingress.length,
    Secret: served.counts.Secret + come.Secret.length - gone.Secret.length,
  }
  const ids = {
    Ingress: yield* withIds(served.ids.Ingress, gone.Ingress, come.Ingress),
    Secret: yield* withIds(served.ids.Secret, gone.Secret, come.Secret),
  }
  const objects: StreamState['objects'] = { entry: key => dropped.get(key) ?? null, keys: () => dropped.keys() }
  const made = { removed: [...removed], upsert: built.entries, counts, ids, hash }
  return yield* conclude({ ...served, objects }, made, delta)
}

/** What a table that was stored comes to. */
export type StoredVerdict =
  | {
      readonly ok: true
      readonly state: StateHead
      /** As those of a change from nothing. */
      readonly needs: ReadonlyMap<ServiceKey, number>
      readonly revisions: ReadonlyMap<ObjectKey, string>
    }
  | Extract<Verdict, { readonly ok: false }>

/**
 * The same of a table that is there already, as it was stored: what each object says is made anew from what is kept of it, with its digest,
 * and all of it has to have the checksums and the hash that were said of it. They are not kept: there may be 100 000.
 */
export function* proveStored(entries: Iterable<Entry>, announced: Announced): Steps<StoredVerdict> {
  const hash = new StateHash()
  const ids: Record<ObjectKind, string[]> = { Ingress: [], Secret: [] }
  const needs = new Map<ServiceKey, number>()
  const revisions = new Map<ObjectKey, string>()
  for (const { assignment, payload } of entries) {
    const { key, assigned } = assignment
    const wrong = wrongAssignment(assignment)
    if (wrong !== null) return refuse('AssignmentInvalid', key, `${key}: ${wrong}`)
    hash.toggle(assignment)
    ids[parseObjectKey(key).kind].push(assignment.id)
    if (assigned !== null) revisions.set(key, assigned)
    if (payload !== null) addNeeds(needs, payload, 1)
    yield
  }
  const counts = { Ingress: ids.Ingress.length, Secret: ids.Secret.length }
  const sorted = { Ingress: yield* sortedIds(ids.Ingress), Secret: yield* sortedIds(ids.Secret) }
  const checked = yield* check(EMPTY_STATE, { counts, ids: sorted, hash }, announced)
  return checked.ok ? { ...checked, needs, revisions } : checked
}

type Built = { readonly ok: true; readonly entries: Map<ObjectKey, Entry> } | Extract<Verdict, { ok: false }>

function* buildEntries(parts: SnapshotParts, before: (key: ObjectKey) => Entry | null): Generator<void, Built, void> {
  const payloads = new Map<ObjectKey, Fragment | Certificate>()
  for (const list of [parts.fragments, parts.certificates]) {
    for (const payload of list) {
      if (payloads.has(payload.key)) return refuse('AssignmentInvalid', payload.key, `${payload.key} came twice`)
      payloads.set(payload.key, payload)
      yield
    }
  }
  const entries = new Map<ObjectKey, Entry>()
  const hasDigest = digestCheck()
  for (const assignment of parts.assignments) {
    yield
    const { key } = assignment
    if (entries.has(key)) return refuse('AssignmentInvalid', key, `${key} is assigned twice`)
    const wrong = wrongAssignment(assignment)
    if (wrong !== null) return refuse('AssignmentInvalid', key, `${key}: ${wrong}`)
    const sent = payloads.get(key)
    payloads.delete(key)
    if (assignment.assigned === null) {
      if (sent !== undefined) return refuse('AssignmentInvalid', key, `${key}: nothing is assigned, but content came`)
      entries.set(key, { assignment, payload: null })
      continue
    }
    const wanted = `${key} at revision ${assignment.assigned}`
    if (sent === undefined) {
      const known = before(key)
      if (known?.payload == null || known.assignment.digest !== assignment.digest) {
        return refuse('AssignmentInvalid', key, `${wanted}: its content did not come`)
      }
      if (known.payload.revision !== assignment.assigned) {
        return refuse('AssignmentInvalid', key, `${wanted}: the content kept is of ${known.payload.revision}`)
      }
      entries.set(key, { assignment, payload: known.payload })
      continue
    }
    if (sent.revision !== assignment.assigned) {
      return refuse('AssignmentInvalid', key, `${wanted}: the content that came is of ${sent.revision}`)
    }
    if (!hasDigest(sent, assignment.digest)) {
      return refuse('DigestMismatch', key, `${wanted}: the content that came is not the one that was compiled`)
    }
    entries.set(key, { assignment, payload: sent })
  }
  for (const key of payloads.keys()) return refuse('AssignmentInvalid', key, `${key}: content came without assignment`)
  return { ok: true, entries }
}

/** The invariant of Assignment; null: it holds. */
function wrongAssignment({ announced, current, assigned, digest }: Assignment): string | null {
  if ((assigned === null) !== (digest === null)) return 'an assigned revision and its digest come together'
  if (assigned === null) {
    if (current === null || current === ABSENT_REVISION || announced === ABSENT_REVISION) return null
    return `nothing is assigned although revision ${current} is released`
  }
  if (assigned === ABSENT_REVISION) return 'the revision of an absent object has no content'
  if (assigned === announced || assigned === current) return null
  return `assigned revision ${assigned} is neither the announced ${announced} nor the current ${current ?? 'none'}`
}

interface Made extends Omit<StateHead, 'checksums'> {
  /** Null: `upsert` is the whole state. */
  readonly removed: readonly ObjectKey[] | null
  readonly upsert: ReadonlyMap<ObjectKey, Entry>
}

function* conclude(served: StreamState, made: Made, announced: Announced): Proof {
  const checked = yield* check(served, made, announced)
  if (!checked.ok) return checked
  const changes = yield* changesOf(served.objects, made.removed, made.upsert)
  return { ok: true, step: { state: checked.state, changes } }
}

/** The state that was arrived at is the one that was announced. */
function* check(
  served: StateHead,
  { counts, ids, hash }: Omit<StateHead, 'checksums'>,
  announced: Announced,
): Steps<{ readonly ok: true; readonly state: StateHead } | Extract<Verdict, { readonly ok: false }>> {
  const made = { counts, ids, hash }
  if (announced.checksums.ingress === null && announced.checksums.secret === null) {
    return refuse('Held', null, 'no checksum is published yet: waiting for an IngressCheckSum and a SecretCheckSum')
  }
  const checksums = {
    ingress: yield* checksumOf(served, made.ids, 'Ingress'),
    secret: yield* checksumOf(served, made.ids, 'Secret'),
  }
  const refusal =
    (yield* checkIds('Ingress', announced.checksums.ingress, checksums.ingress, served, made)) ??
    (yield* checkIds('Secret', announced.checksums.secret, checksums.secret, served, made))
  if (refusal !== null) return { ok: false, refusal }
  if (made.hash.hex !== announced.stateHash) {
    return refuse('StateHashMismatch', null, 'the state arrived at has not the announced hash')
  }
  return { ok: true, state: { ...made, checksums } }
}

/** Hashing 100 000 IDs takes some 10 ms: not where they are the same, as when an index moves. */
function* checksumOf(served: StateHead, ids: IdLists, kind: ObjectKind): Steps<string> {
  const known = kind === 'Ingress' ? served.checksums.ingress : served.checksums.secret
  return known !== null && ids[kind] === served.ids[kind] ? known : yield* sortedChecksum(ids[kind])
}

function* checkIds(
  kind: ObjectKind,
  published: string | null,
  computed: string,
  served: StateHead,
  made: Omit<StateHead, 'checksums'>,
): Steps<Refusal | null> {
  const ids = made.ids[kind]
  if (published === null) {
    return made.counts[kind] + served.counts[kind] > 0
      ? { reason: 'Held', object: null, message: `no ${kind}CheckSum is published: waiting for one that matches` }
      : null
  }
  if (published === computed) return null
  const { suspect, text } = yield* listedDifference(served.ids[kind], ids, published)
  return {
    reason: 'ChecksumMismatch',
    object: suspect,
    message: `${ids.length} ${kind} IDs have checksum ${computed}, published is ${published}${text}`,
  }
}

function refuse(
  reason: Refusal['reason'],
  object: string | null,
  message: string,
): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { reason, object, message } }
}
