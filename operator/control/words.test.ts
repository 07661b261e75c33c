/** Nobody is told of a fault where there is none: what a person reads while objects come and go as they should. */
import { describe, expect, it } from '@jest/globals'
import { KubeError } from '../kube/errors.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { ingress, policy, service, slice } from '../pipeline/testing.ts'
import { CONDITIONS_ANNOTATION } from '../status/object-conditions.ts'
import { LeaderProcess, cluster } from './testing.ts'

async function young(): Promise<readonly [FakeApi, LeaderProcess]> {
  const api = cluster(['services', service('web')], ['endpointslices', slice('web', '198.18.0.1')])
  api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
  const leader = await new LeaderProcess(api).start()
  api.put('ingresses', ingress({ uid: 'young' }))
  return [api, leader]
}
const conditions = (api: FakeApi): unknown =>
  api.object('ingresses', 'shop/web')?.metadata.annotations?.[CONDITIONS_ANNOTATION]

describe('a new governed object', () => {
  it('has no annotations that could be missing', async () => {
    const [api, leader] = await young()
    await leader.seconds(10)
    expect([leader.said, conditions(api)]).toEqual([['ended Complete'], undefined])
  })

  it('not even where the first stamp meets a write of somebody else', async () => {
    const [api, leader] = await young()
    let conflicts = 0
    api.deny(what => {
      if (what !== 'patch Ingress web' || api.all('ingressrollouts').length === 0 || conflicts++ > 0) return null
      return new KubeError('KUBE_CONFLICT', 'the object was changed')
    })
    await leader.seconds(10)
    expect([conflicts > 1, leader.said]).toEqual([true, ['ended Complete']])
  })

  it('that loses its annotations later is told of', async () => {
    const [api, leader] = await young()
    await leader.seconds(10)
    const { annotations = {} } = api.object('ingresses', 'shop/web')?.metadata ?? {}
    const nothing = Object.fromEntries(Object.keys(annotations).map(name => [name, null]))
    api.edit('ingresses', 'shop/web', { metadata: { annotations: nothing } })
    await leader.settle()
    expect(leader.said).toEqual(['ended Complete', 'Released=False StampMissing'])
    expect(api.object('ingresses', 'shop/web')?.metadata.annotations).toEqual(annotations)
  })

  it.each([
    [0, false],
    [1, false],
    [2, false],
    [5, false],
    [0, true],
    [1, true],
    [2, true],
    [5, true],
  ])('that is deleted after %s s is deleted, and nothing else is said (conflict: %s)', async (seconds, conflict) => {
    const [api, leader] = await young()
    await leader.settle()
    await leader.seconds(seconds)
    const seen: unknown[] = []
    let conflicts = conflict ? 0 : 1
    api.deny(what => {
      if (what !== 'patch Ingress web' || conflicts++ > 0) return null
      return new KubeError('KUBE_CONFLICT', 'the object was changed')
    })
    api.remove('ingresses', 'shop/web')
    for (let i = 0; i < 10; i++) {
      await leader.seconds(1)
      seen.push(conditions(api))
    }
    expect(api.object('ingresses', 'shop/web')).toBeNull()
    expect(leader.said.filter(word => !word.startsWith('ended'))).toEqual([])
    expect(seen.filter(text => text !== undefined)).toEqual([])
    expect(api.all('ingressrollouts').map(({ status }) => (status as { message?: string }).message)).not.toContainEqual(
      expect.stringContaining('policy governs'),
    )
  })
})

describe('a Service that goes before its Ingress', () => {
  it('is nothing that is written into the Ingress, and one that stays away is', async () => {
    const [api, leader] = await young()
    await leader.seconds(10)
    const before = api.object('ingresses', 'shop/web')
    api.remove('services', 'shop/web')
    await leader.seconds(2)
    expect(api.object('ingresses', 'shop/web')).toEqual(before)
    await leader.seconds(5)
    expect(conditions(api)).toContain('ServiceNotFound')
    api.put('services', service('web'))
    await leader.settle()
    expect(conditions(api)).toBeUndefined()
    api.remove('services', 'shop/web')
    await leader.seconds(1)
    api.remove('ingresses', 'shop/web')
    await leader.seconds(10)
    expect(leader.said.filter(word => word.includes('NotFound'))).toHaveLength(1)
  })
})
