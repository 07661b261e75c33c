import { describe, expect, it } from '@jest/globals'
import { clientErrorRate, redirectRate } from './answer-classes.ts'
import type { Inputs } from './testing.ts'
import { baked, input } from './testing.ts'
import { SETTINGS } from '../testing.ts'

const STABLE = { requests: 1_000, clientErrors: 30 }

describe('clientErrorRate', () => {
  it.each<[string, string, Inputs, boolean]>([
    [
      'fail Rose',
      'a Service that knows none of the paths',
      { update: { requests: 100, clientErrors: 100 }, stable: STABLE },
      false,
    ],
    ['fail Rose', 'a login that is lost', { update: { requests: 200, clientErrors: 120 }, stable: STABLE }, true],
    ['pass WithinLimits', 'as many as before', { update: { requests: 500, clientErrors: 15 }, stable: STABLE }, true],
    [
      'pass WithinLimits',
      'a client that errs all the time',
      { update: { requests: 500, clientErrors: 50 }, stable: STABLE },
      true,
    ],
    [
      'pass WithinLimits',
      'fewer: what was wrong is mended',
      { update: { requests: 500 }, stable: { requests: 500, clientErrors: 500 } },
      true,
    ],
    [
      'inconclusive NoReference',
      'a new host whose API wants a login: pods that do not have it say nothing of it',
      { update: { requests: 500, clientErrors: 400 }, stable: { requests: 1_000, notFound: 1_000 } },
      true,
    ],
    [
      'pass WithinLimits',
      'requests without a route are for another gate',
      { update: { requests: 500, notFound: 300 }, stable: STABLE },
      true,
    ],
    [
      'inconclusive NotSignificant',
      'perhaps',
      { update: { requests: 100, clientErrors: 16 }, stable: { requests: 100, clientErrors: 5 } },
      true,
    ],
    ['fail Rose', 'against before the rollout', { update: { requests: 200, clientErrors: 200 }, before: STABLE }, true],
    ['inconclusive TooFewRequests', 'too few', { update: { requests: 10 }, stable: STABLE }, true],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = clientErrorRate(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict} ${found?.reason}`).toBe(expected)
  })

  it('has no reference in a baseline that an older operator wrote', () => {
    const of = baked({ update: { requests: 200, clientErrors: 200 }, before: STABLE })
    const baseline = of.baseline === null ? null : { ...of.baseline, clientErrorRate: null }
    expect(clientErrorRate({ ...of, baseline })).toMatchObject({ verdict: 'inconclusive', reason: 'NoReference' })
  })
})

it.each([clientErrorRate, redirectRate])('a certificate is not judged by it', gate => {
  const of = { update: { requests: 100, clientErrors: 50, redirects: 50 }, stable: STABLE }
  expect(gate(baked(of))?.verdict).toBe('fail')
  expect(gate(baked({ ...of, kind: 'Secret' }))).toBeNull()
})

describe('redirectRate', () => {
  it('sees a loop', () => {
    expect(redirectRate(input({ update: { requests: 100, redirects: 100 }, stable: STABLE }))).toMatchObject({
      ...{ verdict: 'fail', reason: 'Rose' },
      message:
        '3xx answers 100.0 % of 100 requests on pod 0: 100.00 points above the reference, 10 are allowed (stable pods: 0.0 % of 1000)',
    })
  })

  it('is off at 100 points', () => {
    const gates = { ...SETTINGS.gates, redirectRate: { maxRise: 100 } }
    expect(redirectRate(baked({ gates, update: { requests: 100, redirects: 100 }, stable: STABLE }))?.verdict).toBe(
      'pass',
    )
  })
})
