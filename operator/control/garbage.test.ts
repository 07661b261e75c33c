/** Kubernetes' garbage collector and IngressRollouts, which are owned by their objects. */
import { describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { TLS, WEB, ingress, policy, secret, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster, governed, outcomeOf } from './testing.ts'

const DELETION = 'shop/ing-web-absent'

const given = (leader: LeaderProcess): readonly (string | null)[] => [0, 1, 2].map(o => leader.given(WEB, o))
const phaseOf = (api: FakeApi, name = DELETION): string | undefined =>
  (api.object('ingressrollouts', name)?.status as IngressRolloutStatus | undefined)?.phase
const names = (api: FakeApi): readonly string[] => api.all('ingressrollouts').map(({ metadata }) => metadata.name)
const change = (api: FakeApi, host: string): void => {
  api.edit('ingresses', 'shop/web', { spec: ingress({ host }).spec })
}

describe('garbage', () => {
  it('is every rollout of an object that is gone, but not that of its deletion', async () => {
    const [api, leader] = await governed()
    const [stable] = given(leader)
    change(api, 'b.example')
    await leader.seconds(8)
    expect(names(api)).toHaveLength(1)
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    api.collectGarbage()
    await leader.settle()
    expect([names(api), phaseOf(api)]).toEqual([['ing-web-absent'], 'Progressing'])
    expect(given(leader)).toEqual([null, expect.any(String), expect.any(String)])
    expect(given(leader)[2]).not.toBe(stable)
    await leader.seconds(8)
    api.collectGarbage()
    await leader.settle()
    expect([phaseOf(api), given(leader), (await outcomeOf(api)).record]).toEqual(['Complete', [null, null, null], null])
    expect(leader.errors).toEqual([])
  })

  it('is not the rollout of a deletion in the foreground either', async () => {
    const [api, leader] = await governed()
    const [stable] = given(leader)
    api.removeInForeground('ingresses', 'shop/web')
    await leader.settle()
    expect(given(leader)).toEqual([null, stable, stable])
    api.collectGarbage()
    await leader.settle()
    expect([api.object('ingresses', 'shop/web'), phaseOf(api)]).toEqual([null, 'Progressing'])
    await leader.seconds(8)
    expect([phaseOf(api), given(leader)]).toEqual(['Complete', [null, null, null]])
  })

  it('is a rollout under way, whose revision leaves the pods though the deletion has to wait', async () => {
    const [api, leader] = await governed()
    const [stable] = given(leader)
    change(api, 'bad.example')
    await leader.settle()
    expect(given(leader)).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    // Somebody else has the host.
    leader.turns.claim(
      'other',
      {
        object: 'Ingress/shop/other',
        policy: 'default',
        requests: ['shop.example'],
        handshakes: [],
        shrinks: false,
        since: 0,
      },
      'runs',
    )
    api.removeInForeground('ingresses', 'shop/web')
    api.collectGarbage()
    await leader.settle()
    expect(given(leader)).toEqual([stable, stable, stable])
    expect([names(api), phaseOf(api)]).toEqual([['ing-web-absent'], 'Pending'])
    leader.turns.release('other')
    await leader.seconds(10)
    expect([api.object('ingresses', 'shop/web'), phaseOf(api)]).toEqual([null, 'Complete'])
  })

  it('is the rollout of a Secret that is deleted: pods keep its last good certificate, and its successor goes on', async () => {
    const authority = await Authority.root('Root')
    const [first, second, third] = await Promise.all(
      [1, 2, 3].map(() => authority.issue({ hosts: ['shop.example'], notBefore: new Date('2025-12-01') })),
    )
    const api = cluster(
      ['ingresses', ingress({ tls: ['tls'] })],
      ['secrets', secret(first!, { uid: 'one' })],
      ['services', service('web')],
      ['endpointslices', slice('web', '198.18.0.1')],
    )
    const leader = await new LeaderProcess(api).start()
    api.put('ingressrolloutpolicies', policy())
    await leader.settle()
    const certificates = (): readonly (string | null)[] => [0, 1, 2].map(o => leader.given(TLS, o))
    const [stable] = certificates()
    expect(stable).not.toBeNull()
    leader.onUpdate = {}
    api.edit('secrets', 'shop/tls', { data: secret(second!).data! })
    await leader.settle()
    expect(certificates()).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    api.remove('secrets', 'shop/tls')
    api.collectGarbage()
    await leader.settle()
    expect([certificates(), names(api)]).toEqual([[stable, stable, stable], []])
    // Whoever wonders where the Secret is finds a word of it.
    expect(leader.said.filter(word => word.includes('StillNeeded'))).toHaveLength(1)
    leader.onUpdate = { requests: 1000, handshakes: 1000 }
    api.put('secrets', secret(third!, { uid: 'two' }))
    await leader.settle()
    expect(certificates()).toEqual([expect.not.stringMatching(stable ?? ''), stable, stable])
    await leader.seconds(10)
    expect([leader.turns.size, leader.errors]).toEqual([0, []])
    expect(new Set(certificates()).size).toBe(1)
    expect(certificates()[0]).not.toBe(stable)
  })

  it('of an operator without owner references is swept an hour after its end', async () => {
    const [api, leader] = await governed()
    const objectRef = { kind: 'Ingress', name: 'gone', uid: 'u-gone' }
    const old = (name: string, ended: string, owners: readonly string[]): void => {
      const ownerReferences = owners.map(uid => ({
        ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'gone', uid },
      }))
      api.put('ingressrollouts', {
        metadata: { name, namespace: 'shop', ownerReferences },
        spec: { objectRef, revision: name.slice(9) },
        status: { phase: 'Complete', attempt: 1, observedGeneration: 1, finishedAt: ended },
      })
    }
    const ago = (minutes: number): string => new Date(leader.clock.wall().getTime() - minutes * 60_000).toISOString()
    old('ing-gone-a', ago(70), [])
    old('ing-gone-b', ago(50), [])
    // That is the garbage collector's.
    old('ing-gone-c', ago(70), ['u-gone'])
    await leader.settle()
    expect(names(api)).toEqual(['ing-gone-b', 'ing-gone-c'])
    expect((await outcomeOf(api)).record).not.toBeNull()
  })
})
