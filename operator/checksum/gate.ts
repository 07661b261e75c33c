/**
 * The gate of one replica: objects go out to the stream only in states whose checksum was published.
 * DESIGN "The consistency check"; docs/checksum.md.
 *
 * All watchers of a resource see the same sequence of states, so the states since the last released one are kept, and
 * the newest that was published is released. A checksum is computed for a state only when it may be asked for, once.
 */
import type { Mismatch } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { mismatchOf } from './diff.ts'
import type { Published } from './diff.ts'
import { Buckets, publicationOf } from './buckets.ts'
import type { Publication } from './buckets.ts'
import { IdSet } from './id-set.ts'
import { accumulate } from './sorted-ids.ts'
import type { IdDelta } from './sorted-ids.ts'

/** What the gate must know of an entry. An empty id takes no part in the checksum. */
export interface Identified {
  readonly id: string
}

/**
 * `consistent`: the newest state is released. `behind`: an older state is published and released, newer changes wait.
 * `mismatch`: what is published is no state that this replica had since the last released one.
 * `unpublished`: there is no checksum object.
 */
export type GateStatus = 'consistent' | 'behind' | 'mismatch' | 'unpublished'

export interface GateOutcome<T> {
  readonly status: GateStatus
  /** What is released now and was not before; null: the object is gone. */
  readonly released: ReadonlyMap<ObjectKey, T | null>
}

interface State<T> {
  /** Against the state before it. */
  readonly changes: ReadonlyMap<ObjectKey, T | null>
  readonly delta: IdDelta
  /** All IDs after it. */
  readonly ids: IdSet
}

const DEFAULT_MAX_STATES = 1000

export interface GateOptions<T> {
  /** States that are kept; beyond, the oldest are merged and cannot be released on their own. Default 1000. */
  readonly maxStates?: number
  /**
   * What may be given out of an entry though its newest form is not published: a form with the released ID that gives fewer
   * pods something new. Null: nothing. What is taken back waits for no checksum: it is no other configuration, only less of it.
   */
  readonly retreat?: (released: T, newest: T) => T | null
  /** Told of everything that becomes another one in what is released; null: it is not there. */
  readonly released?: (key: ObjectKey, before: T | null, after: T | null) => void
}

export class ChecksumGate<T extends Identified> {
  readonly #maxStates: number
  readonly #retreat: (released: T, newest: T) => T | null
  readonly #released: (key: ObjectKey, before: T | null, after: T | null) => void
  /** The released state. */
  readonly #base = new Map<ObjectKey, T>()
  #baseIds = IdSet.empty
  #baseChecksum = IdSet.empty.checksum
  /** The states after it, oldest first. */
  #states: State<T>[] = []
  readonly #newest = new Map<ObjectKey, T>()
  /** The newest state's IDs against the released one's. */
  #sinceBase = new Map<string, number>()
  /** Of the newest state, for what is published; null: nobody asked yet, or there were few IDs then. */
  #buckets: Buckets | null = null
  #published: Published | null = null
  #status: GateStatus = 'unpublished'

  constructor({ maxStates = DEFAULT_MAX_STATES, retreat = () => null, released }: GateOptions<T> = {}) {
    this.#maxStates = maxStates
    this.#retreat = retreat
    this.#released = released ?? ((): void => undefined)
  }

  get status(): GateStatus {
    return this.#status
  }

  /** Checksum of the released state. */
  get releasedChecksum(): string {
    return this.#baseChecksum
  }

  /** The released state. */
  get released(): ReadonlyMap<ObjectKey, T> {
    return this.#base
  }

  /** How many IDs of the newest state take part in the checksum. */
  get counted(): number {
    return this.#newestIds().size
  }

  /** The newest state, released or not. */
  get newest(): ReadonlyMap<ObjectKey, T> {
    return this.#newest
  }

