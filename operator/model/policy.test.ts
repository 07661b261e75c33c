import { describe, expect, it } from '@jest/globals'
import { parsePolicy, selectPolicy } from './policy.ts'
import type { Policy } from './policy.ts'
import { labelCount, selects } from './selectors.ts'
import type { SourceObject } from './types.ts'

const spec = { batches: [{ pods: 1 }], analysis: { successRate: { min: 99 } } }

function policy(name: string, change: object = {}, creationTimestamp = '2026-01-01T00:00:00Z'): Policy {
  return parsePolicy({ metadata: { name, uid: name, generation: 2, creationTimestamp }, spec: { ...spec, ...change } })
}

function object(kind: 'Ingress' | 'Secret', change: Partial<SourceObject> = {}): SourceObject {
  const content: SourceObject['content'] =
    kind === 'Ingress' ? { kind: 'Ingress', annotations: {}, spec: {} } : { kind: 'Secret', chain: '', privateKey: '' }
  const none = { state: 'absent' } as const
  return {
    key: `${kind}/shop/web`,
    uid: 'u',
    resourceVersion: '1',
    createdAt: 0,
    deleting: false,
    ours: true,
    className: kind === 'Ingress' ? 'sluice' : null,
    labels: { app: 'web' },
    finalizers: [],
    content,
    revision: 'r',
    stamp: { flag: none, current: none, update: none, index: none },
    ...change,
  }
}

