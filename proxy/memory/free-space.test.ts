import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { FreeSpace } from './free-space.ts'

describe('FreeSpace', () => {
  it('gives what it has once, and takes it back whole', () => {
    const free = new FreeSpace()
    free.add(16, 100)
    const [a, b] = [free.take(10), free.take(9)]
    expect([a, b, free.words]).toEqual([16, 26, 80])
    expect(free.take(100)).toBeNull()
    free.give(16, 10)
    free.give(26, 9)
    expect([free.words, free.blocks, free.take(100), free.take(1)]).toEqual([100, 1, 16, null])
  })

  it('joins no two ranges', () => {
    const free = new FreeSpace()
    free.add(16, 10)
    free.add(26, 10)
    expect([free.blocks, free.take(12)]).toEqual([2, null])
    const places = [free.take(10), free.take(10)]
    for (const place of places) free.give(place ?? 0, 10)
    expect([free.blocks, free.take(12)]).toEqual([2, null])
  })

  it('never gives a word twice, and has all of them when all came back, whatever was taken', () => {
    const sizes = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 100, max: 3_000 }))
    const steps = fc.array(fc.record({ words: sizes, giveBack: fc.option(fc.nat(), { nil: null }) }), {
      maxLength: 200,
    })
    fc.assert(
      fc.property(steps, list => {
        const free = new FreeSpace()
        free.add(16, 20_000)
        const taken: { readonly place: number; readonly words: number }[] = []
        for (const { words, giveBack } of list) {
          const back = giveBack === null ? undefined : taken.splice(giveBack % Math.max(1, taken.length), 1)[0]
          if (back !== undefined) {
            free.give(back.place, back.words)
            continue
          }
          const place = free.take(words)
          if (place === null) continue
          expect(place).toBeGreaterThanOrEqual(16)
          expect(place + words).toBeLessThanOrEqual(20_016)
          for (const other of taken) {
            expect(place + words <= other.place || other.place + other.words <= place).toBe(true)
          }
          taken.push({ place, words })
        }
        for (const { place, words } of taken) free.give(place, words)
        expect([free.words, free.blocks, free.take(20_000)]).toEqual([20_000, 1, 16])
      }),
    )
  })
})
