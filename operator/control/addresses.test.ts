import { describe, expect, it } from '@jest/globals'
import type { Service } from '../kube/objects.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { ingress } from '../pipeline/testing.ts'
import { Addresses } from './addresses.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const balanced = (...addresses: readonly object[]): Service =>
  ({ metadata: { name: 'sluice-proxy' }, status: { loadBalancer: { ingress: addresses } } }) as Service

/** The Ingress's status after a look, and how many writes that took. */
async function after(
  service: Service | null,
  status: object | undefined,
  of: ViewOf = {},
): Promise<readonly [unknown, number]> {
  const api = new FakeApi()
  const raw = api.put('ingresses', { ...ingress(), ...(status === undefined ? {} : { status }) })
  const addresses = new Addresses({ client: api.client(), service: () => service })
  await addresses.write({ ...viewOf(of), raw: raw })
  return [api.object('ingresses', 'shop/web')?.status, api.writes]
}

const IP = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } }

describe('Addresses', () => {
  it('writes what the Service has, without its ports', async () => {
    const service = balanced({ ip: '192.0.2.1', ports: [] }, { hostname: 'lb.example' })
    expect(await after(service, undefined)).toEqual([
      { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }] } },
      1,
    ])
  })

  it('writes nothing where it is there already', async () => {
    expect(await after(balanced({ ip: '192.0.2.1' }), IP)).toEqual([IP, 0])
    expect(await after(balanced(), undefined)).toEqual([undefined, 0])
  })

  it('takes away what the Service lost', async () => {
    expect(await after(balanced(), IP)).toEqual([{ loadBalancer: { ingress: [] } }, 1])
    expect(await after(balanced({ ip: '192.0.2.2' }), IP)).toEqual([
      { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } },
      1,
    ])
  })

  it('leaves alone what is not ours, what is being deleted, and everything while there is no Service', async () => {
    for (const source of [{ ours: false }, { deleting: true }])
      expect(await after(balanced({ ip: '192.0.2.9' }), IP, { source })).toEqual([IP, 0])
    expect(await after(null, IP)).toEqual([IP, 0])
    expect(await after(balanced({ ip: '192.0.2.9' }), IP, { content: null })).toEqual([IP, 0])
  })
})
