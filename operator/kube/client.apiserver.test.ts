import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { KubeConfig } from '@kubernetes/client-node'
import { startApiServer } from '../../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../../e2e/apiserver/apiserver.ts'
import type { KubeClient } from './client.ts'
import { connect, loadKubeConfig } from './connect.ts'
import { describeError } from './errors.ts'
import type { KubeError } from './errors.ts'
import type { ConfigMap, SpecObject } from './objects.ts'
import { as, resources } from './resources.ts'

let server: ApiServer
let config: KubeConfig
let client: KubeClient
/** The API server may be one that others use, too. */
const namespace = `client-${Date.now().toString(36)}`

beforeAll(async () => {
  server = await startApiServer()
  config = loadKubeConfig(server.kubeconfig)
  client = connect(config)
  await client.create(resources.namespaces, { metadata: { name: namespace } })
}, 600_000)

afterAll(async () => {
  await client.delete(resources.namespaces, { name: namespace })
  await client.close()
  await server.stop()
})

const configMap = (name: string, data: Readonly<Record<string, string>>): ConfigMap => ({
  metadata: { name, namespace },
  data,
})
const refused = async (request: Promise<unknown>): Promise<KubeError> =>
  await request.then(
    () => Promise.reject(new Error('it was accepted')),
    (error: unknown) => error as KubeError,
  )

describe('create, read, delete', () => {
  it('gives what was written, by name and in lists of several pages', async () => {
    for (const name of ['list-1', 'list-2', 'list-3'])
      await client.create(resources.configMaps, {
        ...configMap(name, { name }),
        metadata: { name, namespace, labels: { listed: 'yes' } },
      })
    expect((await client.get(resources.configMaps, { name: 'list-1', namespace })).data).toEqual({ name: 'list-1' })
    const selection = { namespace, labelSelector: 'listed=yes' }
    const first = await client.page(resources.configMaps, { ...selection, limit: 2 })
    const second = await client.page(resources.configMaps, {
      ...selection,
      limit: 2,
      continueToken: first.continueToken,
    })
    const names = [...first.items, ...second.items].map(item => (item as ConfigMap).metadata.name)
    expect(names).toEqual(['list-1', 'list-2', 'list-3'])
    expect(second).toMatchObject({ continueToken: '', resourceVersion: first.resourceVersion })
    expect((await client.list(resources.configMaps, selection)).map(o => [o.kind, o.metadata.name])).toEqual(
      names.map(name => ['ConfigMap', name]),
    )
  })

  it('tells what does not exist from what does already', async () => {
    const target = { name: 'once', namespace }
    expect(await client.find(resources.configMaps, target)).toBeNull()
    expect(await refused(client.get(resources.configMaps, target))).toMatchObject({
      code: 'KUBE_NOT_FOUND',
      message: expect.stringContaining(`get ConfigMap ${namespace}/once: HTTP 404`),
    })
    expect(await client.delete(resources.configMaps, target)).toBe(false)
    await client.create(resources.configMaps, configMap('once', {}))
    const again = await refused(client.create(resources.configMaps, configMap('once', {})))
    expect(again).toMatchObject({ code: 'KUBE_ALREADY_EXISTS', status: 409 })
    expect(await client.delete(resources.configMaps, target)).toBe(true)
    expect(await client.find(resources.configMaps, target)).toBeNull()
  })

  it('a dry run changes nothing', async () => {
    const made = await client.create(resources.configMaps, configMap('dry', {}), { dryRun: true })
    expect(made.metadata.uid).toMatch(/-/)
    expect(await client.find(resources.configMaps, { name: 'dry', namespace })).toBeNull()
  })

  it('deletes only the object that is meant', async () => {
    const { metadata } = await client.create(resources.configMaps, configMap('meant', {}))
    const target = { name: 'meant', namespace }
    const other = await refused(client.delete(resources.configMaps, target, { uid: 'another' }))
    expect(other.code).toBe('KUBE_CONFLICT')
    const stale = await refused(client.delete(resources.configMaps, target, { resourceVersion: '1' }))
    expect(stale.code).toBe('KUBE_CONFLICT')
    expect(await client.delete(resources.configMaps, target, { uid: metadata.uid })).toBe(true)
  })

  it('an object with finalizers is deleted when they are gone', async () => {
    const finalizers = ['tengine.taobao.org/test']
    const target = { name: 'held', namespace }
    await client.create(resources.configMaps, { ...configMap('held', {}), metadata: { ...target, finalizers } })
    expect(await client.delete(resources.configMaps, target)).toBe(true)
    const held = await client.get(resources.configMaps, target)
    expect(held.metadata).toMatchObject({ deletionTimestamp: expect.any(String), finalizers })
    await client.mergePatch(resources.configMaps, target, { metadata: { finalizers: null } })
    expect(await client.find(resources.configMaps, target)).toBeNull()
  })
})

