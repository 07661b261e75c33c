/** Sorted lists of IDs, changed in little more than the time to copy them. Pure. */
import { idsChecksum } from '../../protocol/hash.ts'

/** The list without one occurrence of each gone ID and with the new ones; the same list if that changes nothing. Empty IDs take no part. */
export function withIds(
  sorted: readonly string[],
  gone: readonly string[],
  come: readonly string[],
): readonly string[] {
  const counts = new Map<string, number>()
  for (const id of come) if (id !== '') counts.set(id, (counts.get(id) ?? 0) + 1)
  for (const id of gone) if (id !== '') counts.set(id, (counts.get(id) ?? 0) - 1)
  const changes = [...counts].filter(([, count]) => count !== 0)
  if (changes.length === 0) return sorted
  const list = [...sorted]
  // Insertion moves the rest of the list: for many changes one sort is cheaper.
  const many = changes.length > 1_000
  const dropped = new Map<string, number>()
  for (const [id, count] of changes) {
    if (many) {
      if (count < 0) dropped.set(id, -count)
      else for (let i = 0; i < count; i++) list.push(id)
      continue
    }
    for (let i = 0; i < count; i++) list.splice(position(list, id), 0, id)
    for (let i = 0; i > count; i--) {
      const at = position(list, id)
      if (list[at] === id) list.splice(at, 1)
    }
  }
  if (!many) return list
  return list
    .filter(id => {
      const left = dropped.get(id) ?? 0
      if (left > 0) dropped.set(id, left - 1)
      return left === 0
    })
    .sort()
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

/**
 * What may be wrong with a list whose checksum is not the published one. The published list itself is unknown here, so
 * the served one, which was proven, is what it is compared with; an ID that alone explains the checksum is the suspect.
 */
export function listedDifference(
  served: readonly string[],
  ids: readonly string[],
  published: string,
): { readonly suspect: string | null; readonly text: string } {
  const missing = difference(served, ids)
  const unexpected = difference(ids, served)
  const [first, ...others] = [...missing, ...unexpected]
  const explains =
    missing.slice(0, MOST_NAMED).find(id => idsChecksum([...ids, id]) === published) ??
    unexpected.slice(0, MOST_NAMED).find(id => idsChecksum(withIds(ids, [id], [])) === published)
  const named = (what: string, list: readonly string[]): string =>
    list.length === 0
      ? ''
      : `; ${what}: ${list.slice(0, MOST_NAMED).join(', ')}${list.length > MOST_NAMED ? ', …' : ''}`
  return {
    suspect: explains ?? (others.length === 0 ? (first ?? null) : null),
    text: `${named('no longer there', missing)}${named('not served before', unexpected)}`,
  }
}

function difference(from: readonly string[], without: readonly string[]): readonly string[] {
  const known = new Set(without)
  return from.filter(id => !known.has(id))
}
