/** What the operator's IngressCheckSum says, sampled. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'
import { SYSTEM } from './cluster.ts'
import { waitFor } from './wait.ts'

export interface ConsistencySample {
  readonly checksum: string
  /** `5/5`. */
  readonly pods: string
}

interface CheckSum {
  readonly spec: { readonly checksum: string }
  readonly status?: { readonly pods?: { readonly summary?: string } }
}

/** The one that the operator publishes; null while there is none. */
export async function consistency(cluster: Cluster): Promise<ConsistencySample | null> {
  const found = (await cluster.api.get('ingresschecksums', 'sluice', SYSTEM)) as unknown as CheckSum | null
  if (found === null) return null
  return { checksum: found.spec.checksum, pods: found.status?.pods?.summary ?? '' }
}

export async function everyPodConsistent(cluster: Cluster): Promise<void> {
  const all = `${cluster.ordinals.length}/${cluster.ordinals.length}`
  await waitFor(
    'every pod is consistent',
    () => consistency(cluster),
    sample => sample?.pods === all,
  )
}

export class ConsistencyWatch {
  readonly #running: Promise<readonly ConsistencySample[]>
  #on = true

  constructor(cluster: Cluster, everyMs = 150) {
    this.#running = this.#sample(cluster, everyMs)
  }

  async stop(): Promise<readonly ConsistencySample[]> {
    this.#on = false
    return this.#running
  }

  async #sample(cluster: Cluster, everyMs: number): Promise<readonly ConsistencySample[]> {
    const samples: ConsistencySample[] = []
    while (this.#on) {
      samples.push((await consistency(cluster)) ?? { checksum: '', pods: 'none' })
      await sleep(everyMs)
    }
    return samples
  }
}
