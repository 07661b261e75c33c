/**
 * What is published beside a checksum so that a difference can be named: the IDs, or from 500 on digests of 256
 * buckets, because every write of the object is kept by etcd until compaction. They help; `checksum` decides.
 */
import { hash } from 'node:crypto'
import type { CheckSumBucket } from '../model/generated/crds.ts'
import { IdSet } from './id-set.ts'
import type { IdDelta } from './sorted-ids.ts'

/** From this many IDs on buckets are published instead. */
export const MAX_PUBLISHED_IDS = 500

/** spec of a CheckSum object without its timestamp, in the publisher's form. */
export interface Publication {
  readonly checksum: string
  readonly count: number
  /** Empty where there are buckets. */
  readonly ids: readonly string[]
  readonly buckets: readonly CheckSumBucket[]
}

/** @param buckets of these IDs; asked only where there are many */
export function publicationOf(ids: IdSet, buckets: () => Buckets = () => Buckets.of(ids)): Publication {
  const base = { checksum: ids.checksum, count: ids.size }
  return ids.size < MAX_PUBLISHED_IDS
    ? { ...base, ids: [...ids], buckets: [] }
    : { ...base, ids: [], buckets: buckets().published }
}

/** IDs by bucket. It never changes; with() makes another one that shares the buckets which are the same. */
export class Buckets {
  readonly #byPrefix: ReadonlyMap<string, IdSet>
  #published: readonly CheckSumBucket[] | null = null

  private constructor(byPrefix: ReadonlyMap<string, IdSet>) {
    this.#byPrefix = byPrefix
  }

  /** Costs a SHA-256 for each ID. */
  static of(ids: Iterable<string>): Buckets {
    const found = new Map<string, string[]>()
    for (const id of ids) {
      if (id === '') continue
      const prefix = bucketPrefix(id)
      const members = found.get(prefix)
      if (members === undefined) found.set(prefix, [id])
      else members.push(id)
    }
    return new Buckets(new Map([...found].map(([prefix, members]) => [prefix, IdSet.of(members)])))
  }

  /** Costs a SHA-256 for each ID that changed. */
  with(delta: IdDelta): Buckets {
    const parts = new Map<string, Map<string, number>>()
    for (const [id, count] of delta) {
      if (id === '') continue
      const prefix = bucketPrefix(id)
      const part = parts.get(prefix)
      if (part === undefined) parts.set(prefix, new Map([[id, count]]))
      else part.set(id, count)
    }
    if (parts.size === 0) return this
    const byPrefix = new Map(this.#byPrefix)
    for (const [prefix, part] of parts) {
      const members = (byPrefix.get(prefix) ?? IdSet.empty).with(part)
      if (members.size === 0) byPrefix.delete(prefix)
      else byPrefix.set(prefix, members)
    }
    return new Buckets(byPrefix)
  }

  /** Digests of the buckets that are not empty, by prefix. */
  get published(): readonly CheckSumBucket[] {
    return (this.#published ??= [...this.#byPrefix]
      .map(([prefix, members]) => ({ prefix, count: members.size, checksum: members.checksum }))
      .sort((a, b) => (a.prefix < b.prefix ? -1 : 1)))
  }

  /** Which of them were published otherwise, and how many IDs these hold here and there. */
  differing(published: readonly CheckSumBucket[]): {
    readonly prefixes: readonly string[]
    readonly own: readonly string[]
    readonly publishedCount: number
  } {
    const expected = new Map(published.map(bucket => [bucket.prefix, bucket]))
    const prefixes = [...new Set([...this.#byPrefix.keys(), ...expected.keys()])].sort().filter(prefix => {
      const members = this.#byPrefix.get(prefix) ?? IdSet.empty
      const bucket = expected.get(prefix)
      return bucket?.count !== members.size || bucket.checksum !== members.checksum
    })
    return {
      prefixes,
      own: prefixes.flatMap(prefix => [...(this.#byPrefix.get(prefix) ?? [])]).sort(),
      publishedCount: prefixes.reduce((sum, prefix) => sum + (expected.get(prefix)?.count ?? 0), 0),
    }
  }
}

/** Two hex digits: the first byte of the SHA-256 of the ID's part that names the object, so that it never changes. */
export function bucketPrefix(id: string): string {
  return hash('sha256', objectPart(id)).slice(0, 2)
}

/** `shop/web` of `shop/web:3f9c02d1ab`; `27555` of `27555-1`. */
function objectPart(id: string): string {
  const colon = id.lastIndexOf(':')
  return colon >= 0 ? id.slice(0, colon) : (/^(-?[0-9]+)-/.exec(id)?.[1] ?? id)
}
