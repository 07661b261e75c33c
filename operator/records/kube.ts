/** The revision store's three calls, on Secrets of the operator's namespace. */
import type { KubeClient } from '../kube/client.ts'
import { KubeError, isKubeError } from '../kube/errors.ts'
import type { Secret } from '../kube/objects.ts'
import { resources } from '../kube/resources.ts'
import { pathOf } from './paths.ts'
import { MARKER_NAME, SHARD_LABEL, SHARD_LABEL_VALUE, ShardError } from './shards.ts'
import type { ShardApi } from './store.ts'
import type { StoredShard } from './tree.ts'

const FIELD = 'records'

export const SHARD_SELECTOR = `${SHARD_LABEL}=${SHARD_LABEL_VALUE}`

/** What else has the label, a copy that somebody keeps for example, is none of our business. */
export function isOfStore(name: string): boolean {
  return name === MARKER_NAME || pathOf(name) !== null
}

/** Throws ShardError for a Secret without the field. */
export function storedShard(secret: Secret): StoredShard {
  const { name, resourceVersion } = secret.metadata
  const data = secret.data?.[FIELD]
  if (data === undefined || resourceVersion === undefined) throw new ShardError(name, `no ${FIELD} in its data`)
  return { name, resourceVersion, data }
}

export function kubeShardApi(client: KubeClient, namespace: string): ShardApi {
  return {
    async list() {
      const secrets = await client.list(resources.secrets, { namespace, labelSelector: SHARD_SELECTOR })
      return secrets.filter(({ metadata }) => isOfStore(metadata.name)).map(storedShard)
    },
    async get(name) {
      const secret = await client.find(resources.secrets, { namespace, name })
      return secret === null ? null : storedShard(secret)
    },
    async write(name, resourceVersion, data) {
      const secret: Secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {
          name,
          namespace,
          labels: { [SHARD_LABEL]: SHARD_LABEL_VALUE, 'app.kubernetes.io/name': 'sluice-operator' },
          ...(resourceVersion === null ? {} : { resourceVersion }),
        },
        type: 'Opaque',
        data: { [FIELD]: data },
      }
      try {
        return storedShard(
          resourceVersion === null
            ? await client.create(resources.secrets, secret)
            : await client.update(resources.secrets, secret),
        )
      } catch (error) {
        // Created by another leader, or deleted by a person: read it again and try once more.
        if (isKubeError(error, 'KUBE_ALREADY_EXISTS', 'KUBE_NOT_FOUND')) {
          throw new KubeError('KUBE_CONFLICT', `Secret ${name} is not what it was`, { cause: error })
        }
        throw error
      }
    },
  }
}
