/** A namespace of one test's own, with its backends, policies and watches; everything goes when it is closed. */
import { randomBytes } from 'node:crypto'
import { Cluster, SYSTEM } from './cluster.ts'
import type { KubeObject, Plural } from './api.ts'
import type { Kubectl } from './kubectl.ts'
import { backend } from '../../echo/manifests.ts'
import type { BackendOptions } from '../../echo/manifests.ts'
import { ingress, policy } from './manifests.ts'
import type { IngressOptions, PolicyOptions } from './manifests.ts'
import { NodeLoad } from './load.ts'
import type { LoadSettings } from './load.ts'
import { Proxies } from './proxies.ts'
import type { Served } from './proxies.ts'
import { Rollouts } from './rollouts.ts'
import { CONDITIONS, conditionsOf, stamp } from './stamps.ts'
import type { Accepted, StampValues } from './stamps.ts'
import { stays, waitFor } from './wait.ts'

type Own<T extends { readonly namespace: string }> = Omit<T, 'namespace'>

export class Space {
  readonly cluster: Cluster
  readonly name: string
  readonly proxies: Proxies
  readonly rollouts: Rollouts
  readonly #policies = new Set<string>()
  readonly #loads = new Set<NodeLoad>()

  private constructor(cluster: Cluster, name: string) {
    this.cluster = cluster
    this.name = name
    this.proxies = new Proxies(cluster)
    this.rollouts = new Rollouts(cluster, name)
  }

  static async open(topic: string): Promise<Space> {
    const cluster = await Cluster.connect()
    const name = `e2e-${topic}-${randomBytes(3).toString('hex')}`
    await cluster.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    return new Space(cluster, name)
  }

  get kubectl(): Kubectl {
    return this.cluster.kubectl
  }

  /** A host that no other test asks for. */
  host(label = 'web'): string {
    return `${label}.${this.name}.test`
  }

