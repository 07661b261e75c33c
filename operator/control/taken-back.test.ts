import { describe, expect, it } from '@jest/globals'
import { TakenBack } from './taken-back.ts'

describe('what was taken back', () => {
  it('counts for its hosts, the last time, and is forgotten when nobody looks back so far', () => {
    const taken = new TakenBack(1_000)
    expect(taken.lastOn(['a', 'b'])).toBe(-Infinity)
    taken.note(['a', 'b'], 100)
    taken.note(['b'], 500)
    expect([taken.lastOn(['a']), taken.lastOn(['a', 'b']), taken.lastOn(['c'])]).toEqual([100, 500, -Infinity])
    taken.note(['c'], 1_200)
    expect([taken.size, taken.lastOn(['a']), taken.lastOn(['b'])]).toEqual([2, -Infinity, 500])
  })
})
