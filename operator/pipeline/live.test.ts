import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { revisionFor } from '../assign/plan.ts'
import { isCountedOnMore, retreat, type LiveEntry, type Payload } from './live.ts'

const revision = fc.constantFrom('a', 'b', 'c', null)
const plans = fc.record({ current: revision, update: revision, index: fc.integer({ min: -1, max: 3 }) })

function entry(of: {
  readonly current: string | null
  readonly update: string | null
  readonly index: number
}): LiveEntry {
  const announced = of.update ?? of.current ?? 'a'
  return {
    key: 'Ingress/shop/web',
    id: `shop/web:${announced}`,
    plan: { key: 'Ingress/shop/web', announced, hold: null, ...of },
    update: null,
    current: null,
  }
}

describe('retreat', () => {
  it('gives no pod anything but what it has or what it falls back to, and only where the newest form takes it there', () => {
    let retreats = 0
    fc.assert(
      fc.property(plans, plans, (was, now) => {
        const [released, newest] = [entry(was), entry(now)]
        const less = retreat(released, newest)
        if (less === null) return
        retreats++
        expect({ ...less, plan: { ...less.plan, index: 0 } }).toEqual({
          ...released,
          plan: { ...released.plan, index: 0 },
        })
        let changed = 0
        for (let ordinal = 0; ordinal < 5; ordinal++) {
          const [before, after] = [revisionFor(released.plan, ordinal), revisionFor(less.plan, ordinal)]
          if (before === after) continue
          changed++
          expect(after).toBe(released.plan.current)
          expect(revisionFor(newest.plan, ordinal)).toBe(after)
        }
        expect(changed).toBeGreaterThan(0)
      }),
      { numRuns: 2_000 },
    )
    expect(retreats).toBeGreaterThan(100)
  })

  it.each([
    ['taken back', { current: 'a', update: 'b', index: 2 }, { current: 'a', update: 'a', index: 0 }, 0],
    ['lowered', { current: 'a', update: 'b', index: 3 }, { current: 'a', update: 'b', index: 1 }, 1],
    ['superseded', { current: 'a', update: 'b', index: 3 }, { current: 'a', update: 'c', index: 0 }, 0],
    ['raised', { current: 'a', update: 'b', index: 1 }, { current: 'a', update: 'b', index: 3 }, null],
    ['released', { current: 'a', update: 'b', index: 3 }, { current: 'b', update: 'b', index: -1 }, null],
    [
      'superseded by what is out on a pod',
      { current: 'a', update: 'b', index: 3 },
      { current: 'a', update: 'c', index: 1 },
      null,
    ],
    ['never out', { current: 'a', update: 'b', index: 0 }, { current: 'a', update: 'a', index: 0 }, null],
    ['never released', { current: null, update: 'b', index: 1 }, { current: null, update: null, index: 0 }, 0],
  ])('of what is %s', (_what, was, now, index) => {
    expect(retreat(entry(was), entry(now))?.plan.index ?? null).toBe(index)
  })
})

describe('requests of an object are counted on more pods', () => {
  const one = (governed: boolean): Payload => ({ revision: 'x', governed, digest: '', value: {} as Payload['value'] })
  const of = (update: boolean | null, current: boolean | null, index = -1): LiveEntry => ({
    ...entry({ update: update === null ? null : 'u', current: current === null ? null : 'c', index }),
    update: update === null ? null : one(update),
    current: current === null ? null : one(current),
  })
  const OPEN = of(null, false)
  const GOVERNED = of(null, true)

  it.each<[string, LiveEntry | null, LiveEntry | null, boolean]>([
    ['created', null, GOVERNED, true],
    ['created, on a first pod', null, of(true, null, 1), true],
    ['created, on a second pod', of(true, null, 1), of(true, null, 2), true],
    ['created, on all', of(true, null, 2), of(true, null, -1), true],
    ['created, on no pod yet', null, of(true, null, 0), false],
    ['created, where nobody governs it', null, OPEN, false],
    ['governed from now on', OPEN, GOVERNED, true],
    ['governed no longer', GOVERNED, OPEN, false],
    ['changed', of(true, true, 0), of(true, true, 1), false],
    ['released', of(true, null, -1), GOVERNED, false],
    ['taken back', of(true, null, 2), of(true, null, 0), false],
    ['on its way out', GOVERNED, { ...GOVERNED, plan: { ...GOVERNED.plan, update: 'absent', index: 1 } }, false],
    ['gone', GOVERNED, null, false],
  ])('%s', (_what, before, after, more) => {
    expect(isCountedOnMore(before, after)).toBe(more)
  })
})
