/** Writes that the API server refuses for good, while a bad revision is on a pod: it is taken back all the same. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { KubeError } from '../kube/errors.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { PREFIX, WEB, ingress, policy, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster } from './testing.ts'

const SPEC = {
  batches: [{ pods: 1 }, { pods: '100%' }],
  bakeTime: '30s',
  analysis: { interval: '1s', minRequests: 100, successRate: { min: 99 }, deadline: '60s' },
}
const BAD = { requests: 1000, failures: 1000 }

async function governed(): Promise<{ readonly api: FakeApi; readonly leader: LeaderProcess }> {
  const api = cluster(
    ['ingresses', ingress()],
    ['ingresses', ingress({ name: 'other', uid: 'u-other', host: 'other.example' })],
    ['services', service('web')],
    ['endpointslices', slice('web', '198.18.0.1')],
  )
  const leader = await new LeaderProcess(api).start()
  api.put('ingressrolloutpolicies', policy({ spec: SPEC }))
  await leader.settle()
  return { api, leader }
}

const given = (leader: LeaderProcess): readonly (string | null)[] => [0, 1, 2].map(o => leader.given(WEB, o))
const phases = (api: FakeApi): readonly unknown[] =>
  api.all('ingressrollouts').map(({ status }) => (status as { readonly phase?: unknown } | undefined)?.phase)

it('content whose record no Secret can hold is not released, and the object says why', async () => {
  const { api, leader } = await governed()
  const before = given(leader)
  const annotations = { [`${PREFIX}/server-snippet`]: randomBytes(1_300_000).toString('hex') }
  api.edit('ingresses', 'shop/web', { metadata: { annotations }, spec: ingress({ host: 'large.example' }).spec })
  // No longer: each look makes the whole of it small again.
  await leader.seconds(1)
  expect(given(leader)).toEqual(before)
  expect(leader.said).toContainEqual(expect.stringMatching(`^refused: .* of ${WEB}$`))
}, 30_000)

describe('a bad revision leaves the pods', () => {
  it('where the IngressRollout of the next content cannot be made (a quota, a webhook)', async () => {
    const { api, leader } = await governed()
    const [stable] = given(leader)
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'bad.example' }).spec })
    await leader.seconds(2)
    expect(given(leader)).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    const refusal = new KubeError('KUBE_FORBIDDEN', 'exceeded quota: count/ingressrollouts')
    api.deny(write => (write.startsWith('create IngressRollout ') ? refusal : null))
    leader.onUpdate = BAD
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'fix.example' }).spec })
    await leader.seconds(2)
    expect([given(leader), phases(api)]).toEqual([[stable, stable, stable], ['Superseded']])
    expect(leader.said).toContain(`refused: the IngressRollout of ${WEB}`)
  })

  it.each([
    ['no annotation or finalizer of the object (a webhook that is down)', 'patch Ingress web'],
    ['no status of the IngressRollout (a permission that is missing)', 'status of IngressRollout '],
  ])('where the API server takes %s', async (_what, denied) => {
    const { api, leader } = await governed()
    const [stable] = given(leader)
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'bad.example' }).spec })
    await leader.seconds(2)
    expect(given(leader)).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    const refusal = new KubeError('KUBE_INVALID', 'admission webhook denied the request')
    let refused = 0
    api.deny(write => {
      if (!write.startsWith(denied)) return null
      refused++
      return refusal
    })
    // There is something to be said on the object now, before its rollout is looked at.
    api.remove('services', 'shop/web')
    await leader.seconds(1)
    leader.onUpdate = BAD
    await leader.seconds(10)
    expect(given(leader)).toEqual([stable, stable, stable])
    expect(refused).toBeGreaterThan(0)
    if (denied.startsWith('patch'))
      expect(leader.said).toContain(`refused: annotations, finalizer and record of ${WEB}`)
  })

  it('where newer content came, and has to wait for its turn', async () => {
    const { api, leader } = await governed()
    const [stable] = given(leader)
    leader.onUpdate = { requests: 0 }
    api.edit('ingresses', 'shop/other', { spec: ingress({ host: 'other2.example' }).spec })
    await leader.seconds(3)
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'bad.example' }).spec })
    await leader.seconds(3)
    const [bad] = given(leader)
    expect(bad).not.toBe(stable)
    // On a host that the other one's rollout holds.
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'other.example' }).spec })
    await leader.seconds(3)
    expect(given(leader)).toEqual([stable, stable, stable])
    expect(phases(api)).toContain('Pending')
  })
})
