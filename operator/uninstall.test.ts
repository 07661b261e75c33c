import { beforeEach, describe, expect, it } from '@jest/globals'
import { FINALIZER } from './control/finalizer.ts'
import { KubeError } from './kube/errors.ts'
import type { Lease } from './kube/objects.ts'
import { FakeApi } from './kube/testing/fake-api.ts'
import type { FakeClient } from './kube/testing/fake-api.ts'
import { ingress, object } from './pipeline/testing.ts'
import { CONDITIONS_ANNOTATION } from './status/object-conditions.ts'
import { uninstall } from './uninstall.ts'

const PREFIX = 'nginx.ingress.kubernetes.io'
const SYSTEM = 'sluice-system'
const config = { namespace: SYSTEM, annotationPrefix: PREFIX }
const stamp = (kind: string): Readonly<Record<string, string>> => ({
  [`${PREFIX}/${kind}-rollout`]: 'true',
  [`${PREFIX}/${kind}-rollout-current-revision`]: 'a',
  [`${PREFIX}/${kind}-rollout-update-revision`]: 'b',
  [`${PREFIX}/${kind}-rollout-index-id`]: '1',
  [CONDITIONS_ANNOTATION]: '[]',
})
const THEIRS = { [`${PREFIX}/rewrite-target`]: '/', other: 'x' }

let api: FakeApi
let said: string[]

const run = (client: FakeClient = api.client()): Promise<void> =>
  uninstall({ client, config, say: line => said.push(line), fenceMs: 0 })
const metadata = (plural: string, name: string): object => {
  const { annotations = {}, finalizers = [] } = api.object(plural, name)?.metadata ?? {}
  return { annotations, finalizers }
}
const lease = (): Lease['spec'] => api.object('leases', `${SYSTEM}/sluice-operator`)?.spec as Lease['spec']

beforeEach(() => {
  api = new FakeApi()
  said = []
  api.put('ingresses', ingress({ annotations: { ...THEIRS, ...stamp('ingress') }, finalizers: ['theirs', FINALIZER] }))
  api.put('ingresses', ingress({ name: 'plain', annotations: THEIRS, finalizers: ['theirs'] }))
  api.put('secrets', object('Secret', 'tls', { annotations: stamp('secret') }, {}))
})

