import { describe, expect, it } from '@jest/globals'
import type { PodProbe, ProbeSeen } from '../types.ts'
import { evaluate, onlyTrafficIsMissing, outcome } from './chain.ts'
import { PROBES_NAME, probes } from './probes.ts'
import { baked, input } from './testing.ts'
import type { Inputs } from './testing.ts'

const pod = (name: string, change: Partial<PodProbe> = {}): PodProbe => ({
  ...{ pod: name, ok: 3, failed: 0, failedInRow: 0, last: 'status 200', before: 'passed', ...change },
})
const bad = (name: string, failedInRow = 3, before: PodProbe['before'] = 'passed'): PodProbe =>
  pod(name, { ok: 0, failed: failedInRow, failedInRow, last: 'status 500', before })

function seen(change: Partial<ProbeSeen>): ProbeSeen {
  return { words: 'GET http://a.example/', passed: false, update: [pod('p0')], stable: [pod('p1')], ...change }
}

const PASSES = seen({})
const FAILS = seen({ update: [bad('p0')] })

function ask(all: readonly ProbeSeen[], ready = ['p0'], change: Inputs = {}): string | null {
  const said = probes(input({ probes: { seen: all, ready }, ...change }))
  return said === null ? null : `${said.verdict} ${said.reason}`
}

describe('probes', () => {
  it.each<[string, string, Partial<ProbeSeen>, readonly string[]]>([
    ['three answers of every pod', 'pass ProbesPass', {}, ['p0']],
    ['fewer answers', 'inconclusive NotProbed', { update: [pod('p0', { ok: 2 })] }, ['p0']],
    ['a pod that said nothing yet', 'inconclusive NotProbed', {}, ['p0', 'p2']],
    ['no pod that said anything', 'inconclusive NotProbed', { update: [] }, ['p0']],
    ['no ready pod', 'inconclusive NotProbed', {}, []],
    ['three failures that stable pods do not have', 'fail ProbeFailed', { update: [bad('p0')] }, ['p0']],
    ['the same where the pod was not known before', 'fail ProbeFailed', { update: [bad('p0', 3, null)] }, ['p0']],
    ['fewer failures', 'inconclusive Failing', { update: [bad('p0', 2)] }, ['p0']],
    ['failures of a pod that is not ready', 'inconclusive NotProbed', { update: [bad('p0')] }, ['p2']],
    ['an outage', 'inconclusive FailsEverywhere', { update: [bad('p0')], stable: [bad('p1', 1)] }, ['p0']],
    [
      'one bad stable pod of three',
      'fail ProbeFailed',
      { update: [bad('p0')], stable: [bad('p1'), pod('p2'), pod('p3')] },
      ['p0'],
    ],
    ['a pod that failed before', 'inconclusive FailsEverywhere', { update: [bad('p0', 9, 'failed')] }, ['p0']],
    ['one bad pod of two', 'inconclusive NotOnAllPods', { update: [bad('p0'), pod('p2')] }, ['p0', 'p2']],
    [
      'a pod that always fails, and a good one',
      'inconclusive NotOnAllPods',
      { update: [bad('p0', 9, 'failed'), pod('p2')] },
      ['p0', 'p2'],
    ],
    [
      'a pod that always fails, and one that fails with the update',
      'fail ProbeFailed',
      { update: [bad('p0', 9, 'failed'), bad('p2')] },
      ['p0', 'p2'],
    ],
    ['two bad pods of three', 'fail ProbeFailed', { update: [bad('p0'), bad('p2'), pod('p3')] }, ['p0', 'p2', 'p3']],
    ['no stable pod, and a good past', 'fail ProbeFailed', { update: [bad('p0')], stable: [] }, ['p0']],
    [
      'no stable pod, and no past',
      'inconclusive FailsUncompared',
      { update: [bad('p0', 3, null)], stable: [] },
      ['p0'],
    ],
    [
      'no stable pod, and an update that passed before',
      'inconclusive FailsEverywhere',
      { update: [bad('p0')], stable: [], passed: true },
      ['p0'],
    ],
    ['one failure of ten', 'pass ProbesPass', { update: [pod('p0', { ok: 9, failed: 1 })] }, ['p0']],
    ['two failures of ten', 'inconclusive Unsteady', { update: [pod('p0', { ok: 8, failed: 2 })] }, ['p0']],
  ])('%s: %s', (_name, said, change, ready) => {
    expect(ask([seen(change)], [...ready])).toBe(said)
  })

  it('say the worst of several', () => {
    expect(ask([PASSES, FAILS])).toBe('fail ProbeFailed')
    expect(ask([seen({ update: [bad('p0', 1)] }), seen({ update: [] })])).toBe('inconclusive Failing')
    expect(ask([PASSES, seen({ update: [] })])).toBe('inconclusive NotProbed')
  })

  it('say which request, on which pods, with what', () => {
    const said = probes(input({ probes: { seen: [FAILS], ready: ['p0'] } }))
    expect(said).toMatchObject({
      message: 'GET http://a.example/: fails on p0 (status 500) and not on 1 without the update',
      figures: { probes: 1, passed: 0, failed: 3 },
    })
  })

  it('say nothing where there are none, of closed paths, and of a late minute', () => {
    expect(probes(input({ probes: null }))).toBeNull()
    expect(ask([])).toBeNull()
    expect(ask([FAILS], ['p0'], { closed: 'login' })).toBeNull()
    expect(ask([FAILS], ['p0'], { late: true })).toBeNull()
  })
})

