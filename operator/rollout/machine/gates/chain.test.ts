import { describe, expect, it } from '@jest/globals'
import { SETTINGS, counted } from '../testing.ts'
import type { Counted } from '../testing.ts'
import { evaluate, evaluateFairly, onlyTrafficIsMissing, outcome } from './chain.ts'
import type { Verdict } from '../types.ts'
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
    ['pass', 'a deletion of what nobody asks for', { deletion: true, mayMiss: 0 }],
    [
      'pass',
      'a deletion of what hardly anybody asks for',
      { deletion: true, mayMiss: 3, update: { requests: 3, notFound: 3 }, stable: STABLE },
    ],
    [
      'fail notFoundRate Rose',
      'and is asked for more often then',
      { deletion: true, mayMiss: 3, update: { requests: 200, notFound: 200 }, stable: STABLE },
    ],
    [
      'fail successRate BelowMinimum',
      'what else fails on its hosts is seen all the same',
      { deletion: true, mayMiss: 3, update: { requests: 200, failures: 90 }, stable: STABLE },
    ],
    [
      'inconclusive notFoundRate TooFewRequests',
      'a deletion while only the stable pods are asked',
      { deletion: true, stable: STABLE },
    ],
    [
      'inconclusive notFoundRate TooFewRequests',
      'a deletion of what is closed and asked for',
      { deletion: true, stable: { closed: 50 } },
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

  it.each<[string, string, Inputs]>([
    ['pass', 'nobody asks for it', {}],
    ['pass', 'all answers are its own', { update: { closed: 500 }, stable: STABLE }],
    ['pass', 'whatever the gates of the policy wait for', { gates: { ...SETTINGS.gates, successRate: null } }],
    [
      'pass',
      'others on its hosts fail on all pods alike',
      { update: { requests: 500, failures: 250 }, stable: { requests: 1_000, failures: 500 } },
    ],
    [
      'fail notFoundRate Rose',
      'a path that it lost is no part of what it closes',
      { update: { closed: 500, requests: 200, notFound: 90 }, stable: STABLE },
    ],
    [
      'inconclusive notFoundRate NotSignificant',
      'or may have lost',
      { update: { ...GOOD, notFound: 2 }, stable: STABLE },
    ],
    [
      'fail successRate BelowMinimum',
      'others on its hosts fail because of it',
      { update: { closed: 1, requests: 200, failures: 90 }, stable: STABLE },
    ],
    [
      'pass',
      'proxies of an older version count its answers as failures',
      { update: { closed: null, requests: 200, failures: 200 }, stable: STABLE },
    ],
  ])('of a closed revision: %s: %s', (expected, _, of) => {
    expect(end(baked({ closed: 'why', ...of }))).toBe(expected)
  })

  it('says first of all that a revision is closed, and how many have seen that', () => {
    const said = (closed: number | null) => evaluate(baked({ closed: 'why', update: { closed } }))[0]
    const expected = { name: 'closed', verdict: 'pass', reason: 'Closed', message: 'closed: why' }
    expect(said(7)).toEqual({ ...expected, figures: { closed: 7 } })
    expect(said(null)).toEqual({ ...expected, figures: {} })
  })

  it.each<[string, Inputs]>([
    ['successRate', {}],
    ['clientErrorRate', { update: { requests: 200, clientErrors: 90 } }],
    ['redirectRate', { update: { requests: 200, redirects: 90 } }],
    ['connectFailureRate', { update: { requests: 200, failures: 9, connectFailures: 9 } }],
    ['latencyP99', { update: { requests: 200, bucket: 9 } }],
  ])('judges by the other requests where some paths are closed: %s', (_, { update = GOOD }) => {
    const verdicts = (closed: number) => {
      const of = { ...update, closed }
      return evaluate(baked({ update: of, stable: { ...STABLE, closed: closed * 100 } }))
    }
    const but = (all: readonly Verdict[]) => all.filter(({ name }) => name !== 'notFoundRate')
    expect(but(verdicts(10_000))).toEqual(but(verdicts(0)))
  })

  it.each<[string, string, Inputs]>([
    [
      'pass',
      'scanners are no lost path where all else is closed',
      { closed: 'why', update: { closed: 980, requests: 20, notFound: 20 }, stable: { requests: 1_000, notFound: 20 } },
    ],
    [
      'pass',
      'nor in the last batch, against what was before',
      { closed: 'why', update: { closed: 980, requests: 20, notFound: 20 }, before: { requests: 1_000, notFound: 20 } },
    ],
    [
      'fail notFoundRate Rose',
      'and where the stable pods are closed they hide none',
      { update: { requests: 1_000, notFound: 90 }, stable: { closed: 980, requests: 20, notFound: 20 } },
    ],
    [
      'fail notFoundRate Rose',
      'the figures from before are without closed paths, and so is what is compared with them',
      { update: { closed: 9_000, requests: 1_000, notFound: 90 }, before: { requests: 1_000, notFound: 50 } },
    ],
  ])('404 are of all requests, those to closed paths too: %s: %s', (expected, _, of) => {
    expect(end(baked({ gates: { ...SETTINGS.gates, latencyP99: null }, ...of }))).toBe(expected)
  })

  it('gives the verdicts of the gates that the policy has, in order', () => {
    const names = (of: Inputs): readonly string[] => evaluate(baked(of)).map(one => one.name)
    expect(names({})).toEqual([
      ...['successRate', 'notFoundRate', 'clientErrorRate', 'redirectRate', 'connectFailureRate', 'latencyP99'],
      'tlsFailureRate',
    ])
    expect(names({ gates: { ...SETTINGS.gates, successRate: null, latencyP99: null } })).toEqual([
      ...['notFoundRate', 'clientErrorRate', 'redirectRate', 'connectFailureRate', 'tlsFailureRate'],
    ])
  })
})

