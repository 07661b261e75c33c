import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { idsChecksum } from '../../protocol/hash.ts'
import { Buckets, bucketPrefix, publicationOf } from './buckets.ts'
import { difference, mismatchOf } from './diff.ts'
import { IdSet } from './id-set.ts'
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

describe('a set of ids that changes', () => {
  const names = fc.integer({ min: 0, max: 2_000 }).map(n => `ns/app-${n}`)
  const id = fc.tuple(names, fc.constantFrom('a', 'b')).map(([name, revision]) => `${name}:${revision}`)
  const start = fc.array(fc.oneof(id, fc.constant('')), { maxLength: 3_000, size: 'max' })
  const deltas = fc.array(fc.array(fc.tuple(id, fc.integer({ min: -3, max: 3 })), { maxLength: 200, size: 'max' }), {
    maxLength: 8,
  })
  /** What is there is taken away no more often than it is there. */
  const changed = (ids: readonly string[], changes: readonly (readonly [string, number])[]): readonly string[] => {
    const counts = new Map<string, number>()
    for (const one of ids) if (one !== '') counts.set(one, (counts.get(one) ?? 0) + 1)
    for (const [one, by] of new Map(changes)) counts.set(one, Math.max(0, (counts.get(one) ?? 0) + by))
    return [...counts].flatMap(([one, count]) => new Array<string>(count).fill(one)).sort()
  }

  it('is what sorting and hashing all of them anew would give, and leaves the one before as it was', () => {
    fc.assert(
      fc.property(start, deltas, (first, rounds) => {
        let [ids, buckets, model] = [IdSet.of(first), Buckets.of(first), changed(first, [])]
        for (const changes of rounds) {
          const [before, text] = [ids, ids.checksum]
          ids = ids.with(new Map(changes))
          buckets = buckets.with(new Map(changes))
          model = changed(model, changes)
          expect([...ids]).toEqual(model)
          expect(ids.size).toBe(model.length)
          expect(ids.checksum).toBe(idsChecksum(model))
          expect(IdSet.of(before).checksum).toBe(text)
          expect(buckets.published).toEqual(Buckets.of(model).published)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('have the checksum of all of them where what came before a change is not hashed again', () => {
    const all = Array.from({ length: 10_000 }, (_, i) => `shop/web-${i}:r`).sort()
    let [ids, model] = [IdSet.of(all), all]
    for (const at of [9_999, 0, 5_000, 9_000, 4_096, 4_095, 9_500]) {
      if (at % 2 === 0) ids.rest()
      const [gone, come] = [model[at] ?? '', `${model[at] ?? ''}-2`]
      // Another state that comes from the same one, and is asked first.
      expect(ids.with(new Map([[come, 1]])).checksum).toBe(idsChecksum([...model, come]))
      ids = ids.with(
        new Map([
          [gone, -1],
          [come, 1],
        ]),
      )
      model = [...model.filter(id => id !== gone), come].sort()
      expect(ids.checksum).toBe(idsChecksum(model))
    }
  })

  it('has what is there many times in one place, however many places there are', () => {
    const twice = [...many(3_000), ...new Array<string>(900).fill('ns/app-5:r')]
    const without = IdSet.of(twice).with(new Map([['ns/app-5:r', -901]]))
    expect(without.checksum).toBe(idsChecksum(many(3_000).filter(one => one !== 'ns/app-5:r')))
  })
})

describe('publication', () => {
  it('carries ids up to 499, then buckets that cover them all', () => {
    expect(publicationOf(IdSet.of(many(499)))).toMatchObject({ count: 499, buckets: [] })
    const big = publicationOf(IdSet.of(many(500)))
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
    const found = mismatchOf({ checksum: idsChecksum(published), buckets: Buckets.of(published).published }, own)
    expect(found.message).toContain('1 of 256 buckets differ')
    expect(found.message).toContain(bucketPrefix('ns/app-7:r'))
  })

  it('says when nothing is known of what was published, or it contradicts itself', () => {
    expect(mismatchOf({ checksum: idsChecksum(['a']) }, ['b']).message).toContain('no ids are published')
    expect(mismatchOf({ checksum: idsChecksum(['a']), ids: [] }, ['b']).message).toContain('no ids are published')
    expect(mismatchOf({ checksum: idsChecksum(['a']), ids: ['b'] }, ['b']).message).toContain('do not have')
    expect(mismatchOf({ checksum: idsChecksum(['a']), buckets: Buckets.of(['b']).published }, ['b']).message).toContain(
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
