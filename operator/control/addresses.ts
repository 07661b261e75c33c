/** Puts the fleet's addresses into the status of every Ingress of our class, and takes them off one that left it. */
import { parseObjectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { revisionFor } from '../assign/plan.ts'
import type { Plan } from '../assign/types.ts'
import type { KubeClient } from '../kube/client.ts'
import { resources } from '../kube/resources.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { sameAddresses, shownAddresses, showsOurs } from '../status/addresses.ts'
import type { Address } from '../status/addresses.ts'
import { NotLeaderError } from './object-writer.ts'

export interface AddressesOptions {
  readonly client: Pick<KubeClient, 'patchStatus'>
  /** What Ingresses of ours are to show; null: not known yet. */
  readonly wanted: () => readonly Address[] | null
  /** Asked before every write. */
  readonly mayWrite: () => boolean
}

export class Addresses {
  readonly #options: AddressesOptions

  constructor(options: AddressesOptions) {
    this.#options = options
  }

  /**
   * Writes the Ingress's status where it differs. Of one that is not ours nothing but what we wrote is taken away.
   *
   * @throws KubeError KUBE_CONFLICT if somebody else wrote meanwhile; NotLeaderError
   */
  async write(view: ObjectView): Promise<void> {
    const { key, raw } = view
    const wanted = this.#wanted(view)
    if (raw === null || wanted === null || sameAddresses(wanted, shownAddresses(raw))) return
    if (!this.#options.mayWrite()) throw new NotLeaderError(`${key}: this replica does not lead`)
    const { namespace, name } = parseObjectKey(key)
    await this.#options.client.patchStatus(
      resources.ingresses,
      { namespace, name },
      { loadBalancer: { ingress: wanted } },
      { resourceVersion: raw.metadata.resourceVersion },
    )
  }

  /** Null: what stands there stays. */
  #wanted({ key, source, raw, plan }: ObjectView): readonly Address[] | null {
    if (source === null || raw === null || !key.startsWith('Ingress/') || source.deleting) return null
    if (source.ours) return this.#options.wanted()
    // Its leaving is rolled out like any change: until it is complete, proxies serve it at these addresses.
    return !isServed(plan) && showsOurs(raw) ? [] : null
  }
}

/** By the first pod, or by one of an ordinal as high as can be. */
function isServed(plan: Plan | null): boolean {
  return [0, -1].some(ordinal => {
    const revision = plan === null ? null : revisionFor(plan, ordinal)
    return revision !== null && revision !== ABSENT_REVISION
  })
}
