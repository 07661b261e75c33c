/** Valid and invalid objects of our API, with what the API server must say of them, message by message. */

export type CheckedKind = 'IngressCheckSum' | 'SecretCheckSum' | 'IngressRolloutPolicy' | 'IngressRollout'

/** One cause of a refusal: the field it names, and a part of its message that no other rule has. */
export interface Cause {
  readonly field: string
  readonly message: string
}

export interface Case {
  readonly name: string
  readonly kind: CheckedKind
  /** Accepted first; then `spec` replaces it. Absent: `spec` is created. */
  readonly before?: Spec
  readonly spec: Spec
  /** Written through the status subresource after `spec`. */
  readonly status?: Spec
  /** All causes of the refusal, and no other; absent: the object is accepted. */
  readonly refused?: readonly Cause[]
  /** Fields of the stored spec, for defaults. */
  readonly stored?: Spec
}

export type Spec = Readonly<Record<string, unknown>>

const MD5 = 'd41d8cd98f00b204e9800998ecf8427e'
const checksum = { timestamp: '2026-01-01T00:00:00Z', checksum: MD5 }
const gate = { successRate: { min: 99 } }
const minimal = { batches: [{ pods: 1 }], analysis: gate }
const withProbe = (change: Spec): Spec => ({
  ...minimal,
  analysis: { ...gate, probes: [{ host: 'a.example', path: '/', ...change }] },
})
const objectRef = { kind: 'Ingress', name: 'web', uid: '0b9c4f1e-0000-4000-8000-000000000001' }
const rollout = { objectRef, revision: 'abcdef0123' }

const accepted = (kind: CheckedKind, name: string, spec: Spec, stored?: Spec): Case => ({
  kind,
  name,
  spec,
  ...(stored === undefined ? {} : { stored }),
})
const refused = (
  kind: CheckedKind,
  name: string,
  spec: Spec,
  ...causes: readonly (readonly [string, string])[]
): Case => ({
  kind,
  name,
  spec,
  refused: causes.map(([field, message]) => ({ field, message })),
})
const changed = (kind: CheckedKind, name: string, before: Spec, spec: Spec): Case => ({ kind, name, before, spec })
const unchangeable = (
  kind: CheckedKind,
  name: string,
  before: Spec,
  spec: Spec,
  ...causes: readonly (readonly [string, string])[]
): Case => ({ kind, name, before, spec, refused: causes.map(([field, message]) => ({ field, message })) })

const checksums = (kind: 'IngressCheckSum' | 'SecretCheckSum'): readonly Case[] => [
  accepted(kind, 'as upstream publishes it', { ...checksum, ids: ['27555-1', '100-2'] }),
  accepted(kind, 'without ids', checksum),
  accepted(kind, 'the same id twice, which upstream allows', { ...checksum, ids: ['9-3', '9-3'] }),
  accepted(kind, 'ids with their count', { ...checksum, ids: ['shop/web:abc'], count: 1 }),
  accepted(kind, 'buckets and an empty list of ids', {
    ...checksum,
    ids: [],
    buckets: [
      { prefix: '0', count: 2, checksum: MD5 },
      { prefix: '1', count: 3, checksum: MD5 },
    ],
    count: 5,
  }),
  // They decide nothing: who publishes one twice names a difference less well.
  accepted(kind, 'one bucket twice', {
    ...checksum,
    ids: [],
    buckets: [
      { prefix: '0', count: 1, checksum: MD5 },
      { prefix: '0', count: 1, checksum: MD5 },
    ],
    count: 2,
  }),
  accepted(kind, 'no objects at all', { ...checksum, ids: [], buckets: [], count: 0 }),
  changed(kind, 'edited in place', { ...checksum, ids: ['1-1'] }, { ...checksum, ids: ['1-2'] }),
  refused(kind, 'no timestamp', { checksum: MD5 }, ['spec.timestamp', 'Required value']),
  refused(kind, 'no checksum', { timestamp: checksum.timestamp }, ['spec.checksum', 'Required value']),
  refused(kind, 'timestamp that is none', { ...checksum, timestamp: 'yesterday' }, [
    'spec.timestamp',
    'must be of type date-time',
  ]),
  refused(kind, 'checksum in upper case', { ...checksum, checksum: MD5.toUpperCase() }, [
    'spec.checksum',
    "should match '^[0-9a-f]{32}$'",
  ]),
  refused(kind, 'checksum cut short', { ...checksum, checksum: MD5.slice(1) }, [
    'spec.checksum',
    "should match '^[0-9a-f]{32}$'",
  ]),
  refused(kind, 'an empty id', { ...checksum, ids: [''] }, ['spec.ids[0]', 'should be at least 1 chars long']),
  refused(
    kind,
    'ids and buckets',
    { ...checksum, ids: ['1-1'], buckets: [{ prefix: '0', count: 1, checksum: MD5 }], count: 1 },
    ['spec.buckets', 'ids and buckets exclude each other'],
  ),
  refused(kind, 'buckets without count', { ...checksum, buckets: [{ prefix: '0', count: 1, checksum: MD5 }] }, [
    'spec.count',
    'count is required with buckets',
  ]),
  refused(
    kind,
    'count that is not that of the buckets',
    { ...checksum, buckets: [{ prefix: '0', count: 1, checksum: MD5 }], count: 2 },
    ['spec.count', 'count must be the sum of the counts of the buckets'],
  ),
  refused(kind, 'count that is not that of the ids', { ...checksum, ids: ['1-1', '2-1'], count: 3 }, [
    'spec.count',
    'count must be the number of ids',
  ]),
]

