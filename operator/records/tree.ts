/**
 * The shards as a tree: what each Secret says (`file`), and what is believed because of it (`records`, `children`). The two differ
 * where a Secret is not there any more, cannot be read, or does not count: a child counts if it belongs to the split that its
 * parent has, so what is left over of another time is never taken for what is so.
 *
 * Files come in any order, a child's before its parent's too: those that nothing leads to yet wait outside of the tree.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { Batch, Pending } from './batch.ts'
import { addOlder, isSame } from './batch.ts'
import { KeyIndex } from './keys.ts'
import type { ShardPath } from './paths.ts'
import {
  ROOT_PATHS,
  childPaths,
  digitOf,
  hashOf,
  levelOf,
  parentPath,
  partition,
  rootOf,
  rootPath,
  shardName,
} from './paths.ts'
import type { Place, ShardError } from './shards.ts'
import { isSplitBelow } from './shards.ts'

export interface StoredShard {
  readonly name: string
  readonly resourceVersion: string
  /** Base64 of the gzipped records. */
  readonly data: string
}

export type Records = ReadonlyMap<string, ReleaseRecord>

/** What a Secret says. */
export interface ShardFile extends Place {
  readonly resourceVersion: string
  /** Null: it is split, and its children hold them. */
  readonly records: Records | null
  /** Ids of the keys that its private keys are encrypted with, and whether there are some that are not. */
  readonly sealedWith: ReadonlySet<string>
  readonly isBare: boolean
}

export interface Shard {
  readonly path: ShardPath
  readonly name: string
  readonly parent: Shard | null
  /** Part of the tree. */
  isLinked: boolean
  /** As it was read or written last; null: it is not there, or was never read. */
  file: ShardFile | null
  /** What is there since cannot be read, and why. */
  failure: ShardError | null
  /** As it is there and could not be read, for want of a key that may come. */
  unopened: StoredShard | null
  /** What was said of it last. */
  said: string
  /** This process knows what it held: what it does not hold is new, also when it is deleted. */
  known: boolean
  /** Its split, for which its children are; `''`: it has none, and holds its records itself. */
  split: string
  children: readonly Shard[] | null
  records: Records
  pending: Batch
  /** What the write under way carries. */
  inFlight: ReadonlyMap<string, Pending>
  /** Settles when the write under way has; null: none is. */
  writing: Promise<void> | null
  ended: () => void
  /** The newest change that arrived while we were writing. */
  stash: StoredShard | null
  /** It was deleted while we were writing. */
  isInDoubt: boolean
}

export interface TreeHooks {
  /** Records of these keys changed. */
  readonly changed: (keys: readonly ObjectKey[]) => void
  /** It came into the tree, and cannot be read. */
  readonly failed: (shard: Shard) => void
  /** What waited to be written waits at another shard now, where nobody may be writing. */
  readonly moved: () => void
}

const NONE: Records = new Map()
const NO_SHARDS: readonly Shard[] = []

export class ShardTree {
  readonly #hooks: TreeHooks
  readonly #shards = new Map<ShardPath, Shard>()
  readonly #roots: readonly Shard[]
  readonly #keys = new KeyIndex(uid => this.get(uid))
  /** Of which what is there cannot be read: asked for with every event that comes before everything is given out, and hardly ever any. */
  readonly #failing = new Set<Shard>()