describe('writes are fenced', () => {
  it('an update or patch of an older state is a conflict, and changes nothing', async () => {
    const old = await client.create(resources.configMaps, configMap('fenced', { v: '1' }))
    const target = { name: 'fenced', namespace }
    await client.update(resources.configMaps, { ...old, data: { v: '2' } })
    const update = await refused(client.update(resources.configMaps, { ...old, data: { v: '3' } }))
    expect(update).toMatchObject({ code: 'KUBE_CONFLICT', status: 409, reason: 'Conflict' })
    const { resourceVersion } = old.metadata
    const patch = await refused(
      client.mergePatch(resources.configMaps, target, { metadata: { resourceVersion }, data: { v: '3' } }),
    )
    expect(patch.code).toBe('KUBE_CONFLICT')
    expect((await client.get(resources.configMaps, target)).data).toEqual({ v: '2' })
  })

  it('of two applies of one field the second is a conflict that names the field, unless forced', async () => {
    const target = { name: 'applied', namespace }
    await client.apply(resources.configMaps, configMap('applied', { mine: '1', both: '1' }))
    const theirs = { fieldManager: 'somebody' }
    const conflict = await refused(client.apply(resources.configMaps, configMap('applied', { both: '2' }), theirs))
    expect(conflict).toMatchObject({ code: 'KUBE_CONFLICT', fields: ['.data.both'] })
    await client.apply(resources.configMaps, configMap('applied', { both: '2' }), { ...theirs, force: true })
    expect((await client.get(resources.configMaps, target)).data).toEqual({ mine: '1', both: '2' })
    // What is left out is given up: ours goes, theirs stays.
    await client.apply(resources.configMaps, configMap('applied', {}))
    expect((await client.get(resources.configMaps, target)).data).toEqual({ both: '2' })
  })

  it('applies what it has read, managedFields and all', async () => {
    const made = await client.apply(resources.configMaps, configMap('reapplied', { v: '1' }))
    expect(made.metadata.managedFields).toHaveLength(1)
    const again = await client.apply(resources.configMaps, { ...made, data: { v: '2' } })
    expect(again.data).toEqual({ v: '2' })
  })
})