describe('parsePolicy', () => {
  it('fills defaults and adds the last batch', () => {
    const raw = { metadata: { name: 'p', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' }, spec }
    expect(parsePolicy(raw)).toEqual({
      name: 'p',
      uid: 'u',
      generation: 0,
      createdAt: Date.UTC(2026, 0, 1),
      selector: { ingressClassName: null, namespaceSelector: {}, objectSelector: {} },
      kinds: ['Ingress', 'Secret'],
      settings: {
        batches: [
          { pods: { count: 1 }, pause: { type: 'none' } },
          { pods: { percent: 100 }, pause: { type: 'none' } },
        ],
        bakeMs: 30_000,
        ackDeadlineMs: 30_000,
        intervalMs: 5000,
        minRequests: 100,
        gates: {
          ...{ successRate: { min: 99, maxDrop: null }, notFoundRate: null, latencyP99: null, tlsFailureRate: null },
          // On by default: a wrong Service answers 404 or 401, never 5xx.
          ...{ clientErrorRate: { maxRise: 25 }, redirectRate: null, connectFailureRate: { maxRise: 1 } },
        },
        onInconclusive: 'Pause',
        idleRequestsPerMinute: 10,
        deadlineMs: 600_000,
        automaticRollback: true,
      },
      maxConcurrent: 20,
      historyLimit: 10,
      creation: 'Auto',
      allowManualIndex: false,
      allowOptOut: false,
    })
    expect(spec).not.toHaveProperty('kinds')
  })

  it('reads batches, pauses and gates', () => {
    const { settings } = policy('p', {
      batches: [{ pods: 2, pause: { for: '2m' } }, { pods: '25%', pause: {} }, { pods: '100%' }],
      analysis: {
        notFoundRate: { maxRise: 0.5 },
        clientErrorRate: { maxRise: 2 },
        redirectRate: { maxRise: 100 },
        connectFailureRate: { maxRise: 3 },
        latencyP99: { maxRise: '50%' },
        tlsFailureRate: { maxRise: 1 },
        deadline: '1h30m',
      },
      rollback: { automatic: false },
    })
    expect(settings.batches).toEqual([
      { pods: { count: 2 }, pause: { type: 'time', forMs: 120_000 } },
      { pods: { percent: 25 }, pause: { type: 'approval' } },
      { pods: { percent: 100 }, pause: { type: 'none' } },
    ])
    expect(settings.gates).toEqual({
      successRate: null,
      notFoundRate: { maxRise: 0.5 },
      clientErrorRate: { maxRise: 2 },
      redirectRate: { maxRise: 100 },
      connectFailureRate: { maxRise: 3 },
      latencyP99: { maxRise: 50 },
      tlsFailureRate: { maxRise: 1, minHandshakes: 20 },
    })
    expect(settings).toMatchObject({ deadlineMs: 5_400_000, automaticRollback: false })
  })

  it('reads probes, with their defaults', () => {
    const probes = [
      { host: 'a.example', path: '/' },
      {
        ...{ host: 'b.example', path: '/x?y=1', method: 'HEAD', scheme: 'https', expectStatus: [204, '4xx'] },
        ...{ headers: [{ name: 'X-A', value: 'b' }], timeoutSeconds: 1, intervalSeconds: 300 },
      },
      { host: 'c.example', path: '/', expectBody: 'shop' },
    ]
    expect(policy('p', { analysis: { ...spec.analysis, probes } }).settings.probes).toEqual([
      {
        ...{ method: 'GET', scheme: 'http', host: 'a.example', path: '/', headers: [] },
        expect: [
          [200, 299],
          [300, 399],
        ],
        ...{ timeoutMs: 5_000, intervalMs: 5_000 },
      },
      {
        ...{ method: 'HEAD', scheme: 'https', host: 'b.example', path: '/x?y=1', headers: [['X-A', 'b']] },
        expect: [
          [204, 204],
          [400, 499],
        ],
        ...{ timeoutMs: 1_000, intervalMs: 300_000 },
      },
      expect.objectContaining({ host: 'c.example', body: 'shop' }),
    ])
    expect(policy('p', { analysis: { ...spec.analysis, probes: [] } }).settings).not.toHaveProperty('probes')
  })

  it.each<[object, string]>([
    [{ host: undefined }, 'IngressRolloutPolicy p: spec.analysis.probes.0'],
    [{ host: '*.a.example' }, 'spec.analysis.probes.0.host'],
    [{ host: 'A.example' }, 'spec.analysis.probes.0.host'],
    [{ path: 'x' }, 'spec.analysis.probes.0.path'],
    [{ path: '/ x' }, 'spec.analysis.probes.0.path'],
    [{ path: '/x#y' }, 'spec.analysis.probes.0.path'],
    [{ method: 'POST' }, 'spec.analysis.probes.0.method'],
    [{ scheme: 'ws' }, 'spec.analysis.probes.0.scheme'],
    [{ expectStatus: [] }, 'spec.analysis.probes.0.expectStatus'],
    [{ expectStatus: [200, 100] }, 'spec.analysis.probes'],
    [{ expectStatus: ['1xx'] }, 'spec.analysis.probes'],
    [{ expectBody: '' }, 'spec.analysis.probes.0.expectBody'],
    [{ expectBody: 'x'.repeat(257) }, 'spec.analysis.probes.0.expectBody'],
    [
      { expectBody: 'x', method: 'HEAD' },
      'spec.analysis.probes[0].expectBody cannot be: an answer to HEAD has no body',
    ],
    [{ timeoutSeconds: 31 }, 'spec.analysis.probes.0.timeoutSeconds'],
    [{ intervalSeconds: 0 }, 'spec.analysis.probes.0.intervalSeconds'],
    [{ headers: [{ name: 'X Y', value: '' }] }, 'spec.analysis.probes.0.headers.0.name'],
    [{ headers: [{ name: 'X', value: 'a\nb' }] }, 'spec.analysis.probes.0.headers.0.value'],
    [
      { headers: [{ name: 'hOst', value: 'x' }] },
      'spec.analysis.probes[0].headers[0].name belongs to the probe itself or to its connection',
    ],
  ])('names the field of the probe %j', (change, message) => {
    const probes = [{ host: 'a.example', path: '/', ...change }]
    expect(() => policy('p', { analysis: { ...spec.analysis, probes } })).toThrow(message)
  })

  it('takes ten probes at most', () => {
    const probes = Array.from({ length: 11 }, (_, i) => ({ host: 'a.example', path: `/${i}` }))
    const of = (count: number): Policy =>
      policy('p', { analysis: { ...spec.analysis, probes: probes.slice(0, count) } })
    expect(of(10).settings.probes).toHaveLength(10)
    expect(() => of(11)).toThrow('spec.analysis.probes')
  })

  it.each<[object, string]>([
    [{ batches: [] }, 'IngressRolloutPolicy p: spec.batches'],
    [{ batches: [{ pods: '101%' }] }, 'spec.batches.0.pods'],
    [{ bakeTime: 'soon' }, 'spec.bakeTime'],
    [{ kinds: ['Service'] }, 'spec.kinds.0'],
    [{ analysis: undefined }, 'spec'],
    [{ nonsense: 1 }, 'spec'],
    [{ analysis: {} }, 'spec.analysis has no gate'],
    [{ analysis: { successRate: {} } }, 'spec.analysis has no gate'],
  ])('names the field of %j', (change, message) => {
    expect(() => policy('p', change)).toThrow(message)
  })
})

describe('selects', () => {
  const labels = { app: 'web', tier: 'front' }
  it.each<[object, boolean]>([
    [{}, true],
    [{ matchLabels: { app: 'web' } }, true],
    [{ matchLabels: { app: 'web', tier: 'back' } }, false],
    [{ matchLabels: { constructor: 'x' } }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'In', values: ['api', 'web'] }] }, true],
    [{ matchExpressions: [{ key: 'gone', operator: 'In', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
    [{ matchExpressions: [{ key: 'gone', operator: 'NotIn', values: ['web'] }] }, true],
    [{ matchExpressions: [{ key: 'tier', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'gone', operator: 'Exists' }] }, false],
    [{ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, false],
    [{ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'gone', operator: 'DoesNotExist' }] }, true],
  ])('%j: %p', (selector, expected) => {
    expect(selects(selector, labels)).toBe(expected)
  })

  it('counts the labels that it asks about', () => {
    expect(labelCount({ matchLabels: { a: '1', b: '2' }, matchExpressions: [{ key: 'c', operator: 'Exists' }] })).toBe(
      3,
    )
  })
})

describe('selectPolicy', () => {
  const byLabel = (n: number): object => ({
    selector: {
      objectSelector: { matchExpressions: Array.from({ length: n }, () => ({ key: 'app', operator: 'Exists' })) },
    },
  })
  const chosen = (
    policies: readonly Policy[],
    of = object('Ingress'),
    kind?: 'Ingress' | 'Secret',
  ): string | undefined => selectPolicy(policies, of, { team: 'shop' }, kind)?.name

  it('takes the one with most labels, then the oldest, then the first by name', () => {
    const old = '2020-01-01T00:00:00Z'
    expect(chosen([policy('a'), policy('b', byLabel(2)), policy('c', byLabel(1))])).toBe('b')
    expect(chosen([policy('a'), policy('b', {}, old)])).toBe('b')
    expect(chosen([policy('b'), policy('a')])).toBe('a')
    expect(chosen([])).toBeUndefined()
  })

  it('asks for kind, class, namespace and labels', () => {
    expect(chosen([policy('p', { kinds: ['Secret'] })])).toBeUndefined()
    expect(chosen([policy('p', { selector: { ingressClassName: 'other' } })])).toBeUndefined()
    expect(chosen([policy('p', { selector: { ingressClassName: 'sluice' } })])).toBe('p')
    expect(chosen([policy('p', { selector: { namespaceSelector: { matchLabels: { team: 'api' } } } })])).toBeUndefined()
    expect(chosen([policy('p', { selector: { objectSelector: { matchLabels: { app: 'api' } } } })])).toBeUndefined()
  })

  it('goes by class and labels of the referring Ingress for a Secret, and by its own kind', () => {
    const policies = [policy('p', { selector: { ingressClassName: 'sluice' } })]
    expect(chosen(policies, object('Ingress'), 'Secret')).toBe('p')
    expect(chosen(policies, object('Ingress', { className: 'other' }), 'Secret')).toBeUndefined()
    expect(chosen([policy('p', { kinds: ['Ingress'] })], object('Ingress'), 'Secret')).toBeUndefined()
    expect(chosen([policy('p', { kinds: ['Secret'] })], object('Ingress'), 'Secret')).toBe('p')
  })

  it('keeps an Ingress that left our classes: leaving is rolled out, too', () => {
    const policies = [policy('p', { selector: { ingressClassName: 'sluice' } })]
    expect(chosen(policies, object('Ingress', { ours: false, className: 'nginx' }))).toBe('p')
  })
})
