import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import type { Component } from './harness/cluster.ts'
import { failuresOf, ordinalsOf } from './harness/load.ts'
import { Operators } from './harness/operators.ts'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const OUTAGE_MS = 30_000
const COMPONENTS: readonly Component[] = ['kube-apiserver', 'etcd']

let space: Space
let operators: Operators
/** Of what is changed, and of what is not. */
let host: string
let still: string
/** What the pods serve now; each rollout goes to the other one. */
let now = 'v1'
const other = (): string => (now === 'v1' ? 'v2' : 'v1')
/** Content that was never there before has a rollout of a new name; an older one would get another attempt of its old one. */
let contents = 0
const fresh = (): Readonly<Record<string, string>> => ({
  'nginx.ingress.kubernetes.io/version-of-test': `${++contents}`,
})

beforeAll(async () => {
  space = await Space.open('outage')
  operators = new Operators(space.cluster)
  host = space.host()
  await space.backends({ version: 'v1', replicas: 2 }, { version: 'v2', replicas: 2 }, { version: 'bad', status: 500 })
  still = space.host('still')
  await space.ingress({ name: 'web', host, to: now })
  await space.ingress({ name: 'still', host: still, to: now })
  await space.serves(host, now)
  await space.serves(still, now)
  await space.policy(2, { bakeTime: '5s' })
}, 180_000)
/** Whatever a test was in the middle of, the next one finds everything running. */
afterEach(async () => {
  for (const component of COMPONENTS) await space.cluster.release(component)
  await apiAnswers()
  await operators.ready()
}, 180_000)
afterAll(() => space.close(), 120_000)

async function apiAnswers(): Promise<void> {
  const ready = async (): Promise<number> => (await space.cluster.api.call('GET', '/readyz')).status
  await waitFor('the API server is ready', ready, status => status === 200, { timeoutMs: 60_000, everyMs: 500 })
}

/** SIGKILL, away for the whole time, back again. */
const outages: readonly (readonly [string, () => Promise<void>])[] = [
  [
    'the operator',
    async () => {
      // kubelet starts it again and again: it is killed whenever it shows.
      expect(await operators.keepKilling(OUTAGE_MS)).toBeGreaterThan(1)
    },
  ],
  ...COMPONENTS.map(component => {
    const away = async (): Promise<void> => {
      await space.cluster.hold(component)
      await sleep(OUTAGE_MS)
      await space.cluster.release(component)
      await apiAnswers()
    }
    return [component, away] as const
  }),
]

it.each(outages)(
  '%s is killed for 30 seconds: no request fails, at rest and in mid-rollout, and the rollout ends as it should afterwards',
  async (_who, outage) => {
    const known = space.rollouts.names('web')
    const next = other()
    const [rest, load] = [space.http({ host: still, perSecond: 100 }), space.http({ host, perSecond: 200 })]
    await sleep(2_000)
    await space.ingress({ name: 'web', host, to: next, annotations: fresh() })
    const name = await space.rollouts.next('web', known)
    await space.rollouts.reachesIndex(name, 1)
    await space.serves(host, [next, now, now, now, now])
    await outage()
    const end = await space.rollouts.reaches(name, ['Complete', 'RolledBack', 'Paused', 'Superseded'], 120_000)
    await space.serves(host, next)
    await Promise.all([rest.stop(), load.stop()])
    now = next
    expect(end.phase).toBe('Complete')
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1, 2, 5])
    for (const { records, connections } of [rest, load]) {
      expect(failuresOf(records)).toEqual({})
      expect(records.length).toBeGreaterThan(3_000)
      expect(connections.map(({ closedByPeer }) => closedByPeer)).toEqual([0, 0, 0, 0, 0])
    }
  },
  300_000,
)

describe('the operator is killed while a bad change is on the first pod', () => {
  it('the change is taken back afterwards, and never reaches another pod', async () => {
    const known = space.rollouts.names('web')
    const load = space.http({ host, perSecond: 200 })
    await sleep(2_000)
    await space.ingress({ name: 'web', host, to: 'bad', annotations: fresh() })
    const name = await space.rollouts.next('web', known)
    await space.rollouts.reachesIndex(name, 1)
    await operators.keepKilling(10_000)
    const end = await space.rollouts.reaches(name, ['RolledBack', 'Complete', 'Paused', 'Superseded'], 120_000)
    await space.serves(host, now)
    await load.stop()
    expect(end.phase).toBe('RolledBack')
    expect(ordinalsOf(load.records, 'bad')).toEqual([0])
    expect(failuresOf(load.records.filter(record => record.version !== 'bad'))).toEqual({})
  }, 240_000)
})