describe('uninstall', () => {
  it('takes what is ours off every object, and nothing else', async () => {
    await run()
    const theirs = { annotations: THEIRS, finalizers: ['theirs'] }
    expect([metadata('ingresses', 'shop/web'), metadata('ingresses', 'shop/plain')]).toEqual([theirs, theirs])
    expect(metadata('secrets', 'shop/tls')).toEqual({ annotations: {}, finalizers: [] })
    expect(api.log).toEqual(['create Lease sluice-operator', 'patch Ingress web', 'patch PartialObjectMetadata tls'])
    expect(said.at(-1)).toBe('no finalizer, no annotation, no address of ours is left on any Ingress')
  })

  it('asks for the metadata of Secrets alone, and leaves annotations on them that it may not take off', async () => {
    const asked: string[] = []
    const client = api.client()
    const watched: FakeClient = {
      ...client,
      list: (resource, options) => {
        asked.push(resource.kind)
        return client.list(resource, options)
      },
    }
    api.deny(what => (what.includes(' tls') ? new KubeError('KUBE_FORBIDDEN', 'no') : null))
    await run(watched)
    expect(asked).not.toContain('Secret')
    expect(metadata('ingresses', 'shop/web')).toEqual({ annotations: THEIRS, finalizers: ['theirs'] })
    expect(metadata('secrets', 'shop/tls')).toMatchObject({ annotations: stamp('secret') })
    expect(said.join()).toContain(`kubectl -n shop annotate secret tls ${PREFIX}/secret-rollout- `)
  })

  it('fails where it may not write an Ingress', async () => {
    api.deny(what => (what.includes(' web') ? new KubeError('KUBE_FORBIDDEN', 'no') : null))
    await expect(run()).rejects.toMatchObject({ code: 'KUBE_FORBIDDEN' })
  })

  it('lets an object go that waited for its finalizer', async () => {
    api.put('ingresses', ingress({ finalizers: [FINALIZER] }))
    api.remove('ingresses', 'shop/web')
    expect(api.object('ingresses', 'shop/web')).not.toBeNull()
    await run()
    expect(api.object('ingresses', 'shop/web')).toBeNull()
  })

  describe('of addresses', () => {
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } }
    const fields = (manager: string): readonly object[] => [
      { manager, subresource: 'status', fieldsV1: { 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } } },
    ]
    const show = (name: string, manager: string, className = 'sluice'): void => {
      const made = ingress({ name, className })
      api.put('ingresses', { ...made, metadata: { ...made.metadata, managedFields: fields(manager) }, status })
    }
    const shown = (name: string): unknown => api.object('ingresses', `shop/${name}`)?.status

    it('takes away those that we published, of whatever class the Ingress is by now, and no others', async () => {
      show('web', 'sluice-operator')
      show('left', 'sluice-operator', 'other')
      show('theirs', 'nginx-ingress-controller', 'other')
      await run()
      const none = { loadBalancer: { ingress: [] } }
      expect(['web', 'left', 'theirs'].map(shown)).toEqual([none, none, status])
      expect(said).toContain('Ingress: 2 of 4 show addresses that we published')
    })

    it('leaves an Ingress to the controller that wrote to it meanwhile', async () => {
      show('web', 'sluice-operator')
      const theirs = { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } }
      const client = api.client()
      let edits = 0
      const busy: FakeClient = {
        ...client,
        patchStatus: (resource, target, patch, options) => {
          if (edits++ === 0) {
            const metadata = { managedFields: fields('nginx-ingress-controller') }
            api.edit('ingresses', 'shop/web', { metadata, status: theirs })
          }
          return client.patchStatus(resource, target, patch, options)
        },
      }
      await run(busy)
      expect([shown('web'), edits]).toEqual([theirs, 1])
    })
  })

  it('takes the lead from whoever has it, before anything else', async () => {
    api.put('leases', {
      metadata: { name: 'sluice-operator', namespace: SYSTEM, annotations: { a: 'b' } },
      spec: { holderIdentity: 'operator-a', leaseDurationSeconds: 15, leaseTransitions: 3 },
    })
    await run()
    expect(api.log[0]).toBe('update Lease sluice-operator')
    expect(lease()).toMatchObject({ holderIdentity: 'uninstall', leaseDurationSeconds: 600, leaseTransitions: 3 })
    expect(Date.now() - Date.parse(lease()?.renewTime ?? '')).toBeLessThan(60_000)
  })

  it('does not give up when the leader renews at the same moment', async () => {
    api.put('leases', { metadata: { name: 'sluice-operator', namespace: SYSTEM }, spec: { holderIdentity: 'a' } })
    const client = api.client()
    let renewals = 0
    const racing: FakeClient = {
      ...client,
      update: (resource, changed) => {
        if (renewals++ < 2) api.edit('leases', `${SYSTEM}/sluice-operator`, { spec: { renewTime: String(renewals) } })
        return client.update(resource, changed)
      },
    }
    await run(racing)
    expect(lease()).toMatchObject({ holderIdentity: 'uninstall' })
    expect(renewals).toBe(3)
  })

  it('looks again at an object that somebody changed meanwhile, and does not mind one that is gone', async () => {
    const client = api.client()
    let edits = 0
    const busy: FakeClient = {
      ...client,
      mergePatch: (resource, target, patch) => {
        if (target.name === 'tls') api.remove('secrets', 'shop/tls')
        else if (edits++ < 3) api.edit('ingresses', 'shop/web', { metadata: { labels: { edit: String(edits) } } })
        return client.mergePatch(resource, target, patch)
      },
    }
    await run(busy)
    expect(metadata('ingresses', 'shop/web')).toEqual({ annotations: THEIRS, finalizers: ['theirs'] })
    expect(api.object('ingresses', 'shop/web')?.metadata.labels).toEqual({ edit: '3' })
  })

  it('names what it could not change, after it changed all the others', async () => {
    const client = api.client()
    let edits = 0
    const hopeless: FakeClient = {
      ...client,
      mergePatch: (resource, target, patch) => {
        if (target.name === 'web')
          api.edit('ingresses', 'shop/web', { metadata: { labels: { edit: String(++edits) } } })
        return client.mergePatch(resource, target, patch)
      },
    }
    await expect(run(hopeless)).rejects.toThrow('these still carry what is ours: Ingress shop/web')
    expect(metadata('secrets', 'shop/tls')).toEqual({ annotations: {}, finalizers: [] })
  })

  it('does nothing the second time', async () => {
    await run()
    const { length } = api.log
    await run()
    expect(api.log.slice(length)).toEqual(['update Lease sluice-operator'])
  })
})
