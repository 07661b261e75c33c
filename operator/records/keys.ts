/** Finds records by the object's key. */
import type { ObjectKey } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'

export class KeyIndex {
  readonly #get: (uid: string) => ReleaseRecord | null
  readonly #keys = new Map<ObjectKey, string>()
  /** UID of another record with the same key. */
  readonly #beside = new Map<ObjectKey, string>()

  constructor(get: (uid: string) => ReleaseRecord | null) {
    this.#get = get
  }

  find(key: ObjectKey): ReleaseRecord | null {
    const uid = this.#keys.get(key)
    return uid === undefined ? null : this.#get(uid)
  }

  /**
   * An object that was made again has two records for a moment, in two shards whose events come in any order: the key is the
   * younger one's, and the other's when that goes.
   */
  claim({ key, uid, createdAt }: ReleaseRecord): void {
    const holder = this.#keys.get(key)
    const other = holder === undefined || holder === uid ? null : this.#get(holder)
    if (other === null) this.#keys.set(key, uid)
    else if (other.createdAt > createdAt) this.#beside.set(key, uid)
    else {
      this.#keys.set(key, uid)
      this.#beside.set(key, other.uid)
    }
  }

  unclaim({ key, uid }: ReleaseRecord): void {
    const beside = this.#beside.get(key)
    if (this.#keys.get(key) === uid) {
      if (beside !== undefined && this.#get(beside) !== null) this.#keys.set(key, beside)
      else this.#keys.delete(key)
    } else if (beside !== uid) return
    this.#beside.delete(key)
  }
}