const policies: readonly Case[] = [
  accepted('IngressRolloutPolicy', 'the least, with its defaults', minimal, {
    selector: {},
    kinds: ['Ingress', 'Secret'],
    batches: [{ pods: 1 }],
    bakeTime: '30s',
    ackDeadline: '30s',
    analysis: { ...gate, interval: '5s', minRequests: 100, onInconclusive: 'Pause', deadline: '10m' },
    rollback: { automatic: true },
    maxConcurrent: 20,
    historyLimit: 10,
    allowOptOut: false,
  }),
  accepted('IngressRolloutPolicy', 'everything set', {
    selector: {
      ingressClassName: 'sluice',
      namespaceSelector: { matchLabels: { team: 'shop' } },
      objectSelector: {
        matchExpressions: [
          { key: 'example.com/tier', operator: 'In', values: ['web', 'api'] },
          { key: 'experimental', operator: 'DoesNotExist' },
        ],
      },
    },
    kinds: ['Secret'],
    batches: [{ pods: 1 }, { pods: '25%', pause: { for: '2m' } }, { pods: '50%', pause: {} }, { pods: '100%' }],
    bakeTime: '1h30m',
    ackDeadline: '45s',
    analysis: {
      interval: '2s',
      minRequests: 1,
      successRate: { min: 99.5, maxDrop: 0.5 },
      notFoundRate: { maxRise: 0 },
      connectFailureRate: { maxRise: 100 },
      latencyP99: { maxRise: '50%' },
      tlsFailureRate: { maxRise: 0.5, minHandshakes: 5 },
      probes: [
        {
          ...{ host: 'a.example', path: '/x?y=1', method: 'HEAD', scheme: 'https', expectStatus: [204, '4xx'] },
          ...{ headers: [{ name: 'X-A', value: 'b c' }], timeoutSeconds: 30, intervalSeconds: 300 },
        },
      ],
      onInconclusive: 'Promote',
      deadline: '2h',
    },
    rollback: { automatic: false },
    maxConcurrent: 1,
    historyLimit: 0,
    allowOptOut: true,
  }),
  accepted(
    'IngressRolloutPolicy',
    'default of the TLS gate',
    { ...minimal, analysis: { tlsFailureRate: { maxRise: 1 } } },
    {
      analysis: {
        tlsFailureRate: { maxRise: 1, minHandshakes: 20 },
        interval: '5s',
        minRequests: 100,
        onInconclusive: 'Pause',
        deadline: '10m',
      },
    },
  ),
  accepted('IngressRolloutPolicy', 'a probe, with its defaults', withProbe({}), {
    analysis: {
      ...{ ...gate, clientErrorRate: { maxRise: 25 }, connectFailureRate: { maxRise: 1 }, interval: '5s' },
      ...{ minRequests: 100, onInconclusive: 'Pause', deadline: '10m' },
      probes: [
        {
          ...{ host: 'a.example', path: '/', method: 'GET', scheme: 'http', expectStatus: ['2xx', '3xx'] },
          ...{ timeoutSeconds: 5, intervalSeconds: 5 },
        },
      ],
    },
  }),
  refused('IngressRolloutPolicy', 'a probe of a wildcard', withProbe({ host: '*.example' }), [
    'spec.analysis.probes[0].host',
    'should match',
  ]),
  refused('IngressRolloutPolicy', 'a probe without a path', withProbe({ path: undefined }), [
    'spec.analysis.probes[0].path',
    'Required value',
  ]),
  refused('IngressRolloutPolicy', 'a probe of a path with a space', withProbe({ path: '/a b' }), [
    'spec.analysis.probes[0].path',
    'should match',
  ]),
  refused('IngressRolloutPolicy', 'a probe that would change something', withProbe({ method: 'POST' }), [
    'spec.analysis.probes[0].method',
    'Unsupported value',
  ]),
  accepted('IngressRolloutPolicy', 'a probe with a text for the body', withProbe({ expectBody: '{"a": "b"}\nc' })),
  refused(
    'IngressRolloutPolicy',
    'a probe of a body where there is none',
    withProbe({ method: 'HEAD', expectBody: 'x' }),
    ['spec.analysis.probes[0].expectBody', 'an answer to HEAD has no body'],
  ),
  refused('IngressRolloutPolicy', 'a probe of any body', withProbe({ expectBody: '' }), [
    'spec.analysis.probes[0].expectBody',
    'should be at least 1 chars long',
  ]),
  refused('IngressRolloutPolicy', 'a probe that expects what is none', withProbe({ expectStatus: ['1xx'] }), [
    'spec.analysis.probes[0].expectStatus[0]',
    'should match',
  ]),
  refused(
    'IngressRolloutPolicy',
    'a probe with a host of its own',
    withProbe({ headers: [{ name: 'Host', value: 'b' }] }),
    ['spec.analysis.probes[0].headers[0].name', 'this header field belongs to the probe itself or to its connection'],
  ),
  refused(
    'IngressRolloutPolicy',
    'eleven probes',
    { ...minimal, analysis: { ...gate, probes: Array.from({ length: 11 }, () => ({ host: 'a.example', path: '/' })) } },
    ['spec.analysis.probes', 'must have at most 10 items'],
  ),
  accepted('IngressRolloutPolicy', 'numbers, then percentages', {
    ...minimal,
    batches: [{ pods: 5 }, { pods: '1%' }, { pods: 5 }, { pods: '2%' }],
  }),
  accepted('IngressRolloutPolicy', 'two digits after one: compared as numbers', {
    ...minimal,
    batches: [{ pods: '9%' }, { pods: '10%' }, { pods: 9 }, { pods: 10 }],
  }),
  accepted('IngressRolloutPolicy', 'twenty batches', {
    ...minimal,
    batches: Array.from({ length: 20 }, (_, i) => ({ pods: i + 1 })),
  }),
  changed('IngressRolloutPolicy', 'everything may change', minimal, {
    ...minimal,
    batches: [{ pods: 2 }],
    kinds: ['Ingress'],
  }),
  refused('IngressRolloutPolicy', 'no batches', { analysis: gate }, ['spec.batches', 'Required value']),
  refused('IngressRolloutPolicy', 'no analysis', { batches: [{ pods: 1 }] }, ['spec.analysis', 'Required value']),
  refused('IngressRolloutPolicy', 'an empty list of batches', { ...minimal, batches: [] }, [
    'spec.batches',
    'should have at least 1 items',
  ]),
  refused(
    'IngressRolloutPolicy',
    'twenty-one batches',
    { ...minimal, batches: Array.from({ length: 21 }, (_, i) => ({ pods: i + 1 })) },
    ['spec.batches', 'must have at most 20 items'],
  ),
  refused('IngressRolloutPolicy', 'a batch of no pods', { ...minimal, batches: [{ pods: 0 }] }, [
    'spec.batches[0].pods',
    'should be greater than or equal to 1',
  ]),
  refused('IngressRolloutPolicy', 'a batch of 0%', { ...minimal, batches: [{ pods: '0%' }] }, [
    'spec.batches[0].pods',
    'should match',
  ]),
  refused('IngressRolloutPolicy', 'more than 100%', { ...minimal, batches: [{ pods: '101%' }] }, [
    'spec.batches[0].pods',
    'should match',
  ]),
  refused('IngressRolloutPolicy', 'a batch without pods', { ...minimal, batches: [{ pause: {} }] }, [
    'spec.batches[0].pods',
    'Required value',
  ]),
  refused(
    'IngressRolloutPolicy',
    'numbers that decrease',
    { ...minimal, batches: [{ pods: 3 }, { pods: '50%' }, { pods: 2 }] },
    ['spec.batches', 'the absolute numbers of pods must not decrease from batch to batch'],
  ),
  refused(
    'IngressRolloutPolicy',
    'percentages that decrease',
    { ...minimal, batches: [{ pods: '50%' }, { pods: 1 }, { pods: '9%' }] },
    ['spec.batches', 'the percentages of pods must not decrease from batch to batch'],
  ),
  refused('IngressRolloutPolicy', 'a batch after 100%', { ...minimal, batches: [{ pods: '100%' }, { pods: 3 }] }, [
    'spec.batches',
    'no batch can follow the one of 100%',
  ]),
  refused('IngressRolloutPolicy', '100% twice', { ...minimal, batches: [{ pods: '100%' }, { pods: '100%' }] }, [
    'spec.batches',
    'no batch can follow the one of 100%',
  ]),
  refused(
    'IngressRolloutPolicy',
    'a pause after 100%',
    { ...minimal, batches: [{ pods: '100%', pause: { for: '1m' } }] },
    ['spec.batches', 'the batch of 100% takes no pause'],
  ),
  refused(
    'IngressRolloutPolicy',
    'a pause of no length',
    { ...minimal, batches: [{ pods: 1, pause: { for: '0s' } }] },
    ['spec.batches[0].pause.for', 'pause.for must be from 1s to 168h'],
  ),
  refused(
    'IngressRolloutPolicy',
    'bakeTime too long',
    { ...minimal, bakeTime: '25h', analysis: { ...gate, deadline: '24h' } },
    ['spec.bakeTime', 'bakeTime must be from 1s to 24h'],
    ['spec.analysis.deadline', 'analysis.deadline 24h is shorter than bakeTime 25h'],
  ),
  refused('IngressRolloutPolicy', 'bakeTime below a second', { ...minimal, bakeTime: '500ms' }, [
    'spec.bakeTime',
    'bakeTime must be from 1s to 24h',
  ]),
  refused('IngressRolloutPolicy', 'ackDeadline too long', { ...minimal, ackDeadline: '61m' }, [
    'spec.ackDeadline',
    'ackDeadline must be from 1s to 1h',
  ]),
  refused(
    'IngressRolloutPolicy',
    'ackDeadline without unit',
    { ...minimal, ackDeadline: '30' },
    ['spec.ackDeadline', "should match '^([0-9]+(ms|s|m|h))+$'"],
    ['spec.ackDeadline', 'evaluating'],
  ),
  refused('IngressRolloutPolicy', 'interval below a second', { ...minimal, analysis: { ...gate, interval: '1ms' } }, [
    'spec.analysis.interval',
    'interval must be from 1s to 5m',
  ]),
  refused('IngressRolloutPolicy', 'deadline too long', { ...minimal, analysis: { ...gate, deadline: '48h' } }, [
    'spec.analysis.deadline',
    'deadline must be from 1s to 24h',
  ]),
  refused('IngressRolloutPolicy', 'deadline shorter than bakeTime', { ...minimal, bakeTime: '15m' }, [
    'spec.analysis.deadline',
    'analysis.deadline 10m is shorter than bakeTime 15m: no batch could pass in time',
  ]),
  refused('IngressRolloutPolicy', 'no gate', { ...minimal, analysis: { minRequests: 5 } }, [
    'spec.analysis',
    'at least one gate is required, one of successRate, notFoundRate, latencyP99, tlsFailureRate',
  ]),
  refused('IngressRolloutPolicy', 'an empty success rate', { ...minimal, analysis: { successRate: {} } }, [
    'spec.analysis.successRate',
    'successRate needs min or maxDrop',
  ]),
  refused('IngressRolloutPolicy', 'more than all requests', { ...minimal, analysis: { successRate: { min: 100.1 } } }, [
    'spec.analysis.successRate.min',
    'should be less than or equal to 100',
  ]),
  refused('IngressRolloutPolicy', 'a negative rise', { ...minimal, analysis: { notFoundRate: { maxRise: -1 } } }, [
    'spec.analysis.notFoundRate.maxRise',
    'should be greater than or equal to 0',
  ]),
  refused('IngressRolloutPolicy', 'a gate without its limit', { ...minimal, analysis: { notFoundRate: {} } }, [
    'spec.analysis.notFoundRate.maxRise',
    'Required value',
  ]),
  refused(
    'IngressRolloutPolicy',
    'connect failures without their limit',
    { ...minimal, analysis: { notFoundRate: { maxRise: 1 }, connectFailureRate: {} } },
    ['spec.analysis.connectFailureRate.maxRise', 'Required value'],
  ),
  refused(
    'IngressRolloutPolicy',
    'more connect failures than requests',
    { ...minimal, analysis: { notFoundRate: { maxRise: 1 }, connectFailureRate: { maxRise: 101 } } },
    ['spec.analysis.connectFailureRate.maxRise', 'should be less than or equal to 100'],
  ),
  refused(
    'IngressRolloutPolicy',
    'nothing but the gate that is there by itself',
    { ...minimal, analysis: { connectFailureRate: { maxRise: 1 } } },
    ['spec.analysis', 'at least one gate is required'],
  ),
  refused(
    'IngressRolloutPolicy',
    'a rise of latency without percent',
    { ...minimal, analysis: { latencyP99: { maxRise: '50' } } },
    ['spec.analysis.latencyP99.maxRise', 'should match'],
  ),
  refused('IngressRolloutPolicy', 'a gate on no requests', { ...minimal, analysis: { ...gate, minRequests: 0 } }, [
    'spec.analysis.minRequests',
    'should be greater than or equal to 1',
  ]),
  refused(
    'IngressRolloutPolicy',
    'an unknown answer to inconclusive',
    { ...minimal, analysis: { ...gate, onInconclusive: 'Fail' } },
    ['spec.analysis.onInconclusive', 'supported values: "Pause", "Promote"'],
  ),
  refused('IngressRolloutPolicy', 'an unknown kind', { ...minimal, kinds: ['Service'] }, [
    'spec.kinds[0]',
    'supported values: "Ingress", "Secret"',
  ]),
  refused('IngressRolloutPolicy', 'no kind', { ...minimal, kinds: [] }, ['spec.kinds', 'should have at least 1 items']),
  refused('IngressRolloutPolicy', 'a kind twice', { ...minimal, kinds: ['Secret', 'Secret'] }, [
    'spec.kinds[1]',
    'Duplicate value',
  ]),
  refused('IngressRolloutPolicy', 'nothing may run', { ...minimal, maxConcurrent: 0 }, [
    'spec.maxConcurrent',
    'should be greater than or equal to 1',
  ]),
  refused(
    'IngressRolloutPolicy',
    'In without values',
    { ...minimal, selector: { objectSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } } },
    ['spec.selector.objectSelector.matchExpressions[0].values', 'operators In and NotIn need at least one value'],
  ),
  refused(
    'IngressRolloutPolicy',
    'Exists with values',
    {
      ...minimal,
      selector: { namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } },
    },
    ['spec.selector.namespaceSelector.matchExpressions[0].values', 'operators Exists and DoesNotExist take no values'],
  ),
  refused(
    'IngressRolloutPolicy',
    'a key that is no label',
    { ...minimal, selector: { objectSelector: { matchExpressions: [{ key: 'a b', operator: 'Exists' }] } } },
    ['spec.selector.objectSelector.matchExpressions[0].key', 'should match'],
  ),
  refused(
    'IngressRolloutPolicy',
    'a value that is no label',
    { ...minimal, selector: { objectSelector: { matchLabels: { a: 'b c' } } } },
    ['spec.selector.objectSelector.matchLabels.a', 'should match'],
  ),
]