  /** Logs the state after these changes (null: the object is gone). One call is one state: call it once per batch. */
  record(changes: ReadonlyMap<ObjectKey, T | null>): GateOutcome<T> {
    const delta = new Map<string, number>()
    const count = (id: string, by: number): void => {
      if (id === '') return
      const total = (delta.get(id) ?? 0) + by
      if (total === 0) delta.delete(id)
      else delta.set(id, total)
    }
    for (const [key, value] of changes) {
      count(this.#newest.get(key)?.id ?? '', -1)
      count(value?.id ?? '', 1)
      if (value === null) this.#newest.delete(key)
      else this.#newest.set(key, value)
    }
    accumulate(this.#sinceBase, delta)
    const before = this.#newestIds()
    const ids = before.with(delta)
    if (ids !== before) before.rest()
    this.#states.push({ changes: new Map(changes), delta, ids })
    this.#buckets = this.#buckets?.with(delta) ?? null
    if (this.#states.length > this.#maxStates) this.#mergeOldest()
    return this.#settle([...changes.keys()])
  }

  /** What the newest checksum object says; null: there is none, and nothing more is released. */
  publish(published: Published | null): GateOutcome<T> {
    this.#published = published
    return this.#settle(null)
  }

  /** How the newest state differs from what is published; null while the gate is consistent. Costs O(number of IDs). */
  mismatch(): Mismatch | null {
    if (this.#status === 'consistent') return null
    const newest = this.#newestIds()
    const [ids, actual] = [[...newest], newest.checksum]
    if (this.#published === null) {
      const message = 'no checksum is published: updates are held until there is one'
      return { expected: '', actual, missing: [], unexpected: [], message }
    }
    const { checksum } = this.#published
    // What is released was published: then the published IDs are known, whatever stands beside the checksum.
    return mismatchOf(
      checksum === this.#baseChecksum ? { checksum, ids: [...this.#baseIds] } : this.#published,
      ids,
      actual,
    )
  }

  /**
   * What the leader publishes: the newest state. Costs its MD5.
   * @param instead IDs of objects that are about to be other ones
   */
  publication(instead: ReadonlyMap<ObjectKey, string> = new Map<ObjectKey, string>()): Publication {
    const delta = new Map<string, number>()
    for (const [key, id] of instead) {
      const now = this.#newest.get(key)?.id ?? ''
      if (now !== '') accumulate(delta, new Map([[now, -1]]))
      if (id !== '') accumulate(delta, new Map([[id, 1]]))
    }
    return publicationOf(this.#newestIds().with(delta), () => {
      this.#buckets ??= Buckets.of(this.#newestIds())
      return this.#buckets.with(delta)
    })
  }

  /** @param changed Only these keys changed since the last time; null: what is published did. */
  #settle(changed: readonly ObjectKey[] | null): GateOutcome<T> {
    const released = new Map<ObjectKey, T | null>()
    this.#status = this.#published === null ? 'unpublished' : this.#release(this.#published.checksum, changed, released)
    // Of what is held now.
    if (this.#status !== 'consistent') {
      const held = changed ?? this.#states.flatMap(state => [...state.changes.keys()])
      for (const key of new Set([...held, ...released.keys()])) this.#takeBack(key, released)
    }
    return { status: this.#status, released }
  }

  #takeBack(key: ObjectKey, released: Map<ObjectKey, T | null>): void {
    const [base, newest] = [this.#base.get(key), this.#newest.get(key)]
    if (base === undefined || newest === undefined || base === newest) return
    const less = this.#retreat(base, newest)
    if (less !== null) this.#apply(key, less, released)
  }

  #release(
    checksum: string,
    changed: Iterable<ObjectKey> | null,
    released: Map<ObjectKey, T | null>,
  ): Exclude<GateStatus, 'unpublished'> {
    // Older states were looked at when they came: what is published did not change since.
    const oldest = changed === null ? 0 : this.#states.length - 1
    const at = checksum === this.#baseChecksum ? this.#newestLikeBase(oldest) : this.#newestWith(checksum, oldest)
    if (at === null) return 'mismatch'
    const passed = this.#states.splice(0, at + 1)
    for (const state of passed) for (const [key, value] of state.changes) this.#apply(key, value, released)
    if (passed.length > 0) {
      this.#baseIds = passed.at(-1)?.ids ?? this.#baseIds
      this.#sinceBase = sumOf(this.#states)
    }
    this.#baseChecksum = checksum
    // What an ID does not show (an index that moved) changes no checksum and waits for none.
    const waiting =
      changed !== null && passed.length === 0 ? changed : this.#states.flatMap(state => [...state.changes.keys()])
    for (const key of [...released.keys(), ...waiting]) {
      const value = this.#newest.get(key) ?? null
      if ((this.#base.get(key)?.id ?? '') === (value?.id ?? '')) this.#apply(key, value, released)
    }
    return this.#states.length === 0 ? 'consistent' : 'behind'
  }

  #apply(key: ObjectKey, value: T | null, released: Map<ObjectKey, T | null>): void {
    const before = this.#base.get(key) ?? null
    if (before === value) return
    if (value === null) this.#base.delete(key)
    else this.#base.set(key, value)
    released.set(key, value)
    this.#released(key, before, value)
  }

  /** Index of the newest state with the IDs of the released one; -1: there is none but that itself. No hashing. */
  #newestLikeBase(oldest: number): number {
    const delta = new Map(this.#sinceBase)
    for (let i = this.#states.length - 1; i >= oldest; i--) {
      if (delta.size === 0) return i
      accumulate(delta, this.#states[i]?.delta ?? new Map<string, number>(), -1)
    }
    return -1
  }

  /** Index of the newest state with this checksum; null: none has it. */
  #newestWith(checksum: string, oldest: number): number | null {
    // What was published from here is known already: states that came since need no hash. Nobody may have asked for that of the newest one.
    const known = this.#states.findLastIndex(({ ids }) => ids.knownChecksum === checksum)
    if (known >= oldest) return this.#newestLike(known)
    for (let i = this.#states.length - 1; i >= oldest; i--) {
      if (this.#states[i]?.ids.checksum === checksum) return i
    }
    return null
  }

  /** Index of the newest state with the IDs of this one. No hashing. */
  #newestLike(at: number): number {
    const since = new Map<string, number>()
    let found = at
    for (let i = at + 1; i < this.#states.length; i++) {
      accumulate(since, this.#states[i]?.delta ?? new Map<string, number>())
      if (since.size === 0) found = i
    }
    return found
  }

  #newestIds(): IdSet {
    return this.#states.at(-1)?.ids ?? this.#baseIds
  }

  #mergeOldest(): void {
    const [first, second, ...rest] = this.#states
    if (first === undefined || second === undefined) return
    const changes = new Map([...first.changes, ...second.changes])
    this.#states = [{ changes, delta: sumOf([first, second]), ids: second.ids }, ...rest]
  }
}

function sumOf(states: readonly State<unknown>[]): Map<string, number> {
  const sum = new Map<string, number>()
  for (const state of states) accumulate(sum, state.delta)
  return sum
}
