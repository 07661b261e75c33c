import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { HAND, NOBODY } from '../assign/testing.ts'
import type { Refusal, Report } from '../../protocol/messages.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { IngressRolloutSpec } from '../model/generated/crds.ts'
import type { IngressContent } from '../model/types.ts'
import type { SideBySide } from '../rollout/analysis/window.ts'
import { EMPTY_AGGREGATE } from '../rollout/machine/figures.ts'
import type { Before } from '../rollout/machine/figures.ts'
import { EVEN } from '../rollout/machine/testing.ts'
import { initialState } from '../rollout/machine/step.ts'
import type { Observation, State } from '../rollout/machine/types.ts'
import { hostsOfRollout, observe } from './observe.ts'
import type { ObserveInput } from './observe.ts'
import { figureSource } from './testing-figures.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const ABSENT = ABSENT_REVISION
const SPEC: IngressRolloutSpec = {
  objectRef: { kind: 'Ingress', name: 'web', uid: 'u1' },
  ...{ revision: 'v2', paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 },
}
/** Object of content v2, on its way to the first pod. */
const ON_ITS_WAY: ViewOf = {
  content: 'v2',
  texts: { flag: 'true', current: 'v1', update: 'v2', index: '1' },
  record: { update: 'v2', index: 1 },
}
const state = (change: Partial<State> = {}): State => ({
  ...initialState(1, 0),
  phase: 'Progressing',
  index: 1,
  ...change,
})

function look(of: ViewOf | null, change: Partial<ObserveInput> = {}): Observation {
  return observe({
    key: 'Ingress/shop/web',
    spec: SPEC,
    stableBefore: 'v0',
    state: state(),
    view: of === null ? null : viewOf(of),
    pods: [],
    figures: figureSource(),
    hosts: [],
    endpointsOf: () => [],
    ...{ lacksCertificates: null, renewal: null },
    isTakenOver: () => false,
    handedOn: null,
    ...{ isItsTurn: true, cleanSince: -Infinity, upToDate: true, now: 100_000, wall: 5 },
    ...change,
  })
}

describe('what takes over from a rollout', () => {
  const cases: readonly (readonly [string, ViewOf | null, Observation['superseded']])[] = [
    ['nothing while the object has its content', ON_ITS_WAY, null],
    ['nothing while it is not recorded yet', { content: 'v2', record: null }, null],
    ['newer content', { ...ON_ITS_WAY, content: 'v3' }, 'newer'],
    ['a deletion', { ...ON_ITS_WAY, content: ABSENT }, 'deleted'],
    ['a change of class', { ...ON_ITS_WAY, content: ABSENT, source: { deleting: false } }, 'newer'],
    ['newer content that cannot be served: nothing', { ...ON_ITS_WAY, content: 'v3', invalid: true }, null],
    ['the stable content', { ...ON_ITS_WAY, content: 'v1' }, 'reverted'],
    [
      'content that was taken back before',
      { ...ON_ITS_WAY, content: 'v3', record: { update: 'v2', index: 1, refused: ['v3'] } },
      'reverted',
    ],
    ['a policy that went', { ...ON_ITS_WAY, governance: NOBODY }, 'ungoverned'],
    ['a person who drives by hand', { ...ON_ITS_WAY, governance: HAND }, 'ungoverned'],
    ['the end of the namespace', { ...ON_ITS_WAY, namespaceTerminating: true }, 'gone'],
    ['another object of the same name', { ...ON_ITS_WAY, source: { uid: 'u2' } }, 'gone'],
    ['the end of the object', { ...ON_ITS_WAY, content: null }, 'gone'],
    ['the end of all we know', null, 'gone'],
  ]

  it.each(cases)('%s', (_what, of, wanted) => {
    expect(look(of).superseded).toBe(wanted)
  })
})

