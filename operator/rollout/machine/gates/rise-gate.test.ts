import { describe, expect, it } from '@jest/globals'
import { notFoundRate } from './not-found-rate.ts'
import { tlsFailureRate } from './tls-failure-rate.ts'
import type { Inputs } from './testing.ts'
import { baked, input } from './testing.ts'

const STABLE = { requests: 1_000, handshakes: 1_000 }
const OFF = {
  successRate: null,
  notFoundRate: null,
  clientErrorRate: null,
  redirectRate: null,
  connectFailureRate: null,
  latencyP99: null,
  tlsFailureRate: null,
}

describe('notFoundRate', () => {
  it.each<[string, string, Inputs, boolean]>([
    ['pass WithinLimits', 'none', { update: { requests: 100 }, stable: STABLE }, true],
    ['fail Rose', 'a path is lost', { update: { requests: 200, notFound: 20 }, stable: STABLE }, true],
    ['fail Rose', 'certain before the bake', { update: { requests: 200, notFound: 20 }, stable: STABLE }, false],
    [
      'inconclusive NotSignificant',
      'a path with few requests',
      { update: { requests: 100, notFound: 1 }, stable: STABLE },
      true,
    ],
    ['fail Rose', 'the same path, later', { update: { requests: 1_000, notFound: 10 }, stable: STABLE }, true],
    [
      'pass WithinLimits',
      'strangers ask every pod for nonsense',
      { update: { requests: 500, notFound: 250 }, stable: { requests: 1_000, notFound: 500 } },
      true,
    ],
    ['pass WithinLimits', 'a rise that is allowed', { update: { requests: 1_000, notFound: 5 }, stable: STABLE }, true],
    [
      'pass WithinLimits',
      'a new host: it is the stable pods that know no route',
      { update: { requests: 200 }, stable: { requests: 1_000, notFound: 1_000 } },
      true,
    ],
    ['fail Rose', 'against before the rollout', { update: { requests: 200, notFound: 20 }, before: STABLE }, true],
    ['inconclusive TooFewRequests', 'too few', { update: { requests: 99 }, stable: STABLE }, true],
    ['inconclusive TooFewRequests', 'too few, and no reference', { update: { requests: 99 } }, true],
    ['inconclusive NoReference', 'no reference', { update: { requests: 500, notFound: 100 } }, true],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = notFoundRate(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict ?? ''} ${found?.reason ?? ''}`).toBe(expected)
  })

  it('says what it saw, where, and against what', () => {
    expect(notFoundRate(baked({ update: { requests: 200, notFound: 20 }, stable: STABLE }))).toMatchObject({
      name: 'notFoundRate',
      message:
        '404 without a route 10.0 % of 200 requests on pod 0: 10.00 points above the reference, 0.5 are allowed (stable pods: 0.0 % of 1000)',
      figures: { requests: 200, count: 20, rate: 10, referenceTotal: 1_000, referenceRate: 0 },
    })
  })
})

describe('tlsFailureRate', () => {
  it.each<[string, string, Inputs, boolean]>([
    ['pass WithinLimits', 'none', { update: { handshakes: 20 }, stable: STABLE }, true],
    [
      'fail Rose',
      'clients refuse the certificate after the handshake',
      { update: { handshakes: 20, tlsFailures: 20 }, stable: STABLE },
      false,
    ],
    [
      'fail Rose',
      'clients send an alert before its end',
      { update: { handshakes: 0, tlsFailures: 20 }, stable: STABLE },
      false,
    ],
    ['inconclusive TooFewHandshakes', 'too few', { update: { handshakes: 19, tlsFailures: 19 }, stable: STABLE }, true],
    [
      'pass WithinLimits',
      'scanners are everywhere',
      { update: { handshakes: 100, tlsFailures: 60 }, stable: { handshakes: 500, tlsFailures: 300 } },
      true,
    ],
    [
      'pass WithinLimits',
      'what was refused is repaired',
      { update: { handshakes: 100 }, stable: { handshakes: 500, tlsFailures: 500 } },
      true,
    ],
    ['fail Rose', 'against before the rollout', { update: { handshakes: 50, tlsFailures: 25 }, before: STABLE }, true],
    [
      'inconclusive NoReference',
      'never judged as an absolute',
      { update: { handshakes: 500, tlsFailures: 500 } },
      true,
    ],
  ])('%s: %s', (expected, _, of, isBaked) => {
    const found = tlsFailureRate(isBaked ? baked(of) : input(of))
    expect(`${found?.verdict ?? ''} ${found?.reason ?? ''}`).toBe(expected)
  })
})

it('a gate that the policy does not have is not asked', () => {
  expect(notFoundRate(input({ gates: OFF }))).toBeNull()
  expect(tlsFailureRate(input({ gates: OFF }))).toBeNull()
})
