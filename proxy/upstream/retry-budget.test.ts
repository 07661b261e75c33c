import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { allowedRetries, RetryBudget } from './retry-budget.ts'

const granted = (budget: RetryBudget, now: number, wanted: number): number => {
  let count = 0
  for (let i = 0; i < wanted; i++) if (budget.mayRetry(now)) count++
  return count
}

describe('RetryBudget', () => {
  it.each([
    [0, 30],
    [100, 50],
    [1_000, 230],
  ])('allows after %i requests %i retries in 10 s', (requests, retries) => {
    expect(allowedRetries(requests)).toBe(retries)
    const budget = new RetryBudget()
    for (let i = 0; i < requests; i++) budget.request(i % 9_000)
    expect(granted(budget, 9_000, 1_000)).toBe(retries)
    expect(granted(budget, 9_999, 1_000)).toBe(0)
  })

  it('forgets after 10 s', () => {
    const budget = new RetryBudget()
    expect(granted(budget, 500, 100)).toBe(30)
    expect(granted(budget, 9_999, 100)).toBe(0)
    expect(granted(budget, 10_000, 100)).toBe(30)
    expect(granted(budget, 1e9, 100)).toBe(30)
  })

  it('does as one that remembers every event, at every second', () => {
    const step = fc.record({ seconds: fc.nat(4), requests: fc.nat(200), wanted: fc.nat(60) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), steps => {
        const budget = new RetryBudget()
        const requests: number[] = []
        const retries: number[] = []
        let second = 0
        for (const step of steps) {
          second += step.seconds
          const recent = (times: readonly number[]): number => times.filter(time => time > second - 10).length
          for (let i = 0; i < step.requests; i++) {
            budget.request(second * 1_000)
            requests.push(second)
          }
          const room = Math.floor(allowedRetries(recent(requests))) - recent(retries)
          const expected = Math.max(0, Math.min(step.wanted, room))
          expect(granted(budget, second * 1_000, step.wanted)).toBe(expected)
          for (let i = 0; i < expected; i++) retries.push(second)
        }
      }),
    )
  })
})
