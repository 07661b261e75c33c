import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { failed } from '../load/record.ts'
import { failuresOf, ordinalsOf, spanOf } from './harness/load.ts'
import type { NodeLoad } from './harness/load.ts'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'

const BAKE_MS = 5_000

describe('a bad change of a governed Ingress: the new backend answers 500', () => {
  let space: Space
  let load: NodeLoad
  let name: string

  beforeAll(async () => {
    space = await Space.open('bad')
    await space.backends({ version: 'v1', replicas: 2 }, { version: 'v3', status: 500 })
    await space.ingress({ name: 'web', host: space.host(), to: 'v1' })
    await space.serves(space.host(), 'v1')
    await space.policy(1, { bakeTime: `${BAKE_MS / 1_000}s`, analysis: { minRequests: 50 } })
    load = space.http({ host: space.host(), perSecond: 350 })
    await sleep(2_000)
    await space.ingress({ name: 'web', host: space.host(), to: 'v3' })
    name = await space.rollouts.next('web')
    await space.rollouts.reaches(name, ['RolledBack', 'Complete', 'Paused', 'Superseded'], 60_000)
    // Long enough that a second attempt would show.
    await sleep(4_000)
    await load.stop()
  }, 240_000)
  afterAll(() => space.close(), 90_000)

  it('is never answered from by a pod outside of the first batch', () => {
    expect(ordinalsOf(load.records, 'v3')).toEqual([0])
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1])
  })

  it('is taken back without a person, sooner than two bakes would take', () => {
    expect(space.rollouts.last(name)?.phase).toBe('RolledBack')
    expect(spanOf(load.records, 'v3')).toBeGreaterThan(0)
    expect(spanOf(load.records, 'v3')).toBeLessThan(2 * BAKE_MS)
  })

  it('costs nothing but the answers of the bad backend', () => {
    const others = load.records.filter(record => record.version !== 'v3')
    expect(failuresOf(others)).toEqual({})
    expect(load.records.filter(record => failed(record)).map(({ ordinal }) => ordinal)).toContain(0)
    expect(load.connections.map(({ closedByPeer }) => closedByPeer)).toEqual([0, 0, 0, 0, 0])
  })

  it('is named by kubectl get, with its phase', async () => {
    const table = await space.kubectl.ok(['get', 'ingressrollouts', '-n', space.name])
    expect(table.split('\n')[0]).toMatch(/^NAME +KIND +OBJECT +REVISION +PHASE +REASON +BATCH +PODS +AGE/)
    expect(table.split('\n').find(line => line.startsWith(name))).toMatch(
      / Ingress +web +\S+ +RolledBack +GateFailed +1\/3 +0\/5 /,
    )
  })

  it('is explained by kubectl describe: which gate, with which figures', async () => {
    const text = await space.kubectl.ok(['describe', 'ingressrollout', name, '-n', space.name])
    const gates = text.slice(text.indexOf('Gates:'))
    expect(gates).toMatch(/Name: +successRate\n +Reason: +\S+\n +Verdict: +fail/)
    expect(gates).toMatch(/Figures:\n(?: +.+: +[0-9.e+-]+\n)+/)
    expect(text).toMatch(/Message: .*success ?rate.*[0-9]/i)
    expect(text).toMatch(/Type: +RolledBack/)
  })

  it('is explained by events of the Ingress', async () => {
    const text = await space.kubectl.ok([
      ...['get', 'events', '-n', space.name, '--field-selector', 'type=Warning,involvedObject.name=web'],
    ])
    expect(text).toMatch(/success ?rate.*[0-9]/i)
  })

  it('stays refused: the Ingress keeps its new spec, the pods the old content', async () => {
    const object = await space.object('ingresses', 'web')
    expect(JSON.stringify(object?.['spec'])).toContain('echo-v3')
    expect(await space.proxies.served(space.host())).toEqual(['v1', 'v1', 'v1', 'v1', 'v1'])
    expect(space.rollouts.names('web')).toEqual([name])
  })

  it('can be waited for as RolledBack', async () => {
    const waited = await space.kubectl.run([
      ...['wait', '--for=condition=RolledBack', `ingressrollout/${name}`, '-n', space.name, '--timeout=5s'],
    ])
    expect(waited.code).toBe(0)
  })

  it('is rolled out again when someone says retry, and taken back again', async () => {
    const again = space.http({ host: space.host(), perSecond: 200 })
    await space.kubectl.patch(space.name, `ingressrollout/${name}`, { spec: { retry: 1 } })
    await space.rollouts.reachesIndex(name, 1)
    await space.rollouts.reaches(name, ['RolledBack', 'Complete', 'Paused'], 60_000)
    await again.stop()
    expect(space.rollouts.last(name)?.phase).toBe('RolledBack')
    expect(ordinalsOf(again.records, 'v3')).toEqual([0])
    expect((await space.object('ingressrollouts', name))?.['status']).toMatchObject({ attempt: 2 })
  }, 90_000)
})

