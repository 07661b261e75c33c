/**
 * Which names have series of their own in /metrics: the busiest. A listed one gives its place only to one that is much
 * busier for minutes, so that a series that began goes on.
 */

export interface BusiestOptions<T> {
  /** Names that may be listed at a time. */
  readonly most: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  /** A name that does not exist any more is not listed and loses its place. */
  readonly knows: (name: string) => boolean
  /** The name was listed. @returns what is kept for it */
  readonly list: (name: string) => T
  /** It lost its place. */
  readonly unlist: (value: T) => void
}

interface Place<T> {
  readonly value: T
  /** Reviews in a row in which it was not among the busiest. */
  outranked: number
}

/** How often the busiest are looked for, in milliseconds. Activity counts half as much after each time. */
const REVIEW_MS = 60_000
/** A name gives its place to a busier one after so many reviews: five minutes. */
const OUTRANKED_MOST = 5
/** The challenger must be so many times busier: two alike would take turns. */
const BUSIER = 2

export class Busiest<T> {
  readonly #options: BusiestOptions<T>
  readonly #places = new Map<string, Place<T>>()
  readonly #activity = new Activity()
  #reviewedAt: number

  constructor(options: BusiestOptions<T>) {
    this.#options = options
    this.#reviewedAt = options.now()
  }

  get size(): number {
    return this.#places.size
  }

  *values(): Generator<T, void> {
    for (const { value } of this.#places.values()) yield value
  }

  /** Notes activity. @returns what is kept for the name; null: it has no place */
  note(name: string, activity: number): T | null {
    const { most, knows } = this.#options
    if (!knows(name)) return null
    this.#activity.add(name, activity)
    const found = this.#places.get(name)
    if (found) return found.value
    return this.#places.size < most ? this.#list(name) : null
  }

  /** What is kept for a name that has a place. */
  get(name: string): T | null {
    return this.#places.get(name)?.value ?? null
  }

  /** Those that do not exist any more lose their places. */
  prune(): void {
    for (const [name, { value }] of this.#places) if (!this.#options.knows(name)) this.#unlist(name, value)
  }

  /** To be called often: does something once a minute. */
  review(): void {
    const { most, now, knows } = this.#options
    if (now() - this.#reviewedAt < REVIEW_MS) return
    this.#reviewedAt = now()
    this.prune()
    this.#activity.halve(knows)
    const least = this.#activity.leastOf(most)
    const outranked: [name: string, value: T, activity: number][] = []
    for (const [name, place] of this.#places) {
      const activity = this.#activity.of(name)
      place.outranked = activity < least ? place.outranked + 1 : 0
      if (place.outranked >= OUTRANKED_MOST) outranked.push([name, place.value, activity])
    }
    const free = most - this.#places.size
    if (free === 0 && outranked.length === 0) return
    const challengers = this.#activity.atLeast(least).filter(([name]) => !this.#places.has(name))
    for (const [name] of challengers.slice(0, free)) this.#list(name)
    let next = free
    outranked.sort(([, , a], [, , b]) => a - b)
    for (const [name, value, activity] of outranked) {
      const [challenger, theirs] = challengers[next++] ?? [null, 0]
      if (challenger === null || theirs <= activity * BUSIER) return
      this.#unlist(name, value)
      this.#list(challenger)
    }
  }

  #list(name: string): T {
    const value = this.#options.list(name)
    this.#places.set(name, { value, outranked: 0 })
    return value
  }

  #unlist(name: string, value: T): void {
    this.#places.delete(name)
    this.#options.unlist(value)
  }
}

/** How busy each name was lately. Numbers in one array: there may be 100 000 names. */
class Activity {
  readonly #index = new Map<string, number>()
  #recent = new Float64Array(64)
  readonly #free: number[] = []

  of(name: string): number {
    const index = this.#index.get(name)
    return index === undefined ? 0 : (this.#recent[index] ?? 0)
  }

  add(name: string, activity: number): void {
    let index = this.#index.get(name)
    if (index === undefined) {
      index = this.#free.pop() ?? this.#index.size
      if (index >= this.#recent.length) {
        const larger = new Float64Array(this.#recent.length * 2)
        larger.set(this.#recent)
        this.#recent = larger
      }
      this.#recent[index] = 0
      this.#index.set(name, index)
    }
    this.#recent[index] = (this.#recent[index] ?? 0) + activity
  }

  /** Time went by. Who did nothing for long, or is not known any more, is forgotten. */
  halve(knows: (name: string) => boolean): void {
    for (const [name, index] of this.#index) {
      const recent = this.#recent[index] ?? 0
      if (recent >= 1 && knows(name)) this.#recent[index] = recent / 2
      else {
        this.#index.delete(name)
        this.#free.push(index)
      }
    }
  }

  /** The activity that a name must have to be one of so many. */
  leastOf(most: number): number {
    // Any activity at all: who has none makes room.
    if (this.#index.size < most || most === 0) return Number.MIN_VALUE
    const sorted = new Float64Array(this.#index.size)
    let i = 0
    for (const index of this.#index.values()) sorted[i++] = this.#recent[index] ?? 0
    sorted.sort()
    return sorted[sorted.length - most] ?? Number.MIN_VALUE
  }

  /** The busiest first. */
  atLeast(least: number): readonly (readonly [name: string, activity: number])[] {
    const found: (readonly [string, number])[] = []
    for (const [name, index] of this.#index) {
      const recent = this.#recent[index] ?? 0
      if (recent >= least) found.push([name, recent])
    }
    return found.sort(([, a], [, b]) => b - a)
  }
}
