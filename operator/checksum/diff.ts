/** How what is here differs from what was published, for status, event and log. */
import { idsChecksum } from '../../protocol/hash.ts'
import type { Mismatch } from '../../protocol/messages.ts'
import type { CheckSumBucket } from '../model/generated/crds.ts'
import { Buckets } from './buckets.ts'

/** Entries per list of a Mismatch. */
export const MAX_LISTED = 20

/** What is known of a published state; `ids` and `buckets` only help. */
export interface Published {
  readonly checksum: string
  readonly ids?: readonly string[] | undefined
  readonly buckets?: readonly CheckSumBucket[] | undefined
}

/** @param actual The checksum of `own`, if it is known already. */
export function mismatchOf(published: Published, own: readonly string[], actual = idsChecksum(own)): Mismatch {
  const { checksum: expected, ids = [], buckets = [] } = published
  const figures = `published is ${expected}, computed from ${count(own.length)} is ${actual}`
  const unknown = (message: string): Mismatch => ({ expected, actual, missing: [], unexpected: [], message })
  if (idsChecksum(ids) === expected) {
    const { missing, unexpected } = difference(ids, own)
    return {
      expected,
      actual,
      missing: missing.slice(0, MAX_LISTED),
      unexpected: unexpected.slice(0, MAX_LISTED),
      message: `${figures}: ${missing.length} missing${listed(missing)}, ${unexpected.length} unexpected${listed(unexpected)}`,
    }
  }
  if (ids.length > 0) return unknown(`${figures}; the published ids do not have the published checksum`)
  if (buckets.length === 0) return unknown(`${figures}; no ids are published to compare with`)
  const { prefixes, own: members, publishedCount } = Buckets.of(own).differing(buckets)
  if (prefixes.length === 0) return unknown(`${figures}; the published buckets do not have the published checksum`)
  const named = prefixes.slice(0, 8).join(', ')
  return unknown(
    `${figures}: ${prefixes.length} of 256 buckets differ (${named}${prefixes.length > 8 ? ', ...' : ''}), with ${publishedCount} published ids and ${members.length} here${listed(members)}`,
  )
}

/** IDs of `published` that are not in `own`, and the other way round; both as multisets, in order. */
export function difference(
  published: readonly string[],
  own: readonly string[],
): { readonly missing: readonly string[]; readonly unexpected: readonly string[] } {
  const counts = new Map<string, number>()
  for (const id of published) if (id !== '') counts.set(id, (counts.get(id) ?? 0) + 1)
  for (const id of own) if (id !== '') counts.set(id, (counts.get(id) ?? 0) - 1)
  const missing: string[] = []
  const unexpected: string[] = []
  for (const [id, left] of counts) {
    for (let i = 0; i < left; i++) missing.push(id)
    for (let i = 0; i > left; i--) unexpected.push(id)
  }
  return { missing: missing.sort(), unexpected: unexpected.sort() }
}

function listed(ids: readonly string[]): string {
  if (ids.length === 0) return ''
  return ` (${ids.slice(0, 3).join(', ')}${ids.length > 3 ? ', ...' : ''})`
}

function count(ids: number): string {
  return ids === 1 ? '1 id' : `${ids} ids`
}
