/** Which parts of a range of words are free: found by size, joined with their neighbours when they are given back. Pure. */

/** Blocks are multiples of it, in words. */
export const GRAIN = 2
/** Multiples of the grain that have a bin of their own; larger ones share four bins for each doubling. */
const EXACT = 64

export class FreeSpace {
  /** Of each free block: its words, by where it begins; where it begins, by where it ends. */
  readonly #sizes = new Map<number, number>()
  readonly #ends = new Map<number, number>()
  readonly #bins: Set<number>[] = []
  /** No block lies across one of these. */
  readonly #borders = new Set<number>()
  #words = 0

  /** Free words. */
  get words(): number {
    return this.#words
  }

  /** Free blocks. */
  get blocks(): number {
    return this.#sizes.size
  }

  /** A range that was not there before. It is joined with nothing before it. */
  add(place: number, words: number): void {
    this.border(place)
    this.give(place, words)
  }

  /** A range begins here that was not there before, and that is not free. */
  border(place: number): void {
    this.#borders.add(place)
  }

  /** @param words as they were taken */
  give(place: number, words: number): void {
    let [begin, size] = [place, rounded(words)]
    this.#words += size
    const before = this.#borders.has(begin) ? undefined : this.#ends.get(begin)
    if (before !== undefined) {
      size += this.#drop(before)
      begin = before
    }
    const behind = place + rounded(words)
    if (this.#sizes.has(behind) && !this.#borders.has(behind)) size += this.#drop(behind)
    this.#keep(begin, size)
  }

  /** Where so many words are free, which are not free any more; null: nowhere. */
  take(words: number): number | null {
    const wanted = rounded(words)
    const own = binOf(wanted)
    const found = this.#among(own, wanted) ?? this.#above(own)
    if (found === null) return null
    const size = this.#drop(found)
    this.#words -= wanted
    if (size > wanted) this.#keep(found + wanted, size - wanted)
    return found
  }

  /** Of a bin whose blocks may be too small: the first few are looked at. */
  #among(bin: number, wanted: number): number | null {
    let looks = 0
    for (const place of this.#bins[bin] ?? []) {
      if ((this.#sizes.get(place) ?? 0) >= wanted) return place
      if (++looks === 4) break
    }
    return null
  }

  #above(bin: number): number | null {
    for (let i = bin + 1; i < this.#bins.length; i++) for (const place of this.#bins[i] ?? []) return place
    return null
  }

  #keep(place: number, size: number): void {
    this.#sizes.set(place, size)
    this.#ends.set(place + size, place)
    const bin = binOf(size)
    while (this.#bins.length <= bin) this.#bins.push(new Set())
    this.#bins[bin]?.add(place)
  }

  /** @returns its words */
  #drop(place: number): number {
    const size = this.#sizes.get(place) ?? 0
    this.#sizes.delete(place)
    this.#ends.delete(place + size)
    this.#bins[binOf(size)]?.delete(place)
    return size
  }
}

/** Words that a block has of which so many are used. */
export function rounded(words: number): number {
  return Math.max(GRAIN, Math.ceil(words / GRAIN) * GRAIN)
}

function binOf(words: number): number {
  const grains = words / GRAIN
  if (grains <= EXACT) return grains - 1
  // Four for each doubling: the two bits behind the first one.
  const doubling = 31 - Math.clz32(grains)
  return EXACT + (doubling - Math.log2(EXACT)) * 4 + ((grains >>> (doubling - 2)) & 3)
}
