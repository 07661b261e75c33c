import { describe, expect, it } from '@jest/globals'
import { NOBODY } from '../assign/testing.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { IngressRolloutPolicyStatus } from '../model/generated/crds.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { policy } from '../pipeline/testing.ts'
import type { PolicyChange } from '../pipeline/testing.ts'
import { Policies } from './policies.ts'
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
    for (const bad of [{ bakeTime: 'soon' }, { batches: [] }, { analysis: {} }]) {
      const malformed = policy({ generation: 2, spec: bad })
      policies.upsert(malformed)
      expect(policies.all).toMatchObject([{ name: 'default', maxConcurrent: 3, generation: 1 }])
    }
    await policies.writeStatus(api.client(), [], yes, NOW)
    const [accepted] = statusOf(api).conditions ?? []
    expect(accepted).toMatchObject({ type: 'Accepted', status: 'False', reason: 'Malformed' })
    expect(accepted?.message).toContain('IngressRolloutPolicy default: spec.analysis has no gate')
    expect(accepted?.message).toContain('the last version that could be read stays in force')
    expect(statusOf(api)).toMatchObject({ batches: '1, 100%' })
    policies.upsert(policy({ generation: 3, spec: { maxConcurrent: 4 } }))
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
    expect(statusOf(api, 'other').conditions?.[0]?.message).toBe('governs 1 object')
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
