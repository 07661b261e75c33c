/**
 * The gate of one replica: objects go out to the stream only in states whose checksum was published.
 * DESIGN "The consistency check"; docs/checksum.md.
 *
 * All watchers of a resource see the same sequence of states, so the states since the last released one are kept, and
 * the newest that was published is released. A checksum is computed for a state only when it may be asked for, once.
 */
import { idsChecksum } from '../../protocol/hash.ts'
import type { Mismatch } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { mismatchOf } from './diff.ts'
import type { Published } from './diff.ts'
import { publicationOf } from './buckets.ts'
import type { Publication } from './buckets.ts'
import { accumulate, applyDelta } from './sorted-ids.ts'
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
  /** Computed when asked for. */
  checksum: string | null
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
}

export class ChecksumGate<T extends Identified> {
  readonly #maxStates: number
  readonly #retreat: (released: T, newest: T) => T | null
  /** The released state. */
  readonly #base = new Map<ObjectKey, T>()
  #baseIds: readonly string[] = []
  #baseChecksum = idsChecksum([])
  /** The states after it, oldest first. */
  #states: State<T>[] = []
  readonly #newest = new Map<ObjectKey, T>()
  /** The newest state's IDs against the released one's. */
  #sinceBase = new Map<string, number>()
  #published: Published | null = null
  #status: GateStatus = 'unpublished'

  constructor({ maxStates = DEFAULT_MAX_STATES, retreat = () => null }: GateOptions<T> = {}) {
    this.#maxStates = maxStates
    this.#retreat = retreat
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
    let count = this.#baseIds.length
    for (const difference of this.#sinceBase.values()) count += difference
    return count
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
    this.#states.push({ changes: new Map(changes), delta, checksum: null })
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
    const ids = this.#newestIds()
    const actual = this.#checksumOfNewest(ids)
    if (this.#published === null) {
      const message = 'no checksum is published: updates are held until there is one'
      return { expected: '', actual, missing: [], unexpected: [], message }
    }
    const { checksum } = this.#published
    // What is released was published: then the published IDs are known, whatever stands beside the checksum.
    return mismatchOf(checksum === this.#baseChecksum ? { checksum, ids: this.#baseIds } : this.#published, ids, actual)
  }

  /**
   * What the leader publishes: the newest state. Costs O(number of IDs).
   * @param instead IDs of objects that are about to be other ones
   */
  publication(instead: ReadonlyMap<ObjectKey, string> = new Map<ObjectKey, string>()): Publication {
    const delta = new Map<string, number>()
    for (const [key, id] of instead) {
      const now = this.#newest.get(key)?.id ?? ''
      if (now !== '') accumulate(delta, new Map([[now, -1]]))
      if (id !== '') accumulate(delta, new Map([[id, 1]]))
    }
    return publicationOf(applyDelta(this.#newestIds(), delta))
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
      this.#baseIds = applyDelta(this.#baseIds, sumOf(passed))
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
    if ((this.#base.get(key) ?? null) === value) return
    if (value === null) this.#base.delete(key)
    else this.#base.set(key, value)
    released.set(key, value)
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
    const delta = new Map(this.#sinceBase)
    for (let i = this.#states.length - 1; i >= oldest; i--) {
      const state = this.#states[i]
      if (state === undefined) break
      state.checksum ??= idsChecksum(applyDelta(this.#baseIds, delta))
      if (state.checksum === checksum) return i
      accumulate(delta, state.delta, -1)
    }
    return null
  }

  #newestIds(): readonly string[] {
    return applyDelta(this.#baseIds, this.#sinceBase)
  }

  #checksumOfNewest(ids: readonly string[]): string {
    const state = this.#states.at(-1)
    if (state === undefined) return this.#baseChecksum
    state.checksum ??= idsChecksum(ids)
    return state.checksum
  }

  #mergeOldest(): void {
    const [first, second, ...rest] = this.#states
    if (first === undefined || second === undefined) return
    const changes = new Map([...first.changes, ...second.changes])
    this.#states = [{ changes, delta: sumOf([first, second]), checksum: second.checksum }, ...rest]
  }
}

function sumOf(states: readonly State<unknown>[]): Map<string, number> {
  const sum = new Map<string, number>()
  for (const state of states) accumulate(sum, state.delta)
  return sum
}
