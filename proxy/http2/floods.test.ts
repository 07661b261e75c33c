import { describe, expect, it } from '@jest/globals'
import { Floods } from './floods.ts'

const LIMITS = { window: 1_000, resets: 3, refused: 3, pings: 3, settings: 3, overhead: 1_000 }
const KINDS = ['resets', 'refused', 'pings', 'settings'] as const

describe('what a client asks for without using it', () => {
  it.each(KINDS)('%s: one more in a window than there may be', kind => {
    const floods = new Floods(LIMITS, 0)
    expect([1, 2, 3, 999].map(now => floods.count(kind, now))).toEqual([false, false, false, true])
  })

  it.each(KINDS)('%s: as many in each window', kind => {
    const floods = new Floods(LIMITS, 0)
    const times = [0, 1, 2, 1_000, 1_001, 1_002, 2_500, 2_501, 2_502]
    expect(times.map(now => floods.count(kind, now))).toEqual(times.map(() => false))
  })

  it('resets of less than half of its requests are those of a client that uses the others', () => {
    const floods = new Floods(LIMITS, 0)
    for (let i = 0; i < 10; i++) floods.request(100)
    expect([1, 2, 3, 4, 5].map(now => floods.count('resets', now))).toEqual([false, false, false, false, false])
    expect(floods.count('resets', 6)).toBe(true)
  })

  it('bytes of no use: more than eight times what was of use, and the allowance', () => {
    const floods = new Floods(LIMITS, 0)
    expect([floods.isOverhead(8_000), floods.isOverhead(8_001)]).toEqual([false, true])
    floods.request(100)
    floods.used(900)
    expect([floods.isOverhead(16_000), floods.isOverhead(16_001)]).toEqual([false, true])
  })
})
