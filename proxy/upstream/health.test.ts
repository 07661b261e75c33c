import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { Health } from './health.ts'

describe('Health', () => {
  it('pauses after one connect failure, and is probed by one request when the pause is over', () => {
    const health = new Health()
    expect(health.chosen(0)).toBe(false)
    health.connectFailed(0, false)
    expect([health.suspect, health.mayServe(4_999), health.mayServe(5_000)]).toEqual([true, false, true])
    expect(health.chosen(5_000)).toBe(true)
    // The second one does not go there.
    expect([health.mayServe(5_001), health.chosen(5_001), health.mayServe(10_000)]).toEqual([false, false, true])
  })

  it('doubles the pause with each probe that fails, up to a minute, and starts anew after a success', () => {
    const health = new Health()
    const pauses: number[] = []
    let now = 0
    health.connectFailed(now, false)
    for (let i = 0; i < 6; i++) {
      const since = now
      while (!health.mayServe(now)) now += 500
      pauses.push(now - since)
      expect(health.chosen(now)).toBe(true)
      health.connectFailed(now, true)
    }
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
    health.succeeded()
    expect([health.suspect, health.mayServe(now)]).toEqual([false, true])
    health.connectFailed(now, false)
    expect(health.mayServe(now + 5_000)).toBe(true)
  })

  it('does not take fifty requests that wait for the same dead endpoint for fifty failures', () => {
    const health = new Health()
    for (let i = 0; i < 50; i++) health.connectFailed(i, false)
    expect(health.mayServe(5_000)).toBe(true)
  })

  it('forgives broken exchanges unless there are three without a success between them', () => {
    const health = new Health()
    for (let i = 0; i < 10; i++) {
      health.exchangeBroke(i, false)
      health.exchangeBroke(i, false)
      health.succeeded()
    }
    expect(health.suspect).toBe(false)
    for (let i = 0; i < 3; i++) health.exchangeBroke(i, false)
    expect(health.suspect).toBe(true)
  })

  it('is healthy with the first byte of an answer, unless it is suspect because answers broke off', () => {
    const refused = new Health()
    refused.connectFailed(0, false)
    refused.answered()
    expect(refused.suspect).toBe(false)
    const broken = new Health()
    for (let i = 0; i < 3; i++) broken.exchangeBroke(i, false)
    broken.answered()
    expect(broken.suspect).toBe(true)
    broken.succeeded()
    expect(broken.suspect).toBe(false)
  })

  it('is due at once when it is hastened, for one probe, with the shortest pause', () => {
    const health = new Health()
    health.hasten(0)
    expect(health.suspect).toBe(false)
    health.connectFailed(0, false)
    expect(health.chosen(5_000)).toBe(true)
    health.connectFailed(5_000, true)
    health.hasten(6_000)
    expect([health.suspect, health.chosen(6_000), health.mayServe(6_001)]).toEqual([true, true, false])
    expect(health.mayServe(11_000)).toBe(true)
  })

  it('takes a probe that breaks for a failure at once', () => {
    const health = new Health()
    health.connectFailed(0, false)
    expect(health.chosen(5_000)).toBe(true)
    health.exchangeBroke(6_000, true)
    expect([health.mayServe(15_999), health.mayServe(16_000)]).toEqual([false, true])
  })

  it('never rests for more than a minute, whatever happened, and never twice without a probe', () => {
    const step = fc.record({
      after: fc.nat(30_000),
      what: fc.constantFrom('connect', 'broke', 'chosen', 'success'),
    })
    fc.assert(
      fc.property(fc.array(step), steps => {
        const health = new Health()
        let now = 0
        let probe = false
        for (const { after, what } of steps) {
          now += after
          if (what === 'success') health.succeeded()
          else if (what === 'chosen') probe = health.chosen(now)
          else if (what === 'connect') health.connectFailed(now, probe)
          else health.exchangeBroke(now, probe)
          if (what !== 'chosen') probe = false
          expect(health.mayServe(now + 60_000)).toBe(true)
          if (!health.suspect) expect(health.mayServe(now)).toBe(true)
        }
      }),
    )
  })
})
