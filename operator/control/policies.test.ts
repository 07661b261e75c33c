import { describe, expect, it } from '@jest/globals'
import { NOBODY } from '../assign/testing.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { IngressRolloutPolicyStatus } from '../model/generated/crds.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { policy } from '../pipeline/testing.ts'
import type { PolicyChange } from '../pipeline/testing.ts'
import { Policies } from './policies.ts'
import { Rollouts, pausedByPolicy } from './rollouts.ts'
import { viewOf } from './testing-views.ts'

const NOW = '2026-01-01T00:00:00Z'
const yes = (): boolean => true

function known(...changes: readonly PolicyChange[]): { readonly api: FakeApi; readonly policies: Policies } {
  const api = new FakeApi()
  const policies = new Policies()
  for (const change of changes) policies.upsert(api.put('ingressrolloutpolicies', policy(change)))
  return { api, policies }
}
const statusOf = (api: FakeApi, name = 'default'): IngressRolloutPolicyStatus =>
  api.object('ingressrolloutpolicies', name)?.status as IngressRolloutPolicyStatus

describe('Policies', () => {
  it('a version that cannot be read leaves the last one in force, and says so', async () => {
    const { api, policies } = known({ spec: { maxConcurrent: 3 } })
    let generation = 2
    for (const bad of [{ bakeTime: 'soon' }, { batches: [] }, { analysis: {} }]) {
      const malformed = policy({ generation: generation++, spec: bad })
      policies.upsert(malformed)
      expect(policies.all).toMatchObject([{ name: 'default', maxConcurrent: 3, generation: 1 }])
    }
    await policies.writeStatus(api.client(), [], yes, NOW)
    const accepted = statusOf(api).conditions?.at(-1)
    expect(accepted).toMatchObject({ type: 'Accepted', status: 'False', reason: 'Malformed' })
    expect(accepted?.message).toContain('IngressRolloutPolicy default: spec.analysis has no gate')
    expect(accepted?.message).toContain('the last version that could be read stays in force')
    expect(statusOf(api)).toMatchObject({ batches: '1, 100%' })
    policies.upsert(policy({ generation, spec: { maxConcurrent: 4 } }))
    expect(policies.all).toMatchObject([{ maxConcurrent: 4 }])
  })

  it('one that could never be read governs nothing, and one that is gone neither', () => {
    const { policies } = known({ spec: { bakeTime: 'soon' } }, { name: 'other' })
    expect(policies.all.map(({ name }) => name)).toEqual(['other'])
    policies.remove(policy({ name: 'other' }))
    expect(policies.all).toEqual([])
  })

  it('counts what each governs', async () => {
    const { api, policies } = known({}, { name: 'other' })
    const by = (name: string): ObjectView => viewOf({ governance: { by: 'policy', policy: name, manual: false } })
    const views = [
      ...[by('default'), by('default'), by('other')],
      viewOf({ governance: NOBODY }),
      viewOf({ content: null }),
      // Of another class, and never governed: none of ours.
      viewOf({ source: { ours: false }, record: null }),
    ]
    await policies.writeStatus(api.client(), views, yes, NOW)
    expect([statusOf(api).governedObjects, statusOf(api, 'other').governedObjects]).toEqual([2, 1])
    expect(statusOf(api, 'other').conditions?.at(-1)?.message).toBe('governs 1 object')
  })

  it.each([
    ['that is followed', {}, ['Ready', 'Accepted'], 'Accepted'],
    ['that cannot be read', { bakeTime: 'soon' }, ['Stalled'], 'Malformed'],
  ])('one %s says so for kstatus, of the generation that was read', async (_what, spec, holding, reason) => {
    const { api, policies } = known({ generation: 7, spec })
    await policies.writeStatus(api.client(), [], yes, NOW)
    const { conditions = [], observedGeneration } = statusOf(api)
    expect(conditions.map(({ type }) => type)).toEqual(['Ready', 'Reconciling', 'Stalled', 'Accepted'])
    expect(conditions.filter(({ status }) => status === 'True').map(({ type }) => type)).toEqual(holding)
    expect(new Set(conditions.map(one => one.reason))).toEqual(new Set([reason]))
    const { generation } = api.object('ingressrolloutpolicies', 'default')?.metadata ?? {}
    expect([observedGeneration, ...conditions.map(one => one.observedGeneration)]).toEqual(
      Array.from({ length: 5 }, () => generation),
    )
  })

  it('counts what waits and what was taken back', async () => {
    const { api, policies } = known({}, { name: 'other' })
    const back = { record: { refused: ['v2'] } }
    const views = [viewOf({ content: 'v2', ...back }), viewOf(back), viewOf({ content: 'v2' })]
    const rollouts = new Rollouts()
    for (const [i, [phase, by]] of (
      [
        ['Paused', 'default'],
        ['Paused', 'default'],
        ['Progressing', 'default'],
        ['Paused', 'other'],
      ] as const
    ).entries()) {
      const objectRef = { kind: 'Ingress', name: `o${i}`, uid: `u${i}` }
      const metadata = { name: `ing-o${i}-v2`, namespace: 'shop' }
      rollouts.put(
        api.put('ingressrollouts', {
          ...{ metadata, spec: { objectRef, revision: 'v2' }, status: { phase, policy: by } },
        }),
      )
    }
    await policies.writeStatus(api.client(), views, yes, NOW, pausedByPolicy(rollouts.open()))
    expect(statusOf(api)).toMatchObject({ governedObjects: 3, pausedRollouts: 2, refusedObjects: 1 })
    expect(statusOf(api, 'other')).toMatchObject({ governedObjects: 0, pausedRollouts: 1, refusedObjects: 0 })
  })

  it('does not take its own status for a change of the policy', () => {
    const { api, policies } = known()
    const made = api.put('ingressrolloutpolicies', policy({}))
    expect(policies.upsert(made)).toBe(true)
    expect(policies.upsert({ ...made, status: { governedObjects: 1 } } as typeof made)).toBe(false)
    expect(policies.upsert({ ...made, metadata: { ...made.metadata, generation: 9 } })).toBe(true)
    // Deleted and made again while nobody watched.
    expect(policies.upsert({ ...made, metadata: { ...made.metadata, generation: 9, uid: 'another' } })).toBe(true)
  })

  it('writes only what differs, and everything again for a new leader', async () => {
    const { api, policies } = known({})
    const write = (views: readonly ObjectView[]): Promise<void> => policies.writeStatus(api.client(), views, yes, NOW)
    await write([])
    await write([])
    expect(api.writes).toBe(1)
    await write([viewOf()])
    expect(api.writes).toBe(2)
    policies.upsert(policy({ generation: 2 }))
    await write([viewOf()])
    expect(api.writes).toBe(3)
    policies.lead()
    await write([viewOf()])
    expect(api.writes).toBe(4)
  })

  it('tries again after a write that failed, and does not mind a policy that was deleted', async () => {
    const { api, policies } = known({})
    api.fail(new Map([[1, 'lost']]))
    await expect(policies.writeStatus(api.client(), [], yes, NOW)).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    await policies.writeStatus(api.client(), [], yes, NOW)
    expect(statusOf(api).governedObjects).toBe(0)
    api.remove('ingressrolloutpolicies', 'default')
    await policies.writeStatus(api.client(), [viewOf()], yes, NOW)
    await expect(policies.writeStatus(api.client(), [], () => false, NOW)).rejects.toMatchObject({
      name: 'NotLeaderError',
    })
  })
})
