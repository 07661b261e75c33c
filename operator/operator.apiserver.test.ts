/**
 * The operator as a process, with the permissions of deploy/base and no others, against a real API server. There are
 * no proxies, so nothing is ever confirmed: rollouts go on when somebody promotes or aborts them.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from '../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../e2e/apiserver/apiserver.ts'
import { Component } from '../e2e/apiserver/component.ts'
import { freePorts } from '../e2e/apiserver/ports.ts'
import { installBase } from '../e2e/deploy/install.ts'
import { stampFor } from './assign/stamps.ts'
import type { ReleaseRecord } from './assign/types.ts'
import { FINALIZER } from './control/finalizer.ts'
import type { KubeClient } from './kube/client.ts'
import { connect, loadKubeConfig } from './kube/connect.ts'
import type { KubeObject, Lease, SpecObject } from './kube/objects.ts'
import { as, resources } from './kube/resources.ts'
import type { IngressCheckSumSpec, IngressRolloutPolicyStatus, IngressRolloutStatus } from './model/generated/crds.ts'
import { parseIngress } from './model/ingress.ts'
import type { IngressSpec } from './model/types.ts'
import { ingress, ingressClass } from './pipeline/testing.ts'
import { kubeShardApi } from './records/kube.ts'
import { shardName, shardOf } from './records/paths.ts'
import { MARKER_NAME } from './records/shards.ts'
import { KeyRing } from './records/seal.ts'
import { ReleaseStore } from './records/store.ts'
import { CONDITIONS_ANNOTATION } from './status/object-conditions.ts'

const SYSTEM = 'sluice-system'
const describeOwn = foreignCluster ? describe.skip : describe
const WEB = { namespace: 'shop', name: 'web' }
const rollouts = as<SpecObject<unknown, IngressRolloutStatus>>(resources.ingressRollouts)
const balanced = as<SpecObject<unknown, { readonly loadBalancer?: { readonly ingress?: readonly unknown[] } }>>(
  resources.ingresses,
)
/** In a namespace without a policy: of our class, then of none, and of another controller's. */
const PLAIN = { namespace: 'other', name: 'plain' }
const THEIRS = { namespace: 'other', name: 'theirs' }
const THEIR_ADDRESS = [{ ip: '203.0.113.1' }]

/** One replica. */
class Operator {
  readonly name: string
  readonly log: string
  readonly #component: Component
  readonly #admin: number

  private constructor(name: string, folder: string, kubeconfig: string, [stream = 0, admin = 0]: readonly number[]) {
    this.name = name
    this.log = join(folder, `${name}.log`)
    this.#admin = admin
    const env = [
      ...[`POD_NAME=${name}`, `POD_NAMESPACE=${SYSTEM}`, 'POD_IP=127.0.0.1', `STREAM_PORT=${stream}`],
      ...[`ADMIN_PORT=${admin}`, `KUBECONFIG=${kubeconfig}`],
    ]
    this.#component = new Component(['env', ...env, process.execPath, join(__dirname, 'main.ts')], this.log)
  }

  static async create(name: string, folder: string, kubeconfig: string): Promise<Operator> {
    return new Operator(name, folder, kubeconfig, await freePorts(2))
  }

  get running(): boolean {
    return this.#component.running
  }

  start(): Promise<void> {
    return this.#component.start()
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.#component.kill()
  }

  async ready(): Promise<boolean> {
    return (await this.#get('readyz'))?.ok === true
  }

  async leads(): Promise<boolean> {
    const answer = await this.#get('state')
    return answer !== null && ((await answer.json()) as { readonly leading: boolean }).leading
  }

  async #get(path: string): Promise<Response | null> {
    try {
      return await fetch(`http://127.0.0.1:${this.#admin}/${path}`, { signal: AbortSignal.timeout(2_000) })
    } catch {
      return null
    }
  }
}

