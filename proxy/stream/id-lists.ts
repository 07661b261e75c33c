/**
 * Sorted lists of IDs, sorted, changed and hashed in small steps: there may be 500 000 of them. As bytes: a string of its own costs each
 * ID forty bytes more. Pure.
 */
import { createHash } from 'node:crypto'
import type { Steps } from '../turns.ts'

/** IDs handled between two yields: well below a millisecond. */
const STEP = 1_024
/** IDs of a piece that is made anew. */
const PIECE = 512

/** IDs that follow each other. Immutable: lists share those in which they do not differ. */
interface Piece {
  readonly first: string
  /** A comma before each ID, as they are hashed. */
  readonly bytes: Buffer
  /** Where each one's comma is. */
  readonly begins: Uint16Array | Uint32Array
}

/** Sorted bytewise (IDs are ASCII, for which the order of UTF-16 is the same). No empty ones; the same ID is in one piece, however often. */
export interface IdList {
  readonly length: number
  readonly pieces: readonly Piece[]
}

export const NO_IDS: IdList = { length: 0, pieces: [] }

/** A new list. */
export function* sortedIds(ids: readonly string[]): Steps<IdList> {
  const pieces: Piece[] = []
  for (const piece of piecesOf(yield* sorted(ids))) {
    pieces.push(piece)
    yield
  }
  return listOf(pieces)
}

