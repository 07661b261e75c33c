/**
 * What is published beside a checksum so that a difference can be named: the IDs, or from 500 on digests of 256
 * buckets, because every write of the object is kept by etcd until compaction. They help; `checksum` decides.
 */
import { createHash } from 'node:crypto'
import { idsChecksum } from '../../protocol/hash.ts'
import type { CheckSumBucket } from '../model/generated/crds.ts'

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

/** @param ids In any order; empty IDs take no part. */
export function publicationOf(ids: readonly string[]): Publication {
  const counted = ids.filter(id => id !== '').sort()
  const base = { checksum: idsChecksum(counted), count: counted.length }
  return counted.length < MAX_PUBLISHED_IDS
    ? { ...base, ids: counted, buckets: [] }
    : { ...base, ids: [], buckets: bucketsOf(counted) }
}

/** Digests of the buckets that are not empty, by prefix. */
export function bucketsOf(ids: Iterable<string>): readonly CheckSumBucket[] {
  return [...groups(ids)]
    .map(([prefix, members]) => ({ prefix, count: members.length, checksum: idsChecksum(members) }))
    .sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
}

/** Two hex digits: the first byte of the SHA-256 of the ID's part that names the object, so that it never changes. */
export function bucketPrefix(id: string): string {
  return createHash('sha256').update(objectPart(id)).digest('hex').slice(0, 2)
}

/** Our IDs that fall into buckets which were published otherwise, and how many IDs these hold here and there. */
export function differingBuckets(
  published: readonly CheckSumBucket[],
  ids: Iterable<string>,
): { readonly prefixes: readonly string[]; readonly own: readonly string[]; readonly publishedCount: number } {
  const own = groups(ids)
  const expected = new Map(published.map(bucket => [bucket.prefix, bucket]))
  const prefixes = [...new Set([...own.keys(), ...expected.keys()])].sort().filter(prefix => {
    const members = own.get(prefix) ?? []
    const bucket = expected.get(prefix)
    return bucket?.count !== members.length || bucket.checksum !== idsChecksum(members)
  })
  return {
    prefixes,
    own: prefixes.flatMap(prefix => own.get(prefix) ?? []).sort(),
    publishedCount: prefixes.reduce((sum, prefix) => sum + (expected.get(prefix)?.count ?? 0), 0),
  }
}

/** `shop/web` of `shop/web:3f9c02d1ab`; `27555` of `27555-1`. */
function objectPart(id: string): string {
  const colon = id.lastIndexOf(':')
  return colon >= 0 ? id.slice(0, colon) : (/^(-?[0-9]+)-/.exec(id)?.[1] ?? id)
}

function groups(ids: Iterable<string>): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const id of ids) {
    if (id === '') continue
    const prefix = bucketPrefix(id)
    const members = found.get(prefix)
    if (members === undefined) found.set(prefix, [id])
    else members.push(id)
  }
  return found
}
