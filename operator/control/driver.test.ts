import { describe, expect, it } from '@jest/globals'
import type { HostCounters } from '../../protocol/messages.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { KubeError } from '../kube/errors.ts'
import { FakeClock, settle } from '../kube/testing/fake-clock.ts'
import type { IngressRolloutSpec, IngressRolloutStatus } from '../model/generated/crds.ts'
import { parseIngress } from '../model/ingress.ts'
import { WEB, ingress, ingressClass, policy, service, slice } from '../pipeline/testing.ts'
import { EMPTY_AGGREGATE, baselineOf } from '../rollout/machine/figures.ts'
import { counted } from '../rollout/machine/testing.ts'
import { figureSource } from './testing-figures.ts'
import { LeaderProcess, cluster, found, governed, outcomeOf } from './testing.ts'

const INDEX = 'nginx.ingress.kubernetes.io/ingress-rollout-index-id'

const HOST_COUNTERS: HostCounters = {
  ...{ requests: 1, status: [0, 1, 0, 0, 0], notFound: 0, upstreamErrors: 0, tlsHandshakes: 0, tlsFailures: 0 },
  latency: [],
}

const change = (api: FakeApi, host: string, name = 'web'): void => {
  api.edit('ingresses', `shop/${name}`, { spec: ingress({ host }).spec })
}
const command = (api: FakeApi, spec: Partial<IngressRolloutSpec>, nth = 0): void => {
  const { name = '' } = api.all('ingressrollouts')[nth]?.metadata ?? {}
  api.edit('ingressrollouts', `shop/${name}`, { spec })
}