describe('status', () => {
  type Balanced = SpecObject<unknown, { readonly loadBalancer?: { readonly ingress?: readonly unknown[] } }>
  const ingresses = as<Balanced>(resources.ingresses)
  const spec = { defaultBackend: { service: { name: 'web', port: { number: 80 } } } }
  const at = (ip: string): { readonly loadBalancer: { readonly ingress: readonly { readonly ip: string }[] } } => ({
    loadBalancer: { ingress: [{ ip }] },
  })

  it('is patched alone, and fenced if asked to be', async () => {
    const made = await client.create(ingresses, { metadata: { name: 'patched', namespace }, spec })
    const { resourceVersion } = made.metadata
    const patched = await client.patchStatus(ingresses, made.metadata, at('198.18.0.7'), { resourceVersion })
    expect(patched).toMatchObject({ spec, status: at('198.18.0.7') })
    expect(patched.metadata.generation).toBe(made.metadata.generation)
    const stale = client.patchStatus(ingresses, made.metadata, at('198.18.0.8'), { resourceVersion })
    expect(await refused(stale)).toMatchObject({ code: 'KUBE_CONFLICT' })
    await client.patchStatus(ingresses, made.metadata, at('198.18.0.9'))
    expect((await client.get(ingresses, { name: 'patched', namespace })).status).toEqual(at('198.18.0.9'))
  })

  it('is applied over what another manager wrote, and does not make an object', async () => {
    const target = { name: 'status-applied', namespace }
    const missing = await refused(client.applyStatus(ingresses, target, at('198.18.0.7')))
    expect(missing.code).toBe('KUBE_NOT_FOUND')
    await client.create(ingresses, { metadata: target, spec })
    await client.applyStatus(ingresses, target, at('198.18.0.7'), { fieldManager: 'somebody' })
    expect(await client.applyStatus(ingresses, target, at('198.18.0.8'))).toMatchObject({ status: at('198.18.0.8') })
  })

  it('is not touched by a write of the object', async () => {
    const target = { name: 'untouched', namespace }
    const made = await client.create(ingresses, { metadata: target, spec, status: at('198.18.0.7') })
    expect(made.status).toEqual({ loadBalancer: {} })
  })
})

describe('what goes wrong', () => {
  it('names the field of an object that is refused', async () => {
    const port = { number: 99_999 }
    const bad = { metadata: { name: 'bad', namespace }, spec: { defaultBackend: { service: { name: 'web', port } } } }
    const error = await refused(client.create(resources.ingresses, bad))
    expect(error).toMatchObject({ code: 'KUBE_INVALID', fields: ['spec.defaultBackend.service.port.number'] })
    expect(error.message).toContain('99999')
  })

  it.each([
    ['is no base64', { data: { 'tls.key': 'my$very$private$key' } }],
    ['has a key that is no name', { stringData: { 'no name!': 'my$very$private$key' } }],
    ['has a value of the wrong type', { data: { 'tls.key': { my$very$private$key: 1 } } }],
  ])('says nothing of a Secret that %s', async (_, content) => {
    const secret = { metadata: { name: 'secret', namespace }, ...content } as never
    const error = await refused(client.create(resources.secrets, secret))
    expect(error.code).toBe('KUBE_INVALID')
    expect(JSON.stringify([describeError(error), error.stack, error])).not.toContain('private')
    expect(error.message).toContain(`create secret in Secret ${namespace}`)
  })

  it('tells missing rights from missing kinds and from wrong credentials', async () => {
    const stranger = new KubeConfig()
    const cluster = config.getCurrentCluster()!
    stranger.loadFromClusterAndUser(cluster, { name: 'stranger', token: 'not-a-token' })
    const other = connect(stranger)
    const denied = await refused(other.list(resources.configMaps, { namespace }))
    expect(denied).toMatchObject({ code: 'KUBE_UNAUTHORIZED', status: 401 })
    expect(describeError(denied)).not.toContain('not-a-token')
    await other.close()
    const nobody = new KubeConfig()
    nobody.loadFromClusterAndUser(cluster, { name: 'nobody' })
    const anonymous = connect(nobody)
    expect(await refused(anonymous.list(resources.configMaps, { namespace }))).toMatchObject({ code: 'KUBE_FORBIDDEN' })
    await anonymous.close()
    const nothing = { apiVersion: 'nothing.example/v1', kind: 'Nothing', plural: 'nothings', namespaced: true }
    expect(await refused(client.list(nothing, { namespace }))).toMatchObject({ code: 'KUBE_NOT_FOUND' })
  })

  it('a TokenReview is an answer, not an error', async () => {
    const review = await client.create(resources.tokenReviews, { spec: { token: 'not-a-token' } })
    expect(review.status?.authenticated ?? false).toBe(false)
  })

  it('a request that is ended is ended', async () => {
    const controller = new AbortController()
    controller.abort()
    const error = await refused(client.list(resources.configMaps, { namespace, signal: controller.signal }))
    expect(error.code).toBe('KUBE_ABORTED')
  })
})
