import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { KeyLine } from './key-line.ts'

describe('a line of keys', () => {
  it('does what a Set does that is looked through from its beginning', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd', 'e')
    const event = fc.oneof(
      { weight: 4, arbitrary: fc.record({ does: fc.constant('add' as const), key }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('delete' as const), key }) },
      { weight: 4, arbitrary: fc.record({ does: fc.constant('take' as const), key }) },
      { weight: 2, arbitrary: fc.record({ does: fc.constantFrom('hold', 'free'), key }) },
      { weight: 1, arbitrary: fc.record({ does: fc.constant('many' as const), key }) },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), events => {
        const line = new KeyLine()
        const set = new Set<string>()
        const held = new Set<string>()
        let others = 0
        for (const one of events) {
          if (one.does === 'add') {
            line.add(one.key)
            set.add(one.key)
          } else if (one.does === 'delete') expect(line.delete(one.key)).toBe(set.delete(one.key))
          else if (one.does === 'hold') held.add(one.key)
          else if (one.does === 'free') held.delete(one.key)
          else if (one.does === 'take') {
            const first = line.first(other => !held.has(other))
            expect(first).toBe([...set].find(other => !held.has(other)) ?? null)
            if (first !== null) set.delete(first)
            if (first !== null) line.delete(first)
          } else {
            // So many that spent places are given up.
            for (let i = 0; i < 1_200; i++) {
              const other = `other-${others++}`
              line.add(other)
              set.add(other)
            }
            for (let i = 0; i < 1_150; i++) {
              const first = line.first(() => true) ?? ''
              expect(set.values().next().value).toBe(first)
              set.delete(first)
              line.delete(first)
            }
          }
          expect(line.size).toBe(set.size)
          expect(line.has(one.key)).toBe(set.has(one.key))
        }
      }),
      { numRuns: 100 },
    )
  })

  it('looks at each key once, in a line of any length, also behind one that may not be taken', () => {
    const line = new KeyLine()
    const keys = Array.from({ length: 20_000 }, (_, i) => `key-${i}`)
    for (const key of keys) line.add(key)
    let looks = 0
    const isFree = (key: string): boolean => ++looks > 0 && key !== 'key-0'
    for (const key of keys.slice(1)) {
      expect(line.first(isFree)).toBe(key)
      line.delete(key)
    }
    expect(line.first(isFree)).toBeNull()
    // Each, and the one that is held beside each.
    expect(looks).toBeLessThan(41_000)
    line.clear()
    expect([line.size, line.first(() => true)]).toEqual([0, null])
  })
})
