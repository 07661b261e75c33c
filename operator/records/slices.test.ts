import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { Slices, inParallel } from './slices.ts'

let now = 0
const busy = (ms: number): void => void (now += ms)

describe('work in slices', () => {
  it('waits for nothing while there is little of it', () => {
    const slices = new Slices(() => now)
    slices.run(() => busy(1))
    expect([slices.isSpent, slices.run(() => 7)]).toEqual([false, 7])
  })

  it('lets the event loop go every ten milliseconds, and serves who came first', async () => {
    const slices = new Slices(() => now)
    let turns = 0
    let isDone = false
    const counting = (async () => {
      for (; !isDone; turns++) await nextTurn()
    })()
    const order: number[] = []
    const piece = async (n: number): Promise<void> => {
      if (slices.isSpent) await slices.turn()
      slices.run(() => busy(4))
      order.push(n)
      // One that always has more to do.
      if (n === 0 && order.length < 8) await piece(0)
    }
    await Promise.all([0, 1, 2, 3].map(piece))
    isDone = true
    await counting
    expect(turns).toBeGreaterThanOrEqual(3)
    expect(order.indexOf(3)).toBeLessThan(order.lastIndexOf(0))
  })

  it('spends what a piece that fails has spent', async () => {
    const slices = new Slices(() => now)
    expect(() =>
      slices.run(() => {
        busy(12)
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(slices.isSpent).toBe(true)
    await slices.turn()
    expect(slices.isSpent).toBe(false)
  })
})

describe('work in parallel', () => {
  it('is so many at a time, each once, and fails with the first', async () => {
    let active = 0
    let most = 0
    const done: number[] = []
    await inParallel([1, 2, 3, 4, 5], 2, async n => {
      most = Math.max(most, ++active)
      await nextTurn()
      active--
      done.push(n)
    })
    expect([most, done]).toEqual([2, [1, 2, 3, 4, 5]])
    await expect(inParallel([1, 2], 2, n => Promise.reject(new Error(`no ${n}`)))).rejects.toThrow('no 1')
  })
})
