/** An object that is deleted under a policy: it is gone at once, and pods serve it until hardly anybody asks for it. */
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import type { Report } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { KubeObject } from '../kube/objects.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { WEB, ingress, policy, service, slice } from '../pipeline/testing.ts'
import { Figures } from '../rollout/analysis/window.ts'
import { FINALIZER } from './finalizer.ts'
import { lookAfter } from './look-after.ts'
import { LeaderProcess, cluster, outcomeOf } from './testing.ts'

const DELETION = 'shop/ing-web-absent'
const OBJECTS = [
  ['ingresses', ingress()],
  ['services', service('web')],
  ['endpointslices', slice('web', '198.18.0.1')],
] as const

const GATES = { interval: '1s', minRequests: 1, successRate: { min: 99 }, notFoundRate: { maxRise: 1 } }

async function governed(use: number | null): Promise<readonly [FakeApi, LeaderProcess, string | null]> {
  const api = cluster(...OBJECTS)
  const leader = await new LeaderProcess(api).start()
  leader.use = use
  api.put('ingressrolloutpolicies', policy({ spec: { analysis: GATES } }))
  await leader.settle()
  return [api, leader, leader.given(WEB, 0)]
}

async function successor(api: FakeApi): Promise<LeaderProcess> {
  const next = new LeaderProcess(api)
  next.use = 1_000
  return next.start()
}

const given = (leader: LeaderProcess): readonly (string | null)[] => [0, 1, 2].map(o => leader.given(WEB, o))
const statusOf = (api: FakeApi): IngressRolloutStatus => api.object('ingressrollouts', DELETION)?.status ?? {}
const reason = ({ conditions = [] }: IngressRolloutStatus): string | undefined =>
  conditions.find(one => one.type === 'Paused' && one.status === 'True')?.reason