describe('the stable revision', () => {
  const cases: readonly (readonly [string, ViewOf | null, string | null])[] = [
    ['before it began: what is released', { content: 'v2' }, 'v1'],
    ['before it began, another one all over: that', { content: 'v2', record: { update: 'v3', index: -1 } }, 'v3'],
    ['before it began, another one on its way: not that', { content: 'v2', record: { update: 'v3', index: 1 } }, 'v1'],
    ['on its way: what the record calls current', ON_ITS_WAY, 'v1'],
    ['on its way, created: nothing', { ...ON_ITS_WAY, record: { current: null, update: 'v2', index: 1 } }, null],
    ['on every pod, not released', { ...ON_ITS_WAY, record: { update: 'v2', index: -1 } }, 'v1'],
    ['after the release: what it was when it began', { ...ON_ITS_WAY, record: { current: 'v2', update: 'v2' } }, 'v0'],
    ['without a record: what it was when it began', null, 'v0'],
  ]

  it.each(cases)('%s', (_what, of, wanted) => {
    expect(look(of).stable).toBe(wanted)
  })

  it('after the release of a created object is nothing', () => {
    const released: ViewOf = { ...ON_ITS_WAY, record: { current: 'v2', update: 'v2' } }
    expect(look(released, { stableBefore: null }).stable).toBeNull()
  })
})

describe('an index that somebody wrote', () => {
  const at = (index: string, change: Partial<ObserveInput> = {}, of: ViewOf = {}): number | null =>
    look({ ...ON_ITS_WAY, texts: { ...ON_ITS_WAY.texts, index }, ...of }, change).manualIndex

  it('is noticed, raised or lowered', () => {
    expect([at('1'), at('0'), at('3'), at('-1')]).toEqual([null, 0, 3, -1])
  })

  it('is ours while the cache is behind our own writes', () => {
    expect(at('0', { upToDate: false })).toBeNull()
  })

  it('is ours if the record has it: the answer to our write was lost', () => {
    expect(at('2', {}, { record: { update: 'v2', index: 2 } })).toBeNull()
  })

  it('is none if it cannot be read, or is not about this revision', () => {
    expect([at('abc'), at('0', {}, { texts: { ...ON_ITS_WAY.texts, update: 'v1', index: '0' } })]).toEqual([null, null])
    expect(at('0', {}, { record: { update: 'v3', index: 1 } })).toBeNull()
  })
})

describe('commands', () => {
  const told = (change: Partial<IngressRolloutSpec>, of: ViewOf): Observation['commands'] =>
    look(of, { spec: { ...SPEC, ...change } }).commands

  it('promote counts for the object’s own content, or for what is on its way', () => {
    expect(told({ promote: true }, { content: 'v2' }).promote).toBe(true)
    expect(told({ promote: true }, { ...ON_ITS_WAY, content: 'v3' }).promote).toBe(true)
    expect(told({ promote: true }, { content: 'v3' }).promote).toBe(false)
    expect(told({ promote: true }, { content: 'v2', source: { uid: 'u2' } }).promote).toBe(false)
    expect(told({ promote: true }, { content: null, record: { update: 'v2', index: 1 } }).promote).toBe(false)
  })

  it('retry counts for the object’s own content alone; else it is as if it was acted upon', () => {
    const acted = { state: state({ observedRetry: 1 }), spec: { ...SPEC, retry: 2 } }
    expect(look({ content: 'v2' }, acted).commands.retry).toBe(2)
    expect(look({ content: 'v3' }, acted).commands.retry).toBe(1)
    expect(look({ content: 'v2', source: { uid: 'u2' } }, acted).commands.retry).toBe(1)
  })

  it('the others are as they are written', () => {
    const written = { paused: true, approvedBatches: 2, abort: true }
    expect(told(written, { content: 'v3' })).toMatchObject(written)
  })
})

