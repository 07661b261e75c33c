/** A multiset of IDs in bytewise order, changed by whole batches: merging N IDs with d changes costs O(N + d log d). */

/** How often IDs were added (positive) or taken away (negative). */
export type IdDelta = ReadonlyMap<string, number>

/** The sorted IDs after a delta. IDs that are taken away more often than they are there are ignored. */
export function applyDelta(sorted: readonly string[], delta: IdDelta): readonly string[] {
  const added: string[] = []
  const removed = new Map<string, number>()
  for (const [id, count] of delta) {
    for (let i = 0; i < count; i++) added.push(id)
    if (count < 0) removed.set(id, -count)
  }
  if (added.length === 0 && removed.size === 0) return sorted
  added.sort()
  const merged: string[] = []
  let next = 0
  for (const id of sorted) {
    for (let candidate = added[next]; candidate !== undefined && candidate < id; candidate = added[next]) {
      merged.push(candidate)
      next++
    }
    const left = removed.get(id) ?? 0
    if (left > 0) removed.set(id, left - 1)
    else merged.push(id)
  }
  for (; next < added.length; next++) merged.push(added[next] ?? '')
  return merged
}

/** Adds a delta to a sum in place, or with sign -1 takes it away again. What is zero is not in the sum. */
export function accumulate(sum: Map<string, number>, delta: IdDelta, sign: 1 | -1 = 1): void {
  for (const [id, count] of delta) {
    const total = (sum.get(id) ?? 0) + sign * count
    if (total === 0) sum.delete(id)
    else sum.set(id, total)
  }
}
