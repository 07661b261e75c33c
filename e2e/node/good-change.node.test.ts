import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { ConsistencySample } from './harness/consistency.ts'
import { ConsistencyWatch, everyPodConsistent } from './harness/consistency.ts'
import { failuresOf, firstAnswers, lastAsked, ordinalsOf } from './harness/load.ts'
import type { NodeLoad } from './harness/load.ts'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'

const BAKE_MS = 2_000
const WARM_UP_MS = 2_000
/** So many that one failure in a hundred would not go unseen, however slow the machine. */
const ENOUGH = 1_000

/** One good change under load; every test below looks at the same run. */
describe('a good change of a governed Ingress', () => {
  let space: Space
  let load: NodeLoad
  let name: string
  let wait: { readonly code: number | null; readonly stdout: string; readonly stderr: string }
  let samples: readonly ConsistencySample[]
  let endIndex: number

  beforeAll(async () => {
    space = await Space.open('good')
    await space.backends({ version: 'v1', replicas: 2 }, { version: 'v2', replicas: 2 })
    await space.ingress({ name: 'web', host: space.host(), to: 'v1' })
    await space.serves(space.host(), 'v1')
    await space.policy(1, { bakeTime: `${BAKE_MS / 1_000}s` })
    load = space.http({ host: space.host(), perSecond: 350 })
    await new Promise(resolve => setTimeout(resolve, WARM_UP_MS))
    await space.ingress({ name: 'web', host: space.host(), to: 'v2' })
    name = await space.rollouts.next('web')
    const waiting = space.kubectl.run([
      ...['wait', '--for=condition=Complete', `ingressrollout/${name}`, '-n', space.name, '--timeout=90s'],
    ])
    await space.rollouts.reachesIndex(name, 1)
    // The announced revision changed just now; from when all pods said that they have it, nothing may change any more.
    await everyPodConsistent(space.cluster)
    const consistency = new ConsistencyWatch(space.cluster)
    await space.rollouts.reaches(name, ['Complete', 'RolledBack', 'Paused', 'Superseded'], 90_000)
    samples = await consistency.stop()
    wait = await waiting
    await space.serves(space.host(), 'v2')
    endIndex = load.records.length
    await new Promise(resolve => setTimeout(resolve, 1_000))
    while (load.records.length < ENOUGH) await new Promise(resolve => setTimeout(resolve, 100))
    await load.stop()
  }, 240_000)
  afterAll(() => space.close(), 90_000)

  it('fails no request, whichever pod is asked', () => {
    expect(failuresOf(load.records)).toEqual({})
    expect(ordinalsOf(load.records, 'v1')).toEqual([0, 1, 2, 3, 4])
    expect(ordinalsOf(load.records, 'v2')).toEqual([0, 1, 2, 3, 4])
    expect(load.connections.map(({ closedByPeer }) => closedByPeer)).toEqual([0, 0, 0, 0, 0])
  })

  it('goes through its batches in order', () => {
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1, 2, 5])
  })

  it('reaches the pods of each batch only after the batch before has baked', () => {
    const [first = Infinity, second = Infinity, ...others] = firstAnswers(load.records, 'v2', space.proxies.ordinals)
    // A pod had changed before it was first seen to: the bake began no sooner than its last old answer was asked for.
    const [before = Infinity, between = Infinity] = lastAsked(load.records, 'v1', space.proxies.ordinals)
    expect(second - before).toBeGreaterThanOrEqual(BAKE_MS)
    expect(Math.min(...others) - between).toBeGreaterThanOrEqual(BAKE_MS)
    expect(Math.min(second - first, Math.min(...others) - second)).toBeGreaterThan(BAKE_MS / 2)
    expect(Math.max(...others)).toBeLessThan(Infinity)
    const last = load.records.slice(endIndex)
    expect(ordinalsOf(last, 'v2')).toEqual([0, 1, 2, 3, 4])
    // Requests that were under way when the last pod was seen to have changed may still end.
    expect(last.filter(record => record.version === 'v1').length).toBeLessThan(50)
  })

  it('is acknowledged by every pod', async () => {
    const rollout = await space.object('ingressrollouts', name)
    expect(rollout?.['status']).toMatchObject({
      phase: 'Complete',
      index: -1,
      pods: { ready: 5, updated: 5, acknowledged: 5, summary: '5/5' },
    })
  })

  it('can be waited for with kubectl', () => {
    expect(wait).toMatchObject({ code: 0, stderr: '' })
    expect(wait.stdout).toContain('condition met')
  })

  it('has the name that a pipeline computes, and passed its gates on figures', async () => {
    const rollout = await space.object('ingressrollouts', name)
    const { revision } = rollout?.['spec'] as { readonly revision: string }
    expect(name).toBe(`ing-web-${revision}`)
    const { gates } = rollout?.['status'] as { readonly gates: readonly Record<string, unknown>[] }
    expect(gates).toContainEqual(expect.objectContaining({ name: 'successRate', verdict: 'pass' }))
    expect(gates.filter(gate => gate['verdict'] === 'fail')).toEqual([])
  })

  it('leaves current and update equal, with index -1, on the Ingress', async () => {
    const annotations = await space.annotations('web')
    const stem = 'nginx.ingress.kubernetes.io/ingress-rollout'
    expect(annotations[stem]).toBe('true')
    expect(annotations[`${stem}-index-id`]).toBe('-1')
    expect(`ing-web-${annotations[`${stem}-update-revision`] ?? ''}`).toBe(name)
    expect(annotations[`${stem}-current-revision`]).toBe(annotations[`${stem}-update-revision`])
  })

  it('keeps every pod consistent with the published checksum, which does not change on the way', () => {
    expect(samples.length).toBeGreaterThan(10)
    expect([...new Set(samples.map(({ pods }) => pods))]).toEqual(['5/5'])
    expect(new Set(samples.map(({ checksum }) => checksum)).size).toBe(1)
  })
})