describeOwn('the operator against a real API server', () => {
  let server: ApiServer
  let folder: string
  let client: KubeClient
  let kubeconfig: string
  let a: Operator
  let b: Operator
  let restarted = 0

  async function until(what: string, condition: () => Promise<boolean>, ms = 15_000): Promise<void> {
    const end = performance.now() + ms
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
      await sleep(50)
    }
  }

  const web = (): Promise<SpecObject> => client.get(resources.ingresses, WEB)
  const revisionOf = (raw: KubeObject): string => parseIngress(raw, { classes: [ingressClass()] }).revision
  const statusOf = async (revision: string): Promise<IngressRolloutStatus | null> =>
    (await client.find(rollouts, { namespace: 'shop', name: `ing-web-${revision}` }))?.status ?? null
  const phaseOf = async (revision: string): Promise<string> => (await statusOf(revision))?.phase ?? 'none'

  /** Another host; returns the revision. */
  async function change(host: string): Promise<string> {
    return revisionOf(await client.mergePatch(resources.ingresses, WEB, { spec: ingress({ host }).spec }))
  }

  async function command(revision: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    await until(`a rollout of ${revision}`, async () => {
      const name = `ing-web-${revision}`
      if ((await client.find(rollouts, { namespace: 'shop', name })) === null) return false
      await client.mergePatch(rollouts, { namespace: 'shop', name }, { spec })
      return true
    })
  }

  async function record(): Promise<ReleaseRecord | null> {
    const store = new ReleaseStore(kubeShardApi(client, SYSTEM), {
      mayWrite: () => false,
      keys: new KeyRing(),
      recover: () => null,
      changed: () => undefined,
      unreadable: error => {
        throw error
      },
    })
    await store.load()
    return store.byKey('Ingress/shop/web')
  }

  /** What record and annotations say of each other; empty: the same. */
  async function disagreement(): Promise<string> {
    const [found, object] = [await record(), await web()]
    if (found === null) return 'there is no record'
    const { annotations = {} } = object.metadata
    const different = Object.entries(stampFor(found)).filter(([name, value]) => (annotations[name] ?? null) !== value)
    return different.map(([name, value]) => `${name}: ${String(value)}, not ${annotations[name] ?? 'absent'}`).join()
  }

  const shown = async (name: typeof WEB): Promise<readonly unknown[]> =>
    (await client.get(balanced, name)).status?.loadBalancer?.ingress ?? []
  const shows = (name: typeof WEB, addresses: readonly unknown[]): Promise<void> =>
    until(
      `${name.name} shows ${JSON.stringify(addresses)}`,
      async () => JSON.stringify(await shown(name)) === JSON.stringify(addresses),
    )

  const lease = async (): Promise<NonNullable<Lease['spec']>> =>
    (await client.get(resources.leases, { namespace: SYSTEM, name: 'sluice-operator' })).spec ?? {}

  async function leader(): Promise<Operator | null> {
    for (const one of [a, b]) if (one.running && (await one.leads())) return one
    return null
  }

  beforeAll(async () => {
    server = await startApiServer()
    folder = await mkdtemp(join(tmpdir(), 'sluice-operator-'))
    client = connect(loadKubeConfig(server.kubeconfig))
    kubeconfig = await installBase(server, folder)
    a = await Operator.create('sluice-operator-a', folder, kubeconfig)
    b = await Operator.create('sluice-operator-b', folder, kubeconfig)
    await client.create(resources.namespaces, { metadata: { name: 'shop' } })
    await client.create(resources.ingresses, asCreated(ingress()))
  }, 600_000)

  afterAll(async () => {
    await Promise.all([a.kill(), b.kill()])
    await client.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('makes its authority, keeps its key in a Secret alone, and publishes checksums', async () => {
    await a.start()
    await until('ready', () => a.ready(), 30_000)
    await until('leading', () => a.leads())
    const secret = await client.get(resources.secrets, { namespace: SYSTEM, name: 'sluice-stream-ca' })
    const map = await client.get(resources.configMaps, { namespace: SYSTEM, name: 'sluice-stream-ca' })
    expect(Object.keys(secret.data ?? {}).sort()).toEqual(['ca.crt', 'ca.key'])
    expect(map.data).toEqual({ 'ca.crt': Buffer.from(secret.data?.['ca.crt'] ?? '', 'base64').toString('utf8') })
    for (const resource of [resources.ingressCheckSums, resources.secretCheckSums]) {
      await until(`a ${resource.kind}`, async () => {
        const found = await client.find(as<SpecObject<IngressCheckSumSpec>>(resource), {
          namespace: SYSTEM,
          name: 'sluice',
        })
        return found?.spec?.count === (resource === resources.ingressCheckSums ? 1 : 0)
      })
    }
  }, 60_000)

  it('accepts a policy, and takes over what is served without a rollout', async () => {
    await client.create(resources.ingressRolloutPolicies, {
      metadata: { name: 'default' },
      spec: {
        selector: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } },
        batches: [{ pods: 1, pause: { for: '1h30m' } }, { pods: '25%', pause: {} }, { pods: '50%' }],
        ...{ bakeTime: '1s', ackDeadline: '1s' },
        analysis: { interval: '1s', deadline: '10m', minRequests: 1, successRate: { min: 99 } },
      },
    })
    await until('the status of the policy', async () => {
      const { status } = await client.get(
        as<SpecObject<unknown, IngressRolloutPolicyStatus>>(resources.ingressRolloutPolicies),
        {
          name: 'default',
        },
      )
      const accepted = status?.conditions?.find(({ type }) => type === 'Accepted')?.status
      return accepted === 'True' && status?.governedObjects === 1 && status.batches === '1, 25%, 50%, 100%'
    })
    await until('the record', async () => (await record())?.governed === true)
    expect(await client.list(rollouts)).toEqual([])
    expect(await record()).toMatchObject({ current: revisionOf(await web()), update: null, governed: true })
  }, 60_000)

  it('serves a challenge that cert-manager edits into it at once, with an ID of its own and without a rollout', async () => {
    const ids = async (): Promise<readonly string[]> => {
      const found = as<SpecObject<IngressCheckSumSpec>>(resources.ingressCheckSums)
      return (await client.get(found, { namespace: SYSTEM, name: 'sluice' })).spec?.ids ?? []
    }
    const before = await ids()
    const { metadata, spec } = await web()
    const [known] = (spec as IngressSpec).rules ?? []
    const backend = { service: { name: 'cm-acme-http-solver-x', port: { number: 8089 } } }
    const challenge = { path: '/.well-known/acme-challenge/token', pathType: 'ImplementationSpecific', backend }
    const rules = [{ ...known, http: { paths: [challenge, ...(known?.http?.paths ?? [])] } }]
    const edited = await client.mergePatch(resources.ingresses, WEB, { spec: { rules } })
    expect(revisionOf(edited)).toBe(before[0]?.split(':')[1])
    await until('the challenge in the checksum', async () => (await ids()).length === 2)
    expect(await ids()).toEqual([before[0], expect.stringMatching(/^shop\/web~challenges:[0-9a-v]{10}$/)])
    expect(await record()).toMatchObject({ current: revisionOf(edited), update: null, governed: true })
    await client.mergePatch(resources.ingresses, WEB, { spec: { rules: (spec as IngressSpec).rules } })
    await until('the checksum as before', async () => (await ids()).length === 1)
    expect(await ids()).toEqual(before)
    const after = await web()
    expect([after.metadata.annotations, after.metadata.finalizers]).toEqual([metadata.annotations, metadata.finalizers])
    expect(await client.list(rollouts)).toEqual([])
  }, 60_000)

  it('shows on every Ingress of ours what reaches the fleet, as soon as the Service has it', async () => {
    const fleet = { namespace: SYSTEM, name: 'sluice-proxy' }
    const spec = { type: 'LoadBalancer', externalIPs: ['203.0.113.2'], ports: [{ name: 'http', port: 80 }] }
    await client.create(resources.services, { metadata: fleet, spec })
    await shows(WEB, [{ ip: '203.0.113.2' }])
    // As a cloud's controller does, some time later.
    const own = [{ ip: '203.0.113.1' }, { hostname: 'lb.example' }]
    await client.patchStatus(resources.services, fleet, { loadBalancer: { ingress: own } })
    await shows(WEB, [...own, { ip: '203.0.113.2' }])
  }, 30_000)

  it('takes the addresses off an Ingress that leaves our class, and leaves another controller’s alone', async () => {
    await client.create(resources.namespaces, { metadata: { name: 'other' } })
    await client.create(balanced, { metadata: PLAIN, spec: ingress({ host: 'plain.example' }).spec })
    await client.create(balanced, { metadata: THEIRS, spec: ingress({ host: 'x.example', className: 'nginx' }).spec })
    const theirs = { loadBalancer: { ingress: THEIR_ADDRESS } }
    await client.applyStatus(balanced, THEIRS, theirs, { fieldManager: 'nginx-ingress-controller' })
    const published = await shown(WEB)
    for (const className of ['nginx', null]) {
      await shows(PLAIN, published)
      await client.mergePatch(balanced, PLAIN, { spec: { ingressClassName: className } })
      await shows(PLAIN, [])
      await client.mergePatch(balanced, PLAIN, { spec: { ingressClassName: 'sluice' } })
    }
    await shows(PLAIN, published)
    // The next controller is quicker than we are: what it wrote is its own, be it our address.
    await a.kill()
    await client.mergePatch(balanced, PLAIN, { spec: { ingressClassName: 'nginx' } })
    await client.applyStatus(balanced, PLAIN, theirs, { fieldManager: 'nginx-ingress-controller' })
    await a.start()
    await until('leading', () => a.leads(), 30_000)
    await sleep(3_000)
    expect([await shown(PLAIN), await shown(THEIRS)]).toEqual([THEIR_ADDRESS, THEIR_ADDRESS])
    await client.mergePatch(balanced, PLAIN, { spec: { ingressClassName: 'sluice' } })
    await shows(PLAIN, published)
  }, 90_000)

  it('makes a rollout of a change: stored, stamped, on no pod, and nothing new is released', async () => {
    const before = revisionOf(await web())
    const revision = await change('one.example')
    await until('progress', async () => (await phaseOf(revision)) === 'Progressing')
    expect(await record()).toMatchObject({ current: before, update: revision, index: 0 })
    expect(await disagreement()).toBe('')
    expect((await statusOf(revision))?.message).toContain('waits')
    // It goes with its Ingress, and Argo CD shows it there.
    const { metadata } = await client.get(rollouts, { namespace: 'shop', name: `ing-web-${revision}` })
    const { uid } = (await web()).metadata
    expect(metadata.ownerReferences).toEqual([
      { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'web', uid },
    ])
    const { conditions = [], observedGeneration } = (await statusOf(revision)) ?? {}
    expect(conditions.slice(0, 3)).toMatchObject([
      { type: 'Ready', status: 'False' },
      { type: 'Reconciling', status: 'True' },
      { type: 'Stalled', status: 'False' },
    ])
    expect(observedGeneration).toBe(metadata.generation)
    await until('the event that names it', async () =>
      (await client.list(resources.events, { namespace: 'shop' })).some(
        ({ involvedObject, reason, message }) =>
          involvedObject.name === 'web' && reason === 'RolloutCreated' && message.includes(`ing-web-${revision}`),
      ),
    )
  }, 30_000)

  it('goes on with another leader when the first is killed', async () => {
    await b.start()
    await until('ready', () => b.ready(), 30_000)
    expect(await b.leads()).toBe(false)
    await a.kill()
    const left = await lease()
    const revision = revisionOf(await web())
    await command(revision, { promote: true })
    await until('the other leads', () => b.leads(), 30_000)
    // Nobody gave the Lease back, and nobody else had it in between.
    const taken = await lease()
    expect(left.holderIdentity).not.toBe('')
    expect(taken.holderIdentity).not.toBe(left.holderIdentity)
    expect(taken.leaseTransitions).toBe((left.leaseTransitions ?? 0) + 1)
    await until('it is released', async () => (await phaseOf(revision)) === 'Complete')
    expect(await record()).toMatchObject({ current: revision, update: revision, index: -1 })
    expect(await disagreement()).toBe('')
  }, 90_000)

  it('survives an API server that is away for 20 s, and works again', async () => {
    await a.start()
    await until('ready', () => a.ready(), 30_000)
    await server.kill('kube-apiserver')
    await sleep(20_000)
    expect([a.running, b.running]).toEqual([true, true])
    await server.start('kube-apiserver')
    restarted = Date.now()
    const revision = await change('two.example')
    await until('somebody leads', async () => (await leader()) !== null, 30_000)
    await until('progress', async () => (await phaseOf(revision)) === 'Progressing', 20_000)
    await command(revision, { abort: true })
    await until('taken back', async () => (await phaseOf(revision)) === 'RolledBack')
    expect(await record()).toMatchObject({ index: 0, refused: [revision] })
    expect(await disagreement()).toBe('')
  }, 120_000)

  it('agrees with itself after many deaths at random moments', async () => {
    // The one that lives has its Lease at once when it comes back.
    const alive = (await leader()) ?? a
    await (alive === a ? b : a).kill()
    const released = new Set([(await record())?.current])
    const told: string[] = []
    for (let round = 0; round < 12; round++) {
      const revision = await change(`round-${round % 3}.example`)
      const promote = Math.random() < 0.5
      // Killed while the change, or what a person says to it, is on its way.
      const early = Math.random() < 0.4
      const saying = early ? sleep(0) : command(revision, { promote, abort: !promote })
      if (!early && promote) released.add(revision)
      await Promise.all([saying, sleep(Math.random() * 250)])
      await sleep(Math.random() * 120)
      told.push(`${revision} ${early ? 'killed early' : promote ? 'promote' : 'abort'}`)
      await alive.kill()
      const current = (await record())?.current
      expect({ told, released: [...released] }).toEqual({ told, released: expect.arrayContaining([current]) })
      await alive.start()
      await until('leading again', () => alive.leads(), 20_000)
    }
    const last = await change('last.example')
    released.add(last)
    await command(last, { promote: true })
    await until('the last is released', async () => (await phaseOf(last)) === 'Complete', 20_000)
    await until(`agreement after ${told.join(', ')}`, async () => (await disagreement()) === '', 10_000)
    expect(await record()).toMatchObject({ current: last, update: last, index: -1 })
    const open = (await client.list(rollouts)).filter(
      ({ status }) => !['Complete', 'RolledBack', 'Superseded'].includes(status?.phase ?? 'none'),
    )
    expect(open.map(({ metadata, status }) => `${metadata.name} ${status?.phase ?? ''}`)).toEqual([])
  }, 120_000)

  it('goes on with what an object has when its record is lost, and gives out nothing while it cannot be read', async () => {
    const alive = (await leader()) ?? a
    const inStore = (name: string): { readonly namespace: string; readonly name: string } => ({
      namespace: SYSTEM,
      name,
    })
    const marker = inStore(MARKER_NAME)
    await until('the store is whole', async () => (await client.find(resources.secrets, marker)) !== null, 30_000)
    const before = await record()
    const shard = inStore(shardName(shardOf((await web()).metadata.uid ?? '')))
    await alive.kill()
    await client.delete(resources.secrets, shard)
    await alive.start()
    await until('recorded again', async () => (await record()) !== null, 30_000)
    expect(await record()).toMatchObject({ current: before?.current, update: null, governed: true, index: -1 })
    await alive.kill()
    const { data = {} } = await client.get(resources.secrets, shard)
    await client.mergePatch(resources.secrets, shard, { data: { records: 'bm90IGd6aXA=' } })
    await alive.start()
    const said = async (): Promise<boolean> =>
      (await readFile(alive.log, 'utf8')).includes('its records cannot be read')
    await until('it says so', said, 30_000)
    await sleep(2_000)
    expect(await alive.ready()).toBe(false)
    await client.mergePatch(resources.secrets, shard, { data })
    await until('ready', () => alive.ready(), 30_000)
    await until('leading again', () => alive.leads(), 30_000)
    expect(await record()).toMatchObject({ current: before?.current, governed: true })
  }, 180_000)

  it('uninstalls beside an operator that runs, and nothing is put on again', async () => {
    // Of an operator from before there were none.
    await client.mergePatch(resources.ingresses, WEB, { metadata: { finalizers: [FINALIZER] } })
    // As an older operator left one: it may not be written to any more.
    const annotations = { [CONDITIONS_ANNOTATION]: '[]' }
    const old = { namespace: 'other', name: 'old' }
    await client.create(resources.secrets, { metadata: { ...old, annotations }, type: 'Opaque', data: {} })
    const log = join(folder, 'uninstall.log')
    const env = [`POD_NAME=uninstall`, `POD_NAMESPACE=${SYSTEM}`, 'POD_IP=127.0.0.1', `KUBECONFIG=${kubeconfig}`]
    const done = new Component(['env', ...env, process.execPath, join(__dirname, 'main.ts'), 'uninstall'], log)
    await done.start()
    await until('the end', () => Promise.resolve(!done.running), 40_000)
    expect(await readFile(log, 'utf8')).toContain(
      'no finalizer, no annotation, no address of ours is left on any Ingress',
    )
    expect(await readFile(log, 'utf8')).toContain('kubectl -n other annotate secret old ')
    expect((await client.get(resources.secrets, old)).metadata.annotations).toEqual(annotations)
    expect([await shown(WEB), await shown(PLAIN), await shown(THEIRS)]).toEqual([[], [], THEIR_ADDRESS])
    const bare = async (): Promise<unknown> => {
      const { finalizers = [], annotations = {} } = (await web()).metadata
      return { finalizers, annotations }
    }
    expect(await bare()).toEqual({ finalizers: [], annotations: {} })
    await change('after.example')
    await sleep(3_000)
    expect([a.running, b.running].filter(Boolean)).toHaveLength(1)
    expect(await bare()).toEqual({ finalizers: [], annotations: {} })
  }, 60_000)

  it('was refused nothing by the API server, and logged no key', async () => {
    const text = (await readFile(a.log, 'utf8')) + (await readFile(b.log, 'utf8'))
    const refused = text.split('\n').filter(line => /HTTP 40[13]|Forbidden/.test(line))
    // An API server that has just begun does not know its roles yet.
    const early = (line: string): boolean => {
      const { time = 0 } = JSON.parse(line) as { readonly time?: number }
      return time > restarted - 5_000 && time < restarted + 5_000
    }
    expect(refused.filter(line => !early(line))).toEqual([])
    expect(text).not.toContain('PRIVATE KEY')
  })
})

function asCreated({ metadata: { name, namespace }, spec }: ReturnType<typeof ingress>): SpecObject<never> {
  return { metadata: { name, namespace: namespace ?? '' }, spec: spec as never }
}
