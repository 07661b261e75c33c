import { describe, expect, it } from '@jest/globals'
import type { LoadRecord } from '../load/record.ts'
import { countsOf, leadersIn, strayWrites, writesIn } from './audit.ts'
import { problemsOf, textOf } from './outcome.ts'
import type { Change, Outcome } from './outcome.ts'

let second = 0
/** An event of the audit log, a second after the one before. */
function event(pod: string, resource: string, more: object = {}): string {
  const at = (ms: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second) + ms).toISOString()
  second++
  const [name, subresource] = resource.split('/')
  return JSON.stringify({
    stage: 'ResponseComplete',
    verb: 'patch',
    user: { username: 'operator', extra: { 'authentication.kubernetes.io/pod-name': [pod] } },
    objectRef: { resource: name, namespace: 'shop', name: 'web', ...(subresource ? { subresource } : {}) },
    responseStatus: { code: 200 },
    requestReceivedTimestamp: at(0),
    stageTimestamp: at(10),
    ...more,
  })
}
const lease = (pod: string, holder = pod): string =>
  event(pod, 'leases', { verb: 'update', requestObject: { spec: { holderIdentity: holder } } })
const conflict = { responseStatus: { code: 409 } }
const shard = { objectRef: { resource: 'secrets', namespace: 'sluice-system', name: 'sluice-releases-0a' } }

describe('the audit log', () => {
  it('says who decided while somebody else led', () => {
    const log = [
      lease('a'),
      event('a', 'ingressrollouts/status'),
      lease('b'),
      event('a', 'ingressrollouts/status'),
      event('a', 'secrets', shard),
      event('b', 'secrets', shard),
      lease('b', ''),
      event('b', 'ingresses'),
    ]
    expect(strayWrites(writesIn(log.join('\n'))).map(one => `${one.pod} ${one.resource}`)).toEqual([
      'a ingressrollouts/status',
      'a secrets',
      'b ingresses',
    ])
  })

  it('blames nobody for what was refused, for what every replica writes, and for a line that is not whole yet', () => {
    const log = [
      lease('a'),
      lease('b'),
      event('a', 'secrets', { ...shard, ...conflict }),
      event('a', 'events'),
      event('a', 'secrets'),
      event('b', 'ingressrollouts'),
      event('a', 'ingressrollouts').slice(0, 40),
    ]
    expect(strayWrites(writesIn(log.join('\n')))).toEqual([])
  })

  it('takes a Lease that could not be written for no change of the leader', () => {
    const update = { verb: 'update', requestObject: { spec: { holderIdentity: 'b' } }, ...conflict }
    const log = [lease('a'), event('b', 'leases', update), event('a', 'ingresses'), lease('a')]
    expect(strayWrites(writesIn(log.join('\n')))).toEqual([])
    expect(leadersIn(writesIn(log.join('\n')))).toEqual(['a'])
  })

  it('counts what was decided', () => {
    const log = [lease('a'), event('a', 'ingresses'), event('a', 'ingressrollouts/status'), event('a', 'ingresses')]
    expect(countsOf(writesIn(log.join('\n')))).toEqual([
      { resource: 'ingresses', count: 2 },
      { resource: 'ingressrollouts/status', count: 1 },
    ])
  })
})

describe('the outcome', () => {
  const good: Change = { host: 0, n: 1, bad: false, phase: 'Complete', message: '', ms: 20_000 }
  const record: LoadRecord = {
    ...{ kind: 'http', at: 0, ms: 1, ordinal: 0, status: 200, version: 'v1', issuer: null, error: null },
    connection: 'reused',
  }
  const fine: Outcome = {
    changes: [good, { ...good, bad: true, phase: 'RolledBack' }],
    records: [record, { ...record, status: 500, version: 'bad' }],
    writes: writesIn([lease('a'), event('a', 'ingresses'), lease('b'), event('b', 'ingresses')].join('\n')),
    ...{ killed: 1, stopped: 1, wrong: [] },
  }

  it('is fine where all ended as they should, and a bad change harmed the first pod alone', () => {
    expect(problemsOf(fine)).toEqual([])
    expect(textOf(fine)).toContain('2 changes (1 bad): 1 complete, 1 taken back')
  })

  it.each<[string, Partial<Outcome>]>([
    ['a bad change that was released', { changes: [{ ...good, bad: true }] }],
    ['a good change that was taken back', { changes: [{ ...good, phase: 'RolledBack' }] }],
    [
      'a bad answer of a pod beyond the first batch',
      { records: [{ ...record, version: 'bad', ordinal: 1, status: 500 }] },
    ],
    ['a request that failed otherwise', { records: [{ ...record, status: null, error: 'ECONNRESET' }] }],
    ['a host that serves what it should not', { wrong: ['host 0: v2'] }],
    [
      'a write of who did not lead',
      { writes: writesIn([lease('a'), event('a', 'ingresses'), lease('b'), event('a', 'ingresses')].join('\n')) },
    ],
    ['nobody disturbed', { killed: 0, stopped: 0 }],
    ['an audit log that is empty', { writes: [] }],
  ])('is not with %s', (_name, different) => {
    expect(problemsOf({ ...fine, ...different })).toHaveLength(1)
  })
})
