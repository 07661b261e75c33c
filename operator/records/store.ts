/**
 * The revision store: every replica reads it through the watch, the leader alone writes it.
 * A write is visible here only after the API server confirmed it: what is not stored is not released.
 *
 * Each write carries what its decision was made on. Where somebody else stored another record of the object meanwhile, the
 * write is refused: a leader that was deposed while its write was on the way must not undo what its successor decided.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { KubeError, NotLeaderError, isKubeError } from '../kube/errors.ts'
import { isNewer } from '../kube/resource-version.ts'
import type { KeyRing } from './seal.ts'
import type { Opened } from './shards.ts'
import { MARKER_NAME, SHARD_COUNT, ShardError, decodeShard, encodeShard, shardName, shardOf } from './shards.ts'

export interface StoredShard {
  readonly name: string
  readonly resourceVersion: string
  /** Base64 of the gzipped records. */
  readonly data: string
}

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

interface Pending {
  readonly record: ReleaseRecord | null
  /** What was stored when it was decided. */
  readonly base: ReleaseRecord | null
  readonly done: readonly { resolve: () => void; reject: (error: unknown) => void }[]
}

interface Shard {
  readonly name: string
  /** Null: it is not there. */
  resourceVersion: string | null
  /** It is there, and what it holds was never read. */
  unreadable: boolean
  /** This process read or wrote it: what it does not hold is new, also when it is deleted. */
  known: boolean
  records: Map<string, ReleaseRecord>
  /** As it is there and could not be read, for want of a key that may come. */
  unopened: StoredShard | null
  /** What was said of it last. */
  said: string
  /** Ids of the keys that its private keys are encrypted with, and whether there are some that are not. */
  sealedWith: ReadonlySet<string>
  isBare: boolean
  pending: Map<string, Pending>
  /** What the write under way carries. */
  inFlight: ReadonlyMap<string, Pending>
  writing: boolean
  /** The newest change that arrived while we were writing. */
  stash: StoredShard | null
}

/** How often a write is tried again on conflict before the caller is told. */
const WRITE_ATTEMPTS = 5

export class ReleaseStore {
  readonly #api: ShardApi
  readonly #hooks: StoreHooks
  readonly #shards: readonly Shard[]
  readonly #keys = new Map<ObjectKey, string>()
  /** UID of another record with the same key. */
  readonly #beside = new Map<ObjectKey, string>()
  #isComplete = false
  #later: ReturnType<typeof setTimeout> | null = null

