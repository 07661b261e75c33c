/** Maps whose values are nearly always one share; a group of them is made only where there are several. */

export interface Group<S> {
  add(share: S): void
  remove(share: S): void
  readonly size: number
  /** The share that can stand by itself again; null: the group is needed. */
  readonly alone: S | null
}

/**
 * Puts `next` in the place of `old` (null: there was none; there is none any more).
 * @param make a group for a share that cannot stand alone, or that gets company
 */
export function exchange<S extends object, G extends Group<S>>(
  map: Map<string, S | G>,
  name: string,
  old: S | null,
  next: S | null,
  kind: {
    readonly isGroup: (value: S | G) => value is G
    readonly needsGroup: (share: S) => boolean
    readonly make: () => G
  },
): void {
  const found = map.get(name) ?? null
  if (found === old && (next === null || !kind.needsGroup(next))) {
    if (next === null) map.delete(name)
    else map.set(name, next)
    return
  }
  let group: G
  if (found !== null && kind.isGroup(found)) group = found
  else {
    group = kind.make()
    if (found !== null && found !== old) group.add(found)
    map.set(name, group)
  }
  if (next !== null) group.add(next)
  if (old !== null) group.remove(old)
  const { alone } = group
  if (group.size === 0) map.delete(name)
  else if (alone !== null) map.set(name, alone)
}
