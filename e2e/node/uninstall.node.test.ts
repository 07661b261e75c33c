/** Takes Sluice off the node and puts it there again, so that the tests after it find what they expect. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { KubeObject } from './harness/api.ts'
import { SYSTEM } from './harness/cluster.ts'
import { ingress } from './harness/manifests.ts'
import { Space } from './harness/space.ts'
import { PREFIX } from './harness/stamps.ts'
import { waitFor } from './harness/wait.ts'

const OBJECTS = 100
const CLUSTER_WIDE = [
  ...['clusterrole', 'clusterrolebinding', 'ingressclass', 'priorityclass', 'flowschema', 'prioritylevelconfiguration'],
  ...['validatingadmissionpolicy', 'validatingadmissionpolicybinding'],
].join()

describe('make uninstall with 100 governed objects', () => {
  let space: Space
  let before: readonly KubeObject[]
  const all = (): Promise<readonly KubeObject[]> => space.cluster.api.list('ingresses', space.name)
  const hostOf = (n: number): string => space.host(`web-${n}`)
  const finalized = (objects: readonly KubeObject[]): readonly string[] =>
    objects.filter(({ metadata }) => (metadata.finalizers ?? []).length > 0).map(({ metadata }) => metadata.name)
  const stamped = (objects: readonly KubeObject[]): readonly string[] =>
    objects
      .filter(({ metadata }) =>
        Object.keys(metadata.annotations ?? {}).some(one => one.startsWith(`${PREFIX}/ingress-rollout`)),
      )
      .map(({ metadata }) => metadata.name)

  beforeAll(async () => {
    space = await Space.open('uninstall')
    await space.backends({ version: 'v1' })
    // Created under the policy, so that each of them has a rollout and stamps.
    await space.policy(0, {
      batches: [{ pods: 1 }],
      bakeTime: '1s',
      analysis: { deadline: '1s', onInconclusive: 'Promote' },
      spec: { maxConcurrent: OBJECTS, creation: 'Gradual' },
    })
    for (let n = 0; n < OBJECTS; n++) {
      await space.cluster.api.create('ingresses', ingress({ namespace: space.name, name: `web-${n}`, host: hostOf(n) }))
    }
    before = await waitFor('every Ingress has its annotations', all, objects => stamped(objects).length === OBJECTS, {
      timeoutMs: 120_000,
    })
    await space.cluster.script(['uninstall'])
  }, 420_000)

  afterAll(async () => {
    await space.cluster.script(['up'], { PROXIES: '5', OPERATORS: '1' })
    // Its addresses are others now.
    const again = await Space.open('reinstall')
    try {
      await again.backends({ version: 'v1' })
      await again.ingress({ name: 'web', host: again.host(), to: 'v1' })
      await again.serves(again.host(), 'v1', 60_000)
    } finally {
      await again.close()
      await space.close()
    }
  }, 420_000)

  it('leaves no finalizer', async () => {
    expect(finalized(await all())).toEqual([])
  })

  it('leaves no rollout annotation, and the Ingresses themselves as they were', async () => {
    const left = await all()
    expect(left).toHaveLength(OBJECTS)
    expect(stamped(left)).toEqual([])
    expect(left.map(({ metadata }) => metadata.uid).sort()).toEqual(before.map(({ metadata }) => metadata.uid).sort())
    expect(left.map(object => object['spec'])).toEqual(before.map(object => object['spec']))
  })

  it('leaves no address of ours', async () => {
    const shown = (await all()).map(object => (object['status'] as { readonly loadBalancer?: object }).loadBalancer)
    expect(shown).toEqual(shown.map(() => ({})))
  })

  it('leaves nothing of Sluice behind', async () => {
    expect(await space.cluster.api.get('namespaces', SYSTEM)).toBeNull()
    const { stdout } = await space.kubectl.run([
      ...['get', CLUSTER_WIDE, '-l', 'app.kubernetes.io/name=sluice', '-o', 'name'],
    ])
    expect(stdout.trim()).toBe('')
  })

  it('lets the objects be deleted', async () => {
    await space.kubectl.ok(['-n', space.name, 'delete', 'ingress', 'web-0', '--timeout=10s'])
    expect(await space.object('ingresses', 'web-0')).toBeNull()
  }, 30_000)
})