  constructor(api: ShardApi, hooks: StoreHooks) {
    this.#api = api
    this.#hooks = hooks
    this.#shards = Array.from({ length: SHARD_COUNT }, (_, i) => ({
      name: shardName(i),
      resourceVersion: null,
      unreadable: false,
      known: false,
      records: new Map<string, ReleaseRecord>(),
      unopened: null,
      said: '',
      sealedWith: new Set<string>(),
      isBare: false,
      pending: new Map<string, Pending>(),
      inFlight: new Map<string, Pending>(),
      writing: false,
      stash: null,
    }))
  }

  get(uid: string): ReleaseRecord | null {
    return this.#shard(uid).records.get(uid) ?? null
  }

  /** The record of whatever object last had this key. */
  byKey(key: ObjectKey): ReleaseRecord | null {
    const uid = this.#keys.get(key)
    return uid === undefined ? null : this.get(uid)
  }

  /** What is on its way to the store, if anything; undefined: nothing is. */
  pending(uid: string): ReleaseRecord | null | undefined {
    const shard = this.#shard(uid)
    return (shard.pending.get(uid) ?? shard.inFlight.get(uid))?.record
  }

  *all(): Iterable<ReleaseRecord> {
    for (const shard of this.#shards) yield* shard.records.values()
  }

  /** Every shard was written once. Before that an object without a record is one that was there before us, and not a new one. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Shards that are there and were never read. While there are any, nothing may be concluded from a record that is not there. */
  get unreadable(): readonly string[] {
    return this.#shards.filter(shard => shard.unreadable).map(({ name }) => name)
  }

  /** Shards with private keys that cannot be decrypted, whether their last good records are known or not. */
  get locked(): readonly string[] {
    return this.#shards.filter(({ unopened }) => unopened !== null).map(({ name }) => name)
  }

  /** Shards with private keys that are not encrypted with the newest key. */
  get stale(): readonly string[] {
    return this.#stale().map(({ name }) => name)
  }

  /** Reads again what could not be decrypted: there are other keys, or Secrets that were not known. */
  reopen(): void {
    for (const shard of this.#shards) {
      if (shard.unopened !== null && !shard.writing) this.#apply(shard, shard.unopened)
    }
  }

  /** Encrypts everything with the newest key, what an older operator left as it was, too. @throws KubeError, NotLeaderError */
  async reseal(): Promise<void> {
    for (const shard of this.#stale()) if (!shard.writing) await this.#write(shard, true)
  }

  /** The object's shard was there and is gone, and its record with it. */
  isLost(uid: string): boolean {
    const { resourceVersion, known } = this.#shard(uid)
    return this.#isComplete && resourceVersion === null && !known
  }

  /**
   * A new leader reads everything again before it decides anything.
   * @throws ShardError for one that cannot be read and never was
   */
  async load(): Promise<void> {
    const before = this.#shards.map(({ resourceVersion }) => resourceVersion)
    const found = new Map((await this.#api.list()).map(s => [s.name, s]))
    this.#isComplete ||= found.has(MARKER_NAME)
    let failed: ShardError | null = null
    for (const [i, shard] of this.#shards.entries()) {
      const stored = found.get(shard.name)
      if (stored === undefined) continue
      // What was held before is not newer than what was read after it, whatever the numbers say: a restored etcd begins with lower ones.
      const isUntouched = shard.resourceVersion === before[i]
      const isNews = isUntouched || isNewer(stored.resourceVersion, shard.resourceVersion)
      const error = isNews ? this.#apply(shard, stored) : null
      if (shard.unreadable) failed ??= error
    }
    if (failed !== null) throw failed
  }

  /** A watch event of a shard. Those of what was written or read here since carry nothing new, and may come late. */
  observe(stored: StoredShard): void {
    if (stored.name === MARKER_NAME && !this.#isComplete) {
      this.#isComplete = true
      this.#hooks.changed([])
    }
    const shard = this.#shards.find(s => s.name === stored.name)
    if (shard === undefined || !isNewer(stored.resourceVersion, shard.resourceVersion)) return
    if (shard.writing) shard.stash = stored
    else this.#apply(shard, stored)
  }

  /** A Secret of the store was deleted under our feet: the leader writes it again; what it held stays known. */
  lost(name: string): void {
    const shard = this.#shards.find(s => s.name === name)
    if (shard === undefined || shard.writing) return
    shard.resourceVersion = null
    shard.unopened = null
    if (shard.unreadable) {
      shard.unreadable = false
      this.#hooks.changed([])
    }
  }

  /**
   * Writes the shards that are not there, each at once with all that is known of it, then that all of them are: a shard that is
   * there holds the records of all its objects.
   * @param found records of objects whose shard was lost
   * @throws KubeError, NotLeaderError
   */
  async complete(found: readonly ReleaseRecord[] = []): Promise<void> {
    const missing = this.#missing().filter(shard => !shard.writing)
    const writes = found.map(record => this.#enqueue(record.uid, record, false))
    await Promise.all(missing.map(shard => this.#write(shard, true)))
    await Promise.all(writes)
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

  /** Shards that are not there are to be written. */
  get isMissing(): boolean {
    return this.#missing().length > 0
  }

  /**
   * Stores a record; resolves when the API server has it and it is visible here. Writes of one shard are joined.
   * @throws KubeError KUBE_CONFLICT: somebody else stored another record of the object meanwhile; NotLeaderError
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

  /** Writes everything that waits; for tests and for a graceful end. */
  async flush(): Promise<void> {
    await Promise.all(this.#shards.map(s => this.#write(s)))
  }

  #stale(): readonly Shard[] {
    const newest = this.#hooks.keys.writer?.id
    return this.#shards.filter(({ isBare, sealedWith }) => isBare || [...sealedWith].some(id => id !== newest))
  }

  #missing(): readonly Shard[] {
    return this.#shards.filter(shard => shard.resourceVersion === null && !shard.unreadable)
  }

  #shard(uid: string): Shard {
    const shard = this.#shards[shardOf(uid)]
    if (shard === undefined) throw new RangeError('shardOf is out of range')
    return shard
  }

  #enqueue(uid: string, record: ReleaseRecord | null, now: boolean): Promise<void> {
    const shard = this.#shard(uid)
    return new Promise<void>((resolve, reject) => {
      const earlier = shard.pending.get(uid)
      const underWay = shard.inFlight.get(uid)
      const stored = underWay === undefined ? (shard.records.get(uid) ?? null) : underWay.record
      const base = earlier === undefined ? stored : earlier.base
      shard.pending.set(uid, { record, base, done: [...(earlier?.done ?? []), { resolve, reject }] })
      if (now) void this.#write(shard)
      else
        this.#later ??= setTimeout(() => {
          this.#later = null
          void this.flush()
        }, 1000)
    })
  }

  async #write(shard: Shard, always = false): Promise<void> {
    if (shard.writing || (shard.pending.size === 0 && !always)) return
    shard.writing = true
    const batch = shard.pending
    shard.pending = new Map<string, Pending>()
    shard.inFlight = batch
    try {
      const stored = await this.#writeBatch(shard, batch, always)
      if (stored !== null) {
        shard.resourceVersion = stored.resourceVersion
        shard.known = true
        shard.unopened = null
        shard.isBare = false
        const writer = this.#hooks.keys.writer
        this.#adopt(shard, merge(shard.records, batch))
        shard.sealedWith = new Set(writer !== null && hasKeys(shard.records) ? [writer.id] : [])
      }
      for (const { done } of batch.values()) for (const d of done) d.resolve()
    } catch (error) {
      for (const { done } of batch.values()) for (const d of done) d.reject(error)
      if (always) throw error
    } finally {
      shard.writing = false
      shard.inFlight = new Map()
      const stash = shard.stash
      shard.stash = null
      if (stash !== null && isNewer(stash.resourceVersion, shard.resourceVersion)) this.#apply(shard, stash)
    }
    await this.#write(shard)
  }

  /** Those of the batch that are out of date are taken out of it, and refused. */
  async #writeBatch(shard: Shard, batch: Map<string, Pending>, always: boolean): Promise<StoredShard | null> {
    for (let attempt = 1; ; attempt++) {
      refuseOutdated(shard.records, batch)
      if (batch.size === 0 && !always) return null
      if (!this.#hooks.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
      try {
        return await this.#api.write(
          shard.name,
          shard.resourceVersion,
          encodeShard(merge(shard.records, batch).values(), this.#hooks.keys),
        )
      } catch (error) {
        if (!isKubeError(error, 'KUBE_CONFLICT') || attempt >= WRITE_ATTEMPTS) throw error
        const fresh = await this.#api.get(shard.name)
        if (fresh === null) shard.resourceVersion = null
        else this.#apply(shard, fresh)
      }
    }
  }

  #apply(shard: Shard, stored: StoredShard): ShardError | null {
    let opened: Opened
    try {
      opened = decodeShard(stored.name, stored.data, this.#hooks)
    } catch (error) {
      if (!(error instanceof ShardError)) throw error
      shard.unreadable ||= shard.resourceVersion === null && shard.records.size === 0
      shard.unopened = error.locked ? stored : null
      if (shard.said !== error.message) this.#hooks.unreadable(error)
      shard.said = error.message
      return error
    }
    shard.unopened = null
    shard.said = ''
    shard.sealedWith = opened.sealedWith
    shard.isBare = opened.isBare
    shard.resourceVersion = stored.resourceVersion
    shard.known = true
    const wasUnreadable = shard.unreadable
    shard.unreadable = false
    this.#adopt(shard, new Map(opened.records.map(r => [r.uid, r])))
    if (wasUnreadable) this.#hooks.changed([])
    return null
  }

  #adopt(shard: Shard, records: Map<string, ReleaseRecord>): void {
    const changed = new Set<ObjectKey>()
    const before = shard.records
    shard.records = records
    for (const [uid, old] of before) {
      if (records.has(uid)) continue
      changed.add(old.key)
      this.#unclaim(old)
    }
    for (const [uid, record] of records) {
      const old = before.get(uid)
      if (old !== record && JSON.stringify(old) !== JSON.stringify(record)) changed.add(record.key)
      this.#claim(record)
    }
    if (changed.size > 0) this.#hooks.changed([...changed])
  }

  /**
   * An object that was made again has two records for a moment, in two shards whose events come in any order: the key is the
   * younger one's, and the other's when that goes.
   */
  #claim({ key, uid, createdAt }: ReleaseRecord): void {
    const holder = this.#keys.get(key)
    const other = holder === undefined || holder === uid ? null : this.get(holder)
    if (other === null) this.#keys.set(key, uid)
    else if (other.createdAt > createdAt) this.#beside.set(key, uid)
    else {
      this.#keys.set(key, uid)
      this.#beside.set(key, other.uid)
    }
  }

  #unclaim({ key, uid }: ReleaseRecord): void {
    const beside = this.#beside.get(key)
    if (this.#keys.get(key) === uid) {
      if (beside !== undefined && this.get(beside) !== null) this.#keys.set(key, beside)
      else this.#keys.delete(key)
    } else if (beside !== uid) return
    this.#beside.delete(key)
  }
}

function hasKeys(records: ReadonlyMap<string, ReleaseRecord>): boolean {
  for (const { revisions } of records.values()) {
    if (Object.values(revisions).some(({ content }) => content?.kind === 'Secret')) return true
  }
  return false
}

function merge(
  records: ReadonlyMap<string, ReleaseRecord>,
  batch: ReadonlyMap<string, Pending>,
): Map<string, ReleaseRecord> {
  const merged = new Map(records)
  for (const [uid, { record }] of batch) {
    if (record === null) merged.delete(uid)
    else merged.set(uid, record)
  }
  return merged
}

/** A record that is what is to be stored is none that moved on: the answer to our own write was lost. */
function refuseOutdated(records: ReadonlyMap<string, ReleaseRecord>, batch: Map<string, Pending>): void {
  for (const [uid, { record, base, done }] of batch) {
    const stored = records.get(uid) ?? null
    if (isSame(stored, base) || isSame(stored, record)) continue
    batch.delete(uid)
    const { key = uid } = stored ?? record ?? {}
    const error = new KubeError('KUBE_CONFLICT', `${key}: another record was stored meanwhile`)
    for (const { reject } of done) reject(error)
  }
}

function isSame(a: ReleaseRecord | null, b: ReleaseRecord | null): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}
