import { describe, expect, it } from '@jest/globals'
import { SETTINGS } from '../testing.ts'
import { evaluate, outcome } from './chain.ts'
import type { GateInput } from './gate.ts'
import type { Inputs } from './testing.ts'
import { baked } from './testing.ts'

const STABLE = { requests: 1_000, handshakes: 1_000 }
const GOOD = { requests: 200, handshakes: 50 }

function end(of: GateInput): string {
  const found = outcome(of, evaluate(of))
  return found.verdict === 'pass' ? 'pass' : `${found.verdict} ${found.because.name} ${found.because.reason}`
}

describe('outcome', () => {
  it.each<[string, string, Inputs]>([
    ['pass', 'all is well', { update: GOOD, stable: STABLE }],
    ['pass', 'an Ingress without TLS', { update: { requests: 200 }, stable: { requests: 1_000 } }],
    [
      'fail successRate BelowMinimum',
      'the first failure counts',
      { update: { requests: 200, failures: 90, notFound: 90 }, stable: STABLE },
    ],
    [
      'fail notFoundRate Rose',
      'a good success rate excuses no lost path',
      { update: { ...GOOD, notFound: 90 }, stable: STABLE },
    ],
    [
      'inconclusive notFoundRate NotSignificant',
      'nor one that is hardly asked for',
      { update: { ...GOOD, notFound: 2 }, stable: STABLE },
    ],
    [
      'fail tlsFailureRate Rose',
      'nor a certificate that nobody accepts',
      { update: { ...GOOD, tlsFailures: 50 }, stable: STABLE },
    ],
    [
      'inconclusive successRate TooFewRequests',
      'an Ingress needs requests',
      { update: { handshakes: 50 }, stable: STABLE },
    ],
    ['pass', 'a Secret needs handshakes, no requests', { kind: 'Secret', update: { handshakes: 50 }, stable: STABLE }],
    [
      'inconclusive tlsFailureRate TooFewHandshakes',
      'and those it needs',
      { kind: 'Secret', update: { requests: 200 }, stable: STABLE },
    ],
    [
      'pass',
      'a Secret without a gate on TLS needs requests',
      { kind: 'Secret', gates: { ...SETTINGS.gates, tlsFailureRate: null }, update: { requests: 200 }, stable: STABLE },
    ],
    ['pass', 'a deletion that nobody notices', { deletion: true, update: { requests: 200 }, stable: STABLE }],
    [
      'fail notFoundRate Rose',
      'a deletion that somebody notices',
      { deletion: true, update: { requests: 200, notFound: 200 }, stable: STABLE },
    ],
    ['pass', 'a deletion of what nobody asks for', { deletion: true }],
    [
      'inconclusive notFoundRate TooFewRequests',
      'a deletion while only the stable pods are asked',
      { deletion: true, stable: STABLE },
    ],
    [
      'inconclusive notFoundRate TooFewRequests',
      'a deletion while there are handshakes',
      { deletion: true, stable: { handshakes: 5 } },
    ],
    ['inconclusive successRate TooFewRequests', 'what nobody asks for is otherwise not known to be good', {}],
  ])('%s: %s', (expected, _, of) => {
    expect(end(baked(of))).toBe(expected)
  })

  it('gives the verdicts of the gates that the policy has, in order', () => {
    const names = (of: Inputs): readonly string[] => evaluate(baked(of)).map(one => one.name)
    expect(names({})).toEqual([
      ...['successRate', 'notFoundRate', 'clientErrorRate', 'redirectRate', 'latencyP99', 'tlsFailureRate'],
    ])
    expect(names({ gates: { ...SETTINGS.gates, successRate: null, latencyP99: null } })).toEqual([
      ...['notFoundRate', 'clientErrorRate', 'redirectRate', 'tlsFailureRate'],
    ])
  })
})
