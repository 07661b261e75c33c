import { describe, expect, it } from '@jest/globals'
import type { Inputs } from './testing.ts'
import { baked, input } from './testing.ts'
import { successRate } from './success-rate.ts'

const STABLE = { requests: 1_000 }
const DROP = { successRate: { min: null, maxDrop: 0.5 } }
const gates = (successRate: { min: number | null; maxDrop: number | null } | null): Inputs['gates'] => ({
  ...{
    successRate,
    notFoundRate: null,
    clientErrorRate: null,
    redirectRate: null,
    latencyP99: null,
    tlsFailureRate: null,
  },
})
const only = { gates: gates(DROP.successRate) as NonNullable<Inputs['gates']> }

describe('successRate', () => {
  it('is not asked where the policy does not', () => {
    expect(successRate(input({ gates: gates(null) as NonNullable<Inputs['gates']> }))).toBeNull()
  })

  it.each<[string, string, Inputs, boolean]>([
    ['pass WithinLimits', 'everything answered', { update: { requests: 100 }, stable: STABLE }, true],
    ['pass WithinLimits', 'the minimum itself, without a reference', { update: { requests: 100, failures: 1 } }, true],
    ['inconclusive NotSignificant', 'one more, after the bake', { update: { requests: 100, failures: 2 } }, true],
    [
      'inconclusive NotSignificant',
      'what a service that is as good as the minimum shows in two of a hundred bakes',
      { update: { requests: 100, failures: 4 } },
      true,
    ],
    ['fail BelowMinimum', 'more than chance does, after the bake', { update: { requests: 100, failures: 6 } }, true],
    [
      'inconclusive NotSignificant',
      'more than chance does, before that',
      { update: { requests: 100, failures: 4 } },
      false,
    ],
    [
      'inconclusive FailsEverywhere',
      'an outage of the backend, on all pods alike',
      { update: { requests: 500, failures: 250 }, stable: { requests: 1_000, failures: 500 } },
      true,
    ],
    [
      'inconclusive FailsEverywhere',
      'the same, before the bake is over',
      { update: { requests: 500, failures: 250 }, stable: { requests: 1_000, failures: 500 } },
      false,
    ],
    [
      'inconclusive FailsEverywhere',
      'a repair that is not good enough yet, but better than what it replaces',
      { update: { requests: 1_000, failures: 30 }, stable: { requests: 1_000, failures: 1_000 } },
      true,
    ],
    [
      'fail BelowMinimum',
      'worse than stable pods that are below the minimum themselves',
      { update: { requests: 1_000, failures: 200 }, stable: { requests: 1_000, failures: 30 } },
      true,
    ],
    ['inconclusive NotSignificant', 'one more, before that', { update: { requests: 100, failures: 2 } }, false],
    ['inconclusive TooFewRequests', 'too few', { update: { requests: 99 }, stable: STABLE }, true],
    ['inconclusive TooFewRequests', 'nothing at all', {}, true],
    ['fail BelowMinimum', 'certain before the bake', { update: { requests: 100, failures: 10 } }, false],
    [
      'fail BelowMinimum',
      'certain with few requests: it can not recover',
      { update: { requests: 30, failures: 25 } },
      false,
    ],
    [
      'inconclusive TooFewRequests',
      'a client that repeats itself is not certain',
      { update: { requests: 19, failures: 19 } },
      true,
    ],
    [
      'inconclusive TooFewRequests',
      'it can still recover within minRequests',
      { update: { requests: 20, failures: 1 } },
      false,
    ],
    [
      'fail Dropped',
      'worse than the stable pods',
      { ...only, update: { requests: 500, failures: 10 }, stable: STABLE },
      true,
    ],
    [
      'inconclusive NotSignificant',
      'worse, but chance may have done it',
      { ...only, update: { requests: 100, failures: 1 }, stable: STABLE },
      true,
    ],
    [
      'pass WithinLimits',
      'as bad as the stable pods',
      { ...only, update: { requests: 500, failures: 50 }, stable: { requests: 1_000, failures: 100 } },
      true,
    ],
    [
      'pass WithinLimits',
      'better than the stable pods',
      { ...only, update: { requests: 500 }, stable: { requests: 1_000, failures: 900 } },
      true,
    ],
    [
      'pass WithinLimits',
      'a drop that is allowed',
      { ...only, update: { requests: 10_000, failures: 49 }, stable: { requests: 10_000 } },
      true,
    ],
    [
      'fail Dropped',
      'against before the rollout',
      { ...only, update: { requests: 500, failures: 50 }, before: STABLE },
      true,
    ],
    [
      'pass WithinLimits',
      'stable pods go before the past',
      { ...only, update: { requests: 500, failures: 50 }, before: STABLE, stable: { requests: 1_000, failures: 100 } },
      true,
    ],
    [
      'inconclusive NoReference',
      'nothing to compare with',
      { ...only, update: { requests: 500 }, before: { requests: 99 }, stable: { requests: 99 } },
      true,
    ],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = successRate(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict ?? ''} ${found?.reason ?? ''}`).toBe(expected)
  })

  it('says what it saw, where, and against what', () => {
    const found = successRate(
      baked({ ...only, update: { requests: 200, failures: 20 }, stable: STABLE, pods: 'pods 0-1' }),
    )
    expect(found).toMatchObject({
      message:
        'success rate 90.0 % of 200 requests on pods 0-1 is 10.00 points below the stable pods (100.0 % of 1000), 0.5 are allowed',
      figures: { requests: 200, failures: 20, successRate: 90, referenceRequests: 1_000, referenceSuccessRate: 100 },
    })
  })
})