describe('an object that is deleted', () => {
  it('is gone, and served while it is in use; it goes by itself when hardly anybody asks any more', async () => {
    const [api, leader, stable] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(api.object('ingresses', 'shop/web')).toBeNull()
    api.collectGarbage()
    await leader.seconds(5)
    expect([statusOf(api).phase, reason(statusOf(api)), given(leader)]).toEqual([
      'Paused',
      'InUse',
      [stable, stable, stable],
    ])
    expect(statusOf(api).message).toBe(
      'still in use: 1000 requests in the last minute; it goes by itself when hardly anybody asks any more, spec.promote lets it go at once',
    )
    // Whoever reads it waits for it: it does end.
    expect(statusOf(api).conditions).toContainEqual(expect.objectContaining({ type: 'Stalled', status: 'False' }))
    leader.use = 11
    await leader.seconds(60)
    expect(given(leader)).toEqual([stable, stable, stable])
    leader.use = 10
    await leader.seconds(1)
    expect(given(leader)).toEqual([null, stable, stable])
    await leader.seconds(8)
    expect([statusOf(api).phase, given(leader), leader.errors]).toEqual(['Complete', [null, null, null], []])
    expect((await outcomeOf(api)).record).toBeNull()
    expect(leader.turns.size).toBe(0)
  })

  it('waits where nobody has watched it for a minute', async () => {
    const [api, leader, stable] = await governed(null)
    api.remove('ingresses', 'shop/web')
    await leader.seconds(5)
    expect([reason(statusOf(api)), given(leader)]).toEqual(['InUse', [stable, stable, stable]])
    expect(statusOf(api).message).toContain('it is not known yet whether anybody asks for it')
    leader.use = 0
    await leader.seconds(9)
    expect(statusOf(api).phase).toBe('Complete')
  })

  it('keeps nobody on its host waiting while that is not known', async () => {
    const [api, leader, stable] = await governed(null)
    const other = (path: string): ReturnType<typeof ingress> => {
      const text = JSON.stringify(ingress({ name: 'other', uid: 'u-other' }))
      return JSON.parse(text.replace('"path":"/"', `"path":"${path}"`)) as ReturnType<typeof ingress>
    }
    api.put('ingressrolloutpolicies', policy({ spec: { analysis: GATES, creation: 'Immediate' } }))
    api.put('ingresses', other('/one'))
    await leader.settle()
    api.remove('ingresses', 'shop/web')
    await leader.seconds(2)
    api.edit('ingresses', 'shop/other', { spec: other('/two').spec })
    await leader.seconds(8)
    const phases = api.all('ingressrollouts').map(({ status }) => (status as IngressRolloutStatus).phase)
    expect([phases.sort(), given(leader)]).toEqual([
      ['Complete', 'Paused'],
      [stable, stable, stable],
    ])
    leader.use = 0
    await leader.seconds(10)
    expect([statusOf(api).phase, given(leader), leader.errors]).toEqual(['Complete', [null, null, null], []])
  })

  it('goes at once when a person says promote', async () => {
    const [api, leader] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    api.edit('ingressrollouts', DELETION, { spec: { promote: true } })
    await leader.settle()
    expect([statusOf(api).phase, given(leader)]).toEqual(['Complete', [null, null, null]])
  })

  it('is back on the pods, and waits again, where it is missed after all', async () => {
    const [api, leader, stable] = await governed(0)
    leader.figuresOf = revision =>
      revision === ABSENT_REVISION ? { requests: 1_000, notFound: 1_000 } : { requests: 1_000 }
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect([reason(statusOf(api)), given(leader)]).toEqual(['InUse', [stable, stable, stable]])
    expect(statusOf(api).message).toMatch(/^still in use: notFoundRate: 404/)
    expect(leader.events).toContain('IngressRollout Warning InUse')
    leader.use = 0
    leader.figuresOf = () => ({})
    await leader.seconds(590)
    expect(reason(statusOf(api))).toBe('InUse')
    await leader.seconds(30)
    expect(statusOf(api).phase).toBe('Complete')
  })

  it('is served on by the next leader, and in use for it, too', async () => {
    const [api, leader, stable] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    leader.crash()
    const next = await successor(api)
    await next.seconds(3)
    expect([reason(statusOf(api)), given(next)]).toEqual(['InUse', [stable, stable, stable]])
  })

  it('is served on though nobody of us was there when it was deleted', async () => {
    const [api, leader, stable] = await governed(1_000)
    leader.crash()
    api.remove('ingresses', 'shop/web')
    const next = await successor(api)
    expect([reason(statusOf(api)), given(next)]).toEqual(['InUse', [stable, stable, stable]])
    next.use = 0
    await next.seconds(10)
    expect([statusOf(api).phase, given(next)]).toEqual(['Complete', [null, null, null]])
  })

  it.each([
    ['while it waits', 1_000],
    ['on its way out', 0],
  ])('goes on when it is made again with the same content, as if nothing had happened: %s', async (_when, use) => {
    const [api, leader, stable] = await governed(use)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(given(leader)).toEqual([use === 0 ? null : stable, stable, stable])
    api.put('ingresses', ingress({ uid: 'second' }))
    await leader.settle()
    expect(given(leader)).toEqual([stable, stable, stable])
    expect(statusOf(api).phase).toBe('Superseded')
    const { record } = await outcomeOf(api)
    expect([record?.current, leader.turns.size, leader.errors]).toEqual([stable, 0, []])
    await leader.seconds(10)
    expect(given(leader)).toEqual([stable, stable, stable])
  })

  it('goes on to other content batch by batch when it is made again with that', async () => {
    const [api, leader, stable] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    api.put('ingresses', ingress({ uid: 'second', host: 'new.example' }))
    await leader.settle()
    expect(given(leader)).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    await leader.seconds(10)
    expect(new Set(given(leader)).size).toBe(1)
    expect(given(leader)[0]).not.toBe(stable)
  })

  it('that a person keeps is served until another one has its name, whose own deletion is a new question', async () => {
    const [api, leader, stable] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    api.edit('ingressrollouts', DELETION, { spec: { abort: true } })
    leader.use = 0
    await leader.seconds(5)
    api.collectGarbage()
    await leader.seconds(5)
    expect([statusOf(api).phase, given(leader)]).toEqual(['Held', [stable, stable, stable]])
    api.put('ingresses', ingress({ uid: 'second' }))
    await leader.settle()
    expect([given(leader), (await outcomeOf(api)).record?.refused]).toEqual([[stable, stable, stable], []])
    api.remove('ingresses', 'shop/web')
    await leader.seconds(10)
    expect(given(leader)).toEqual([null, null, null])
  })

  it.each([
    ['its namespace goes', 'namespaces', 'shop'],
    ['its policy goes', 'ingressrolloutpolicies', 'default'],
  ])('goes at once when %s', async (_what, plural, gone) => {
    const [api, leader, stable] = await governed(1_000)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(given(leader)).toEqual([stable, stable, stable])
    api.remove(plural, gone)
    await leader.settle()
    expect([given(leader), (await outcomeOf(api)).record]).toEqual([[null, null, null], null])
  })

  it('that was never released is gone at once, and nothing is made of it', async () => {
    const api = cluster(...OBJECTS.slice(1))
    api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
    const leader = await new LeaderProcess(api).start()
    leader.onUpdate = {}
    api.put('ingresses', ingress())
    await leader.settle()
    expect(given(leader)[0]).not.toBeNull()
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    api.collectGarbage()
    await leader.seconds(10)
    expect([given(leader), (await outcomeOf(api)).record]).toEqual([[null, null, null], null])
  })

  it('that an older operator held is served on: its finalizer goes when the record names its policy, and no sooner', async () => {
    const [api, leader, stable] = await governed(1_000)
    leader.crash()
    for (const shard of api.all('secrets') as readonly (KubeObject & { readonly data?: Record<string, string> })[]) {
      const [[field, text] = ['', '']] = Object.entries(shard.data ?? {})
      const stored = gunzipSync(Buffer.from(text, 'base64')).toString()
      const older = gzipSync(stored.replace('"policy":"default",', '').replace(',"policy":"default"', ''))
      expect(gunzipSync(older).toString()).not.toBe(stored)
      api.put('secrets', { ...shard, data: { [field]: older.toString('base64') } })
    }
    api.edit('ingresses', 'shop/web', { metadata: { finalizers: [FINALIZER] } })
    api.remove('ingresses', 'shop/web')
    const next = new LeaderProcess(api)
    next.use = 1_000
    next.deliver()
    await next.store.load()
    next.deliver()
    // What the store writes later is not written yet.
    for (let look = 0; look < 3; look++) {
      await lookAfter(WEB, next)
      next.deliver()
    }
    expect([api.object('ingresses', 'shop/web'), given(next)]).toEqual([null, [stable, stable, stable]])
    await next.settle()
    expect([reason(statusOf(api)), given(next)]).toEqual(['InUse', [stable, stable, stable]])
  })

  it.each(['while we were away', 'in the foreground'])(
    'while its first revision goes out leaves no record behind: %s',
    async how => {
      const api = cluster(...OBJECTS.slice(1))
      api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
      let leader = await new LeaderProcess(api).start()
      leader.onUpdate = {}
      api.put('ingresses', ingress())
      await leader.settle()
      expect(given(leader)).toEqual([expect.any(String), null, null])
      if (how === 'in the foreground') api.removeInForeground('ingresses', 'shop/web')
      else {
        leader.crash()
        api.remove('ingresses', 'shop/web')
      }
      // Its rollout is gone before anybody could end it.
      api.collectGarbage()
      if (!leader.leading) leader = await new LeaderProcess(api).start()
      await leader.seconds(5)
      api.collectGarbage()
      await leader.seconds(5)
      expect([given(leader), (await outcomeOf(api)).record]).toEqual([[null, null, null], null])
      expect(leader.pipeline.goneIn('shop')).toEqual([])
    },
  )

  it('whose paths others serve on every pod harms nobody: it is not waited for', async () => {
    const [api, leader] = await governed(1_000)
    api.put('ingresses', ingress({ name: 'heir', uid: 'heir' }))
    await leader.seconds(20)
    expect(leader.given('Ingress/shop/heir', 2)).not.toBeNull()
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(given(leader)[0]).toBeNull()
    await leader.seconds(10)
    expect(statusOf(api).phase).toBe('Complete')
  })
})