const rollouts: readonly Case[] = [
  accepted('IngressRollout', 'the least, with its defaults', rollout, {
    ...rollout,
    paused: false,
    approvedBatches: 0,
    abort: false,
    promote: false,
    retry: 0,
  }),
  accepted('IngressRollout', 'a deletion', {
    ...rollout,
    revision: 'absent',
  }),
  accepted('IngressRollout', 'a revision written by hand', { ...rollout, revision: 'Release_2026.11' }),
  changed('IngressRollout', 'commands', rollout, { ...rollout, paused: true, approvedBatches: 2, retry: 1 }),
  changed('IngressRollout', 'commands that are consumed', { ...rollout, approvedBatches: 3, abort: true }, rollout),
  {
    ...accepted('IngressRollout', 'a status with everything', rollout),
    status: {
      phase: 'Progressing',
      message: 'batch 2 of 3: 2/5 pods',
      observedGeneration: 1,
      attempt: 1,
      policy: 'default',
      observedRetry: 0,
      batch: 2,
      batches: 3,
      summary: '2/3',
      index: -1,
      pods: { ready: 5, updated: 2, acknowledged: 1, summary: '2/5' },
      startedAt: '2026-01-01T00:00:00Z',
      batchStartedAt: '2026-01-01T00:00:00.5Z',
      pauseEndsAt: '2026-01-01T00:00:00Z',
      finishedAt: '2026-01-01T00:00:00Z',
      stableRevision: 'abc',
      gates: [
        {
          name: 'successRate',
          verdict: 'fail',
          reason: 'BelowMinimum',
          message: '12 % < 99 %',
          figures: { rate: 12.5 },
        },
      ],
      baseline: {
        requests: 1000,
        successRate: 99.9,
        notFoundRate: 0,
        connectFailureRate: 0.1,
        tlsFailureRate: 0.1,
        latencyP99Ms: 12.5,
      },
      conditions: [
        {
          type: 'Progressing',
          status: 'True',
          reason: 'Baking',
          message: '',
          lastTransitionTime: '2026-01-01T00:00:00Z',
          observedGeneration: 1,
        },
      ],
    },
  },
  {
    ...refused('IngressRollout', 'a status in an unknown phase', rollout, [
      'status.phase',
      'Unsupported value: "Done"',
    ]),
    status: { phase: 'Done' },
  },
  {
    ...refused('IngressRollout', 'a condition twice', rollout, ['status.conditions[1]', 'Duplicate value']),
    status: {
      conditions: ['a', 'b'].map(message => ({
        type: 'Complete',
        status: 'True',
        reason: 'Complete',
        message,
        lastTransitionTime: '2026-01-01T00:00:00Z',
      })),
    },
  },
  refused('IngressRollout', 'no object', { revision: 'abc' }, ['spec.objectRef', 'Required value']),
  refused('IngressRollout', 'no revision', { objectRef }, ['spec.revision', 'Required value']),
  refused('IngressRollout', 'no UID', { ...rollout, objectRef: { kind: 'Secret', name: 'web' } }, [
    'spec.objectRef.uid',
    'Required value',
  ]),
  refused('IngressRollout', 'another kind', { ...rollout, objectRef: { ...objectRef, kind: 'Service' } }, [
    'spec.objectRef.kind',
    'supported values: "Ingress", "Secret"',
  ]),
  refused('IngressRollout', 'a revision that is no word', { ...rollout, revision: 'a/b' }, [
    'spec.revision',
    'should match',
  ]),
  refused('IngressRollout', 'an empty revision', { ...rollout, revision: '' }, [
    'spec.revision',
    'should be at least 1 chars long',
  ]),
  refused('IngressRollout', 'abort and promote', { ...rollout, abort: true, promote: true }, [
    'spec.promote',
    'abort and promote exclude each other',
  ]),
  refused('IngressRollout', 'a negative batch', { ...rollout, approvedBatches: -1 }, [
    'spec.approvedBatches',
    'should be greater than or equal to 0',
  ]),
  unchangeable('IngressRollout', 'another object', rollout, { ...rollout, objectRef: { ...objectRef, uid: 'other' } }, [
    'spec.objectRef',
    'objectRef is immutable, a rollout belongs to one object',
  ]),
  unchangeable('IngressRollout', 'another revision', rollout, { ...rollout, revision: 'other' }, [
    'spec.revision',
    'revision is immutable, other content has another rollout',
  ]),
  unchangeable('IngressRollout', 'retry taken back', { ...rollout, retry: 2 }, { ...rollout, retry: 1 }, [
    'spec.retry',
    'retry may not decrease; raise it to try again',
  ]),
]

export const cases: readonly Case[] = [
  ...checksums('IngressCheckSum'),
  ...checksums('SecretCheckSum'),
  ...policies,
  ...rollouts,
]
