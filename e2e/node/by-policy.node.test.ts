/** docs/which-revision.md where a policy governs: what an edit, a deletion and the end of the policy come to. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { firstAnswers, ordinalsOf } from './harness/load.ts'
import { ingress } from './harness/manifests.ts'
import { Operators } from './harness/operators.ts'
import { Space } from './harness/space.ts'
import { PREFIX, stamp, stamped } from './harness/stamps.ts'
import { waitFor } from './harness/wait.ts'

const ONLY_FIRST = (update: string, current: string): readonly string[] => [update, current, current, current, current]
/** Without traffic nothing is ever judged, so a first batch stays out for as long as a test needs it. */
const PATIENT = { deadline: '5m' }

let space: Space
let host: string
beforeAll(async () => {
  space = await Space.open('policy')
  await space.backends({ version: 'v1' }, { version: 'v2' }, { version: 'v3', status: 500 })
}, 180_000)
afterAll(() => space.close(), 90_000)

let n = 0
let name: string
/** One Ingress, served from v1 and governed. */
beforeEach(async () => {
  name = `web-${++n}`
  host = space.host(name)
  await space.ingress({ name, host, to: 'v1' })
  await space.serves(host, 'v1')
  await space.policy(1, { analysis: PATIENT })
}, 90_000)
/** Without its policy a deletion is no rollout. */
afterEach(async () => {
  await space.dropPolicy()
  await space.kubectl.delete(space.name, `ingress/${name}`)
  await waitFor(
    'the Ingress is gone',
    () => space.object('ingresses', name),
    found => found === null,
    {
      timeoutMs: 30_000,
    },
  )
}, 90_000)

const change = async (to: string): Promise<string> => {
  const known = space.rollouts.names(name)
  await space.ingress({ name, host, to })
  return space.rollouts.next(name, known)
}
const command = (rollout: string, spec: object): Promise<void> =>
  space.kubectl.patch(space.name, `ingressrollout/${rollout}`, { spec })

describe('governed by a policy', () => {
  it('first selected while it is served: no rollout', async () => {
    await sleep(2_000)
    expect(space.rollouts.names(name)).toEqual([])
    await space.keepsServing(host, 'v1', 1_000)
  }, 60_000)

  it('a pod killed in mid-rollout comes back with the released revision', async () => {
    await change('v2')
    await space.serves(host, ONLY_FIRST('v2', 'v1'))
    await space.replaceProxy(3)
    await space.keepsServing(host, ONLY_FIRST('v2', 'v1'), 1_000)
  }, 120_000)

  it('changed again in mid-rollout: the first is superseded, the next starts from the same current', async () => {
    const first = await change('v2')
    await space.serves(host, ONLY_FIRST('v2', 'v1'))
    const second = await change('v3')
    await space.rollouts.reaches(first, ['Superseded'], 30_000)
    await space.serves(host, ONLY_FIRST('500', 'v1'))
    // What pods wait for goes first: the status may be written after they serve it.
    const stable = (rollout: string): Promise<unknown> =>
      waitFor(
        `what ${rollout} may fall back to`,
        async () => {
          const status = (await space.object('ingressrollouts', rollout))?.['status'] as
            Record<string, unknown> | undefined
          return status?.['stableRevision']
        },
        revision => revision !== undefined,
      )
    expect(await stable(second)).toBe(await stable(first))
  }, 90_000)

  it('content equal to what is released ends a rollout at once', async () => {
    const rollout = await change('v2')
    await space.serves(host, ONLY_FIRST('v2', 'v1'))
    await space.ingress({ name, host, to: 'v1' })
    await space.rollouts.reaches(rollout, ['Superseded'], 30_000)
    await space.serves(host, 'v1')
  }, 90_000)

  it('stamps removed by kubectl replace are restored, and release nothing', async () => {
    await change('v2')
    await space.serves(host, ONLY_FIRST('v2', 'v1'))
    await space.kubectl.replace(ingress({ namespace: space.name, name, host, to: 'v2' }))
    const back = await waitFor(
      'the annotations are back',
      () => space.annotations(name),
      annotations => `${PREFIX}/ingress-rollout-index-id` in annotations,
    )
    expect(back).toMatchObject(stamped({ flag: 'true', index: 1 }))
    await space.keepsServing(host, ONLY_FIRST('v2', 'v1'))
  }, 90_000)

  it('flag false although the policy selects it: as governed', async () => {
    await space.kubectl.apply(
      ingress({ namespace: space.name, name, host, to: 'v2', annotations: stamped({ flag: 'false' }) }),
    )
    await space.event(`Ingress/${name}`, 'OptOutRefused')
    expect((await space.proxies.served(host)).slice(1)).toEqual(['v1', 'v1', 'v1', 'v1'])
  }, 60_000)

  it('edited while every operator is down, then a proxy is killed: old content on all, then the first batch', async () => {
    const operators = new Operators(space.cluster)
    await operators.stop()
    try {
      await space.ingress({ name, host, to: 'v2' })
      await space.keepsServing(host, 'v1')
      await space.replaceProxy(3, false)
      const load = space.http({ host, perSecond: 100 })
      const sinceStart = load.records.length
      await operators.start()
      await operators.ready()
      await space.proxyReady(3)
      await space.serves(host, ONLY_FIRST('v2', 'v1'), 60_000)
      // The load asks each proxy twenty times a second: it may not have met the batch yet.
      await waitFor(
        'the load meets the update',
        () => ordinalsOf(load.records, 'v2'),
        ordinals => ordinals.length > 0,
      )
      await load.stop()
      const seen = load.records.slice(sinceStart)
      expect(ordinalsOf(seen, 'v2')).toEqual([0])
      expect(ordinalsOf(seen, 'v1')).toEqual([0, 1, 2, 3, 4])
      const [old = Infinity] = firstAnswers(seen, 'v1', [0])
      const [fresh = 0] = firstAnswers(seen, 'v2', [0])
      expect(old).toBeLessThan(fresh)
    } finally {
      await operators.start()
      await operators.ready()
    }
  }, 240_000)
})

