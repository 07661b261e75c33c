import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  ApiException,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node'
import type { KubernetesObject } from '@kubernetes/client-node'
import { startApiServer } from '../e2e/apiserver/apiserver.ts'
import type { Case, CheckedKind, Spec } from './crds.cases.ts'
import { cases } from './crds.cases.ts'

/** An object of ours as the generic client moves it. */
interface Thing extends KubernetesObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion?: string }
  readonly spec?: Spec
  readonly status?: Spec
}

interface StatusCause {
  readonly field?: string
  readonly message?: string
}

const VERSIONS: Readonly<Record<CheckedKind, string>> = {
  IngressCheckSum: 'v1',
  SecretCheckSum: 'v1',
  IngressRolloutPolicy: 'v1alpha1',
  IngressRollout: 'v1alpha1',
}
/** Names of this run: the API server may be one that other tests use, too. */
const run = `crds-${Date.now().toString(36)}`
const CRDS = ['ingresschecksums', 'secretchecksums', 'ingressrolloutpolicies', 'ingressrollouts']

let server: Awaited<ReturnType<typeof startApiServer>>
let api: KubernetesObjectApi
let custom: CustomObjectsApi

async function kubectl(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(server.kubectl, ['--kubeconfig', server.kubeconfig, ...args])
  return stdout
}

function thing(kind: CheckedKind, name: string, spec: Spec, more: Partial<Thing> = {}): Thing {
  const namespace = kind === 'IngressRolloutPolicy' ? {} : { namespace: run }
  return {
    apiVersion: `tengine.taobao.org/${VERSIONS[kind]}`,
    kind,
    metadata: { name, ...namespace, ...more.metadata },
    spec,
    ...(more.status === undefined ? {} : { status: more.status }),
  }
}

/** Writes the status subresource, which the generic client does not know; null if it was accepted, else the error. */
async function writeStatus({ kind = '', metadata: { name } }: Thing, status: Spec): Promise<unknown> {
  const plural = kind === 'IngressRolloutPolicy' ? 'ingressrolloutpolicies' : `${kind.toLowerCase()}s`
  const target = { group: 'tengine.taobao.org', version: VERSIONS[kind as CheckedKind], plural, name, body: { status } }
  const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)
  try {
    if (kind === 'IngressRolloutPolicy') await custom.patchClusterCustomObjectStatus(target, merge)
    else await custom.patchNamespacedCustomObjectStatus({ ...target, namespace: run }, merge)
    return null
  } catch (error) {
    return error
  }
}

/** Plays a case; null if the API server accepted it, else its error. */
async function play(test: Case, name: string): Promise<unknown> {
  try {
    if (test.before === undefined) {
      await api.create(thing(test.kind, name, test.spec))
    } else {
      const { metadata } = await api.create(thing(test.kind, name, test.before))
      await api.replace(thing(test.kind, name, test.spec, { metadata }))
    }
    if (test.status === undefined) return null
    return await writeStatus(thing(test.kind, name, test.spec), test.status)
  } catch (error) {
    return error
  }
}

/** What the API server had against the object, as `field: message`; empty if it accepted it. */
function causes(error: unknown): readonly string[] {
  if (error === null) return []
  if (!(error instanceof ApiException)) throw new Error('no answer of the API server', { cause: error })
  const body: unknown = error.body
  const { details, message } = (typeof body === 'string' ? JSON.parse(body) : body) as {
    readonly details?: { readonly causes?: readonly StatusCause[] }
    readonly message?: string
  }
  if (details?.causes === undefined) return [String(message)]
  return details.causes
    .map(cause => `${cause.field ?? ''}: ${cause.message ?? ''}`)
    .filter(text => !text.includes('some validation rules were not checked'))
}

async function read(test: Case, name: string): Promise<Thing> {
  return await api.read(thing(test.kind, name, {}))
}

