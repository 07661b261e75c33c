import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../pki/pki.ts'
import { tlsSecret } from './harness/manifests.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const FIRST_ONLY = ['v2', 'v1', 'v1', 'v1', 'v1'] as const

describe('under a policy, without traffic, an Ingress that is new', () => {
  let space: Space
  let host: string

  beforeAll(async () => {
    space = await Space.open('creation')
    host = space.host()
    await space.backends({ version: 'v1' }, { version: 'v2' })
    await space.policy(0, { analysis: { deadline: '5m' } })
  }, 180_000)
  afterAll(() => space.close(), 90_000)

  it('is served by every pod at once where nobody served its host, its certificate, too; and says why', async () => {
    const authority = await Authority.root('Creation')
    await space.ingress({ name: 'web', host, to: 'v1', secret: 'web-tls' })
    await space.serves(host, 'v1')
    await space.kubectl.apply(tlsSecret(space.name, 'web-tls', await authority.issue({ hosts: [host] })))
    await waitFor(
      'every proxy shows the certificate',
      () => space.proxies.issuers(host),
      (got: readonly string[]) => got.every(issuer => issuer === 'Creation'),
    )
    expect([...space.rollouts.names('web'), ...space.rollouts.names('web-tls')]).toEqual([])
    const events = await space.kubectl.ok(['get', 'events', '-n', space.name, '--field-selector', 'reason=Released'])
    expect(events).toMatch(/ingress\/web +revision \S+ is released to all pods at once: it is new and takes nothing/)
  }, 90_000)

  it('with a path below one that is served is rolled out: some would notice', async () => {
    await space.ingress({ name: 'api', host, paths: [{ path: '/api', to: 'v2' }] })
    await space.rollouts.next('api')
    await space.serves(host, FIRST_ONLY, 20_000, '/api')
    await space.serves(host, 'v1')
  }, 60_000)

  it('for an ACME challenge on a served host is nobody’s rollout: every pod answers', async () => {
    const path = '/.well-known/acme-challenge/token-1'
    await space.ingress({ name: 'solver', host, paths: [{ path, to: 'v2' }] })
    await space.serves(host, 'v2', 20_000, path)
    expect(space.rollouts.names('solver')).toEqual([])
    expect((await space.object('ingresses', 'solver'))?.metadata.finalizers ?? []).toEqual([])
  }, 60_000)
})
