import { beforeEach, describe, expect, it } from '@jest/globals'
import type { KubeClient } from './client.ts'
import { KubeError } from './errors.ts'
import type { KubeErrorCode } from './errors.ts'
import { KubeEventRecorder } from './events.ts'
import type { RecorderOptions } from './events.ts'
import type { CoreEvent, ObjectReference } from './objects.ts'
import { FakeClock, settle } from './testing/fake-clock.ts'

const WEB: ObjectReference = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  namespace: 'shop',
  name: 'web',
  uid: 'u1',
}

let clock: FakeClock
let created: CoreEvent[]
let patched: { readonly name: string; readonly namespace: string | undefined; readonly patch: unknown }[]
/** Answers to the next requests; then they succeed. */
let answers: (KubeErrorCode | 'ok')[]

beforeEach(() => {
  clock = new FakeClock()
  created = []
  patched = []
  answers = []
})

function recorderOf(options: Partial<RecorderOptions> = {}): KubeEventRecorder {
  const answer = (): void => {
    const next = answers.shift() ?? 'ok'
    if (next !== 'ok') throw new KubeError(next, 'no')
  }
  const client = {
    create: (_: unknown, event: CoreEvent) => {
      answer()
      created.push(event)
      return Promise.resolve(event)
    },
    mergePatch: (_: unknown, target: { readonly name: string; readonly namespace?: string }, patch: unknown) => {
      answer()
      patched.push({ name: target.name, namespace: target.namespace, patch })
      return Promise.resolve(patch)
    },
  } as unknown as Pick<KubeClient, 'create' | 'mergePatch'>
  return new KubeEventRecorder({ client, instance: 'sluice-operator-0', clock, ...options })
}

it('writes an event that kubectl describe finds', async () => {
  recorderOf().event(WEB, 'Warning', 'RolloutFailed', 'success rate 91 % is below 99 %')
  await settle()
  expect(created).toEqual([
    {
      metadata: { name: expect.stringMatching(/^web\.[0-9a-f]{16}$/), namespace: 'shop' },
      involvedObject: WEB,
      reason: 'RolloutFailed',
      message: 'success rate 91 % is below 99 %',
      type: 'Warning',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      source: { component: 'sluice-operator' },
      reportingComponent: 'sluice-operator',
      reportingInstance: 'sluice-operator-0',
    },
  ])
})

it('events of cluster-scoped objects go to the namespace default', async () => {
  recorderOf().event({ ...WEB, kind: 'IngressRolloutPolicy', namespace: undefined }, 'Normal', 'Accepted', 'x')
  await settle()
  expect(created[0]?.metadata.namespace).toBe('default')
})

it('cuts a long message, which the API server would refuse', async () => {
  recorderOf().event(WEB, 'Normal', 'Long', 'x'.repeat(5_000))
  await settle()
  expect(Buffer.byteLength(created[0]?.message ?? '')).toBeLessThanOrEqual(1_024)
})

describe('equal events', () => {
  it('in one turn are one write; later ones raise the count', async () => {
    const recorder = recorderOf()
    for (let i = 0; i < 3; i++) recorder.event(WEB, 'Normal', 'Same', 'x')
    await settle()
    expect(created.map(e => e.count)).toEqual([3])
    await clock.advance(60_000)
    recorder.event(WEB, 'Normal', 'Same', 'x')
    await settle()
    expect(created).toHaveLength(1)
    expect(patched).toEqual([
      {
        name: created[0]?.metadata.name,
        namespace: 'shop',
        patch: { count: 4, lastTimestamp: '2026-01-01T00:01:00Z' },
      },
    ])
  })

  it('are written anew when the API server has forgotten the series', async () => {
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Same', 'x')
    await settle()
    answers = ['KUBE_NOT_FOUND']
    recorder.event(WEB, 'Normal', 'Same', 'x')
    await settle()
    expect(created.map(e => [e.metadata.name, e.count])).toEqual([
      [created[0]?.metadata.name, 1],
      [created[0]?.metadata.name, 2],
    ])
  })
})