  /** What the test leaves behind goes; a namespace that stays is a failure. */
  async close(): Promise<void> {
    try {
      for (const load of this.#loads) await load.stop()
      for (const name of this.#policies) await this.dropPolicy(name)
      await this.kubectl.ok(['delete', 'namespace', this.name, '--ignore-not-found', '--timeout=60s'])
    } finally {
      this.rollouts.close()
      this.cluster.close()
    }
  }

  /** Deploys backends and waits until their pods are ready. */
  async backends(...options: readonly Omit<BackendOptions, 'namespace' | 'image'>[]): Promise<void> {
    const image = this.cluster.echoImage
    await this.kubectl.apply(...options.flatMap(one => backend({ ...one, namespace: this.name, image })))
    await this.kubectl.ok([
      ...['wait', '--for=condition=Available', 'deployment', '--all', '-n', this.name, '--timeout=90s'],
    ])
  }

  async ingress(options: Own<IngressOptions>): Promise<void> {
    await this.kubectl.apply(ingress({ ...options, namespace: this.name }))
  }

  /** Applies a policy for this namespace and waits until it governs so many objects. */
  async policy(governs: number, options: Partial<Own<PolicyOptions>> = {}): Promise<string> {
    const name = options.name ?? this.name
    this.#policies.add(name)
    await this.kubectl.apply(policy({ ...options, name, namespace: this.name }))
    await this.governs(name, governs)
    return name
  }

  /** Waits until the policy governs so many objects. */
  async governs(name: string, objects: number): Promise<void> {
    const governed = async (): Promise<unknown> =>
      (await this.cluster.api.get('ingressrolloutpolicies', name))?.['status']
    await waitFor(`policy ${name} governs ${objects} objects`, governed, status => {
      return (status as { readonly governedObjects?: number } | undefined)?.governedObjects === objects
    })
  }

  async dropPolicy(name: string = this.name): Promise<void> {
    await this.kubectl.ok(['delete', 'ingressrolloutpolicy', name, '--ignore-not-found', '--timeout=30s'])
    this.#policies.delete(name)
  }

  /** Writes rollout annotations of an Ingress by hand. */
  async stamp(object: string, values: StampValues): Promise<void> {
    await this.kubectl.annotate(this.name, `ingress/${object}`, stamp(values))
  }

  object(plural: Plural, name: string): Promise<KubeObject | null> {
    return this.cluster.api.get(plural, name, this.name)
  }

  async annotations(name: string, plural: Plural = 'ingresses'): Promise<Readonly<Record<string, string>>> {
    return (await this.object(plural, name))?.metadata.annotations ?? {}
  }

  /** Waits until each proxy serves what is expected of it; one word for all of them will do. */
  async serves(host: string, expected: Served | readonly Served[], timeoutMs = 20_000, path = '/'): Promise<void> {
    const all = this.#each(expected)
    await waitFor(
      `${host}${path} is ${all.join(' ')}`,
      () => this.proxies.served(host, path),
      got => same(got, all),
      {
        timeoutMs,
        everyMs: 100,
      },
    )
  }

  /** Watches that each proxy goes on serving what is expected of it. */
  async keepsServing(host: string, expected: Served | readonly Served[], forMs = 2_500): Promise<void> {
    const all = this.#each(expected)
    await stays(
      `${host} is ${all.join(' ')}`,
      forMs,
      () => this.proxies.served(host),
      got => same(got, all),
    )
  }

  http(settings: LoadSettings): NodeLoad {
    const load = NodeLoad.http(this.cluster, settings)
    this.#loads.add(load)
    return load
  }

  tls(settings: LoadSettings & { readonly ca: string }): NodeLoad {
    const load = NodeLoad.tls(this.cluster, settings)
    this.#loads.add(load)
    return load
  }

  /** Events about `Kind/name`. */
  async events(object: string): Promise<readonly EventView[]> {
    return (await this.cluster.api.list('events', this.name)).map(viewOf).filter(view => view.object === object)
  }

  /** Waits for an event about an object with this reason, and returns its message. */
  async event(object: string, reason: string, timeoutMs = 20_000): Promise<string> {
    const seen = await waitFor(
      `an event ${reason} about ${object}`,
      () => this.events(object),
      views => views.some(view => view.reason === reason),
      { timeoutMs },
    )
    return seen.find(view => view.reason === reason)?.message ?? ''
  }

  /** Waits for a condition of an Ingress or Secret with this reason. */
  async condition(plural: 'ingresses', name: string, reason: string): Promise<Accepted> {
    const found = await waitFor(
      `condition ${reason} on ${plural}/${name}`,
      async () => conditionsOf(await this.annotations(name, plural)),
      conditions => conditions.some(one => `${one.reason} ${one.message}`.includes(reason)),
    )
    return found.find(one => `${one.reason} ${one.message}`.includes(reason)) as Accepted
  }

  /** Waits until nothing is said to be wrong with it any more. */
  async noCondition(plural: 'ingresses', name: string): Promise<void> {
    await waitFor(
      `no conditions on ${plural}/${name}`,
      () => this.annotations(name, plural),
      annotations => !(CONDITIONS in annotations),
    )
  }

  /** Deletes a proxy's Pod and waits until its successor is ready. */
  async replaceProxy(ordinal: number, waitReady = true): Promise<void> {
    const pod = `sluice-proxy-${ordinal}`
    const before = (await this.cluster.api.get('pods', pod, SYSTEM))?.metadata.uid
    await this.kubectl.ok(['-n', SYSTEM, 'delete', 'pod', pod, '--grace-period=1', '--wait=false'])
    const after = async (): Promise<string | undefined> =>
      (await this.cluster.api.get('pods', pod, SYSTEM))?.metadata.uid
    await waitFor(`a new ${pod}`, after, uid => uid !== undefined && uid !== before, { timeoutMs: 60_000 })
    if (waitReady) await this.proxyReady(ordinal)
  }

  async proxyReady(ordinal: number, timeoutMs = 60_000): Promise<void> {
    await waitFor(`proxy ${ordinal} is ready`, () => this.proxies.isReady(ordinal), Boolean, { timeoutMs })
  }

  #each(expected: Served | readonly Served[]): readonly Served[] {
    return typeof expected === 'string' ? this.proxies.ordinals.map(() => expected) : expected
  }
}

export interface EventView {
  readonly object: string
  readonly reason: string
  readonly message: string
}

function viewOf(event: KubeObject): EventView {
  const { involvedObject, reason, message } = event as unknown as {
    readonly involvedObject: { readonly kind: string; readonly name: string }
    readonly reason: string
    readonly message: string
  }
  return { object: `${involvedObject.kind}/${involvedObject.name}`, reason, message }
}

function same(a: readonly Served[], b: readonly Served[]): boolean {
  return a.length === b.length && a.every((word, i) => word === b[i])
}
