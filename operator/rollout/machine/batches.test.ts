import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { batchReach, fleetView, loweredIndex, podsOf, unseenPods } from './batches.ts'
import type { Reach } from './batches.ts'
import { pod } from './testing.ts'
import type { Batch, BatchSize, Pause } from './types.ts'

const NONE: Pause = { type: 'none' }
const ALL: Batch = { pods: { percent: 100 }, pause: NONE }
const of = (pods: BatchSize, pause: Pause = NONE): Batch => ({ pods, pause })

/** `+++-+`: pods by ordinal, ready or not; `.`: no pod of this ordinal. */
function fleet(drawn: string): ReturnType<typeof fleetView> {
  const pods = Array.from(drawn).flatMap((sign, i) => (sign === '.' ? [] : [pod(i, null, { ready: sign === '+' })]))
  return fleetView([...pods, pod(-1, null)])
}

const to = (index: number): Reach => ({ type: 'index', index })

describe('podsOf', () => {
  it.each([
    [{ percent: 25 }, 5, 2],
    [{ percent: 1 }, 5, 1],
    [{ percent: 50 }, 4, 2],
    [{ percent: 34 }, 3, 2],
    [{ count: 3 }, 2, 3],
  ] as const)('%j of %d ready pods are %d', (size, ready, pods) => {
    expect(podsOf(size, ready)).toBe(pods)
  })
})

describe('batchReach', () => {
  it.each<[string, readonly Batch[], number, string, number, Reach | 'wait']>([
    ['a number of pods', [of({ count: 2 }), ALL], 0, '+++++', 0, to(2)],
    ['a percentage, rounded up', [of({ percent: 25 }), ALL], 0, '+++++', 0, to(2)],
    ['ready pods count, the index is above the last of them', [of({ count: 2 }), ALL], 0, '+-+++', 0, to(3)],
    ['one of few may come along unseen', [of({ count: 2 }), ALL], 0, '+--++', 0, 'wait'],
    ['a tenth of many may', [of({ count: 1 }), ALL], 0, '--++++++++++++++++++', 0, to(3)],
    ['after an outage the ready pods are not the fleet', [of({ count: 1 }), ALL], 0, '--------++', 0, 'wait'],
    ['a pod that is away is one that returns', [of({ count: 1 }), ALL], 0, '..++', 0, 'wait'],
    ['a percentage is one of the fleet, not of what is ready', [of({ percent: 50 }), ALL], 0, '+++-++--++', 0, to(6)],
    ['pods that are not ready below it come along', [of({ count: 1 }), ALL], 0, '-++', 0, to(2)],
    ['never lower than before', [of({ count: 1 }), of({ count: 2 }), ALL], 1, '+++++', 4, to(4)],
    ['the last batch takes all, ready or not', [of({ count: 1 }), ALL], 1, '++-+-', 1, to(5)],
    ['the last batch sees holes', [of({ count: 1 }), ALL], 1, '+..+', 1, to(4)],
    ['the last batch goes not below the index', [of({ count: 1 }), ALL], 1, '++', 5, to(5)],
    ['a ready pod stays on stable before the last batch', [of({ percent: 99 }), ALL], 0, '+++', 0, to(2)],
    [
      'also where a number is beyond the fleet and a pause follows',
      [of({ count: 9 }, { type: 'approval' }), ALL],
      0,
      '+++',
      0,
      to(2),
    ],
    [
      'a number beyond the fleet, right before the last, is the last',
      [of({ count: 3 }), ALL],
      0,
      '+++',
      0,
      { type: 'all' },
    ],
    ['not where a later batch is still to come', [of({ count: 3 }), of({ count: 3 }), ALL], 0, '+++', 0, to(2)],
    ['not where a pod is not ready', [of({ count: 2 }), ALL], 0, '++-', 0, to(1)],
    ['two pods, one by one', [of({ percent: 50 }), ALL], 0, '++', 0, to(1)],
    ['a fleet of one', [of({ count: 1 }), ALL], 0, '+', 0, to(1)],
    ['a fleet of one, asked for half', [of({ percent: 50 }), ALL], 0, '+', 0, to(1)],
    ['the only ready pod of several stays on stable', [of({ count: 1 }), ALL], 0, '+-', 0, 'wait'],
    ['nobody is ready', [of({ count: 1 }), ALL], 0, '---', 0, 'wait'],
    ['nobody is ready in the last batch', [of({ count: 1 }), ALL], 1, '---', 1, 'wait'],
    ['no fleet', [ALL], 0, '', 0, 'wait'],
  ])('%s', (_, batches, number, drawn, previous, expected) => {
    const reach = batchReach(batches, number, fleet(drawn), previous)
    if (expected === 'wait') expect(reach.type).toBe('wait')
    else expect(reach).toEqual(expected)
  })

  it('holds the promises of every fleet and every batch', () => {
    const size = fc.oneof(
      fc.record({ count: fc.integer({ min: 1, max: 12 }) }),
      fc.record({ percent: fc.integer({ min: 1, max: 99 }) }),
    )
    const pause = fc.constantFrom<Pause>(NONE, { type: 'approval' })
    const drawn = fc.array(fc.constantFrom('+', '+', '-', '.'), { maxLength: 10 }).map(signs => signs.join(''))
    fc.assert(
      fc.property(fc.array(fc.tuple(size, pause), { maxLength: 3 }), drawn, fc.nat(10), (sizes, pods, previous) => {
        const batches = [...sizes.map(([one, after]) => of(one, after)), ALL]
        const view = fleet(pods)
        batches.forEach(({ pods: wanted }, number) => {
          const reach = batchReach(batches, number, view, previous)
          if (reach.type === 'all') expect(number).toBe(batches.length - 2)
          if (reach.type !== 'index') return
          expect(reach.index).toBeGreaterThanOrEqual(Math.max(1, previous))
          if (number === batches.length - 1 || reach.index === previous) return
          const below = view.ready.filter(ordinal => ordinal < reach.index).length
          expect(below).toBeLessThanOrEqual(podsOf(wanted, view.size))
          expect(reach.index - below).toBeLessThanOrEqual(unseenPods(view.size))
          // The smallest such index: its last pod is a ready one.
          expect(view.ready).toContain(reach.index - 1)
          if (view.size > 1) expect(below).toBeLessThan(view.ready.length)
        })
      }),
    )
  })
})

describe('loweredIndex', () => {
  it.each([
    ['a fleet that is as it was', 2, 5, 2],
    ['one that lost its stable pods', 4, 4, 3],
    ['one that lost some of the updated, too', 4, 2, 1],
    ['one of a single pod has no stable one', 1, 1, 1],
    ['one of which nothing is seen', 3, 0, 3],
    ['nothing is out', 0, 3, 0],
    ['all is out', -1, 3, -1],
  ])('of %s', (_, index, size, expected) => {
    expect(loweredIndex(index, size)).toBe(expected)
  })
})
