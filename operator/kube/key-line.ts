/**
 * Keys in the order in which they came, each once. Taking one costs the same however many there are: the first element of a Set does not,
 * where thousands before it were deleted.
 */

interface Place {
  readonly key: string
  readonly number: number
}

/** So many places that nobody holds any more are kept before the others are moved up. */
const SPENT = 1_024

export class KeyLine {
  /** By key the number of its place. */
  readonly #numbers = new Map<string, number>()
  #places: Place[] = []
  /** Of the first place that may be held. */
  #head = 0
  /** Before all others: who was first, and could not be taken. */
  #aside: Place[] = []
  #last = 0

  get size(): number {
    return this.#numbers.size
  }

  has(key: string): boolean {
    return this.#numbers.has(key)
  }

  /** One that is there keeps its place. */
  add(key: string): void {
    if (this.#numbers.has(key)) return
    this.#numbers.set(key, ++this.#last)
    this.#places.push({ key, number: this.#last })
  }

  /** @returns it was there */
  delete(key: string): boolean {
    return this.#numbers.delete(key)
  }

  clear(): void {
    this.#numbers.clear()
    this.#places = []
    this.#aside = []
    this.#head = 0
  }

  /** The first one that may be taken; null: there is none. @param isFree few are not: who is not is looked at each time */
  first(isFree: (key: string) => boolean): string | null {
    this.#aside = this.#aside.filter(place => this.#isHeld(place))
    const before = this.#aside.find(({ key }) => isFree(key))
    if (before !== undefined) return before.key
    for (; ; this.#head++) {
      const place = this.#places[this.#head]
      if (place === undefined) break
      if (!this.#isHeld(place)) continue
      if (isFree(place.key)) break
      this.#aside.push(place)
    }
    if (this.#head >= SPENT && this.#head * 2 >= this.#places.length) {
      this.#places = this.#places.slice(this.#head)
      this.#head = 0
    }
    return this.#places[this.#head]?.key ?? null
  }

  #isHeld({ key, number }: Place): boolean {
    return this.#numbers.get(key) === number
  }
}
