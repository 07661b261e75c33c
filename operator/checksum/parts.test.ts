import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { idsChecksum } from '../../protocol/hash.ts'
import { bucketPrefix, bucketsOf, publicationOf } from './buckets.ts'
import { difference, mismatchOf } from './diff.ts'
import { contentId, upstreamIngressId, upstreamSecretId } from './ids.ts'
import { newestCheckSum, parseCheckSum } from './newest.ts'
import { accumulate, applyDelta } from './sorted-ids.ts'

const many = (count: number, revision = 'r'): string[] =>
  Array.from({ length: count }, (_, i) => `ns/app-${i}:${revision}`)

describe('ids', () => {
  it('names content', () => {
    expect(contentId('Ingress/shop/web', '3f9c02d1ab')).toBe('shop/web:3f9c02d1ab')
  })

  // TENGINE.md 2.3, the last three run with the upstream code.
  it.each([
    ['web-27555', '1', '27555-1'],
    ['web-27555', undefined, ''],
    ['web-27555', '0', ''],
    ['web-27555', 'x', ''],
    ['web', '1', ''],
    ['web-x', '1', ''],
    ['a-007', '3', '7-3'],
    ['foo-+5', '1', '5-1'],
    ['a-1', '-3', '1--3'],
    ['a-99999999999999999999', '1', ''],
  ])('upstream: name %s, version %s: %s', (name, version, id) => {
    expect(upstreamIngressId(name, version)).toBe(id)
  })

  it('upstream, Secret: with the SHA-1 of the leaf, left out without one', () => {
    expect(upstreamSecretId('cert-5', '2', 'ab12')).toBe('5-2-ab12')
    expect(upstreamSecretId('cert-5', '2', '')).toBe('')
    expect(upstreamSecretId('cert-5', undefined, 'ab12')).toBe('')
  })
})

describe('sorted ids', () => {
  it('are what adding and taking away one by one would give', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    fc.assert(
      fc.property(fc.array(id), fc.array(fc.tuple(id, fc.constantFrom(1, -1))), (start, changes) => {
        const expected = [...start].sort()
        const delta = new Map<string, number>()
        for (const [changed, by] of changes) {
          if (by === -1 && !expected.includes(changed)) continue
          accumulate(delta, new Map([[changed, by]]))
          if (by === 1) expected.push(changed)
          else expected.splice(expected.indexOf(changed), 1)
        }
        expect(applyDelta([...start].sort(), delta)).toEqual(expected.sort())
      }),
    )
  })
})

describe('publication', () => {
  it('carries ids up to 499, then buckets that cover them all', () => {
    expect(publicationOf(many(499))).toMatchObject({ count: 499, buckets: [] })
    const big = publicationOf(many(500))
    expect(big).toMatchObject({ count: 500, ids: [], checksum: idsChecksum(many(500)) })
    expect(big.buckets.reduce((sum, bucket) => sum + bucket.count, 0)).toBe(500)
    expect(big.buckets.every(bucket => /^[0-9a-f]{2}$/.test(bucket.prefix))).toBe(true)
  })

  it('leaves an object in its bucket whatever its revision', () => {
    expect(bucketPrefix('shop/web:1')).toBe(bucketPrefix('shop/web:2'))
    expect(bucketPrefix('27555-1')).toBe(bucketPrefix('27555-2'))
  })
})

describe('mismatchOf', () => {
  it('names ids that are missing and unexpected, at most 20 of each', () => {
    const published = many(30)
    const found = mismatchOf({ checksum: idsChecksum(published), ids: published }, ['ns/other:1'])
    expect(found.missing).toHaveLength(20)
    expect(found.unexpected).toEqual(['ns/other:1'])
    expect(found.message).toContain('30 missing')
  })

  it('names the buckets and what is in them', () => {
    const published = many(600)
    const own = [...many(600).filter(id => id !== 'ns/app-7:r'), 'ns/app-7:wrong']
    const found = mismatchOf({ checksum: idsChecksum(published), buckets: bucketsOf(published) }, own)
    expect(found.message).toContain('1 of 256 buckets differ')
    expect(found.message).toContain(bucketPrefix('ns/app-7:r'))
  })

  it('says when nothing is known of what was published, or it contradicts itself', () => {
    expect(mismatchOf({ checksum: idsChecksum(['a']) }, ['b']).message).toContain('no ids are published')
    expect(mismatchOf({ checksum: idsChecksum(['a']), ids: [] }, ['b']).message).toContain('no ids are published')
    expect(mismatchOf({ checksum: idsChecksum(['a']), ids: ['b'] }, ['b']).message).toContain('do not have')
    expect(mismatchOf({ checksum: idsChecksum(['a']), buckets: bucketsOf(['b']) }, ['b']).message).toContain(
      'do not have',
    )
  })

  it('compares as multisets', () => {
    expect(difference(['a', 'a', 'b'], ['a', 'c', ''])).toEqual({ missing: ['a', 'b'], unexpected: ['c'] })
  })
})

describe('newestCheckSum', () => {
  const object = (name: string, timestamp: string, creationTimestamp: string): unknown => ({
    metadata: { name, namespace: 'ns', uid: name, resourceVersion: '1', creationTimestamp },
    spec: { timestamp, checksum: idsChecksum([]), ids: [] },
  })
  const parse = (raw: unknown): ReturnType<typeof parseCheckSum> => parseCheckSum('Ingress', raw)

  it('goes by timestamp, then creation, then name', () => {
    const [old, early, a, b] = [
      object('z', '2026-01-01T00:00:00Z', '2026-09-01T00:00:00Z'),
      object('y', '2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'),
      object('a', '2026-01-02T02:00:00+02:00', '2026-01-02T00:00:00Z'),
      object('b', '2026-01-02T00:00:00Z', '2026-01-02T00:00:00Z'),
    ].map(parse)
    expect(newestCheckSum([old!, early!])?.name).toBe('y')
    expect(newestCheckSum([a!, early!])?.name).toBe('a')
    expect(newestCheckSum([a!, b!, early!, old!])?.name).toBe('b')
    expect(newestCheckSum([])).toBeNull()
  })

  it('refuses what the CRD would refuse, with the field', () => {
    expect(() => parse({ ...(object('a', 'yesterday', '2026-01-02T00:00:00Z') as object) })).toThrow(
      'IngressCheckSum ns/a: spec.timestamp',
    )
    expect(() => parse({ metadata: {} })).toThrow('is missing')
  })
})