beforeAll(async () => {
  server = await startApiServer()
  const config = new KubeConfig()
  config.loadFromFile(server.kubeconfig)
  api = KubernetesObjectApi.makeApiClient(config)
  custom = config.makeApiClient(CustomObjectsApi)
  await kubectl('create', 'namespace', run)
  await kubectl('apply', '-k', __dirname)
  await kubectl('wait', '--for=condition=Established', '--timeout=30s', ...CRDS.map(c => `crd/${c}.tengine.taobao.org`))
}, 600_000)

afterAll(async () => {
  await server.stop()
})

describe.each(Object.keys(VERSIONS) as CheckedKind[])('%s', kind => {
  const table = cases.filter(test => test.kind === kind).map((test, i) => [test.name, test, `${run}-${i}`] as const)

  it.each(table.filter(([, test]) => test.refused === undefined))('accepts: %s', async (_, test, name) => {
    expect(causes(await play(test, name))).toEqual([])
    const stored = await read(test, name)
    if (test.stored !== undefined) expect(stored.spec).toMatchObject(test.stored)
    // Nothing is dropped: a field that the schema does not know would be.
    expect(stored.spec).toMatchObject(test.spec)
    if (test.status !== undefined) expect(stored.status).toEqual(test.status)
  })

  it.each(table.filter(([, test]) => test.refused !== undefined))('refuses: %s', async (_, test, name) => {
    const found = causes(await play(test, name))
    expect(found).toHaveLength(test.refused?.length ?? 0)
    for (const { field, message } of test.refused ?? []) {
      expect(found).toContainEqual(expect.stringContaining(message))
      expect(found.find(text => text.includes(message))).toContain(`${field}: `)
    }
  })
})

it('compares percentages as numbers, all hundred of them', async () => {
  const verdict = async (percents: readonly number[]): Promise<readonly string[]> => {
    const spec = { batches: percents.map(p => ({ pods: `${p}%` })), analysis: { successRate: { min: 99 } } }
    const policy = thing('IngressRolloutPolicy', `${run}-percent`, spec)
    return await api.create(policy, undefined, 'All').then(() => [], causes)
  }
  for (let from = 1; from <= 100; from += 20) {
    expect(await verdict(Array.from({ length: 20 }, (_, i) => from + i))).toEqual([])
  }
  for (let percent = 1; percent < 99; percent++) {
    const found = await verdict([percent + 1, percent])
    expect(found).toEqual([expect.stringContaining('the percentages of pods must not decrease')])
  }
})