describe('a rollout', () => {
  it('is stored before it is stamped, step by step, and its status follows', async () => {
    const [api, leader] = await governed()
    api.log.length = 0
    change(api, 'b.example')
    await leader.seconds(6)
    const words = api.log.map(line => line.replace(/ (web|ing-web|sluice-releases)(-\w+)?$/, ''))
    const status = 'status of IngressRollout'
    const steps = words.filter((word, i) => word !== status || words[i - 1] !== status)
    expect(steps).toEqual([
      'create IngressRollout',
      ...['update Secret', 'patch Ingress', status],
      ...['update Secret', 'patch Ingress', status],
      ...['update Secret', 'patch Ingress', status],
    ])
    expect(found(api).status).toMatchObject({ phase: 'Complete', attempt: 1, pods: { summary: '3/3' } })
    expect(leader.said).toContain('ended Complete')
    expect(leader.turns.size).toBe(0)
  })

  it.each([
    ['when its checksum is published', false, []],
    ['at once, where people move the index by them', true, ['patch Ingress web']],
  ])('says in annotations and status what pods get %s', async (_when, allowManualIndex, before) => {
    const [api, leader] = await governed({ allowManualIndex })
    let publish = (): void => undefined
    const publishing = new Promise<void>(resolve => (publish = resolve))
    leader.published = () => publishing
    api.log.length = 0
    change(api, 'b.example')
    leader.deliver()
    const looking = leader.look()
    await settle()
    const toPeople = (): readonly string[] => api.log.filter(line => /^(patch|status)/.test(line))
    expect((await outcomeOf(api)).record?.index).toBe(1)
    expect(toPeople().slice(0, 1)).toEqual(before)
    publish()
    await looking
    await leader.settle()
    expect(toPeople()).toEqual(['patch Ingress web', expect.stringMatching(/^status of IngressRollout/)])
  })

  it('is moved by a report that counts something on its hosts or probes for it, and for a moment by all reports after that', async () => {
    const [api, leader] = await governed({ bakeTime: '60s' })
    const moved = (...hosts: readonly string[]): boolean =>
      leader.driver.isMovedBy(WEB, { hosts: Object.fromEntries(hosts.map(host => [host, HOST_COUNTERS])) })
    expect(moved('shop.example')).toBe(false)
    change(api, 'b.example')
    leader.deliver()
    await leader.look()
    expect(moved()).toBe(false)
    expect(moved('other.example')).toBe(false)
    expect([moved('b.example'), moved()]).toEqual([true, true])
    await leader.clock.advance(9_999)
    expect(moved()).toBe(true)
    await leader.clock.advance(1)
    expect(moved()).toBe(false)
    // What it takes away is judged, too.
    expect(moved('shop.example')).toBe(true)
    await leader.clock.advance(10_000)
    expect(leader.driver.isMovedBy(WEB, { hosts: {}, probes: { [WEB]: { revision: null, probes: {} } } })).toBe(true)
    command(api, { abort: true })
    await leader.seconds(20)
    expect(found(api).status).toMatchObject({ phase: 'RolledBack' })
    expect(moved('b.example')).toBe(false)
  })

  it('is stored and published before its IngressRollout is asked for', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    // One of the namespace could be made: the next one begins without.
    await leader.seconds(10)
    let publish = (): void => undefined
    const publishing = new Promise<void>(resolve => (publish = resolve))
    leader.published = () => publishing
    api.log.length = 0
    change(api, 'c.example')
    leader.deliver()
    const looking = leader.look()
    await settle()
    expect(api.log.map(line => line.split(' ').slice(0, 2).join(' '))).toEqual(['update Secret'])
    publish()
    await looking
    expect(api.log).toContainEqual(expect.stringMatching(/^create IngressRollout/))
  })

  it('is there for people while its annotations wait for an admission webhook', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.seconds(10)
    let admit = (): void => undefined
    const admission = new Promise<void>(resolve => (admit = resolve))
    api.slow(what => (what.startsWith('patch Ingress') ? admission : null))
    api.log.length = 0
    change(api, 'c.example')
    leader.deliver()
    const looking = leader.look()
    await settle()
    expect(api.log.map(line => line.split(' ').slice(0, 2).join(' '))).toEqual([
      ...['update Secret', 'create IngressRollout'],
    ])
    admit()
    await looking
    expect(api.log).toContain('patch Ingress web')
  })

  it('waits for no pods with what moves nothing on them', async () => {
    const [api, leader] = await governed({ batches: [{ pods: 1, pause: {} }, { pods: '100%' }] })
    let published = 0
    leader.published = (): Promise<void> => {
      published++
      return Promise.resolve()
    }
    api.log.length = 0
    change(api, 'b.example')
    await leader.seconds(6)
    expect(found(api).status.batch).toBe(1)
    // The first batch, and that it waits for a person.
    expect(api.log.filter(line => line.startsWith('update Secret'))).toHaveLength(2)
    expect(published).toBe(1)
  })

  it('goes to a Service that nothing referred to before in one write', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.seconds(10)
    api.put('services', service('next'))
    api.put('endpointslices', slice('next', '198.18.0.9'))
    await leader.settle()
    api.log.length = 0
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'b.example', service: 'next' }).spec })
    leader.deliver()
    await leader.look()
    expect(api.log.filter(line => line.startsWith('update Secret'))).toHaveLength(1)
    expect((await outcomeOf(api)).record?.index).toBe(1)
  })

  it('says when it wants to be looked at again, and not once it has ended', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.settle()
    const { requeueAfterMs } = await leader.driver.drive('Ingress/shop/web')
    expect(requeueAfterMs).toBeGreaterThan(0)
    expect(requeueAfterMs).toBeLessThanOrEqual(1_000)
    await leader.seconds(8)
    expect(await leader.driver.drive('Ingress/shop/web')).toEqual({})
  })

  it('observes a command that comes too late, and keeps what its status says', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.seconds(8)
    const { status } = found(api)
    expect(status).toMatchObject({ phase: 'Complete', gates: expect.arrayContaining([expect.anything()]) })
    command(api, { paused: true })
    const { generation } = api.all('ingressrollouts')[0]?.metadata ?? {}
    expect(status.observedGeneration).toBe((generation ?? 0) - 1)
    await leader.settle()
    const conditions = (status.conditions ?? []).map(one => ({ ...one, observedGeneration: generation }))
    expect(found(api).status).toEqual({ ...status, observedGeneration: generation, conditions })
    // The same of a leader that did not write it.
    leader.crash()
    const next = await new LeaderProcess(api, { clock: leader.clock }).start()
    expect(found(api).status.gates).toEqual(status.gates)
    command(api, { paused: false })
    await next.settle()
    expect(found(api).status).toMatchObject({ observedGeneration: (generation ?? 0) + 1, gates: status.gates })
    const { writes } = api
    await next.seconds(2)
    expect(api.writes).toBe(writes)
  })

  it('a command that changes nothing while it runs is observed at once', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.settle()
    command(api, { retry: 0, approvedBatches: 1 })
    await leader.settle()
    expect(found(api).status.observedGeneration).toBe(api.all('ingressrollouts')[0]?.metadata.generation)
  })

  it('hears the approval that came while nobody led, and waits on where there was none', async () => {
    const analysis = { interval: '1s', deadline: '10s', minRequests: 5_000, successRate: { min: 99 } }
    const [api, leader] = await governed({ analysis })
    change(api, 'b.example')
    await leader.seconds(14)
    expect(found(api).status).toMatchObject({ phase: 'Paused', index: 1 })
    expect((await outcomeOf(api)).record?.rollout).toMatchObject({ blocked: { reason: 'Inconclusive' } })
    leader.crash()
    const second = await new LeaderProcess(api, { clock: leader.clock }).start()
    await second.seconds(20)
    expect(found(api).status).toMatchObject({ phase: 'Paused', index: 1 })
    second.crash()
    command(api, { approvedBatches: 1 })
    const third = await new LeaderProcess(api, { clock: leader.clock }).start()
    await third.seconds(1)
    expect(found(api).status.index).not.toBe(1)
  })

  it('knows why something was taken back, though its leader died before it could say', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.seconds(1)
    leader.onUpdate = { requests: 1000, failures: 500 }
    api.deny(what => (what.startsWith('status of IngressRollout') ? new KubeError('KUBE_FORBIDDEN', what) : null))
    await leader.seconds(4)
    expect((await outcomeOf(api)).record?.refused).toHaveLength(1)
    expect(found(api).status.phase).toBe('Progressing')
    leader.crash()
    api.deny(() => null)
    await new LeaderProcess(api, { clock: leader.clock }).start()
    expect(found(api).status).toMatchObject({
      phase: 'RolledBack',
      message: expect.stringContaining('success rate'),
    })
  })

  it.each(['goes on', 'dies'])(
    'judges on what was told to try again, where the record could not be written and its leader %s',
    async what => {
      const [api, leader] = await governed({ rollback: { automatic: false } })
      change(api, 'b.example')
      await leader.seconds(1)
      leader.onUpdate = { requests: 1000, failures: 500 }
      await leader.seconds(4)
      expect((await outcomeOf(api)).record?.rollout).toMatchObject({ attempt: 1, blocked: { reason: 'GateFailed' } })
      api.deny(call => (call.startsWith('update Secret') ? new KubeError('KUBE_FORBIDDEN', call) : null))
      command(api, { retry: 1 })
      await leader.settle()
      api.deny(() => null)
      expect(found(api).status).toMatchObject({ attempt: 2 })
      let next = leader
      if (what === 'dies') {
        leader.crash()
        next = await new LeaderProcess(api, { clock: leader.clock }).start()
      }
      next.onUpdate = { requests: 1000, failures: 500 }
      await next.seconds(4)
      expect(found(api).status).toMatchObject({ phase: 'Paused', attempt: 2, observedRetry: 1 })
      expect((await outcomeOf(api)).record?.rollout).toMatchObject({ attempt: 2, blocked: { reason: 'GateFailed' } })
    },
  )

  it('holds its place from the first moment of a new leader, though no status says so', async () => {
    const [api, leader] = await governed({ bakeTime: '1h' })
    api.deny(what => (what.startsWith('status of IngressRollout') ? new KubeError('KUBE_FORBIDDEN', what) : null))
    change(api, 'b.example')
    await leader.seconds(1)
    expect([(await outcomeOf(api)).record?.index, found(api).status]).toEqual([1, undefined])
    leader.driver.start()
    const [{ id } = { id: '' }] = leader.rollouts.of('Ingress/shop/web')
    expect(leader.turns.stand(id)).toBe('runs')
  })

  it('stands still while nobody may write, and goes on from there', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.settle()
    leader.leading = false
    const { writes } = api
    leader.clock.freeze(20_000)
    leader.deliver()
    for (let i = 0; i < 5; i++) await leader.driver.drive('Ingress/shop/web').catch(() => undefined)
    await leader.look()
    expect(api.writes).toBe(writes)
    expect((await outcomeOf(api)).record?.index).toBe(1)
    leader.leading = true
    await leader.seconds(8)
    expect(found(api).status.phase).toBe('Complete')
  })

  it('writes its status again for new figures alone, but not more often than once a minute', async () => {
    const [api, leader] = await governed({ bakeTime: '200s' })
    change(api, 'b.example')
    await leader.seconds(3)
    const before = api.log.filter(line => line.startsWith('status')).length
    for (let i = 0; i < 300; i++) {
      leader.onUpdate = { requests: 1000 + i }
      leader.clock.freeze(500)
      leader.deliver()
      await leader.look()
    }
    const written = api.log.filter(line => line.startsWith('status')).length - before
    expect(written).toBeGreaterThanOrEqual(2)
    expect(written).toBeLessThanOrEqual(3)
  })

  it('says that a batch is raised and what becomes of it with one write, a second later at most', async () => {
    const [api, leader] = await governed({ bakeTime: '20s' })
    const statuses = (): number => api.log.filter(line => line.startsWith('status of IngressRollout')).length
    leader.confirms = false
    change(api, 'b.example')
    await leader.settle()
    expect([statuses(), (await outcomeOf(api)).record?.index]).toEqual([0, 1])
    // Nobody else would look again in time.
    const { requeueAfterMs } = await leader.driver.drive('Ingress/shop/web')
    expect(requeueAfterMs).toBeLessThanOrEqual(1_000)
    await leader.seconds(1)
    expect(statuses()).toBe(1)
    expect(found(api).status).toMatchObject({ index: 1, batch: 1, pods: { acknowledged: 0 } })
    leader.confirms = true
    await leader.seconds(1)
    expect(statuses()).toBe(2)
    expect(found(api).status).toMatchObject({ message: expect.stringContaining('bakes'), pods: { acknowledged: 1 } })
    await leader.seconds(10)
    expect(statuses()).toBe(2)
  })

  it('of three batches writes no more than its steps', async () => {
    const batches = [{ pods: 1 }, { pods: '25%', pause: { for: '10s' } }, { pods: '100%' }]
    const [api, leader] = await governed({ batches, bakeTime: '5s' })
    leader.pods = 5
    api.log.length = 0
    change(api, 'b.example')
    await leader.seconds(60)
    expect(found(api).status.phase).toBe('Complete')
    const counts: Record<string, number> = {}
    for (const line of api.log) {
      const what = line.replace(/ (web|ing-web|sluice-releases)(-\w+)?$/, '')
      counts[what] = (counts[what] ?? 0) + 1
    }
    expect(counts).toEqual({
      ...{ 'create IngressRollout': 1, 'update Secret': 5, 'patch Ingress': 4 },
      // Each batch once it bakes, the pause, the end.
      'status of IngressRollout': 5,
    })
  })

  it('goes on as it began, whatever becomes of its policy, under the next leader, too; the next one begins with what is new', async () => {
    const [api, leader] = await governed({ bakeTime: '1h', analysis: { deadline: '2h', successRate: { min: 99 } } })
    change(api, 'b.example')
    await leader.seconds(10)
    expect(found(api).status).toMatchObject({ phase: 'Progressing', index: 1 })
    api.put('ingressrolloutpolicies', policy({ generation: 2 }))
    await leader.seconds(8)
    expect(found(api).status).toMatchObject({ phase: 'Progressing', index: 1 })
    leader.crash()
    const next = await new LeaderProcess(api, { clock: leader.clock }).start()
    await next.seconds(8)
    expect(found(api).status).toMatchObject({ phase: 'Progressing', index: 1 })
    expect((await outcomeOf(api)).record?.rollout).toMatchObject({ settings: { bakeMs: 3_600_000 } })
    api.put('ingressrolloutpolicies', policy({ name: 'other' }))
    api.remove('ingressrolloutpolicies', 'default')
    await next.seconds(12)
    expect(found(api).status).toMatchObject({ phase: 'Progressing', policy: 'default' })
    command(api, { promote: true })
    await next.seconds(3)
    expect(found(api).status.phase).toBe('Complete')
    expect((await outcomeOf(api)).record?.rollout).toBeUndefined()
    change(api, 'c.example')
    await next.seconds(8)
    expect(found(api, 1).status.phase).toBe('Complete')
  })

  it('pauses, waits for approval, and is told to go on', async () => {
    const [api, leader] = await governed({ batches: [{ pods: 1, pause: {} }, { pods: '100%' }] })
    change(api, 'b.example')
    await leader.seconds(8)
    expect(found(api).status).toMatchObject({ phase: 'Paused', index: 1, batch: 1 })
    command(api, { approvedBatches: 1 })
    await leader.seconds(4)
    expect(found(api).status.phase).toBe('Complete')
  })

  it('steps aside for a person who moves the index, and goes on when told', async () => {
    const [api, leader] = await governed({ bakeTime: '10s', allowManualIndex: true })
    change(api, 'b.example')
    await leader.seconds(2)
    api.edit('ingresses', 'shop/web', { metadata: { annotations: { [INDEX]: '0' } } })
    await leader.seconds(30)
    expect(found(api).status).toMatchObject({ phase: 'Paused', message: expect.stringContaining('by hand') })
    expect(leader.given('Ingress/shop/web', 0)).toBe((await outcomeOf(api)).record?.current)
    command(api, { approvedBatches: 1 })
    await leader.seconds(2)
    expect(api.object('ingresses', 'shop/web')?.metadata.annotations?.[INDEX]).toBe('1')
    await leader.seconds(60)
    expect(found(api).status.phase).toBe('Complete')
  })

  it('is not measured by what another one did to the pods before it was taken back', async () => {
    const asked: number[] = []
    let bad = true
    const api = cluster(
      ['ingresses', ingress()],
      ['services', service('web')],
      ['endpointslices', slice('web', '198.18.0.1')],
    )
    const began = new FakeClock().now()
    const stable = parseIngress(ingress(), { classes: [ingressClass()] }).revision
    const leader = await new LeaderProcess(api, {
      figures: figureSource({
        serving: (_key, revision) => counted({ requests: 1000, failures: bad && revision !== stable ? 500 : 0 }),
        before: (_hosts, _now, since) => {
          asked.push(since)
          return null
        },
      }),
    }).start()
    api.put('ingressrolloutpolicies', policy())
    await leader.settle()
    change(api, 'bad.example')
    await leader.seconds(10)
    expect(found(api).status.phase).toBe('RolledBack')
    expect(asked).toEqual([began])
    const ended = leader.clock.now()
    await leader.seconds(5)
    bad = false
    api.edit('ingresses', 'shop/web', {
      spec: { ...(ingress().spec as object), defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    })
    await leader.seconds(1)
    expect(asked).toHaveLength(2)
    expect(asked[1]).toBeGreaterThan(0)
    expect(asked[1]).toBeLessThanOrEqual(ended)
  })

  it.each<[string, object, Partial<IngressRolloutSpec> | null, boolean]>([
    ['its pause, and passed', { for: '4s' }, null, true],
    ['an approval, and passed', {}, { approvedBatches: 1 }, true],
    ['an approval, and was promoted', {}, { promote: true }, false],
  ])('that waited for %s, is as good a past as any where nobody let it through', async (_what, pause, told, isPast) => {
    const asked: number[] = []
    const began = new FakeClock().now()
    const api = cluster(
      ['ingresses', ingress()],
      ['services', service('web')],
      ['endpointslices', slice('web', '198.18.0.1')],
    )
    const leader = await new LeaderProcess(api, {
      figures: figureSource({
        serving: () => counted({ requests: 1000 }),
        before: (_hosts, _now, since) => {
          asked.push(since)
          return null
        },
      }),
    }).start()
    api.put('ingressrolloutpolicies', policy({ spec: { batches: [{ pods: 1, pause }, { pods: '100%' }] } }))
    await leader.settle()
    change(api, 'b.example')
    await leader.seconds(4)
    expect(found(api).status.phase).toBe('Paused')
    if (told !== null) command(api, told)
    await leader.seconds(15)
    expect(found(api).status.phase).toBe('Complete')
    api.edit('ingresses', 'shop/web', {
      spec: { ...(ingress().spec as object), defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    })
    await leader.seconds(1)
    expect(asked.map(since => since === began)).toEqual([true, isPast])
  })

  it('goes on being judged while a person moves the index', async () => {
    const [api, leader] = await governed({ bakeTime: '10s', allowManualIndex: true })
    change(api, 'b.example')
    await leader.seconds(2)
    api.edit('ingresses', 'shop/web', { metadata: { annotations: { [INDEX]: '-1' } } })
    await leader.seconds(2)
    expect(found(api).status.phase).toBe('Paused')
    leader.onUpdate = { requests: 1000, failures: 500 }
    await leader.seconds(70)
    expect(found(api).status.phase).toBe('RolledBack')
    expect(leader.given('Ingress/shop/web', 0)).toBe((await outcomeOf(api)).record?.current)
  })

  it('takes no notice of an index that a person writes, unless the policy says so: it is written again', async () => {
    const [api, leader] = await governed({ bakeTime: '10s' })
    change(api, 'b.example')
    await leader.seconds(2)
    const released = leader.given('Ingress/shop/web', 2)
    api.edit('ingresses', 'shop/web', { metadata: { annotations: { [INDEX]: '-1' } } })
    await leader.settle()
    expect(leader.given('Ingress/shop/web', 2)).toBe(released)
    expect(api.object('ingresses', 'shop/web')?.metadata.annotations?.[INDEX]).toBe('1')
    expect(found(api).status).toMatchObject({ phase: 'Progressing', index: 1 })
    await leader.seconds(60)
    expect(found(api).status.phase).toBe('Complete')
  })

  it('of which somebody deleted the IngressRollout is begun again', async () => {
    const [api, leader] = await governed({ bakeTime: '5s' })
    change(api, 'b.example')
    await leader.seconds(2)
    const { name = '' } = api.all('ingressrollouts')[0]?.metadata ?? {}
    api.remove('ingressrollouts', `shop/${name}`)
    await leader.seconds(40)
    expect(found(api).status).toMatchObject({ phase: 'Complete', attempt: 1 })
    expect(leader.turns.size).toBe(0)
  })

  it('that nobody wants any more is ended where its object and its policy are gone', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.settle()
    api.remove('ingressrolloutpolicies', 'default')
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(found(api).status.phase).toBe('Superseded')
    expect((await outcomeOf(api)).record).toBeNull()
  })
})