describe('figures, pods, endpoints', () => {
  it('asks for both revisions from the batch on, and for the last minute of a long one', () => {
    const asked: unknown[] = []
    const figures = figureSource({
      serving: (_key, revision, hosts, since) => {
        asked.push([revision, hosts.join(), since])
        return EMPTY_AGGREGATE
      },
    })
    const of = { figures, hosts: ['a', 'b'] }
    expect(look(ON_ITS_WAY, { ...of, state: state({ batchSince: 70_000 }) }).recent).toBeNull()
    expect(asked).toEqual([
      ['v2', 'a,b', 70_000],
      ['v1', 'a,b', 70_000],
    ])
    asked.length = 0
    expect(look(ON_ITS_WAY, { ...of, state: state({ batchSince: 10_000 }) }).recent).not.toBeNull()
    expect(asked).toContainEqual(['v2', 'a,b', 40_000])
  })

  it('asks what was counted in the same time only when it is needed, until the last of the stable pods was heard of', () => {
    const asked: unknown[] = []
    const both = { update: EMPTY_AGGREGATE, stable: EMPTY_AGGREGATE }
    const figures = figureSource({ sideBySide: question => (asked.push(question), both) })
    const pods = (...of: readonly (readonly [number, number | null, boolean?])[]): readonly FleetPod[] =>
      of.map(([ordinal, reportedAt, ready = true]) => ({
        ...{ name: `proxy-${ordinal}`, uid: 'u', ordinal, ready, report: null, reportedAt },
      }))
    const until = (of: readonly FleetPod[], index = 1): unknown => {
      const change = { figures, hosts: ['a'], pods: of, state: state({ batchSince: 10_000, index }) }
      const seen = look(ON_ITS_WAY, change)
      expect(asked).toEqual([])
      expect([seen.figures.sideBySide?.(4), seen.recent?.sideBySide?.(3)]).toEqual([both, both])
      const [whole, recent] = asked.splice(0) as readonly SideBySide[]
      expect(recent).toEqual({ ...whole, sinceMs: 40_000, events: 3 })
      expect(whole).toMatchObject({
        key: 'Ingress/shop/web',
        update: 'v2',
        stable: 'v1',
        hosts: ['a'],
        sinceMs: 10_000,
      })
      return whole?.untilMs
    }
    expect(until(pods([0, 99_900], [1, 99_000], [2, 98_500], [-1, 99_500]))).toBe(98_500)
    expect(until(pods([0, 99_900], [-1, 98_400], [2, 98_500]))).toBe(98_400)
    // Silent, never heard of, not ready: nobody waits for these.
    expect(until(pods([0, 99_900], [1, 95_000], [2, 95_001]))).toBe(95_001)
    expect(until(pods([0, 99_900], [1, null], [2, 98_000, false]))).toBe(Infinity)
    // Those that have the update are no stable pods.
    expect(until(pods([0, 98_000], [1, 98_100], [2, 98_200]), 2)).toBe(98_200)
    expect(until(pods([0, 98_000], [1, 98_100]), -1)).toBe(Infinity)
  })

  it('asks how slow answers come in bunches only when it is needed, of the update in each window', () => {
    const asked: unknown[] = []
    const figures = figureSource({
      bunched: (...question) => asked.push(question),
      calm: (...question) => ({ count: asked.push(question), total: 9 }),
    })
    const { figures: whole, recent } = look(ON_ITS_WAY, { figures, hosts: ['a'], state: state({ batchSince: 10_000 }) })
    expect(asked).toEqual([])
    expect([whole.bunched?.(70), recent?.bunched?.(80)]).toEqual([1, 2])
    expect(asked).toEqual([
      ['Ingress/shop/web', 'v2', ['a'], 10_000, 70],
      ['Ingress/shop/web', 'v2', ['a'], 40_000, 80],
    ])
    expect([whole.calm?.(70).count, recent?.calm?.(80).count]).toEqual([3, 4])
    expect(asked.slice(2)).toEqual(asked.slice(0, 2))
  })

  it('asks for a baseline until the machine has one', () => {
    const baseline = {
      requests: 1,
      successRate: 100,
      notFoundRate: 0,
      clientErrorRate: 0,
      redirectRate: 0,
      connectFailureRate: 0,
      tlsHandshakes: 0,
      tlsFailureRate: 0,
      latencyP99Ms: 1,
    }
    const figures = figureSource({ baseline: () => baseline })
    expect(look(ON_ITS_WAY, { figures }).baseline).toBe(baseline)
    expect(look(ON_ITS_WAY, { figures, state: state({ baseline }) }).baseline).toBeNull()
  })

  it('asks what each pod showed before only when the rollout may begin', () => {
    const before = { pods: new Map(), ms: 0, dispersion: EVEN, slowestMs: null }
    const figures = figureSource({ before: () => before })
    const seen = (change: Partial<State>, isItsTurn = true): unknown =>
      look(ON_ITS_WAY, { figures, isItsTurn, state: state(change) }).before
    expect(seen({ phase: 'Pending' })).toBe(before)
    expect(seen({ phase: 'Pending' }, false)).toBeNull()
    expect(seen({ phase: 'Pending', before })).toBeNull()
    expect(seen({ phase: 'Progressing' })).toBeNull()
  })

  it('goes on from the past that was handed on, up to what anybody looks back', () => {
    const past = (ms: number, requests: number): Before => ({
      pods: new Map([['p-0', { ordinal: 0, counted: { ...EMPTY_AGGREGATE, requests } }]]),
      ...{ ms, dispersion: { ...EVEN, slow: requests }, slowestMs: ms < 60_000 ? null : ms },
    })
    const seen = (own: Before | null, handedOn: Before | null): Before | null => {
      const figures = figureSource({ before: () => own })
      const measure = { baseline: null, before: handedOn }
      return look(ON_ITS_WAY, { figures, handedOn: measure, state: state({ phase: 'Pending' }) }).before
    }
    const both = seen(past(30_000, 10), past(60_000, 20))
    expect(both?.pods.get('p-0')?.counted.requests).toBe(30)
    expect(both).toMatchObject({ ms: 90_000, slowestMs: 60_000, dispersion: { failures: 1, slow: 20 } })
    expect(seen(past(30_000, 10), null)?.ms).toBe(30_000)
    expect(seen(null, past(30_000, 10))?.ms).toBe(30_000)
    expect(seen(past(400_000, 10), past(600_000, 20))?.pods.get('p-0')?.counted.requests).toBe(20)
    expect(seen(past(600_000, 10), past(400_000, 20))?.pods.get('p-0')?.counted.requests).toBe(10)
  })

  it('says of each pod what it said, and for how long it has been silent', () => {
    const pod = (ordinal: number, revisions: object | null, reportedAt: number | null): FleetPod => ({
      ...{ name: `p-${ordinal}`, uid: 'u', ordinal, ready: true, reportedAt },
      report: revisions === null ? null : ({ revisions, refused: [] } as unknown as FleetPod['report']),
    })
    const pods = [
      pod(0, { 'Ingress/shop/web': 'v2' }, 99_000),
      pod(1, { 'Ingress/shop/web': null }, 100_001),
      pod(2, null, null),
    ]
    expect(look(ON_ITS_WAY, { pods }).pods.map(({ serves, lastReportAgeMs }) => [serves, lastReportAgeMs])).toEqual([
      ['v2', 1_000],
      [null, 0],
      [undefined, null],
    ])
  })

  it('a revision has endpoints if one of its Services has one, or if it has no Service', () => {
    const content = (service: string): IngressContent => ({
      ...{ kind: 'Ingress', annotations: {} },
      spec: { defaultBackend: { service: { name: service, port: { number: 80 } } } },
    })
    const of: ViewOf = {
      ...ON_ITS_WAY,
      source: { content: content('new') },
      record: { update: 'v2', index: 1, revisions: { v1: { hash: 'v1', content: content('old') } } },
    }
    const seen = (...services: readonly string[]): Observation['endpoints'] =>
      look(of, { endpointsOf: asked => (services.some(name => asked === `shop/${name}:80`) ? ['198.18.0.1:80'] : []) })
        .endpoints
    expect(seen()).toEqual({ update: false, stable: false, missing: ['shop/new:80'] })
    expect(seen('old')).toEqual({ update: false, stable: true, missing: ['shop/new:80'] })
    expect(seen('new', 'old')).toEqual({ update: true, stable: true, missing: [] })
    expect(look(ON_ITS_WAY).endpoints).toEqual({ update: true, stable: true, missing: [] })
  })

  it('a revision is closed if an annotation of its own protects what we cannot; then nobody asks its Services', () => {
    const content = (annotations: IngressContent['annotations']): IngressContent => ({
      ...{ kind: 'Ingress', annotations },
      spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    })
    const shut = content({ 'x/auth-url': 'https://login.example' })
    const of = (update: IngressContent, stable: IngressContent): ViewOf => ({
      ...ON_ITS_WAY,
      source: { content: update },
      record: { update: 'v2', index: 1, revisions: { v1: { hash: 'v1', content: stable } } },
    })
    const closed = look(of(shut, content({})))
    expect(closed.closed).toMatch(/^x\/auth-url protects authentication and is not supported/)
    expect(closed.endpoints).toEqual({ update: true, stable: false, missing: [] })
    const opened = look(of(content({ 'x/rewrite-target': '/' }), shut))
    expect([opened.closed, opened.endpoints.update]).toEqual([null, false])
    expect(look(ON_ITS_WAY).closed).toBeNull()
    const canary = content({ ...shut.annotations, 'x/canary': 'true' })
    expect(look(of(canary, content({}))).closed).toBeNull()
  })

  it('a deletion is one only while Kubernetes deletes the object', () => {
    const spec = { ...SPEC, revision: ABSENT }
    expect(look({ content: ABSENT, source: { deleting: true } }, { spec }).deletion).toBe(true)
    expect(look({ content: ABSENT, source: { deleting: false, ours: false } }, { spec }).deletion).toBe(false)
    expect(look(ON_ITS_WAY).deletion).toBe(false)
  })

  it('judges by the hosts of both revisions, those of TLS included', () => {
    const content = (rule: string, tls: string): IngressContent => ({
      ...{ kind: 'Ingress', annotations: {} },
      spec: { rules: [{ host: rule }], tls: [{ hosts: [tls], secretName: 's' }] },
    })
    const view = viewOf({
      ...ON_ITS_WAY,
      source: { content: content('new.example', 'NEW-tls.example') },
      record: {
        update: 'v2',
        index: 1,
        revisions: { v1: { hash: 'v1', content: content('old.example', 'old.example') } },
      },
    })
    expect([...hostsOfRollout(view, 'v2', [])].sort()).toEqual(['new-tls.example', 'new.example', 'old.example'])
    expect(hostsOfRollout({ ...view, key: 'Secret/shop/tls' }, 'v2', ['a'])).toEqual(['a'])
  })

  it('knows what a change can have moved', () => {
    const content = (service: string, change: Partial<IngressContent> = {}): IngressContent => ({
      ...{ kind: 'Ingress', annotations: {} },
      spec: {
        rules: [{ host: 'a.example' }],
        defaultBackend: { service: { name: service, port: { number: 80 } } },
      },
      ...change,
    })
    const moves = (update: IngressContent): Observation['moves'] =>
      look({
        ...ON_ITS_WAY,
        source: { content: update },
        record: { update: 'v2', index: 1, revisions: { v1: { hash: 'v1', content: content('old') } } },
      }).moves
    const both = { requests: true, handshakes: true }
    expect(moves(content('new'))).toEqual({ requests: true, handshakes: false })
    expect(moves(content('old', { annotations: { 'nginx.ingress.kubernetes.io/ssl-ciphers': 'x' } }))).toEqual(both)
    expect(moves(content('old', { spec: { rules: [{ host: 'b.example' }] } }))).toEqual(both)
    const tls = [{ hosts: ['a.example'], secretName: 's' }]
    expect(moves(content('old', { spec: { ...content('old').spec, tls } }))).toEqual(both)
    expect(
      look({ content: ABSENT, source: { deleting: true } }, { spec: { ...SPEC, revision: ABSENT } }).moves,
    ).toEqual(both)
    expect(look(null, { key: 'Secret/shop/tls' }).moves).toEqual({ requests: false, handshakes: true })
  })

  it('a pod refuses an object only where its own report names it, and not for what was published', () => {
    const pod = (refused: readonly Refusal[]): FleetPod => ({
      ...{ name: 'proxy-0', uid: 'p0', ordinal: 0, ready: true, reportedAt: 0 },
      report: { refused, revisions: {} } as unknown as Report,
    })
    const refuses = (reason: Refusal['reason'], object: string | null): string | null | undefined =>
      look(ON_ITS_WAY, { pods: [pod([{ reason, object, message: 'words' }])] }).pods[0]?.refuses
    expect(refuses('DigestMismatch', 'Ingress/shop/web')).toBe('words')
    expect(refuses('AssignmentInvalid', 'Ingress/shop/other')).toBeNull()
    expect(refuses('ChecksumMismatch', 'Ingress/shop/web')).toBeNull()
    expect(refuses('SchemaViolation', null)).toBeNull()
    expect(look(ON_ITS_WAY, { pods: [pod([])] }).pods[0]?.refuses).toBeNull()
  })
})
