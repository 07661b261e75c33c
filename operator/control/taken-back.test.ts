import { describe, expect, it } from '@jest/globals'
import type { Baseline } from '../rollout/machine/figures.ts'
import { TakenBack } from './taken-back.ts'
import type { Measure } from './taken-back.ts'

const NONE: Measure = { baseline: null, before: null }
const measure = (requests: number): Measure => ({ baseline: { requests } as Baseline, before: null })

describe('what was taken back', () => {
  it('counts for its hosts, the last time, and is forgotten when nobody looks back so far', () => {
    const taken = new TakenBack(1_000)
    expect(taken.lastOn(['a', 'b'])).toBe(-Infinity)
    taken.note('x', ['a', 'b'], 100, NONE)
    taken.note('x', ['b'], 500, NONE)
    expect([taken.lastOn(['a']), taken.lastOn(['a', 'b']), taken.lastOn(['c'])]).toEqual([100, 500, -Infinity])
    taken.note('x', ['c'], 1_200, NONE)
    expect([taken.size, taken.lastOn(['a']), taken.lastOn(['b'])]).toEqual([2, -Infinity, 500])
  })

  it('hands on what it was measured by, to what is on just its hosts, for as long as anybody looks back', () => {
    const taken = new TakenBack(1_000)
    taken.note('x', ['a', 'b'], 100, measure(1))
    expect(taken.measureOf(['b', 'a'], 200)).toEqual(measure(1))
    expect([taken.measureOf(['a'], 200), taken.measureOf(['a', 'b', 'c'], 200), taken.measureOf([], 200)]).toEqual([
      null,
      null,
      null,
    ])
    expect(taken.measureOf(['a', 'b'], 1_101)).toBeNull()
    taken.note('y', ['b'], 300, measure(2))
    expect([taken.measureOf(['a', 'b'], 400), taken.measureOf(['b'], 400)]).toEqual([null, measure(2)])
  })

  it('is as if it had not been when it is released after all, and what was before counts again', () => {
    const taken = new TakenBack(1_000)
    taken.note('x', ['a', 'b'], 100, measure(1))
    taken.note('y', ['a', 'b'], 200, measure(2))
    // It rests again and again.
    taken.note('y', ['a', 'b'], 300, measure(2))
    taken.withdraw('z')
    expect([taken.lastOn(['a']), taken.measureOf(['a', 'b'], 300)]).toEqual([300, measure(2)])
    taken.withdraw('y')
    expect([taken.lastOn(['a', 'b']), taken.measureOf(['a', 'b'], 300)]).toEqual([100, measure(1)])
    taken.withdraw('x')
    expect([taken.lastOn(['a', 'b']), taken.measureOf(['a', 'b'], 300)]).toEqual([-Infinity, null])
    // In whatever order, and however many there were.
    for (const [by, at] of [
      ['x', 100],
      ['y', 200],
      ['z', 300],
    ] as const)
      taken.note(by, ['a'], at, measure(at))
    taken.withdraw('y')
    expect(taken.measureOf(['a'], 300)).toEqual(measure(300))
    taken.withdraw('z')
    expect(taken.measureOf(['a'], 300)).toEqual(measure(100))
  })
})
