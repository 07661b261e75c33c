/** Certificates that are renewed while nobody comes: from the Secret to what pods are given, without a person. */
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { TLS, ingress, policy, secret, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster } from './testing.ts'

const DAY = 86_400_000
const HOST = 'shop.example'
let authority: Authority

beforeAll(async () => {
  authority = await Authority.root('Renewals')
})

interface Story {
  readonly api: FakeApi
  readonly leader: LeaderProcess
  readonly renew: (left: number) => Promise<void>
  readonly phases: () => readonly unknown[]
}

/** A certificate that ends in so many days is served under a policy, and nobody asks for its host. */
async function quiet(left: number, spec: object = {}): Promise<Story> {
  const api = cluster(['services', service('web')], ['endpointslices', slice('web', '198.18.0.1')])
  const leader = new LeaderProcess(api)
  const now = leader.clock.wall().getTime()
  const issue = (days: number): Promise<Leaf> =>
    authority.issue({ hosts: [HOST], notBefore: new Date(now - 60 * DAY), notAfter: new Date(now + days * DAY) })
  leader.figuresOf = () => ({ requests: 0 })
  api.put('secrets', secret(await issue(left)))
  api.put('ingresses', ingress({ tls: ['tls'] }))
  await leader.start()
  const analysis = { interval: '1s', deadline: '10s', tlsFailureRate: { maxRise: 1 } }
  api.put('ingressrolloutpolicies', policy({ spec: { analysis, ...spec } }))
  await leader.settle()
  return {
    ...{ api, leader },
    renew: async days => void api.put('secrets', secret(await issue(days), { resourceVersion: '9' })),
    phases: () => api.all('ingressrollouts').map(({ status }) => (status as { readonly phase?: string }).phase),
  }
}

const isServed = ({ leader }: Story): boolean => {
  const { source } = leader.view(TLS)
  return [0, 1, 2].every(ordinal => leader.given(TLS, ordinal) === source?.revision)
}

describe('the renewal of a certificate that nobody asks for', () => {
  it('goes out batch by batch when each has waited for evidence until the deadline', async () => {
    const story = await quiet(30)
    await story.renew(90)
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
    await story.renew(90)
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
      await story.renew(90)
      await story.leader.seconds(3)
      expect([left, story.phases()]).toEqual([left, [begun ? 'Progressing' : 'Pending']])
    }
  })
})

function claimOn(host: string): Parameters<LeaderProcess['turns']['claim']>[1] {
  return { object: 'Secret/other/tls', policy: 'default', requests: [], handshakes: [host], since: 0, shrinks: false }
}