describe('kubectl', () => {
  it.each([
    ['ics', 'INGRESSES'],
    ['ingresscheckums', 'INGRESSES'],
    ['ingresschecksums', 'INGRESSES'],
    ['scs', 'SECRETS'],
    ['secretcheckums', 'SECRETS'],
  ])('get %s shows the checksum, its objects and the pods', async (word, column) => {
    const kind = column === 'SECRETS' ? 'SecretCheckSum' : 'IngressCheckSum'
    const name = `shown-${word}`
    const spec = { timestamp: '2026-01-01T00:00:00Z', checksum: '1bc5a4a332e9941cd12c3db6946cda9c' }
    await api.create(thing(kind, name, spec))
    const status = { objects: 265, pods: { total: 5, consistent: 4, summary: '4/5' } }
    expect(await writeStatus(thing(kind, name, spec), status)).toBeNull()
    const [head, row] = (await kubectl('get', word, name, '-n', run)).split('\n').map(line => line.split(/ {2,}/))
    expect(head).toEqual(['NAME', 'CHECKSUM', column, 'CONSISTENT', 'AGE'])
    expect(row?.slice(0, 4)).toEqual([name, spec.checksum, '265', '4/5'])
  })

  it('get ir shows where a rollout is', async () => {
    const objectRef = { kind: 'Ingress', name: 'shown', uid: 'u' }
    await api.create(thing('IngressRollout', 'ing-shown-abc', { objectRef, revision: 'abc' }))
    const made = (type: string, is: string): Spec => ({
      ...{ type, status: is, reason: 'Baking', message: 'baking', lastTransitionTime: '2026-01-01T00:00:00Z' },
    })
    const status = {
      ...{ phase: 'Progressing', summary: '1/3', message: 'baking', pods: { summary: '1/5' }, stableRevision: 'old' },
      conditions: [made('Ready', 'False'), made('Reconciling', 'True'), made('Stalled', 'False')],
    }
    expect(await writeStatus(thing('IngressRollout', 'ing-shown-abc', {}), status)).toBeNull()
    const [head, row] = (await kubectl('get', 'ir', 'ing-shown-abc', '-n', run, '-o', 'wide'))
      .split('\n')
      .map(line => line.split(/ {2,}/))
    expect(head).toEqual([
      ...['NAME', 'KIND', 'OBJECT', 'REVISION', 'PHASE', 'REASON', 'BATCH', 'PODS', 'STABLE', 'MESSAGE', 'AGE'],
    ])
    expect(row?.slice(0, 10)).toEqual([
      'ing-shown-abc',
      'Ingress',
      'shown',
      'abc',
      'Progressing',
      'Baking',
      '1/3',
      '1/5',
      'old',
      'baking',
    ])
    const wait = (condition: string): Promise<string> =>
      kubectl('wait', 'ir/ing-shown-abc', '-n', run, `--for=condition=${condition}`, '--timeout=1s')
    expect(await wait('Reconciling')).toContain('condition met')
    await expect(wait('Ready')).rejects.toThrow('timed out')
    const done = { ...status, conditions: [made('Ready', 'True'), made('Reconciling', 'False')] }
    expect(await writeStatus(thing('IngressRollout', 'ing-shown-abc', {}), done)).toBeNull()
    expect(await wait('Ready')).toContain('condition met')
    expect(await wait('Reconciling=False')).toContain('condition met')
    const select = (kind: string): Promise<string> => {
      const selector = `spec.objectRef.name=shown,spec.objectRef.kind=${kind}`
      return kubectl('get', 'ir', '-n', run, '-o', 'name', '--field-selector', selector)
    }
    expect(await select('Ingress')).toBe('ingressrollout.tengine.taobao.org/ing-shown-abc\n')
    expect(await select('Secret')).toBe('')
  })

  it('get irp shows what a policy does', async () => {
    const spec = { batches: [{ pods: 1 }], analysis: { successRate: { min: 99 } } }
    await api.create(thing('IngressRolloutPolicy', `${run}-shown`, spec))
    const conditions = [
      { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ]
    const status = { batches: '1, 100%', governedObjects: 12, pausedRollouts: 2, refusedObjects: 1, conditions }
    expect(await writeStatus(thing('IngressRolloutPolicy', `${run}-shown`, spec), status)).toBeNull()
    const [head, row] = (await kubectl('get', 'irp', `${run}-shown`)).split('\n').map(line => line.split(/ {2,}/))
    expect(head).toEqual(['NAME', 'BATCHES', 'BAKE', 'GOVERNED', 'PAUSED', 'REFUSED', 'ACCEPTED', 'AGE'])
    expect(row?.slice(0, 7)).toEqual([`${run}-shown`, '1, 100%', '30s', '12', '2', '1', 'True'])
  })

  it('wait sees a condition', async () => {
    const objectRef = { kind: 'Ingress', name: 'done', uid: 'u' }
    await api.create(thing('IngressRollout', 'ing-done-abc', { objectRef, revision: 'abc' }))
    const conditions = [
      { type: 'Complete', status: 'True', reason: 'Complete', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ]
    expect(await writeStatus(thing('IngressRollout', 'ing-done-abc', {}), { phase: 'Complete', conditions })).toBeNull()
    const target = ['ingressrollout/ing-done-abc', '-n', run]
    const out = await kubectl('wait', '--for=condition=Complete', ...target, '--timeout=5s')
    expect(out).toContain('condition met')
  })
})
