/** Certificates that are renewed while nobody comes: from the Secret to what pods are given, without a person. */
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { TLS, ingress, policy, secret, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster } from './testing.ts'

const DAY = 86_400_000
const HOST = 'shop.example'
const ANALYSIS = { interval: '1s', deadline: '10s', tlsFailureRate: { maxRise: 1 } }
let authority: Authority
let another: Authority

beforeAll(async () => {
  authority = await Authority.root('Renewals')
  another = await Authority.root('Others')
})

interface Story {
  readonly api: FakeApi
  readonly leader: LeaderProcess
  readonly renew: (left: number, by?: Authority) => Promise<void>
  readonly phases: () => readonly unknown[]
}

/** A certificate that ends in so many days is served under a policy, and nobody asks for its host. */
async function quiet(left: number, spec: object = {}): Promise<Story> {
  const api = cluster(['services', service('web')], ['endpointslices', slice('web', '198.18.0.1')])
  const leader = new LeaderProcess(api)
  const now = leader.clock.wall().getTime()
  const issue = (days: number, by = authority): Promise<Leaf> =>
    by.issue({ hosts: [HOST], notBefore: new Date(now - 60 * DAY), notAfter: new Date(now + days * DAY) })
  leader.figuresOf = () => ({ requests: 0 })
  api.put('secrets', secret(await issue(left)))
  api.put('ingresses', ingress({ tls: ['tls'] }))
  await leader.start()
  api.put('ingressrolloutpolicies', policy({ spec: { analysis: ANALYSIS, ...spec } }))
  await leader.settle()
  return {
    ...{ api, leader },
    renew: async (days, by) => void api.put('secrets', secret(await issue(days, by), { resourceVersion: '9' })),
    phases: () => api.all('ingressrollouts').map(({ status }) => (status as { readonly phase?: string }).phase),
  }
}

const isServed = ({ leader }: Story): boolean => {
  const { source } = leader.view(TLS)
  return [0, 1, 2].every(ordinal => leader.given(TLS, ordinal) === source?.revision)
}

const PAUSES = [{ pods: 1, pause: {} }, { pods: 2, pause: { for: '1h' } }, { pods: '100%' }]

describe('the renewal of a certificate by its authority', () => {
  it('goes to a pod and to all within seconds, whatever pauses and deadline say', async () => {
    const story = await quiet(30, { batches: PAUSES, bakeTime: '1h', analysis: { ...ANALYSIS, deadline: '2h' } })
    await story.renew(90)
    await story.leader.seconds(8)
    expect(
      [0, 1, 2].map(ordinal => story.leader.given(TLS, ordinal) === story.leader.view(TLS).source?.revision),
    ).toEqual([true, false, false])
    await story.leader.seconds(16)
    expect([story.phases(), isServed(story), story.leader.errors]).toEqual([['Complete'], true, []])
  })

  it('is taken back where handshakes fail', async () => {
    const story = await quiet(30)
    const { leader } = story
    await story.renew(90)
    const { figuresOf } = leader
    leader.figuresOf = (revision, key) =>
      key !== TLS
        ? figuresOf(revision, key)
        : { handshakes: 100, tlsFailures: revision === leader.view(TLS).source?.revision ? 60 : 0 }
    await leader.seconds(6)
    expect([story.phases(), isServed(story)]).toEqual([['RolledBack'], false])
  })

  it('is a change like any other where the policy is gradual', async () => {
    const story = await quiet(30, { creation: 'Gradual', batches: PAUSES })
    await story.renew(90)
    await story.leader.seconds(40)
    expect([story.phases(), isServed(story)]).toEqual([['Paused'], false])
  })

  it('waits for another that is judged by the handshakes of its hosts', async () => {
    const story = await quiet(30)
    const { turns } = story.leader
    turns.claim('foreign', claimOn(HOST), 'runs')
    await story.renew(90)
    await story.leader.seconds(3)
    expect(story.phases()).toEqual(['Pending'])
    turns.move('foreign', 'rests')
    await story.leader.seconds(5)
    expect(story.phases()).toEqual(['Complete'])
  })

  it('waits for none of the places of its policy', async () => {
    const names = ['a', 'b', 'c', 'd']
    const { leader, put, phases } = await many(...names, 'other')
    // This one has the only place, and keeps it until its deadline.
    await put('other', 90, another)
    await leader.settle()
    for (const name of names) await put(name, 90)
    await leader.seconds(4)
    expect(phases()).toEqual({ other: 'Progressing', a: 'Complete', b: 'Complete', c: 'Complete', d: 'Complete' })
  })

  it.each([
    ['', false],
    [', as a new leader knows', true],
  ])('takes none of the places of its policy%s', async (_what, isNew) => {
    const { api, leader, put, phases } = await many('a', 'other')
    await put('a', 90)
    await leader.settle()
    const next = isNew ? new LeaderProcess(api, { clock: leader.clock }) : leader
    if (isNew) {
      leader.crash()
      next.figuresOf = leader.figuresOf
      await next.start()
    }
    await put('other', 90, another)
    await next.settle()
    expect(phases()).toEqual({ a: 'Progressing', other: 'Progressing' })
  })
})

