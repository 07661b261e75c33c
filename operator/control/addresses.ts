/** The address column of `kubectl get ingress`: what the fleet's LoadBalancer Service has, on every Ingress of our class. */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { KubeClient } from '../kube/client.ts'
import type { Service } from '../kube/objects.ts'
import { resources } from '../kube/resources.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'

interface Address {
  readonly ip?: string
  readonly hostname?: string
}

interface WithAddresses {
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly Address[] } }
}

export interface AddressesOptions {
  readonly client: Pick<KubeClient, 'patchStatus'>
  /** The Service in front of the fleet, as the cache has it. */
  readonly service: () => Service | null
}

export class Addresses {
  readonly #options: AddressesOptions

  constructor(options: AddressesOptions) {
    this.#options = options
  }

  /** Writes the Ingress's status where it differs; an address that the Service lost is taken away. @throws KubeError */
  async write(view: ObjectView): Promise<void> {
    const { key, source, raw } = view
    if (source === null || raw === null || !source.ours || !key.startsWith('Ingress/') || source.deleting) return
    const service = this.#options.service()
    if (service === null) return
    const wanted = addressesOf(service as WithAddresses)
    if (JSON.stringify(wanted) === JSON.stringify(addressesOf(raw as WithAddresses))) return
    const { namespace, name } = parseObjectKey(key)
    await this.#options.client.patchStatus(
      resources.ingresses,
      { namespace, name },
      { loadBalancer: { ingress: wanted } },
    )
  }
}

function addressesOf({ status }: WithAddresses): readonly Address[] {
  return (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ({
    ...(ip === undefined ? {} : { ip }),
    ...(hostname === undefined ? {} : { hostname }),
  }))
}