describe('on a single pod', () => {
  it('a second bad change is measured by what was before the first', async () => {
    const services = ['web', 'bad', 'worse'].flatMap(name => [
      ['services', service(name)] as const,
      ['endpointslices', slice(name, '198.18.0.1')] as const,
    ])
    const api = cluster(['ingresses', ingress()], ...services)
    const began = new FakeClock().now()
    const stable = parseIngress(ingress(), { classes: [ingressClass()] }).revision
    const leader = await new LeaderProcess(api, {
      pods: 1,
      figures: figureSource({
        // Every pod is out: nothing is stable in the same window.
        serving: (_key, revision) => (revision === stable ? EMPTY_AGGREGATE : counted({ requests: 60, notFound: 60 })),
        baseline: (_hosts, _now, since) => (since === began ? baselineOf(counted({ requests: 60 })) : null),
      }),
    }).start()
    const analysis = { interval: '1s', minRequests: 50, successRate: { min: 99 }, notFoundRate: { maxRise: 0.5 } }
    api.put('ingressrolloutpolicies', policy({ spec: { analysis } }))
    await leader.settle()
    for (const name of ['bad', 'worse']) {
      api.edit('ingresses', 'shop/web', { spec: ingress({ service: name }).spec })
      await leader.seconds(20)
      const phases = api.all('ingressrollouts').map(({ status }) => (status as { phase?: string }).phase)
      expect(phases.filter(phase => phase !== 'RolledBack')).toEqual([])
    }
    expect(leader.given('Ingress/shop/web', 0)).toBe(stable)
  })
})