describe('outcome with probes', () => {
  const end = (of: Inputs): string => {
    const all = baked(of)
    const found = outcome(all, evaluate(all))
    if (found.verdict === 'pass') return `pass${found.excused === undefined ? '' : ` for ${found.excused.reason}`}`
    return `${found.verdict} ${found.because.name} ${found.because.reason}`
  }
  const with_ = (...all: readonly ProbeSeen[]): Inputs => ({ probes: { seen: all, ready: ['p0'] } })
  const GOOD = { requests: 1_000 }

  it.each<[string, string, Inputs]>([
    ['pass for TooFewRequests', 'no clients, and probes that pass', with_(PASSES)],
    ['inconclusive successRate TooFewRequests', 'no clients, and no probes', {}],
    ['inconclusive successRate TooFewRequests', 'no clients, and nothing probed yet', with_(seen({ update: [] }))],
    [
      'inconclusive successRate TooFewRequests',
      'one client who got a failure',
      { ...with_(PASSES), update: { requests: 3, failures: 1 } },
    ],
    ['pass for TooFewRequests', 'a few content ones', { ...with_(PASSES), update: { requests: 3 } }],
    ['fail probes ProbeFailed', 'no clients, and probes that fail', with_(FAILS)],
    [
      'fail probes ProbeFailed',
      'content clients elsewhere on the host',
      { ...with_(FAILS), update: GOOD, stable: GOOD },
    ],
    [
      'inconclusive probes FailsEverywhere',
      'no clients, and probes that fail everywhere',
      with_(seen({ update: [bad('p0')], stable: [bad('p1')] })),
    ],
    [
      'pass',
      'clients, and probes that fail everywhere: they expect what is not',
      { ...with_(seen({ update: [bad('p0')], stable: [bad('p1')] })), update: GOOD, stable: GOOD },
    ],
    ['pass', 'clients, and proxies that do not probe', { ...with_(seen({ update: [] })), update: GOOD, stable: GOOD }],
    [
      'inconclusive probes Failing',
      'clients, and a probe that fails just now',
      { ...with_(seen({ update: [bad('p0', 1)] })), update: GOOD, stable: GOOD },
    ],
    [
      'fail successRate BelowMinimum',
      'probes that pass excuse no failures of clients',
      { ...with_(PASSES), update: { requests: 500, failures: 250 }, stable: GOOD },
    ],
    [
      'inconclusive tlsFailureRate TooFewHandshakes',
      'they stand for no handshakes',
      {
        ...with_(PASSES),
        gates: { ...input().gates, successRate: null, notFoundRate: null },
      },
    ],
    [
      'inconclusive tlsFailureRate NoReference',
      'nor for what handshakes are compared with',
      {
        ...with_(PASSES),
        ...{ gates: { ...input().gates, successRate: null, notFoundRate: null }, update: { handshakes: 50 } },
      },
    ],
  ])('%s: %s', (said, _name, of) => {
    expect(end(of)).toBe(said)
  })

  it('may be promoted at the deadline where nothing was probed, and not where they fail', () => {
    const promoted = (of: Inputs): boolean => onlyTrafficIsMissing(evaluate(baked(of)))
    expect(promoted(with_(seen({ update: [] })))).toBe(true)
    expect(promoted(with_(seen({ update: [bad('p0')], stable: [bad('p1')] })))).toBe(false)
    expect(promoted(with_(seen({ update: [bad('p0', 3, null)], stable: [] })))).toBe(false)
    expect(evaluate(baked(with_(PASSES))).map(({ name }) => name)).toContain(PROBES_NAME)
  })
})