  constructor(hooks: TreeHooks) {
    this.#hooks = hooks
    this.#roots = ROOT_PATHS.map(path => this.at(path))
    for (const root of this.#roots) root.isLinked = true
  }

  get(uid: string): ReleaseRecord | null {
    return this.leaf(uid).records.get(uid) ?? null
  }

  byKey(key: ObjectKey): ReleaseRecord | null {
    return this.#keys.find(key)
  }

  /** The one that the object's record belongs to. */
  leaf(uid: string): Shard {
    const hash = hashOf(uid)
    let shard = this.#roots[rootOf(hash)]
    for (let level = 0; shard?.children; level++) shard = shard.children[digitOf(hash, level)]
    if (shard === undefined) throw new RangeError(`no shard ${rootPath(rootOf(hash))}`)
    return shard
  }

  /** All of the tree, children before their parents. */
  *all(from: readonly Shard[] = this.#roots): Iterable<Shard> {
    for (const shard of from) {
      if (shard.children !== null) yield* this.all(shard.children)
      yield shard
    }
  }

  *leaves(): Iterable<Shard> {
    for (const shard of this.all()) if (shard.children === null) yield shard
  }

  /** Those of which something was heard, outside of the tree as well. */
  known(): Iterable<Shard> {
    return this.#shards.values()
  }

  /** Those of the tree that cannot be read as they are there, by path. */
  failing(): readonly Shard[] {
    if (this.#failing.size === 0) return NO_SHARDS
    return [...this.#failing].filter(({ isLinked }) => isLinked).sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  at(path: ShardPath): Shard {
    const found = this.#shards.get(path)
    if (found !== undefined) return found
    const above = parentPath(path)
    const shard: Shard = {
      ...{ path, name: shardName(path), parent: above === null ? null : this.at(above), isLinked: false },
      ...{ file: null, failure: null, unopened: null, said: '', known: false },
      ...{ split: '', children: null, records: NONE },
      ...{
        pending: new Map(),
        inFlight: new Map(),
        writing: null,
        ended: () => undefined,
        stash: null,
        isInDoubt: false,
      },
    }
    this.#shards.set(path, shard)
    return shard
  }

  /** What its Secret says cannot be read. @param unopened what it says, where a key may come that opens it */
  fail(shard: Shard, failure: ShardError, unopened: StoredShard | null): void {
    shard.failure = failure
    shard.unopened = unopened
    this.#failing.add(shard)
    if (shard.isLinked) this.#hooks.failed(shard)
  }

  /** This is what its Secret says. */
  take(shard: Shard, file: ShardFile): void {
    const wasUnreadable = isUnreadable(shard)
    shard.file = file
    this.#clear(shard)
    shard.said = ''
    if (shard.isLinked) this.#show(shard)
    if (wasUnreadable) this.#hooks.changed([])
  }

  /** Its Secret is not there. What it held stays known. */
  lose(shard: Shard): void {
    const wasUnreadable = isUnreadable(shard)
    shard.file = null
    this.#clear(shard)
    if (!shard.isLinked) return
    this.adoptOrphans(shard)
    if (wasUnreadable) this.#hooks.changed([])
  }

  #clear(shard: Shard): void {
    shard.failure = null
    shard.unopened = null
    this.#failing.delete(shard)
  }

  /**
   * Its Secret is gone and was never read, and there are some that only exist because it was split: they are what is so. What of them
   * is not there is lost. Those of two splits tell nothing. To be asked when everything was read that is there.
   */
  adoptOrphans(shard: Shard): void {
    const { known, failure } = shard
    if (!isLeaf(shard) || known || failure !== null || isThere(shard)) return
    const split = this.#orphansOf(shard)
    if (split !== null) this.#fork(shard, split, null, false)
  }

  /** The split that left them. */
  #orphansOf({ path, parent }: Shard): string | null {
    const above = parent?.split ?? ''
    const files = childPaths(path).flatMap(child => this.#shards.get(child)?.file ?? [])
    const splits = new Set(files.map(({ of }) => of).filter(of => isSplitBelow(of, above)))
    const [split = null] = splits
    return splits.size === 1 ? split : null
  }

  /** What is in the tree is as its file says, if that counts. */
  #show(shard: Shard): void {
    const { file } = shard
    if (file === null || !isThere(shard)) return
    const wasKnown = shard.known
    shard.known = true
    if (file.split !== '') this.#fork(shard, file.split, file.records, wasKnown)
    else {
      this.#join(shard)
      if (file.records !== null) this.#adopt(shard, file.records)
    }
  }

  /**
   * It is split: its children hold what it held.
   * @param base what those of them hold that are not there; null: whatever is known of it
   */
  #fork(shard: Shard, split: string, base: Records | null, wasKnown: boolean): void {
    if (shard.children !== null && shard.split === split) return
    this.#join(shard)
    const level = levelOf(shard.path)
    const before = partition(shard.records, level)
    const parts = base === null ? null : partition(base, level)
    const children = childPaths(shard.path).map(path => this.at(path))
    shard.split = split
    for (const [digit, child] of children.entries()) {
      child.isLinked = true
      // It may be there and unreadable, or have been there: then it held something else, that nobody remembers.
      const isNew = base !== null && child.failure === null && this.#orphansOf(child) === null
      child.known = wasKnown || isNew
      child.records = before[digit] ?? NONE
    }
    shard.children = children
    shard.records = NONE
    this.#moveUp(shard, uid => this.leaf(uid))
    for (const [digit, child] of children.entries()) {
      if (isThere(child)) this.#show(child)
      else if (child.failure !== null) this.#hooks.failed(child)
      else if (parts !== null && child.known) this.#adopt(child, parts[digit] ?? NONE)
      else this.adoptOrphans(child)
    }
  }

  /** It is not split any more, if it was: whatever was below it is its own. */
  #join(shard: Shard): void {
    if (shard.children === null) return
    const records = new Map<string, ReleaseRecord>()
    const { children } = shard
    for (const child of children) {
      this.#join(child)
      for (const [uid, record] of child.records) records.set(uid, record)
      child.records = NONE
      child.isLinked = false
    }
    shard.records = records
    shard.children = null
    shard.split = ''
    for (const child of children) this.#moveUp(child, () => shard)
  }

  #moveUp(from: Shard, to: (uid: string) => Shard): void {
    const { pending } = from
    if (pending.size === 0) return
    from.pending = new Map()
    for (const [uid, waiting] of pending) addOlder(to(uid).pending, uid, waiting)
    this.#hooks.moved()
  }

  #adopt(shard: Shard, records: Records): void {
    const changed = new Set<ObjectKey>()
    const before = shard.records
    shard.records = records
    for (const [uid, old] of before) {
      if (records.has(uid)) continue
      changed.add(old.key)
      this.#keys.unclaim(old)
    }
    for (const [uid, record] of records) {
      if (!isSame(before.get(uid) ?? null, record)) changed.add(record.key)
      this.#keys.claim(record)
    }
    if (changed.size > 0) this.#hooks.changed([...changed])
  }
}

/** Its Secret is there, was read, and counts. */
export function isThere({ file, parent }: Shard): boolean {
  return file !== null && file.of === (parent?.split ?? '')
}

/** It holds records itself. */
export function isLeaf({ isLinked, children }: Shard): boolean {
  return isLinked && children === null
}

/** It is there, and what it holds was never read. */
export function isUnreadable(shard: Shard): boolean {
  return isLeaf(shard) && shard.failure !== null && !isThere(shard) && shard.records.size === 0
}

/** It is to be written; a split one only when all of its children are. */
export function isMissing(shard: Shard): boolean {
  if (!shard.isLinked || shard.failure !== null) return false
  return !isThere(shard) || (shard.children !== null && shard.file?.records !== null)
}