/** Certificates of so many hosts, each of an Ingress of its own, under a policy with one place. */
async function many(...names: readonly string[]): Promise<{
  readonly api: FakeApi
  readonly leader: LeaderProcess
  readonly put: (name: string, left: number, by?: Authority) => Promise<void>
  /** By name of the certificate. */
  readonly phases: () => unknown
}> {
  const api = cluster(['services', service('web')], ['endpointslices', slice('web', '198.18.0.1')])
  const leader = new LeaderProcess(api)
  leader.figuresOf = () => ({ requests: 0 })
  const now = leader.clock.wall().getTime()
  const put = async (name: string, left: number, by = authority): Promise<void> => {
    const dates = { notBefore: new Date(now - 60 * DAY), notAfter: new Date(now + left * DAY) }
    const leaf = await by.issue({ hosts: [`${name}.example`], ...dates })
    api.put('secrets', secret(leaf, { name, resourceVersion: String(left) }))
  }
  for (const name of names) {
    await put(name, 30)
    api.put('ingresses', ingress({ name: `of-${name}`, host: `${name}.example`, tls: [name] }))
  }
  await leader.start()
  api.put('ingressrolloutpolicies', policy({ spec: { analysis: ANALYSIS, maxConcurrent: 1 } }))
  await leader.settle()
  const phases = (): unknown =>
    Object.fromEntries(
      api.all('ingressrollouts').map(({ spec, status }) => {
        const { objectRef } = spec as { readonly objectRef: { readonly name: string } }
        return [objectRef.name, (status as { readonly phase?: string }).phase]
      }),
    )
  return { api, leader, put, phases }
}

describe('the renewal of a certificate by another authority, that nobody asks for', () => {
  it('goes out batch by batch when each has waited for evidence until the deadline', async () => {
    const story = await quiet(30)
    await story.renew(90, another)
    await story.leader.seconds(8)
    expect([story.phases(), isServed(story)]).toEqual([['Progressing'], false])
    await story.leader.seconds(20)
    expect([story.phases(), isServed(story), story.leader.errors]).toEqual([['Complete'], true, []])
  })

  it('waits for a person where it is none: it ends no later', async () => {
    const story = await quiet(30)
    await story.renew(29)
    await story.leader.seconds(40)
    expect([story.phases(), isServed(story)]).toEqual([['Paused'], false])
  })

  it('waits for approval as the policy says, and no longer than the served one may', async () => {
    const batches = [{ pods: 1, pause: {} }, { pods: '100%' }]
    const story = await quiet(30, { batches })
    await story.renew(90, another)
    await story.leader.seconds(40)
    expect([story.phases(), isServed(story)]).toEqual([['Paused'], false])
    story.leader.clock.jump(24 * DAY)
    await story.leader.seconds(2)
    expect([story.phases(), isServed(story)]).toEqual([['Complete'], true])
  })

  it('goes out at once where the served one has expired, and makes no rollout', async () => {
    const story = await quiet(5)
    story.leader.clock.jump(6 * DAY)
    await story.renew(90)
    await story.leader.settle()
    expect([story.phases(), isServed(story)]).toEqual([[], true])
    expect(story.leader.events).toContain('Secret Normal Released')
  })

  it('waits for no turn where the served one ends soon', async () => {
    for (const [left, begun] of [
      [30, false],
      [5, true],
    ] as const) {
      const story = await quiet(left)
      const { turns } = story.leader
      turns.claim('foreign', claimOn(HOST), 'runs')
      await story.renew(90, another)
      await story.leader.seconds(3)
      expect([left, story.phases()]).toEqual([left, [begun ? 'Progressing' : 'Pending']])
    }
  })
})

function claimOn(host: string): Parameters<LeaderProcess['turns']['claim']>[1] {
  return { object: 'Secret/other/tls', policy: 'default', requests: [], handshakes: [host], since: 0, shrinks: false }
}
