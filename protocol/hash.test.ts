import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { StateHash, assignmentHash, canonicalJson, digestCheck, payloadDigest, sha256 } from './hash.ts'
import type { Assignment, Certificate } from './objects.ts'

/** As revisions that are stored were computed by earlier versions. */
function before(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    v !== null && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : v,
  )
}

describe('canonical JSON', () => {
  // JavaScript puts keys that are numbers before all others, whatever their order; no field or annotation is one.
  const key = fc.string().map(text => `k${text}`)
  const leaf = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(null, undefined, ''),
  )
  const { value } = fc.letrec(tie => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))

  it('is what it always was: a revision that changes its name would be rolled out', () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(value), fc.dictionary(key, value)), one => {
        expect(canonicalJson(one)).toBe(before(one))
      }),
      { numRuns: 1_000 },
    )
  })

  it('is the same for what is equal', () => {
    expect(canonicalJson({ b: [1, { d: undefined, c: '"' }], a: {} })).toBe('{"a":{},"b":[1,{"c":"\\""}]}')
  })
})

it('a payload has its digest in whatever order its keys came, and nobody else’s', () => {
  const ordered: Certificate = {
    chain: 'c',
    governed: true,
    key: 'Secret/ns/web',
    keyType: 'RSA',
    privateKey: 'k',
    revision: 'r',
  }
  const turned = Object.fromEntries(Object.entries(ordered).reverse()) as unknown as Certificate
  expect(JSON.stringify(ordered)).toBe(canonicalJson(turned))
  const digest = payloadDigest(ordered)
  const hasDigest = digestCheck()
  for (const other of [ordered, turned, turned, ordered]) expect(hasDigest(other, digest)).toBe(true)
  for (const other of [
    { ...ordered, chain: 'd' },
    { ...turned, chain: 'd' },
  ]) {
    expect([digestCheck()(other, digest), hasDigest(other, digest)]).toEqual([false, false])
  }
  expect(digestCheck()(ordered, null)).toBe(false)
})

it('the hash of a state is that of its assignments, in any order, and of none when they are taken away', () => {
  const of = (key: string): Assignment => ({ key, id: 'i', announced: 'a', current: null, assigned: 'r', digest: 'd' })
  expect(assignmentHash(of('k')).toString('hex')).toBe(sha256('k\ni\na\n\nr\nd'))
  const [one, other] = [new StateHash(), new StateHash()]
  for (const key of ['a', 'b', 'c']) one.toggle(of(key))
  for (const key of ['c', 'a', 'b']) other.mix(assignmentHash(of(key)))
  expect(one.hex).toBe(other.hex)
  for (const key of ['b', 'a', 'c']) other.toggle(of(key))
  expect(other.hex).toBe('0'.repeat(64))
})
