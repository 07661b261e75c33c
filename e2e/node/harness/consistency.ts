/** What the operator's IngressCheckSum says, sampled. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from './cluster.ts'
import { SYSTEM } from './cluster.ts'
import { waitFor } from './wait.ts'

export interface ConsistencySample {
  readonly checksum: string
  /** `5/5`. */
  readonly pods: string
  /** The checksum that `pods` is about: the status follows the spec a moment later. */
  readonly about: string
}

interface CheckSum {
  readonly spec: { readonly checksum: string }
  readonly status?: { readonly observedChecksum?: string; readonly pods?: { readonly summary?: string } }
}

/** The one that the operator publishes; null while there is none. */
export async function consistency(cluster: Cluster): Promise<ConsistencySample | null> {
  const found = (await cluster.api.get('ingresschecksums', 'sluice', SYSTEM)) as unknown as CheckSum | null
  if (found === null) return null
  const { spec, status } = found
  return { checksum: spec.checksum, pods: status?.pods?.summary ?? '', about: status?.observedChecksum ?? '' }
}

export async function everyPodConsistent(cluster: Cluster): Promise<void> {
  const all = `${cluster.ordinals.length}/${cluster.ordinals.length}`
  await waitFor(
    'every pod is consistent',
    () => consistency(cluster),
    sample => sample?.pods === all && sample.about === sample.checksum,
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
      samples.push((await consistency(cluster)) ?? { checksum: '', pods: 'none', about: '' })
      await sleep(everyMs)
    }
    return samples
  }
}