describe('an object that nobody counted for a minute', () => {
  let sequence = 0
  /** A report of every pod, as proxies make them: those on which it is governed answered two requests for it. */
  function reports(leader: LeaderProcess, figures: Figures): void {
    sequence++
    for (const { name, ordinal } of leader.fleet()) {
      const { current } = leader.pipeline.live.get(WEB) ?? {}
      const counts = leader.given(WEB, ordinal) !== null && current?.governed === true
      const objects = counts ? { [WEB]: { revision: 'v1', requests: 2, status: [0, 2, 0, 0, 0] } } : {}
      const report = { instance: name, sequence, revisions: {}, hosts: {}, objects } as unknown as Report
      figures.add(name, ordinal, report, leader.clock.now())
    }
  }
  /** With a report of every pod every ten seconds, and one now. */
  async function watch(leader: LeaderProcess, figures: Figures, seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= 10) {
      leader.clock.freeze(Math.min(left, 10) * 1_000)
      reports(leader, figures)
      await leader.settle()
    }
  }

  it('is not idle', async () => {
    const api = cluster(...OBJECTS)
    const figures = new Figures()
    const leader = await new LeaderProcess(api, { figures }).start()
    reports(leader, figures)
    await watch(leader, figures, 70)
    api.put('ingressrolloutpolicies', policy({ spec: { analysis: GATES } }))
    await leader.settle()
    // Six requests: fewer than are few in a minute.
    await watch(leader, figures, 2)
    const stable = leader.given(WEB, 0)
    api.remove('ingresses', 'shop/web')
    await watch(leader, figures, 50)
    expect(given(leader)).toEqual([stable, stable, stable])
    expect(statusOf(api).message).toContain('it is not known yet whether anybody asks for it')
    await watch(leader, figures, 10)
    expect([given(leader), reason(statusOf(api))]).toEqual([[stable, stable, stable], 'InUse'])
    expect(statusOf(api).message).toMatch(/^still in use: 42 requests in the last minute/)
  })
})
