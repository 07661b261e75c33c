/**
 * The revision store: every replica reads it through the watch, the leader alone writes it.
 * A write is visible here only after the API server confirmed it: what is not stored is not released.
 *
 * Each write carries what its decision was made on. Where somebody else stored another record of the object meanwhile, the
 * write is refused: a leader that was deposed while its write was on the way must not undo what its successor decided.
 *
 * A shard that a write makes too large is written as one that is split, with all its records: that is when it happened, for
 * everybody. Then its children are created, each with its part and whatever waits for it; when all are there it is written
 * without records. Whoever dies in between leaves nothing undecided, and the next leader goes on (`complete`). Nothing is deleted.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { NotLeaderError, isKubeError } from '../kube/errors.ts'
import { isNewer } from '../kube/resource-version.ts'
import type { Batch } from './batch.ts'
import { addOlder, merge, refuse, refuseOutdated } from './batch.ts'
import { MOST_DIGITS, levelOf, pathOf } from './paths.ts'
import type { KeyRing } from './seal.ts'
import type { Opened } from './shards.ts'
import {
  MARKER_NAME,
  RecordSizeError,
  ShardError,
  bytesOf,
  decodeShard,
  encodeShard,
  fitsSecret,
  newSplit,
} from './shards.ts'
import { Slices, inParallel } from './slices.ts'
import type { Records, Shard, ShardFile, StoredShard } from './tree.ts'
import { ShardTree, isLeaf, isMissing, isThere, isUnreadable } from './tree.ts'

/** The three calls to Kubernetes that the store needs. */
export interface ShardApi {
  list(): Promise<readonly StoredShard[]>
  get(name: string): Promise<StoredShard | null>
  /** Creates (resourceVersion null) or replaces, fenced by resourceVersion. Throws an error with code KUBE_CONFLICT if it moved on. */
  write(name: string, resourceVersion: string | null, data: string): Promise<StoredShard>
}

export interface StoreHooks {
  /** Asked before every write. */
  readonly mayWrite: () => boolean
  /** Records of these keys changed. */
  readonly changed: (keys: readonly ObjectKey[]) => void
  /** Private keys are encrypted with its newest. */
  readonly keys: KeyRing
  /** The private key of a certificate that was recorded, where the Secret itself still has it; null: it has not, or is not known. */
  readonly recover: (key: ObjectKey, chain: string) => string | null
  /** A shard could not be read; its last good records stay, and where there are none nothing is decided. Told once. */
  readonly unreadable: (error: ShardError) => void
}

/** What a shard holds before the next write of it is a split. */
export interface ShardLimits {
  readonly records: number
  /** Characters of base64. */
  readonly length: number
}

/**
 * A change of one object rewrites its shard: 128 records of Ingresses are 10 KiB and two milliseconds of work, and with less than some
 * 6 000 objects no shard is split. Certificates do not compress: of those the length comes first, some thirty of them, which change seldom.
 */
const LIMITS: ShardLimits = { records: 128, length: 96 * 1024 }
/** How often a write is tried again on conflict before the caller is told. */
const WRITE_ATTEMPTS = 5
/** Requests at a time. */
const PARALLEL = 16
/** What nobody waits for is written so much later, in milliseconds. */
const LATER_MS = 1000

/** A write of one shard. */
interface Draft {
  readonly data: string
  readonly file: Omit<ShardFile, 'resourceVersion'>
  /** The batch is in it; else it is for the children. */
  readonly isWhole: boolean
}

export class ReleaseStore {
  readonly #api: ShardApi
  readonly #hooks: StoreHooks
  readonly #limits: ShardLimits
  readonly #tree: ShardTree
  readonly #slices: Slices
  #isComplete = false
  #later: ReturnType<typeof setTimeout> | null = null