describe('bounds', () => {
  it('what goes well does not use up the events of what does not', async () => {
    const recorder = recorderOf({ burst: 2, refillMs: 1_000 })
    for (const reason of ['A', 'B', 'C']) recorder.event(WEB, 'Normal', reason, reason)
    recorder.event(WEB, 'Warning', 'D', 'D')
    await settle()
    expect(created.map(e => e.message)).toEqual(['A', 'B', 'D'])
  })

  it('one object has a burst, then one event after each refill; others are not concerned', async () => {
    const recorder = recorderOf({ burst: 3, refillMs: 1_000 })
    for (let i = 0; i < 10; i++) recorder.event(WEB, 'Normal', 'Different', String(i))
    recorder.event({ ...WEB, name: 'other', uid: 'u2' }, 'Normal', 'Different', 'other')
    await settle()
    expect(created.map(e => e.message)).toEqual(['0', '1', '2', 'other'])
    expect(recorder.status()).toEqual({ queued: 0, sent: 4, dropped: 7 })
    await clock.advance(1_000)
    recorder.event(WEB, 'Normal', 'Different', 'later')
    recorder.event(WEB, 'Normal', 'Different', 'too soon')
    await settle()
    expect(created.slice(4).map(e => e.message)).toEqual(['later'])
  })

  it('while the API server is away the oldest of too many are dropped', async () => {
    answers = ['KUBE_UNAVAILABLE']
    const recorder = recorderOf({ queueLimit: 2 })
    recorder.event(WEB, 'Normal', 'Different', 'first')
    await settle()
    for (const message of ['a', 'b', 'c']) recorder.event(WEB, 'Normal', 'Different', message)
    expect(recorder.status()).toMatchObject({ queued: 2, dropped: 1 })
    await clock.advance(1_000)
    expect(created.map(e => e.message)).toEqual(['first', 'b', 'c'])
  })
})

describe('failure', () => {
  it('is tried again while it may help, and ends', async () => {
    answers = Array.from({ length: 100 }, () => 'KUBE_UNAVAILABLE' as const)
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Never', 'x')
    await clock.advance(600_000)
    expect(100 - answers.length).toBe(12)
    expect(recorder.status()).toEqual({ queued: 0, sent: 0, dropped: 1 })
    answers = []
    recorder.event(WEB, 'Normal', 'Next', 'x')
    await settle()
    expect(created.map(e => e.reason)).toEqual(['Next'])
  })

  it('that no repetition mends drops the event alone', async () => {
    answers = ['KUBE_FORBIDDEN']
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Refused', 'x')
    recorder.event(WEB, 'Normal', 'Fine', 'x')
    await settle()
    expect(created.map(e => e.reason)).toEqual(['Fine'])
    expect(recorder.status()).toEqual({ queued: 0, sent: 1, dropped: 1 })
  })

  it('an event that the API server took without answering is not an error', async () => {
    answers = ['KUBE_UNAVAILABLE', 'KUBE_ALREADY_EXISTS']
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Taken', 'x')
    await clock.advance(1_000)
    expect(recorder.status()).toEqual({ queued: 0, sent: 1, dropped: 0 })
  })
})

describe('stop', () => {
  it('sends what waits, and takes nothing more', async () => {
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Last', 'x')
    await recorder.stop()
    recorder.event(WEB, 'Normal', 'Late', 'x')
    await settle()
    expect(created.map(e => e.reason)).toEqual(['Last'])
  })

  it('does not wait for an API server that is away', async () => {
    answers = Array.from({ length: 100 }, () => 'KUBE_UNAVAILABLE' as const)
    const recorder = recorderOf()
    recorder.event(WEB, 'Normal', 'Last', 'x')
    await settle()
    let stopped = false
    const stop = recorder.stop(2_000).then(() => (stopped = true))
    await clock.advance(1_999)
    expect(stopped).toBe(false)
    await clock.advance(1)
    await stop
    expect(recorder.status()).toMatchObject({ queued: 0, sent: 0 })
    expect(clock.timers).toBe(0)
  })
})

describe('events that may wait', () => {
  it('are written a moment later, equal ones at once', async () => {
    const recorder = recorderOf({ afterMs: 250 })
    for (let i = 0; i < 3; i++) recorder.event(WEB, 'Normal', 'RolloutCreated', 'x')
    await clock.advance(249)
    expect(created).toEqual([])
    await clock.advance(1)
    expect(created.map(({ count }) => count)).toEqual([3])
  })

  it('are written before the recorder stops', async () => {
    const recorder = recorderOf({ afterMs: 250 })
    recorder.event(WEB, 'Normal', 'RolloutCreated', 'x')
    await recorder.stop()
    expect(created).toHaveLength(1)
  })
})
