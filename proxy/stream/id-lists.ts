/** Sorted lists of IDs, sorted, changed and hashed in small steps: there may be 100 000 of them. Pure. */
import { createHash } from 'node:crypto'
import type { Steps } from '../turns.ts'

/** IDs handled between two yields: well below a millisecond. */
const STEP = 1_024

/** A new list, sorted bytewise (IDs are ASCII, for which the order of UTF-16 is the same). */
export function* sortedIds(ids: readonly string[]): Steps<readonly string[]> {
  let runs: (readonly string[])[] = []
  for (let from = 0; from < ids.length; from += STEP) {
    runs.push(ids.slice(from, from + STEP).sort())
    yield
  }
  while (runs.length > 1) {
    const merged: (readonly string[])[] = []
    for (let i = 0; i < runs.length; i += 2) {
      const [one = [], other] = [runs[i], runs[i + 1]]
      merged.push(other === undefined ? one : yield* mergedIds(one, other))
    }
    runs = merged
  }
  return runs[0] ?? []
}

/** Both are sorted. */
function* mergedIds(a: readonly string[], b: readonly string[]): Steps<readonly string[]> {
  const merged: string[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    const [one, other] = [a[i], b[j]]
    if (other === undefined || (one !== undefined && one <= other)) {
      merged.push(one ?? '')
      i++
    } else {
      merged.push(other)
      j++
    }
    if (merged.length % STEP === 0) yield
  }
  return merged
}

/** `idsChecksum` of protocol/hash.ts for a list that is sorted and has no empty IDs. */
export function* sortedChecksum(sorted: readonly string[]): Steps<string> {
  const hash = createHash('md5')
  for (let from = 0; from < sorted.length; from += STEP) {
    hash.update((from === 0 ? '' : ',') + sorted.slice(from, from + STEP).join(','))
    yield
  }
  return hash.digest('hex')
}

/** Up to so many changes are made in a copy of the list; for more it is written anew. */
const FEW = 1_000

/** The list without one occurrence of each gone ID and with the new ones; the same list if that changes nothing. Empty IDs take no part. */
export function* withIds(
  sorted: readonly string[],
  gone: readonly string[],
  come: readonly string[],
): Steps<readonly string[]> {
  const counts = new Map<string, number>()
  for (const id of come) if (id !== '') counts.set(id, (counts.get(id) ?? 0) + 1)
  for (const id of gone) if (id !== '') counts.set(id, (counts.get(id) ?? 0) - 1)
  const changes = [...counts].filter(([, count]) => count !== 0)
  if (changes.length === 0) return sorted
  return changes.length > FEW ? yield* rewritten(sorted, changes) : edited(sorted, changes)
}

/** Insertion moves the rest of the list: right for few changes. */
function edited(
  sorted: readonly string[],
  changes: readonly (readonly [id: string, count: number])[],
): readonly string[] {
  const list = [...sorted]
  for (const [id, count] of changes) {
    for (let i = 0; i < count; i++) list.splice(position(list, id), 0, id)
    for (let i = 0; i > count; i--) {
      const at = position(list, id)
      if (list[at] === id) list.splice(at, 1)
    }
  }
  return list
}

function* rewritten(
  sorted: readonly string[],
  changes: readonly (readonly [id: string, count: number])[],
): Steps<readonly string[]> {
  const dropped = new Map(changes.filter(([, count]) => count < 0).map(([id, count]) => [id, -count]))
  const kept: string[] = []
  for (const [i, id] of sorted.entries()) {
    const left = dropped.get(id) ?? 0
    if (left > 0) dropped.set(id, left - 1)
    else kept.push(id)
    if (i % STEP === 0) yield
  }
  const added = changes.flatMap(([id, count]) => (count > 0 ? new Array<string>(count).fill(id) : []))
  return yield* mergedIds(kept, yield* sortedIds(added))
}

/** Index of the first entry that is not below the ID. */
function position(sorted: readonly string[], id: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? '') < id) low = middle + 1
    else high = middle
  }
  return low
}

const MOST_NAMED = 20

/** How much is hashed in search of a suspect: some 30 ms, however many IDs there are. But so many of them are tried. */
const MOST_HASHED_BYTES = 12_000_000
const LEAST_TRIES = 2

/**
 * What may be wrong with a list whose checksum is not the published one. The published list itself is unknown here, so
 * the served one, which was proven, is what it is compared with; an ID that alone explains the checksum is the suspect.
 * Both lists are sorted.
 */
export function listedDifference(
  served: readonly string[],
  ids: readonly string[],
  published: string,
): { readonly suspect: string | null; readonly text: string } {
  const missing = difference(served, ids)
  const unexpected = difference(ids, served)
  const [first, ...others] = [...missing, ...unexpected]
  const explains = suspectOf(ids, missing.slice(0, MOST_NAMED), unexpected.slice(0, MOST_NAMED), published)
  const named = (what: string, list: readonly string[]): string =>
    list.length === 0
      ? ''
      : `; ${what}: ${list.slice(0, MOST_NAMED).join(', ')}${list.length > MOST_NAMED ? ', …' : ''}`
  return {
    suspect: explains ?? (others.length === 0 ? (first ?? null) : null),
    text: `${named('no longer there', missing)}${named('not served before', unexpected)}`,
  }
}

/**
 * The ID that alone explains the checksum; null: none of those that were tried. All IDs but one stay where they are, so
 * the bytes are made once and only hashed anew.
 */
function suspectOf(
  ids: readonly string[],
  missing: readonly string[],
  unexpected: readonly string[],
  published: string,
): string | null {
  const sorted = ids.filter(id => id !== '')
  // A comma before each: the first byte is not hashed.
  const bytes = Buffer.from(sorted.map(id => `,${id}`).join(''))
  const tries = Math.max(LEAST_TRIES, Math.floor(MOST_HASHED_BYTES / (bytes.length + 1)))
  const md5 = (before: number, between: string, after: number): string => {
    const hash = createHash('md5')
    const pieces = [bytes.subarray(0, before), Buffer.from(between), bytes.subarray(after)].filter(p => p.length > 0)
    pieces.forEach((piece, i) => hash.update(i === 0 ? piece.subarray(1) : piece))
    return hash.digest('hex')
  }
  const offsets = new Float64Array(sorted.length + 1)
  sorted.forEach((id, i) => (offsets[i + 1] = (offsets[i] ?? 0) + Buffer.byteLength(id) + 1))
  const candidates = [...missing.map(id => ({ id, gone: true })), ...unexpected.map(id => ({ id, gone: false }))]
  for (const { id, gone } of candidates.slice(0, tries)) {
    const at = offsets[position(sorted, id)] ?? 0
    const hash = gone ? md5(at, `,${id}`, at) : md5(at, '', at + Buffer.byteLength(id) + 1)
    if (hash === published) return id
  }
  return null
}

/** Both are sorted, so one pass finds it; an ID that occurs twice on one side and once on the other makes none. */
function difference(from: readonly string[], without: readonly string[]): readonly string[] {
  const found: string[] = []
  let i = 0
  for (const id of from) {
    while (i < without.length && (without[i] ?? '') < id) i++
    if (without[i] !== id) found.push(id)
  }
  return found
}
