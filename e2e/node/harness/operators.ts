/** Taking the operator away and giving it back. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkAddress } from '../../load/targets.ts'
import type { Cluster } from './cluster.ts'
import { SYSTEM } from './cluster.ts'
import { waitFor } from './wait.ts'

const DEPLOYMENT = 'deployment/sluice-operator'
const COMPONENT = 'operator'
const PORT = 8443

export class Operators {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** Waits until none runs any more. */
  async stop(): Promise<void> {
    await this.#kubectl('scale', DEPLOYMENT, '--replicas=0')
    await waitFor(
      'no operator pod is left',
      () => this.pods(),
      pods => pods.length === 0,
      { timeoutMs: 60_000 },
    )
  }

  /** Does not wait: what happens on the way is what tests look at. */
  async start(replicas = 1): Promise<void> {
    await this.#kubectl('scale', DEPLOYMENT, `--replicas=${replicas}`)
  }

  async ready(): Promise<void> {
    await this.#kubectl('rollout', 'status', DEPLOYMENT, '--timeout=90s')
    const service = await this.#cluster.api.get('services', 'sluice-operator', SYSTEM)
    const { clusterIP } = service?.['spec'] as { readonly clusterIP: string }
    checkAddress(clusterIP)
    // Nodes hear of the pod's address a moment after it is ready.
    await waitFor('the Service leads to a pod that runs', () => connects(clusterIP), Boolean, { timeoutMs: 30_000 })
  }

  /** Sets variables and waits until every replica has them. */
  async configure(env: Readonly<Record<string, string>>): Promise<void> {
    await this.#kubectl('set', 'env', DEPLOYMENT, ...Object.entries(env).map(([name, value]) => `${name}=${value}`))
    await this.ready()
    await waitFor(
      'one operator pod is left',
      () => this.pods(),
      pods => pods.length === 1,
      { timeoutMs: 60_000 },
    )
  }

  /** Names of all pods, ending ones included. */
  async pods(): Promise<readonly string[]> {
    const pods = await this.#cluster.api.list('pods', SYSTEM)
    return pods.map(pod => pod.metadata.name).filter(name => name.startsWith('sluice-operator-'))
  }

  /** SIGKILL whenever one is seen running, for so long. Returns how often. */
  async keepKilling(forMs: number): Promise<number> {
    const until = performance.now() + forMs
    let kills = 0
    while (performance.now() < until) {
      for (const pod of await this.pods()) {
        if (await this.#cluster.killContainer(pod, COMPONENT)) kills++
      }
      await sleep(300)
    }
    return kills
  }

  async #kubectl(...args: readonly string[]): Promise<void> {
    await this.#cluster.kubectl.ok(['-n', SYSTEM, ...args])
  }
}

function connects(host: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host, port: PORT, timeout: 2_000 })
  socket.on('connect', () => resolve(true))
  socket.on('timeout', () => socket.destroy())
  socket.on('error', () => undefined)
  socket.on('close', () => resolve(false))
  return promise.finally(() => socket.destroy())
}