  constructor(api: ShardApi, hooks: StoreHooks, limits: ShardLimits = LIMITS, slices: Slices = new Slices()) {
    this.#api = api
    this.#hooks = hooks
    this.#limits = limits
    this.#slices = slices
    this.#tree = new ShardTree({
      changed: hooks.changed,
      failed: shard => this.#say(shard),
      moved: () => this.#flushLater(),
    })
  }

  get(uid: string): ReleaseRecord | null {
    return this.#tree.get(uid)
  }

  /** The record of whatever object last had this key. */
  byKey(key: ObjectKey): ReleaseRecord | null {
    return this.#tree.byKey(key)
  }

  /** What is on its way to the store, if anything; undefined: nothing is. */
  pending(uid: string): ReleaseRecord | null | undefined {
    const { pending, inFlight } = this.#tree.leaf(uid)
    return (pending.get(uid) ?? inFlight.get(uid))?.record
  }

  *all(): Iterable<ReleaseRecord> {
    for (const shard of this.#tree.leaves()) yield* shard.records.values()
  }

  /** Secrets that hold records. */
  get shards(): number {
    return [...this.#tree.leaves()].length
  }

  /** Every shard was written once. Before that an object without a record is one that was there before us, and not a new one. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Shards that are there and were never read. While there are any, nothing may be concluded from a record that is not there. */
  get unreadable(): readonly string[] {
    return namesOf(this.#tree.failing().filter(isUnreadable))
  }

  /** Shards with private keys that cannot be decrypted, whether their last good records are known or not. */
  get locked(): readonly string[] {
    return namesOf(this.#tree.failing().filter(({ unopened }) => unopened !== null))
  }

  /** Shards with private keys that are not encrypted with the newest key. */
  get stale(): readonly string[] {
    return namesOf([...this.#tree.all()].filter(shard => this.#isStale(shard)))
  }

  /** Reads again what could not be decrypted: there are other keys, or Secrets that were not known. */
  reopen(): void {
    for (const shard of this.#tree.failing()) {
      if (shard.unopened !== null && shard.writing === null) this.#apply(shard, shard.unopened)
    }
  }

  /** Encrypts everything with the newest key, what an older operator left as it was, too. @throws KubeError, NotLeaderError */
  async reseal(): Promise<void> {
    for (const shard of [...this.#tree.leaves()]) if (this.#isStale(shard)) await this.#write(shard, true)
  }

  /** The object's shard was there and is gone, and its record with it. */
  isLost(uid: string): boolean {
    const shard = this.#tree.leaf(uid)
    return this.#isComplete && !isThere(shard) && !shard.known && shard.failure === null
  }

  /**
   * A new leader reads everything again before it decides anything.
   * @throws ShardError for one that cannot be read and never was
   */
  async load(): Promise<void> {
    const before = new Map([...this.#tree.known()].map(shard => [shard, shard.file]))
    const found = (await this.#api.list()).flatMap(stored => {
      this.#isComplete ||= stored.name === MARKER_NAME
      const path = pathOf(stored.name)
      return path === null ? [] : [{ path, stored }]
    })
    // Children before what leads to them: between two turns nobody shall take for lost what is only not read yet.
    found.sort((a, b) => b.path.length - a.path.length)
    for (const { path, stored } of found) {
      if (this.#slices.isSpent) await this.#slices.turn()
      const shard = this.#tree.at(path)
      const { resourceVersion } = shard.file ?? { resourceVersion: null }
      // What was held before is not newer than what was read after it, whatever the numbers say: a restored etcd begins with lower ones.
      const isUntouched = shard.file === (before.get(shard) ?? null)
      if (isUntouched && stored.resourceVersion === resourceVersion && shard.failure === null) continue
      if (!isUntouched && !isNewer(stored.resourceVersion, resourceVersion)) continue
      if (shard.writing !== null) shard.stash = stored
      else this.#slices.run(() => this.#apply(shard, stored))
    }
    for (const shard of [...this.#tree.leaves()]) this.#tree.adoptOrphans(shard)
    for (const shard of this.#tree.failing()) if (shard.failure !== null && isUnreadable(shard)) throw shard.failure
  }

  /** A watch event of a shard. Those of what was written or read here since carry nothing new, and may come late. */
  observe(stored: StoredShard): void {
    if (stored.name === MARKER_NAME && !this.#isComplete) {
      this.#isComplete = true
      this.#hooks.changed([])
    }
    const path = pathOf(stored.name)
    if (path === null) return
    const shard = this.#tree.at(path)
    if (!isNewer(stored.resourceVersion, shard.file?.resourceVersion ?? null)) return
    if (shard.writing !== null) shard.stash = stored
    else {
      this.#apply(shard, stored)
      if (shard.parent !== null) this.#tree.adoptOrphans(shard.parent)
    }
  }

  /** A Secret of the store was deleted under our feet: the leader writes it again; what it held stays known. */
  lost(name: string): void {
    const path = pathOf(name)
    if (path === null) return
    const shard = this.#tree.at(path)
    // Before what is under way, or after it: that is asked for afterwards.
    if (shard.writing !== null) shard.isInDoubt = true
    else this.#tree.lose(shard)
  }

  /**
   * Writes the shards that are not there, each at once with all that is known of it, then that all of them are: a shard that is
   * there holds the records of all its objects. Ends splits that somebody began.
   * @param found records of objects whose shard was lost
   * @throws KubeError, NotLeaderError
   */
  async complete(found: readonly ReleaseRecord[] = []): Promise<void> {
    const stored = Promise.all(found.map(record => this.#enqueue(record.uid, record, false)))
    // Whoever waits for it comes last, or never.
    stored.catch(() => undefined)
    // A shard that is split here has children that are to be written; then it is itself.
    for (let pass = 0; pass <= MOST_DIGITS && this.isMissing; pass++) {
      for (const { writing } of [...this.#tree.all()]) if (writing !== null) await writing
      const missing = [...this.#tree.leaves()].filter(isMissing)
      await inParallel(missing, PARALLEL, shard => this.#write(shard, true))
      for (const shard of [...this.#tree.all()]) await this.#finish(shard)
    }
    await stored
    if (this.#isComplete || this.isMissing) return
    if (!this.#hooks.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
    try {
      await this.#api.write(MARKER_NAME, null, encodeShard([], this.#hooks.keys))
    } catch (error) {
      // Another leader wrote it.
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error
    }
    this.#isComplete = true
  }

  /** Shards are to be written that are not there, or whose split is not done. */
  get isMissing(): boolean {
    for (const shard of this.#tree.all()) if (isMissing(shard)) return true
    return false
  }

  /**
   * Stores a record; resolves when the API server has it and it is visible here. Writes of one shard are joined.
   * @throws KubeError KUBE_CONFLICT: somebody else stored another record of the object meanwhile; NotLeaderError; RecordSizeError
   */
  put(record: ReleaseRecord): Promise<void> {
    return this.#enqueue(record.uid, record, true)
  }

  remove(uid: string): Promise<void> {
    return this.#enqueue(uid, null, true)
  }

  /** Stores a record with the next batch, at most a second later; nobody waits for it. */
  putLater(record: ReleaseRecord): void {
    void this.#enqueue(record.uid, record, false).catch(() => undefined)
  }

  removeLater(uid: string): void {
    void this.#enqueue(uid, null, false).catch(() => undefined)
  }

  /** Writes everything that waits, and waits for what is under way; for tests and for a graceful end. */
  async flush(): Promise<void> {
    await inParallel(this.#tree.leaves(), PARALLEL, async shard => {
      while (shard.writing !== null) await shard.writing
      await this.#write(shard)
    })
  }

  #flushLater(): void {
    this.#later ??= setTimeout(() => {
      this.#later = null
      void this.flush()
    }, LATER_MS)
  }

  #isStale(shard: Shard): boolean {
    const { children, file } = shard
    const newest = this.#hooks.keys.writer?.id
    return children === null && file !== null && (file.isBare || [...file.sealedWith].some(id => id !== newest))
  }

  #enqueue(uid: string, record: ReleaseRecord | null, now: boolean): Promise<void> {
    const shard = this.#tree.leaf(uid)
    return new Promise<void>((resolve, reject) => {
      const underWay = shard.inFlight.get(uid)
      const base = underWay === undefined ? (shard.records.get(uid) ?? null) : underWay.record
      const earlier = shard.pending.get(uid)
      shard.pending.set(uid, {
        record,
        base: earlier === undefined ? base : earlier.base,
        done: [...(earlier?.done ?? []), { resolve, reject }],
      })
      if (now) void this.#write(shard)
      else this.#flushLater()
    })
  }

  async #write(shard: Shard, always = false): Promise<void> {
    if (shard.writing !== null || !isLeaf(shard) || (shard.pending.size === 0 && !always)) return
    begin(shard)
    const batch = shard.pending
    shard.pending = new Map()
    shard.inFlight = batch
    let heirs: readonly Shard[] = []
    try {
      heirs = await this.#writeBatch(shard, batch, always)
      for (const { done } of batch.values()) for (const d of done) d.resolve()
    } catch (error) {
      for (const { done } of batch.values()) for (const d of done) d.reject(error)
      if (always) {
        // Nobody else writes what came meanwhile.
        this.#flushLater()
        throw error
      }
    } finally {
      shard.inFlight = new Map()
      this.#written(shard)
    }
    await this.#goOn(shard, heirs)
  }

  /** Nothing is under way any more, and what arrived meanwhile is read. */
  #written(shard: Shard): void {
    const { stash } = shard
    shard.writing = null
    shard.stash = null
    shard.ended()
    if (stash !== null && isNewer(stash.resourceVersion, shard.file?.resourceVersion ?? null)) this.#apply(shard, stash)
  }

  /** What waits here or at its heirs; and the splits that this is a part of. */
  async #goOn(shard: Shard, heirs: readonly Shard[]): Promise<void> {
    if (shard.isInDoubt) await this.#readAgain(shard).catch(() => undefined)
    await inParallel([shard, ...heirs], PARALLEL, one => this.#write(one))
    try {
      for (let split = shard.children === null ? shard.parent : shard; split !== null; split = split.parent) {
        if (!isMissing(split)) continue
        const missing = (split.children ?? []).filter(isMissing)
        await inParallel(missing, PARALLEL, child => this.#write(child, true))
        await this.#finish(split)
      }
    } catch {
      // Nobody waits for it: everything is stored, and complete() goes on with it.
    }
  }

  /**
   * What is out of date in the batch is taken out of it, and refused; so is what is left when the shard turns out to hold no records
   * itself: that goes on to the shards that do, which are returned.
   */
  async #writeBatch(shard: Shard, batch: Batch, always: boolean): Promise<readonly Shard[]> {
    for (let attempt = 1; ; attempt++) {
      if (this.#slices.isSpent) await this.#slices.turn()
      if (isForeign(shard)) await this.#readAbove(shard)
      if (!isLeaf(shard)) return this.#handOn(batch)
      refuseOutdated(shard.records, batch)
      if (batch.size === 0 && !always) return []
      if (!this.#hooks.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
      const draft = this.#slices.run(() => this.#draft(shard, batch))
      // Nothing is left that a Secret could hold.
      if (batch.size === 0 && !always) return []
      try {
        const { resourceVersion } = await this.#api.write(shard.name, versionOf(shard), draft.data)
        // Its parent may have become another one meanwhile: then it was written for nothing.
        const counts = isLeaf(shard) && splitAbove(shard) === draft.file.of
        this.#tree.take(shard, { ...draft.file, resourceVersion })
        return counts && draft.isWhole ? [] : this.#handOn(batch)
      } catch (error) {
        if (!isKubeError(error, 'KUBE_CONFLICT') || attempt >= WRITE_ATTEMPTS) throw error
        await this.#readAgain(shard)
      }
    }
  }

  /** To whoever holds these records by now. */
  #handOn(batch: Batch): readonly Shard[] {
    const heirs = new Set<Shard>()
    for (const [uid, waiting] of batch) {
      const heir = this.#tree.leaf(uid)
      addOlder(heir.pending, uid, waiting)
      heirs.add(heir)
    }
    batch.clear()
    return [...heirs]
  }

  /**
   * What was left over of another split is written over; but it may as well be of one that was not heard of yet, and then be what is so.
   * A parent that is read after the child knows it.
   */
  async #readAbove(shard: Shard): Promise<void> {
    for (let one = shard; one.parent !== null && isForeign(one); one = one.parent) await this.#readAgain(one.parent)
  }

  async #readAgain(shard: Shard): Promise<void> {
    shard.isInDoubt = false
    const fresh = await this.#api.get(shard.name)
    if (fresh === null) this.#tree.lose(shard)
    else this.#apply(shard, fresh)
  }

  /** What is too large for any Secret is refused. */
  #draft(shard: Shard, batch: Batch): Draft {
    const of = splitAbove(shard)
    const maySplit = levelOf(shard.path) < MOST_DIGITS
    for (;;) {
      const merged = merge(shard.records, batch)
      const most = merged.size < 2 || !maySplit ? Infinity : this.#limits.length
      if (!maySplit || merged.size <= Math.max(1, this.#limits.records)) {
        const draft = this.#encoded(merged, { of, split: '' }, true)
        if (draft.data.length <= most && fitsSecret(draft.data)) return draft
      }
      const split = newSplit(of)
      const draft = this.#encoded(merged, { of, split }, true)
      if (fitsSecret(draft.data)) return draft
      if (this.#refuseTooLarge(batch)) continue
      // Each is stored by a child. Of what was lost nobody may take what is not stored yet for what never was.
      return this.#encoded(shard.known ? shard.records : null, { of, split }, false)
    }
  }

  #encoded(records: Records | null, place: { readonly of: string; readonly split: string }, isWhole: boolean): Draft {
    const { keys } = this.#hooks
    const data = encodeShard(records?.values() ?? null, keys, place)
    const { writer } = keys
    const sealedWith = new Set(writer !== null && records !== null && hasKeys(records) ? [writer.id] : [])
    return { data, file: { ...place, records, sealedWith, isBare: false }, isWhole }
  }

  /** True if there was one. */
  #refuseTooLarge(batch: Batch): boolean {
    let any = false
    for (const [uid, { record }] of [...batch]) {
      if (record === null) continue
      const data = encodeShard([record], this.#hooks.keys)
      if (fitsSecret(data)) continue
      any = true
      refuse(batch, uid, new RecordSizeError(record.key, bytesOf(data)))
    }
    return any
  }

  /** A split shard is written without records once all its children are there: from then on one that is not was lost. */
  async #finish(shard: Shard): Promise<void> {
    if (!isDue(shard)) return
    if (isForeign(shard)) await this.#readAbove(shard)
    if (!isDue(shard)) return
    if (!this.#hooks.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
    begin(shard)
    try {
      const draft = this.#encoded(null, { of: splitAbove(shard), split: shard.split }, true)
      const { resourceVersion } = await this.#api.write(shard.name, versionOf(shard), draft.data)
      this.#tree.take(shard, { ...draft.file, resourceVersion })
    } catch (error) {
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error
      // Another leader was faster; or it is not split any more.
      await this.#readAgain(shard)
    } finally {
      this.#written(shard)
    }
  }

  #apply(shard: Shard, stored: StoredShard): void {
    let opened: Opened
    try {
      opened = decodeShard(stored.name, stored.data, this.#hooks)
    } catch (error) {
      if (!(error instanceof ShardError)) throw error
      this.#tree.fail(shard, error, error.locked ? stored : null)
      return
    }
    const records = opened.records === null ? null : new Map(opened.records.map(record => [record.uid, record]))
    this.#tree.take(shard, { ...opened, records, resourceVersion: stored.resourceVersion })
  }

  #say(shard: Shard): void {
    const { failure } = shard
    if (failure === null || shard.said === failure.message) return
    shard.said = failure.message
    this.#hooks.unreadable(failure)
  }
}

/** Its children are all there, and neither does it say so nor is that on its way. */
function isDue(shard: Shard): boolean {
  return shard.writing === null && shard.children !== null && isMissing(shard) && shard.children.every(isThere)
}

function begin(shard: Shard): void {
  shard.writing = new Promise(resolve => (shard.ended = resolve))
}

/** What is there belongs to another split than the one that is known. */
function isForeign(shard: Shard): boolean {
  return shard.file !== null && !isThere(shard)
}

function namesOf(shards: readonly Shard[]): readonly string[] {
  return shards.map(({ name }) => name)
}

function splitAbove({ parent }: Shard): string {
  return parent?.split ?? ''
}

/** By which a write is fenced; null: it is created. */
function versionOf({ file }: Shard): string | null {
  return file?.resourceVersion ?? null
}

function hasKeys(records: Records): boolean {
  for (const { revisions } of records.values()) {
    if (Object.values(revisions).some(({ content }) => content?.kind === 'Secret')) return true
  }
  return false
}