describe('what a policy may excuse at the deadline', () => {
  it.each<[boolean, string, Inputs]>([
    [true, 'no request', {}],
    [true, 'too few', { update: { requests: 3, handshakes: 3 }, stable: STABLE }],
    [true, 'nothing to compare with', { update: GOOD }],
    [true, 'too few to tell from chance', { update: { ...GOOD, notFound: 2 }, stable: STABLE }],
    [
      false,
      'a backend that fails everywhere',
      { update: { ...GOOD, failures: 90 }, stable: { requests: 1_000, failures: 450 } },
    ],
    [false, 'a host that nobody knows, and nothing to compare that with', { update: { requests: 200, notFound: 101 } }],
  ])('%s: %s', (expected, _, of) => {
    expect(onlyTrafficIsMissing(evaluate(baked(of)))).toBe(expected)
  })

  it('404 to most requests is not let pass where there is nothing to compare it with', () => {
    expect(end(baked({ update: { ...GOOD, notFound: 101 } }))).toBe('inconclusive notFoundRate Alarming')
    expect(end(baked({ update: { ...GOOD, notFound: 100 }, gates: { ...SETTINGS.gates, latencyP99: null } }))).toBe(
      'pass',
    )
  })
})

describe('what fails has to fail as well on what was counted in the same time', () => {
  const BAD = { requests: 200, failures: 90 }
  const WAITS = 'inconclusive successRate NotCompared'
  const fairly = (update: Counted, stable: Counted, of: Inputs = {}): string => {
    const input = baked({ update: BAD, stable: STABLE, ...of })
    const found = outcome(
      input,
      evaluateFairly(input, () => ({ update: counted(update), stable: counted(stable) })),
    )
    return found.verdict === 'pass' ? 'pass' : `${found.verdict} ${found.because.name} ${found.because.reason}`
  }

  it.each<[string, string, Counted, Counted, Inputs]>([
    ['fail successRate BelowMinimum', 'it does', BAD, STABLE, {}],
    [WAITS, 'nothing of the update is of that time', {}, {}, {}],
    [WAITS, 'none of it had failed until then', { requests: 110 }, { requests: 440 }, {}],
    [WAITS, 'then the stable pods failed as well', BAD, { requests: 800, failures: 360 }, {}],
    [WAITS, 'they did, and there are hardly any of them', BAD, { requests: 40, failures: 18 }, { before: STABLE }],
    ['fail successRate BelowMinimum', 'of these none failed', BAD, { requests: 40 }, { before: STABLE }],
    ['fail successRate BelowMinimum', 'there are none', BAD, {}, { before: STABLE }],
    [
      'fail successRate BelowMinimum',
      'too few to say anything',
      BAD,
      { requests: 19, failures: 9 },
      { before: STABLE },
    ],
    [
      'fail successRate BelowMinimum',
      'a moment of others is no measure of many',
      { requests: 4_000, failures: 1_800 },
      { requests: 99, failures: 45 },
      { update: { requests: 4_000, failures: 1_800 }, before: STABLE },
    ],
    [
      'inconclusive notFoundRate NotCompared',
      'each gate by itself',
      { requests: 200 },
      STABLE,
      { update: { requests: 200, notFound: 90 } },
    ],
  ])('%s: %s', (expected, _, update, stable, of) => {
    expect(fairly(update, stable, of)).toBe(expected)
  })

  it('says so with the figures that failed', () => {
    const input = baked({ update: BAD, stable: STABLE })
    const [first] = evaluateFairly(input, () => ({ update: counted({}), stable: counted({}) }))
    expect(first).toMatchObject({ verdict: 'inconclusive', figures: { requests: 200, failures: 90 } })
    expect(first?.message).toMatch(
      /^success rate 55\.0 % .* below the minimum 99 %.*; what the pods on the stable revision counted in the same time does not tell yet$/,
    )
  })

  it('is not asked for where nothing fails, nor where nobody is behind', () => {
    const asks = (): never => {
      throw new Error('asked for')
    }
    const good = baked({ update: GOOD, stable: STABLE })
    expect(evaluateFairly(good, asks)).toEqual(evaluate(good))
    const bad = baked({ update: BAD, stable: STABLE })
    expect(evaluateFairly(bad, undefined)).toEqual(evaluate(bad))
  })

  it('is no lack of traffic that a policy may excuse', () => {
    const input = baked({ update: BAD, stable: STABLE })
    expect(onlyTrafficIsMissing(evaluateFairly(input, () => ({ update: counted({}), stable: counted({}) })))).toBe(
      false,
    )
  })
})
