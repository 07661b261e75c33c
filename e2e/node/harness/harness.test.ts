import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from '@jest/globals'
import type { LoadRecord } from '../../load/record.ts'
import { pathOf } from './api.ts'
import { failuresOf, firstAnswers, lastAsked, ordinalsOf, spanOf } from './load.ts'
import { backend } from '../../echo/manifests.ts'
import { ingress, pointAt, policy, tlsSecret } from './manifests.ts'
import { askTarget, wordOf } from './proxies.ts'
import { batchesOf } from './rollouts.ts'
import { conditionsOf, stamp, stamped } from './stamps.ts'
import { stays, waitFor } from './wait.ts'

const quick = { timeoutMs: 60, everyMs: 5 }

function record(changes: Partial<LoadRecord>): LoadRecord {
  return {
    ...{ kind: 'http', at: 0, ms: 1, ordinal: 0, status: 200, version: 'v1', issuer: null, error: null },
    connection: 'reused',
    ...changes,
  }
}

describe('waitFor', () => {
  it('returns the first value that is accepted', async () => {
    let n = 0
    expect(
      await waitFor(
        'three',
        () => ++n,
        value => value === 3,
        quick,
      ),
    ).toBe(3)
  })

  it('shows what was seen last', async () => {
    await expect(
      waitFor(
        'nine',
        () => ({ n: 1 }),
        ({ n }) => n === 9,
        quick,
      ),
    ).rejects.toThrow('nine: not after 0.06 s. Last seen: { n: 1 }')
  })

  it('takes an error for not yet, and says which', async () => {
    const refused = (): Promise<number> => Promise.reject(new Error('ECONNREFUSED'))
    await expect(waitFor('an answer', refused, () => true, quick)).rejects.toMatchObject({
      code: 'E2E_TIMEOUT',
      message: 'an answer: not after 0.06 s. Last seen: error: ECONNREFUSED',
    })
  })
})

describe('stays', () => {
  it('passes when nothing changes', async () => {
    let polls = 0
    await stays(
      'one',
      30,
      () => ++polls,
      () => true,
      5,
    )
    expect(polls).toBeGreaterThan(2)
  })

  it('fails at the first value that is not accepted', async () => {
    let n = 0
    await expect(
      stays(
        'below three',
        1_000,
        () => ++n,
        value => value < 3,
        5,
      ),
    ).rejects.toThrow(/below three: no longer so/)
    expect(n).toBe(3)
  })
})

describe('accounting of load', () => {
  const records = [
    record({ at: 10 }),
    record({ at: 20, version: 'v2', ordinal: 1 }),
    record({ at: 30, version: 'v2', ordinal: 0 }),
    record({ at: 50, version: 'v2', ordinal: 1 }),
    record({ at: 60, ordinal: 3, status: null, version: null, error: 'ECONNRESET' }),
    record({ at: 70, ordinal: 3, status: 503, version: null }),
    record({ at: 80, ordinal: 3, status: 503, version: null }),
  ]

  it('counts failures by proxy and reason', () => {
    expect(failuresOf(records)).toEqual({ '3: ECONNRESET': 1, '3: status 503': 2 })
    expect(failuresOf(records.slice(0, 4))).toEqual({})
  })

  it('says who answered from a version, when first, and for how long', () => {
    expect(ordinalsOf(records, 'v2')).toEqual([0, 1])
    expect(firstAnswers(records, 'v2', [0, 1, 2])).toEqual([31, 21, Infinity])
    expect(lastAsked(records, 'v2', [0, 1, 2])).toEqual([30, 50, -Infinity])
    expect(spanOf(records, 'v2')).toBe(30)
    expect(spanOf(records, 'v9')).toBe(0)
  })
})

describe('batchesOf', () => {
  it('lists the indices in order, each once', () => {
    const history = [null, 0, 1, 1, 2, 2, -1, -1].map(index => ({ index }))
    expect(batchesOf(history, 5)).toEqual([1, 2, 5])
  })

  it('does not hide a step back', () => {
    expect(
      batchesOf(
        [1, 2, 1].map(index => ({ index })),
        5,
      ),
    ).toEqual([1, 2, 1])
  })
})

