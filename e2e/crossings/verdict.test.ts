import { describe, expect, it } from '@jest/globals'
import { check } from './scenario.ts'
import type { Seen } from './scenario.ts'
import { judge } from './verdict.ts'

const seen = (seconds: number | null, more: Partial<Seen> = {}): Seen => ({ seconds, checks: [], broke: null, ...more })
const free = new Map<string, number | null>([['free', 20]])

describe('the verdict on a crossing', () => {
  it('is fine within its seconds', () => {
    expect(judge({ within: { by: 'seconds', seconds: 60 } }, seen(60), free)).toEqual({
      ...{ fine: true, seconds: 60, allowed: 60, problems: [] },
    })
  })

  it('allows a policy 30 s beside no policy', () => {
    const within = { by: 'beside', scenario: 'free' } as const
    expect(judge({ within }, seen(50), free).fine).toBe(true)
    expect(judge({ within }, seen(51), free)).toMatchObject({
      ...{ fine: false, problems: ['it took 51 s, allowed are 50 s'] },
    })
  })

  it('wants an end without a person', () => {
    const { fine, problems } = judge({ within: { by: 'seconds', seconds: 60 } }, seen(null), free)
    expect([fine, problems]).toEqual([false, ['it did not end without a person']])
  })

  it('is not fine where there is nothing to measure by', () => {
    const within = { by: 'beside', scenario: 'other' } as const
    expect(judge({ within }, seen(1), free).problems).toEqual(['other gives nothing to measure by'])
  })

  it('names what was not so, with what was seen, and what broke', () => {
    const checks = [check('all is well', true, '5'), check('no request is lost', false, '3 of 9')]
    const { problems } = judge({ within: { by: 'seconds', seconds: 60 } }, seen(1, { checks, broke: 'no API' }), free)
    expect(problems).toEqual(['no API', 'not so: no request is lost (3 of 9)'])
  })
})
