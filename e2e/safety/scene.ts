/** What a kind of change acts on: its place, the cluster, and what it sees of its rollout. */
import type { Manifest } from '../echo/manifests.ts'
import { SYSTEM } from '../node/harness/cluster.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { Operators } from '../node/harness/operators.ts'
import type { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import type { Place } from './kind.ts'

interface Role {
  readonly rules: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[]
}

const READS: readonly string[] = ['get', 'list', 'watch']

export class Scene {
  readonly place: Place
  readonly cluster: Cluster
  readonly operators: Operators
  readonly rollouts: Rollouts
  /** Of the object that is changed. */
  readonly object: string
  readonly #roles: Manifest[] = []
  #stopped: readonly string[] = []

  constructor(place: Place, cluster: Cluster, rollouts: Rollouts, object: string) {
    this.place = place
    this.cluster = cluster
    this.operators = new Operators(cluster)
    this.rollouts = rollouts
    this.object = object
  }

  apply(...manifests: readonly Manifest[]): Promise<void> {
    return this.cluster.kubectl.apply(...manifests)
  }

  /** In the namespace of the scene. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl.ok(['-n', this.place.namespace, ...args])
  }

  /** In Sluice's own namespace. */
  system(...args: readonly string[]): Promise<string> {
    return this.cluster.kubectl.ok(['-n', SYSTEM, ...args])
  }

  get rollout(): string {
    return this.rollouts.names(this.object).at(-1) ?? ''
  }

  /** Takes from the operator the right to write these resources; `role` in its own namespace, `clusterrole` everywhere. */
  async deny(role: 'role' | 'clusterrole', ...resources: readonly string[]): Promise<void> {
    const found = JSON.parse(await this.system('get', role, 'sluice-operator', '-o', 'json')) as Manifest & Role
    const { apiVersion, kind, metadata } = found
    const plain = { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace } } as Manifest
    this.#roles.push({ ...plain, rules: found.rules })
    const rules = found.rules.flatMap(rule => {
      const [taken, left] = [
        rule.resources.filter(one => resources.includes(one)),
        rule.resources.filter(one => !resources.includes(one)),
      ]
      const reads = rule.verbs.filter(verb => READS.includes(verb))
      return [
        ...(left.length === 0 ? [] : [{ ...rule, resources: left }]),
        ...(taken.length === 0 || reads.length === 0 ? [] : [{ ...rule, resources: taken, verbs: reads }]),
      ]
    })
    await this.#write({ ...plain, rules })
  }

  async allowAgain(): Promise<void> {
    for (const role of this.#roles.splice(0).reverse()) await this.#write(role)
  }

  async #write(role: Manifest): Promise<void> {
    const patch = JSON.stringify({ rules: role['rules'] })
    await this.system('patch', role.kind.toLowerCase(), role.metadata.name, '--type=merge', '-p', patch)
  }

  /** Scales the proxies and waits until so many are there; those that go are not waited for. */
  async fleet(size: number, wait = true): Promise<void> {
    await this.system('scale', 'statefulset/sluice-proxy', `--replicas=${size}`)
    if (wait) await this.fleetReady(size)
  }

  async fleetReady(size: number): Promise<void> {
    const ready = async (): Promise<number> => {
      const pods = await this.cluster.api.list('pods', SYSTEM)
      return pods.filter(pod => pod.metadata.name.startsWith('sluice-proxy-') && isReady(pod['status'])).length
    }
    await waitFor(`${size} ready proxies`, ready, count => count === size, { timeoutMs: 90_000 })
  }

  /** Deletes proxies without a farewell; the StatefulSet makes them again. */
  async killProxies(...ordinals: readonly number[]): Promise<void> {
    const names = ordinals.map(ordinal => `pod/sluice-proxy-${ordinal}`)
    await this.system('delete', ...names, '--grace-period=0', '--force', '--wait=false')
  }

  /** Name of the Pod that leads. */
  async leader(): Promise<string> {
    const holder = await this.system('get', 'lease', 'sluice-operator', '-o', 'jsonpath={.spec.holderIdentity}')
    return (await this.operators.pods()).find(name => holder.includes(name)) ?? ''
  }

  /** The leader's process stands still, as on a node that swaps. */
  async pauseLeader(): Promise<void> {
    const pid = await this.cluster.pidOf(await this.leader(), 'operator')
    if (pid === null) return
    await this.cluster.script(['in-node', 'kill', '-STOP', pid])
    this.#stopped = [...this.#stopped, pid]
  }

  async resumeLeader(): Promise<void> {
    for (const pid of this.#stopped) await this.cluster.script(['in-node', 'kill', '-CONT', pid]).catch(() => undefined)
    this.#stopped = []
  }

  async killLeader(): Promise<void> {
    await this.cluster.killContainer(await this.leader(), 'operator')
  }
}

function isReady(status: unknown): boolean {
  const { conditions = [] } = (status ?? {}) as {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
  return conditions.some(one => one.type === 'Ready' && one.status === 'True')
}
