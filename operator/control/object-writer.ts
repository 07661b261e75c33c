/**
 * Writes annotations and finalizers of watched objects, each write fenced by resourceVersion. Remembers what its own
 * writes replaced, so that a cache which has not seen them yet is not taken for somebody else's change.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { KubeClient } from '../kube/client.ts'
import { NotLeaderError } from '../kube/errors.ts'
import { resources } from '../kube/resources.ts'
import type { SourceObject } from '../model/types.ts'

export interface MetadataPatch {
  /** Null removes one. */
  readonly annotations?: Readonly<Record<string, string | null>>
  /** The whole list. */
  readonly finalizers?: readonly string[]
}

export interface ObjectWriterOptions {
  readonly client: Pick<KubeClient, 'mergePatch'>
  /** Asked before every write. */
  readonly mayWrite: () => boolean
}

interface Written {
  /** Versions that our writes replaced. */
  readonly replaced: Set<string>
  /** The version after the last of them. */
  resourceVersion: string
}

export class ObjectWriter {
  readonly #options: ObjectWriterOptions
  readonly #written = new Map<ObjectKey, Written>()

  constructor(options: ObjectWriterOptions) {
    this.#options = options
  }

  /** True: this state of the object is older than what we wrote; its watch event is on its way. */
  stale(object: SourceObject): boolean {
    const written = this.#written.get(object.key)
    if (written === undefined) return false
    if (written.replaced.has(object.resourceVersion)) return true
    this.#written.delete(object.key)
    return false
  }

  /** @throws KubeError KUBE_CONFLICT if somebody else wrote meanwhile; NotLeaderError */
  async patch(object: SourceObject, patch: MetadataPatch): Promise<void> {
    if (!this.#options.mayWrite()) throw new NotLeaderError(`${object.key}: this replica does not lead`)
    const { kind, namespace, name } = parseObjectKey(object.key)
    const resource = kind === 'Ingress' ? resources.ingresses : resources.secrets
    const known = this.stale(object) ? this.#written.get(object.key) : undefined
    const fence = known?.resourceVersion ?? object.resourceVersion
    const body = { metadata: { ...patch, resourceVersion: fence, uid: object.uid } }
    const after = await this.#options.client.mergePatch<{ metadata: { resourceVersion?: string } }>(
      resource,
      { namespace, name },
      body,
    )
    const version = after.metadata.resourceVersion ?? ''
    // A patch that changes nothing leaves the version as it is: no watch event will follow.
    if (version === fence) return
    const written = known ?? { replaced: new Set<string>(), resourceVersion: version }
    written.replaced.add(fence).add(object.resourceVersion)
    written.resourceVersion = version
    this.#written.set(object.key, written)
  }

  forget(key: ObjectKey): void {
    this.#written.delete(key)
  }
}