/** In small steps. Empty ones are left out. */
function* sorted(ids: readonly string[]): Steps<readonly string[]> {
  let runs: (readonly string[])[] = []
  for (let from = 0; from < ids.length; from += STEP) {
    runs.push(
      ids
        .slice(from, from + STEP)
        .filter(id => id !== '')
        .sort(),
    )
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

/** All IDs in order, a piece at a time. */
export function* idsOf({ pieces }: IdList): Generator<readonly string[], void, void> {
  for (const piece of pieces) yield idsIn(piece)
}

/** `idsChecksum` of protocol/hash.ts. */
export function* sortedChecksum({ pieces }: IdList): Steps<string> {
  const hash = createHash('md5')
  for (const [i, { bytes }] of pieces.entries()) {
    hash.update(i === 0 ? bytes.subarray(1) : bytes)
    yield
  }
  return hash.digest('hex')
}

/** The list without one occurrence of each gone ID and with the new ones; the same list if that changes nothing. Empty IDs take no part. */
export function* withIds(list: IdList, gone: readonly string[], come: readonly string[]): Steps<IdList> {
  const counts = new Map<string, number>()
  for (const [ids, by] of [
    [come, 1],
    [gone, -1],
  ] as const) {
    for (const [i, id] of ids.entries()) {
      counts.set(id, (counts.get(id) ?? 0) + by)
      if (i % STEP === STEP - 1) yield
    }
  }
  const changes: (readonly [id: string, count: number])[] = []
  for (const id of yield* sorted([...counts.keys()])) {
    const count = counts.get(id) ?? 0
    if (count !== 0) changes.push([id, count])
    if (changes.length % STEP === STEP - 1) yield
  }
  if (changes.length === 0) return list
  yield
  const pieces: Piece[] = []
  let next = 0
  for (let i = 0; i < Math.max(1, list.pieces.length); i++) {
    const piece = list.pieces[i]
    const behind = list.pieces[i + 1]?.first
    const from = next
    while (next < changes.length && (behind === undefined || (changes[next]?.[0] ?? '') < behind)) next++
    if (from === next) {
      if (piece !== undefined) append(pieces, piece)
      continue
    }
    const ids = changed(piece === undefined ? [] : idsIn(piece), changes.slice(from, next))
    for (const made of piecesOf(ids)) {
      append(pieces, made)
      yield
    }
    yield
  }
  return listOf(pieces)
}

/** Both are sorted. */
function changed(ids: readonly string[], changes: readonly (readonly [id: string, count: number])[]): string[] {
  const result: string[] = []
  let i = 0
  for (const [id, count] of changes) {
    while (i < ids.length && (ids[i] ?? '') < id) result.push(ids[i++] ?? '')
    for (let n = 0; n < count; n++) result.push(id)
    for (let n = 0; n > count && ids[i] === id; n--) i++
  }
  while (i < ids.length) result.push(ids[i++] ?? '')
  return result
}

/** Two that are small become one: many removals leave no list of crumbs. */
function append(pieces: Piece[], piece: Piece): void {
  const last = pieces.at(-1)
  if (last === undefined || last.begins.length + piece.begins.length > PIECE) {
    pieces.push(piece)
    return
  }
  pieces.pop()
  pieces.push(pieceOf([...idsIn(last), ...idsIn(piece)]))
}

function* piecesOf(sorted: readonly string[]): Generator<Piece, void, void> {
  for (let from = 0; from < sorted.length;) {
    let until = Math.min(from + PIECE, sorted.length)
    while (until < sorted.length && sorted[until] === sorted[until - 1]) until++
    yield pieceOf(sorted.slice(from, until))
    from = until
  }
}

function pieceOf(ids: readonly string[]): Piece {
  const text = Buffer.from(`,${ids.join(',')}`)
  // A copy of its own size: what Buffer.from gives may be a part of the pool, and keep all of that.
  const bytes = Buffer.from(new Uint8Array(text).buffer)
  const begins = bytes.length < 2 ** 16 ? new Uint16Array(ids.length) : new Uint32Array(ids.length)
  let at = 0
  for (const [i, id] of ids.entries()) {
    begins[i] = at
    at += Buffer.byteLength(id) + 1
  }
  return { first: ids[0] ?? '', bytes, begins }
}

function idsIn({ bytes, begins }: Piece): readonly string[] {
  return Array.from(begins, (at, i) => bytes.toString('utf8', at + 1, begins[i + 1] ?? bytes.length))
}

function listOf(pieces: readonly Piece[]): IdList {
  return { length: pieces.reduce((sum, { begins }) => sum + begins.length, 0), pieces }
}

const MOST_NAMED = 20

/** How much is hashed in search of a suspect: some 30 ms, however many IDs there are. But so many of them are tried. */
const MOST_HASHED_BYTES = 12_000_000
const LEAST_TRIES = 2

/**
 * What may be wrong with a list whose checksum is not the published one. The published list itself is unknown here, so
 * the served one, which was proven, is what it is compared with; an ID that alone explains the checksum is the suspect.
 */
export function* listedDifference(
  served: IdList,
  ids: IdList,
  published: string,
): Steps<{ readonly suspect: string | null; readonly text: string }> {
  const missing = yield* difference(served, ids)
  const unexpected = yield* difference(ids, served)
  const [first, ...others] = [...missing, ...unexpected]
  const explains = yield* suspectOf(ids, missing.slice(0, MOST_NAMED), unexpected.slice(0, MOST_NAMED), published)
  const named = (what: string, list: readonly string[]): string =>
    list.length === 0
      ? ''
      : `; ${what}: ${list.slice(0, MOST_NAMED).join(', ')}${list.length > MOST_NAMED ? ', …' : ''}`
  return {
    suspect: explains ?? (others.length === 0 ? (first ?? null) : null),
    text: `${named('no longer there', missing)}${named('not served before', unexpected)}`,
  }
}

/** The ID that alone explains the checksum; null: none of those that were tried. */
function* suspectOf(
  ids: IdList,
  missing: readonly string[],
  unexpected: readonly string[],
  published: string,
): Steps<string | null> {
  const bytes = ids.pieces.reduce((sum, piece) => sum + piece.bytes.length, 0)
  const tries = Math.max(LEAST_TRIES, Math.floor(MOST_HASHED_BYTES / (bytes + 1)))
  const candidates = [...missing.map(id => ({ id, gone: true })), ...unexpected.map(id => ({ id, gone: false }))]
  for (const { id, gone } of candidates.slice(0, tries)) {
    const without = yield* withIds(ids, gone ? [] : [id], gone ? [id] : [])
    if ((yield* sortedChecksum(without)) === published) return id
  }
  return null
}

/** One pass finds it; an ID that occurs twice on one side and once on the other makes none. */
function* difference(from: IdList, without: IdList): Steps<readonly string[]> {
  const found: string[] = []
  const others = idsOf(without)
  let [there, i]: [readonly string[], number] = [[], 0]
  const other = (): string | undefined => {
    while (i >= there.length) {
      const next = others.next()
      if (next.done === true) return undefined
      ;[there, i] = [next.value, 0]
    }
    return there[i]
  }
  for (const ids of idsOf(from)) {
    for (const id of ids) {
      for (let one = other(); one !== undefined && one < id; one = other()) i++
      if (other() !== id) found.push(id)
    }
    yield
  }
  return found
}