describe('it stops being governed', () => {
  it('policy deleted after a rollback: the bad revision stays in; other content goes out at once', async () => {
    const rollout = await change('v3')
    await space.serves(host, ONLY_FIRST('500', 'v1'))
    await command(rollout, { abort: true })
    await space.rollouts.reaches(rollout, ['RolledBack'], 30_000)
    await space.dropPolicy()
    await space.event(`Ingress/${name}`, 'UngovernedKept')
    await space.keepsServing(host, 'v1', 4_000)
    await space.ingress({ name, host, to: 'v2' })
    await space.serves(host, 'v2')
    await space.ingress({ name, host, to: 'v3' })
    await space.keepsServing(host, 'v2', 4_000)
  }, 120_000)

  it('policy deleted: the annotations that were written for it go', async () => {
    await change('v2')
    await space.serves(host, ONLY_FIRST('v2', 'v1'))
    await space.dropPolicy()
    const names = Object.keys(stamp({ flag: null, current: null, update: null, index: null }))
    await waitFor(
      'no rollout annotation is left',
      () => space.annotations(name),
      annotations => names.every(one => !(one in annotations)),
    )
    // Pods hear of it by the stream, the API server by a write: neither waits for the other.
    await space.serves(host, 'v1')
    await space.keepsServing(host, 'v1')
  }, 90_000)
})

describe('deletion', () => {
  it('in use goes on being served, also for who makes it again; it goes by itself when nobody asks any more', async () => {
    const { uid } = (await space.object('ingresses', name))?.metadata ?? {}
    const known = space.rollouts.names(name)
    const load = space.http({ host, perSecond: 50 })
    await sleep(1_500)
    await space.kubectl.delete(space.name, `ingress/${name}`)
    expect(await space.object('ingresses', name)).toBeNull()
    const rollout = await space.rollouts.next(name, known)
    expect(rollout).toBe(`ing-${name}-absent`)
    await space.rollouts.reaches(rollout, ['Paused'], 60_000)
    const { conditions } = (await space.object('ingressrollouts', rollout))?.['status'] as {
      readonly conditions: readonly Record<string, unknown>[]
    }
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'Paused', status: 'True', reason: 'InUse' }))
    await space.ingress({ name, host, to: 'v1' })
    await space.rollouts.reaches(rollout, ['Superseded'], 30_000)
    expect((await space.object('ingresses', name))?.metadata.uid).not.toBe(uid)
    await sleep(2_000)
    // Its rollout has the same name.
    await space.kubectl.delete(space.name, `ingress/${name}`)
    await space.rollouts.reaches(rollout, ['Paused'], 60_000)
    await load.stop()
    // Through two deletions and one creation nobody missed anything.
    expect(load.records.filter(({ status }) => status !== 200)).toEqual([])
    expect(load.records.length).toBeGreaterThan(100)
    await space.rollouts.reaches(rollout, ['Complete'], 150_000)
    await space.serves(host, '404')
  }, 300_000)

  it('in use goes at once when someone promotes it', async () => {
    const known = space.rollouts.names(name)
    const load = space.http({ host, perSecond: 50 })
    await sleep(1_500)
    await space.kubectl.delete(space.name, `ingress/${name}`)
    const rollout = await space.rollouts.next(name, known)
    await space.rollouts.reaches(rollout, ['Paused'], 60_000)
    await load.stop()
    await command(rollout, { promote: true })
    await space.rollouts.reaches(rollout, ['Complete'], 30_000)
    await space.serves(host, '404')
  }, 150_000)

  it('a namespace with governed objects, one of them in mid-rollout, can be deleted', async () => {
    const other = await Space.open('policy-ns')
    try {
      const there = other.host()
      await other.backends({ version: 'v1' }, { version: 'v2' })
      await other.ingress({ name: 'web', host: there, to: 'v1' })
      await other.ingress({ name: 'quiet', host: other.host('quiet'), to: 'v1' })
      await other.serves(there, 'v1')
      await other.policy(2, { analysis: PATIENT })
      await other.ingress({ name: 'web', host: there, to: 'v2' })
      await other.serves(there, ONLY_FIRST('v2', 'v1'))
      // Gone, and still served when the namespace goes.
      await other.kubectl.delete(other.name, 'ingress/quiet')
      await other.kubectl.ok(['delete', 'namespace', other.name, '--timeout=60s'])
      await other.serves(there, '404')
      expect(await other.cluster.api.get('namespaces', other.name)).toBeNull()
    } finally {
      await other.close()
    }
  }, 240_000)
})
