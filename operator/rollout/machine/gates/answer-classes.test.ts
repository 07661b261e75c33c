import { describe, expect, it } from '@jest/globals'
import { clientErrorRate, connectFailureRate, redirectRate } from './answer-classes.ts'
import type { Past } from './gate.ts'
import type { Inputs } from './testing.ts'
import { baked, input } from './testing.ts'
import { SETTINGS, counted } from '../testing.ts'
import type { Counted } from '../testing.ts'

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

it.each([clientErrorRate, redirectRate, connectFailureRate])('a certificate is not judged by it', gate => {
  const of = {
    update: { requests: 100, clientErrors: 30, redirects: 30, failures: 30, connectFailures: 30 },
    stable: STABLE,
  }
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

describe('connectFailureRate', () => {
  const NOISY = { requests: 3_000, failures: 90 }
  const past = (update: Counted, stable: Counted, connectFailures = 1): Past => {
    const dispersion = {
      failures: 30,
      notFound: 1,
      clientErrors: 1,
      redirects: 1,
      connectFailures,
      tlsFailures: 1,
      slow: 1,
    }
    return { update: counted(update), stable: counted(stable), dispersion, busier: 1, slowestMs: null }
  }

  it.each<[string, string, Inputs, boolean]>([
    [
      'fail Rose',
      'a backend that nobody reaches',
      { update: { requests: 50, failures: 50, connectFailures: 50 }, stable: STABLE },
      false,
    ],
    [
      'fail Rose',
      'a few percent, among the errors of an application that fails now and then',
      {
        update: { requests: 1_000, failures: 60, connectFailures: 35 },
        stable: NOISY,
        past: past(NOISY, { requests: 12_000, failures: 360 }),
      },
      true,
    ],
    [
      'pass WithinLimits',
      'errors of the application are for another gate',
      { update: { requests: 1_000, failures: 500 }, stable: STABLE },
      true,
    ],
    [
      'pass WithinLimits',
      'a backend that the stable pods do not reach either',
      {
        update: { requests: 500, failures: 250, connectFailures: 250 },
        stable: { requests: 2_000, failures: 1_000, connectFailures: 1_000 },
      },
      true,
    ],
    [
      'pass WithinLimits',
      'a pod on a bad node, as it always was',
      {
        update: { requests: 1_000, failures: 40, connectFailures: 40 },
        stable: { requests: 4_000 },
        past: past({ requests: 10_000, failures: 400, connectFailures: 400 }, { requests: 40_000 }),
      },
      true,
    ],
    [
      'inconclusive NotSignificant',
      'what comes in bunches counts as fewer',
      {
        update: { requests: 1_000, failures: 20, connectFailures: 20 },
        stable: { requests: 4_000 },
        past: past({ requests: 10_000 }, { requests: 40_000 }, 15),
      },
      true,
    ],
    [
      'fail Rose',
      'against before the rollout',
      { update: { requests: 200, failures: 20, connectFailures: 20 }, before: STABLE },
      true,
    ],
    ['inconclusive TooFewRequests', 'too few', { update: { requests: 10 }, stable: STABLE }, true],
    [
      'inconclusive NoReference',
      'a new host: pods that do not have it reach nothing for it',
      { update: { requests: 500, failures: 400, connectFailures: 400 }, stable: { requests: 1_000, notFound: 1_000 } },
      true,
    ],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = connectFailureRate(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict} ${found?.reason}`).toBe(expected)
  })

  it('says with its figures what it saw', () => {
    const of = input({ update: { requests: 100, failures: 50, connectFailures: 50 }, stable: STABLE })
    expect(connectFailureRate(of)).toMatchObject({
      figures: { requests: 100, count: 50, rate: 50, referenceTotal: 1_000, referenceRate: 0 },
      message:
        'connect failures 50.0 % of 100 requests on pod 0: 50.00 points above the reference, 1 are allowed (stable pods: 0.0 % of 1000)',
    })
  })

  it('is off in a record from before there was this gate, and has no reference in such a baseline', () => {
    const { connectFailureRate: omitted, ...gates } = SETTINGS.gates
    expect(omitted).toEqual({ maxRise: 1 })
    const of = baked({ update: { requests: 200, failures: 200, connectFailures: 200 }, before: STABLE })
    expect(connectFailureRate({ ...of, gates })).toBeNull()
    const baseline = of.baseline === null ? null : { ...of.baseline, connectFailureRate: null }
    expect(connectFailureRate({ ...of, baseline })).toMatchObject({ verdict: 'inconclusive', reason: 'NoReference' })
  })
})
