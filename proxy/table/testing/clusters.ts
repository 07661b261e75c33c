/** Clusters without connections, for tests of tables: who holds what. */
import type { ServiceKey } from '../../../protocol/objects.ts'
import type { Cluster, Clusters } from '../../upstream/contract.ts'

export class FakeClusters implements Clusters {
  readonly #held = new Map<ServiceKey, { readonly cluster: Cluster; count: number }>()

  hold(service: ServiceKey): Cluster {
    const found = this.#held.get(service) ?? { cluster: fakeCluster(service), count: 0 }
    found.count++
    this.#held.set(service, found)
    return found.cluster
  }

  release(service: ServiceKey): void {
    const found = this.#held.get(service)
    if (!found) throw new Error(`${service} is released more often than it was held`)
    if (--found.count === 0) this.#held.delete(service)
  }

  /** How often each Service is held. */
  get counts(): Readonly<Record<ServiceKey, number>> {
    return Object.fromEntries([...this.#held].map(([service, { count }]) => [service, count]))
  }
}

function fakeCluster(service: ServiceKey): Cluster {
  return {
    service,
    size: 1,
    lease: () => {
      throw new Error('a fake cluster lends nothing')
    },
    ...{ keyFor: () => 0, ownerOf: () => null, aliasOf: address => address, addressOf: () => null },
    mayRetry: () => false,
  }
}