describe('stamps', () => {
  it('names the annotations of both kinds; null takes one away', () => {
    expect(stamp({ flag: null, update: 'r2', index: -1 })).toEqual({
      'nginx.ingress.kubernetes.io/ingress-rollout': null,
      'nginx.ingress.kubernetes.io/ingress-rollout-update-revision': 'r2',
      'nginx.ingress.kubernetes.io/ingress-rollout-index-id': '-1',
    })
    expect(stamped({ flag: 'true', current: null }, 'secret')).toEqual({
      'nginx.ingress.kubernetes.io/secret-rollout': 'true',
    })
  })

  it('reads conditions from their annotation', () => {
    const accepted = { type: 'Accepted', status: 'False', reason: 'KeyMismatch', message: 'data[tls.key]' }
    expect(conditionsOf({ 'tengine.taobao.org/conditions': JSON.stringify([accepted]) })).toEqual([accepted])
    expect(conditionsOf({})).toEqual([])
  })
})

describe('manifests', () => {
  it('point an Ingress at backends', () => {
    const one = ingress({ namespace: 'n', name: 'web', host: 'h', to: 'v2', secret: 's' })
    expect(one).toMatchObject({
      spec: {
        tls: [{ hosts: ['h'], secretName: 's' }],
        rules: [{ host: 'h', http: { paths: [{ path: '/', backend: { service: { name: 'echo-v2' } } }] } }],
      },
    })
    expect(one).toMatchObject(pointAt('h', 'v2'))
    const paths = [
      { path: '/a', to: 'v1' },
      { path: '/b', to: 'v3' },
    ]
    expect(JSON.stringify(ingress({ namespace: 'n', name: 'web', host: 'h', paths }))).toMatch(
      /"\/a".*echo-v1.*"\/b".*echo-v3/,
    )
  })

  it('let a policy govern one namespace', () => {
    expect(policy({ name: 'p', namespace: 'n', bakeTime: '5s', analysis: { minRequests: 7 } })).toMatchObject({
      spec: {
        selector: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'n' } } },
        bakeTime: '5s',
        analysis: { minRequests: 7, successRate: { min: 99 } },
      },
    })
  })

  it('hold certificates and backends', () => {
    const secret = tlsSecret('n', 's', { chain: 'c', privateKey: 'k' })
    expect(secret).toMatchObject({ type: 'kubernetes.io/tls', data: { 'tls.crt': 'Yw==', 'tls.key': 'aw==' } })
    const [deployment, service] = backend({ namespace: 'n', version: 'bad', image: 'i', status: 500 })
    expect(JSON.stringify(deployment)).toContain('{"name":"ECHO_STATUS","value":"500"}')
    expect(service.metadata.name).toBe('echo-bad')
  })
})

describe('paths of the API', () => {
  it('are those of the resource', () => {
    expect(pathOf('ingresses', 'n', 'web')).toBe('/apis/networking.k8s.io/v1/namespaces/n/ingresses/web')
    expect(pathOf('ingressrolloutpolicies', undefined, 'p')).toBe(
      '/apis/tengine.taobao.org/v1alpha1/ingressrolloutpolicies/p',
    )
  })
})

describe('a request to one proxy', () => {
  const answer = { status: 200, version: 'v1', pod: null, body: '', headers: {}, error: null, issuer: null }

  it('comes to a word', () => {
    expect(wordOf(answer)).toBe('v1')
    expect(wordOf({ ...answer, status: 500 })).toBe('500')
    expect(wordOf({ ...answer, status: 404, version: null })).toBe('404')
    expect(wordOf({ ...answer, status: null, version: null, error: 'ECONNREFUSED' })).toBe('ECONNREFUSED')
  })

  it('says who answered, and what went wrong', async () => {
    const server = createServer((request, response) => {
      response.setHeader('x-echo-version', 'v7').end(request.headers.host)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const target = { ordinal: 0, address: '127.0.0.1', port: (server.address() as AddressInfo).port }
    expect(await askTarget(target, { host: 'shop.test' })).toMatchObject({
      status: 200,
      version: 'v7',
      body: 'shop.test',
    })
    await new Promise(resolve => server.close(resolve))
    expect(wordOf(await askTarget(target, { host: 'shop.test' }))).toBe('ECONNREFUSED')
    expect(wordOf(await askTarget(undefined, { host: 'shop.test' }))).toBe('NO_SUCH_PROXY')
  })
})