describe('a bad change of a governed Ingress: a path is lost', () => {
  let space: Space
  beforeAll(async () => {
    space = await Space.open('lost')
    await space.backends({ version: 'v1' })
    await space.ingress({ name: 'web', host: space.host(), paths: [{ path: '/shop', to: 'v1' }] })
    await space.serves(space.host(), 'v1', 20_000, '/shop')
    await space.policy(1, { bakeTime: '3s' })
  }, 180_000)
  afterAll(() => space.close(), 90_000)

  it('is taken back by the gate on 404 without a route', async () => {
    const load = space.http({ host: space.host(), path: '/shop', perSecond: 200 })
    await sleep(2_000)
    await space.ingress({ name: 'web', host: space.host(), paths: [{ path: '/shoop', to: 'v1' }] })
    const name = await space.rollouts.next('web')
    const end = await space.rollouts.reaches(name, ['RolledBack', 'Complete', 'Paused'], 60_000)
    await sleep(1_000)
    await load.stop()
    expect(end.phase).toBe('RolledBack')
    expect(end.gates).toContainEqual(expect.objectContaining({ name: 'notFoundRate', verdict: 'fail' }))
    const lost = load.records.filter(record => record.status === 404)
    expect(lost.length).toBeGreaterThan(0)
    expect([...new Set(lost.map(({ ordinal }) => ordinal))]).toEqual([0])
    expect(failuresOf(load.records.filter(record => record.status !== 404))).toEqual({})
  }, 120_000)
})

describe('commands to a rollout', () => {
  let space: Space
  beforeAll(async () => {
    space = await Space.open('command')
    await space.backends({ version: 'v1' }, { version: 'v2' })
    await space.ingress({ name: 'web', host: space.host(), to: 'v1' })
    await space.serves(space.host(), 'v1')
    // Without traffic nothing passes by itself: what happens is what was commanded.
    await space.policy(1, { analysis: { deadline: '5m' } })
  }, 180_000)
  afterAll(() => space.close(), 90_000)

  it('abort takes the change back, promote then releases it to all', async () => {
    await space.ingress({ name: 'web', host: space.host(), to: 'v2' })
    const name = await space.rollouts.next('web')
    await space.serves(space.host(), ['v2', 'v1', 'v1', 'v1', 'v1'])
    await space.kubectl.patch(space.name, `ingressrollout/${name}`, { spec: { abort: true } })
    await space.rollouts.reaches(name, ['RolledBack'], 30_000)
    await space.serves(space.host(), 'v1')
    await space.kubectl.patch(space.name, `ingressrollout/${name}`, { spec: { abort: false, promote: true } })
    await space.rollouts.reaches(name, ['Complete'], 30_000)
    await space.serves(space.host(), 'v2')
  }, 90_000)
})
