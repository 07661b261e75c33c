import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { PrefixHash } from './prefix-hash.ts'

const md5 = (parts: readonly string[]): string => createHash('md5').update(parts.join('')).digest('hex')

describe('PrefixHash', () => {
  it('is the hash of all parts, whatever was known of them', () => {
    const change = fc.record({ at: fc.nat(60), parts: fc.array(fc.string(), { maxLength: 40 }) })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 10 }), changes => {
        let [parts, known]: [string[], PrefixHash] = [[], PrefixHash.none]
        for (const one of changes) {
          const at = Math.min(one.at, parts.length)
          parts = [...parts.slice(0, at), ...one.parts]
          const made = known.first(at).of(parts.length, i => parts[i] ?? '')
          expect(made.hex).toBe(md5(parts))
          // What was known before is what it was.
          expect(known.first(at).of(parts.length, i => parts[i] ?? '').hex).toBe(made.hex)
          known = made.known
        }
      }),
    )
  })

  it('asks for no part before the last state that it keeps', () => {
    const parts = Array.from({ length: 400 }, (_, i) => `part-${i}`)
    const { known } = PrefixHash.none.of(400, i => parts[i] ?? '')
    const asked: number[] = []
    const partOf = (i: number): string => {
      asked.push(i)
      return i < 100 ? (parts[i] ?? '') : 'another'
    }
    expect(known.first(100).of(300, partOf).hex).toBe(md5(Array.from({ length: 300 }, (_, i) => partOf(i))))
    expect(asked[0]).toBe(96)
  })
})
