import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { atOnce } from '../turns.ts'
import { inOrder } from './in-order.ts'

type Needs = ReadonlyMap<number, readonly number[]>

const groupsOf = (count: number, needs: Needs): readonly (readonly number[])[] =>
  atOnce(inOrder(new Set(Array(count).keys()), node => needs.get(node) ?? []))

/** Everything that a node needs, directly or by others, by a search of its own. */
function reached(from: number, needs: Needs): ReadonlySet<number> {
  const found = new Set<number>()
  const left = [from]
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    for (const other of needs.get(node) ?? []) {
      if (found.has(other)) continue
      found.add(other)
      left.push(other)
    }
  }
  return found
}

describe('inOrder', () => {
  it('puts what is needed first, and in one group what needs each other, and nothing else', () => {
    const edges = fc.array(fc.tuple(fc.nat(7), fc.nat(7)), { maxLength: 14 })
    fc.assert(
      fc.property(edges, list => {
        const needs = new Map<number, readonly number[]>()
        for (const [from, to] of list) needs.set(from, [...(needs.get(from) ?? []), to])
        const groups = groupsOf(8, needs)
        expect(groups.flat().toSorted()).toEqual([...Array(8).keys()])
        const at = (node: number): number => groups.findIndex(group => group.includes(node))
        for (const [one, two] of [...Array(64).keys()].map(i => [i >> 3, i & 7] as const)) {
          const there = one === two || reached(one, needs).has(two)
          const back = one === two || reached(two, needs).has(one)
          expect(at(one) === at(two)).toBe(there && back)
          if (there && !back) expect(at(two)).toBeLessThan(at(one))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('keeps the order of nodes that need nothing, does not look at foreign ones', () => {
    expect(groupsOf(3, new Map([[0, [9]]]))).toEqual([[0], [1], [2]])
  })

  it('follows chains of any length, in small steps', () => {
    const count = 100_000
    const work = inOrder(new Set(Array(count).keys()), node => [node + 1])
    let steps = 0
    let step = work.next()
    for (; step.done !== true; step = work.next()) steps++
    expect(steps).toBeGreaterThan(count / 128)
    expect(step.value[0]).toEqual([count - 1])
    expect(step.value.at(-1)).toEqual([0])
  })
})