describe('turns', () => {
  it('are not kept by a rollout that is deleted while an older one of its object is written to', async () => {
    const [api, leader] = await governed()
    change(api, 'b.example')
    await leader.settle()
    change(api, 'c.example')
    leader.deliver()
    await leader.starter.start(leader.view())
    const { id = '' } = leader.rollouts.of('Ingress/shop/web').at(-1) ?? {}
    await leader.maker.make(leader.rollouts.of('Ingress/shop/web').at(-1)!)
    leader.deliver()
    const { metadata } = api.all('ingressrollouts').find(({ status }) => status === undefined) ?? { metadata: null }
    expect(metadata?.name).toMatch(/^ing-web-/)
    const driven = leader.driver.drive('Ingress/shop/web')
    await Promise.resolve()
    api.remove('ingressrollouts', `shop/${metadata?.name ?? ''}`)
    leader.deliver()
    await driven
    expect(leader.turns.stand(id)).toBeNull()
  })

  async function two(
    hosts: readonly [string, string],
    spec: Readonly<Record<string, unknown>>,
  ): Promise<readonly [FakeApi, LeaderProcess]> {
    const [api, leader] = await governed(spec)
    api.remove('ingressrolloutpolicies', 'default')
    api.put('ingresses', ingress({ name: 'other', host: 'other.example' }))
    await leader.settle()
    api.put('ingressrolloutpolicies', policy({ spec }))
    await leader.settle()
    change(api, hosts[0])
    await leader.settle()
    change(api, hosts[1], 'other')
    await leader.settle()
    return [api, leader]
  }
  const phases = (api: FakeApi): readonly string[] =>
    api.all('ingressrollouts').map(({ status }) => (status as IngressRolloutStatus).phase ?? 'none')

  it('rollouts that share a host go one after another', async () => {
    const [api, leader] = await two(['same.example', 'same.example'], { bakeTime: '3s' })
    expect(phases(api)).toEqual(['Progressing', 'Pending'])
    expect(found(api, 1).status.message).toContain(
      'Ingress/shop/web is under way and judged by requests to same.example',
    )
    await leader.seconds(12)
    expect(phases(api)[0]).toBe('Complete')
    await leader.seconds(12)
    expect(phases(api)).toEqual(['Complete', 'Complete'])
  })

  it('one that waits for a person rests: it keeps neither host nor place, and is not judged by what the other does', async () => {
    const [api, leader] = await two(['same.example', 'same.example'], {
      ...{ bakeTime: '4s', maxConcurrent: 1 },
      batches: [{ pods: 1, pause: {} }],
    })
    const failing = (share: number): LeaderProcess['figuresOf'] => {
      return (revision, key) => {
        const update = key === 'Ingress/shop/web' && revision === found(api).spec.revision
        return { requests: 1000, failures: update ? share * 1000 : 0 }
      }
    }
    expect(phases(api)).toEqual(['Progressing', 'Pending'])
    await leader.seconds(5)
    expect(phases(api)).toEqual(['Paused', 'Progressing'])
    leader.figuresOf = failing(0.5)
    await leader.seconds(2)
    expect(phases(api)).toEqual(['Paused', 'Progressing'])
    expect(found(api).status.message).toContain('not judged meanwhile: a rollout of Ingress/shop/other is under way')
    leader.figuresOf = failing(0)
    await leader.seconds(6)
    expect(phases(api)).toEqual(['Paused', 'Paused'])
    // Nothing else is judged there now, so that this one is again.
    leader.figuresOf = failing(0.5)
    await leader.seconds(70)
    expect(phases(api)).toEqual(['RolledBack', 'Paused'])
  })

  it('and others as many at once as the policy allows', async () => {
    const [api] = await two(['a.example', 'b.example'], { bakeTime: '3s' })
    expect(phases(api)).toEqual(['Progressing', 'Progressing'])
    const [few, leader] = await two(['a.example', 'b.example'], { bakeTime: '3s', maxConcurrent: 1 })
    expect(phases(few)).toEqual(['Progressing', 'Pending'])
    await leader.seconds(24)
    expect(phases(few)).toEqual(['Complete', 'Complete'])
  })

  it('are kept over a change of leader: what is under way comes first', async () => {
    const [api, leader] = await two(['same.example', 'same.example'], { bakeTime: '3s' })
    leader.crash()
    const next = new LeaderProcess(api, { clock: leader.clock })
    await next.start()
    expect(phases(api)).toEqual(['Progressing', 'Pending'])
    await next.seconds(24)
    expect(phases(api)).toEqual(['Complete', 'Complete'])
  })
})
