/** An API server that begins to default one more field in every Ingress. */
import { expect, it } from '@jest/globals'
import { WEB, ingress, policy, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster } from './testing.ts'

it('a field that is not known starts no rollout, is not written, and is on no pod', async () => {
  const api = cluster(
    ['ingresses', ingress()],
    ['services', service('web')],
    ['endpointslices', slice('web', '198.18.0.1')],
    ['ingressrolloutpolicies', policy()],
  )
  const leader = await new LeaderProcess(api).start()
  const before = [leader.given(WEB, 0), leader.view().source?.revision]
  const writes = api.writes
  const spec = { ...(ingress().spec as object), trafficDistribution: 'PreferClose' }
  api.edit('ingresses', 'shop/web', { spec })
  await leader.settle()
  expect(leader.view().source?.unknownFields).toEqual(['spec.trafficDistribution'])
  expect([leader.given(WEB, 0), leader.view().source?.revision]).toEqual(before)
  expect([api.writes - writes, api.all('ingressrollouts')]).toEqual([0, []])
})
