/** CheckSum objects: which one counts on this replica, and on the leader what is published and what their status says. */
import type { ObjectKey, ObjectKind } from '../../protocol/objects.ts'
import { newestCheckSum, parseCheckSum } from '../checksum/newest.ts'
import type { CheckSumObject } from '../checksum/newest.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { KubeClient } from '../kube/client.ts'
import { NotLeaderError, isKubeError } from '../kube/errors.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { KubeObject, SpecObject } from '../kube/objects.ts'
import { nameKey, referenceTo } from '../kube/objects.ts'
import { as, resources } from '../kube/resources.ts'
import type { Resource } from '../kube/resources.ts'
import { ModelError } from '../model/errors.ts'
import type { IngressCheckSumSpec, IngressCheckSumStatus } from '../model/generated/crds.ts'
import type { Releases } from '../pipeline/releases.ts'
import { Ahead } from '../publish/ahead.ts'
import { ChecksumPublisher } from '../publish/publisher.ts'
import type { PublishedState } from '../publish/publisher.ts'
import { checksumStatus } from '../status/checksum-status.ts'

/** Name of the object of each kind that the leader edits, in the operator's namespace. */
export const CHECKSUM_NAME = 'sluice'

type CheckSum = SpecObject<IngressCheckSumSpec, IngressCheckSumStatus>

export interface ChecksumsOptions {
  readonly client: Pick<KubeClient, 'apply' | 'applyStatus'>
  readonly kind: ObjectKind
  readonly mode: 'operator' | 'external'
  readonly namespace: string
  readonly replica: string
  readonly releases: Releases
  readonly pods: () => readonly FleetPod[]
  readonly events: EventRecorder
  readonly mayWrite: () => boolean
  /** What counts changed: the gate is to be told. */
  readonly changed: () => void
  readonly failed: (what: string, error: unknown) => void
  readonly wall: () => Date
}

interface Known {
  readonly raw: CheckSum
  readonly parsed: CheckSumObject
}

export class Checksums {
  readonly resource: Resource<CheckSum>
  readonly #options: ChecksumsOptions
  readonly #known = new Map<string, Known>()
  readonly #publisher: ChecksumPublisher | null
  readonly #ahead = new Ahead({
    changed: () => this.want(),
    agrees: () => this.#options.releases.gate(this.#options.kind).status === 'consistent',
  })
  readonly #told = new Set<string>()
  #statusText = ''

  constructor(options: ChecksumsOptions) {
    this.#options = options
    const { kind, mode, failed, mayWrite } = options
    this.resource = as<CheckSum>(kind === 'Ingress' ? resources.ingressCheckSums : resources.secretCheckSums)
    this.#publisher =
      mode === 'external'
        ? null
        : new ChecksumPublisher({
            write: state => this.#publish(state),
            mayWrite,
            failed: error => failed(`publish the ${kind}CheckSum`, error),
          })
  }

  upsert(object: KubeObject): void {
    const { kind, events } = this.#options
    const id = nameKey(object.metadata)
    try {
      this.#known.set(id, { raw: object, parsed: parseCheckSum(kind, object) })
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      this.#known.delete(id)
      events.event(referenceTo(this.resource, object), 'Warning', 'Malformed', error.message)
    }
    this.#changed()
  }

  remove(object: KubeObject): void {
    this.#known.delete(nameKey(object.metadata))
    this.#changed()
  }

  /** The object that counts; null: there is none. */
  get counting(): CheckSumObject | null {
    return this.#counting()?.parsed ?? null
  }

  /** The leader: the newest state is to be published, if it is another. */
  want(): void {
    const { releases, kind } = this.#options
    this.#publisher?.want(() => releases.gate(kind).publication(this.#ahead.ids()))
  }

  /** A new leader publishes, whatever it believes to have done before. */
  lead(): void {
    this.#statusText = ''
    this.want()
    this.#publisher?.reset()
  }

  /**
   * The leader: stores a record, and publishes meanwhile what is so when it is stored.
   * @param id Of its object then; null: as it is now, or not known
   */
  storing(key: ObjectKey, id: string | null, store: () => Promise<void>): Promise<void> {
    return this.#publisher === null ? store() : this.#ahead.during(key, id, store)
  }

  /** Resolves after the write that is under way or next; at once where there is none, or where it waits for its turn. */
  settled(): Promise<void> {
    return this.#publisher?.settled() ?? Promise.resolve()
  }

  stop(): void {
    this.#ahead.stop()
    this.#publisher?.stop()
  }

  /** The leader writes who agrees and who does not. @throws KubeError */
  async writeStatus(): Promise<void> {
    const { kind, releases, pods, replica, client, mayWrite, wall } = this.#options
    const counting = this.#counting()
    if (counting === null) return
    this.#ignoreForeign()
    const { raw, parsed } = counting
    const own = releases.difference(kind)
    const status = checksumStatus({
      kind,
      published: parsed.published.checksum,
      generation: raw.metadata.generation ?? 0,
      objects: releases.gate(kind).counted,
      pods: pods(),
      replica,
      own,
      previous: raw.status,
      now: wall().toISOString(),
    })
    const text = JSON.stringify({ uid: raw.metadata.uid, status: withoutTimes(status) })
    if (text === this.#statusText) return
    if (!mayWrite()) throw new NotLeaderError('this replica does not lead any more')
    const { namespace, name } = parsed
    try {
      await client.applyStatus(this.resource, { namespace, name }, status)
    } catch (error) {
      // Deleted meanwhile.
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error
    }
    this.#statusText = text
    const [worst] = status.mismatches ?? []
    if (worst !== undefined) {
      const message = `${worst.source}: ${worst.message}`
      this.#options.events.event(referenceTo(this.resource, raw), 'Warning', 'Mismatch', message)
    }
  }

  #changed(): void {
    this.#publisher?.seen(this.#counting()?.parsed.published.checksum ?? null)
    this.#options.changed()
  }

  #counting(): Known | null {
    const { mode, namespace } = this.#options
    if (mode === 'operator') return this.#known.get(`${namespace}/${CHECKSUM_NAME}`) ?? null
    const newest = newestCheckSum([...this.#known.values()].map(known => known.parsed))
    return newest === null ? null : (this.#known.get(`${newest.namespace}/${newest.name}`) ?? null)
  }

  #ignoreForeign(): void {
    const { mode, namespace, events, kind } = this.#options
    if (mode !== 'operator') return
    for (const [id, { raw }] of this.#known) {
      if (id === `${namespace}/${CHECKSUM_NAME}` || this.#told.has(raw.metadata.uid ?? '')) continue
      this.#told.add(raw.metadata.uid ?? '')
      const message = `only ${namespace}/${CHECKSUM_NAME} counts: the operator publishes the ${kind}CheckSum itself; CHECKSUM_MODE=external lets others publish`
      events.event(referenceTo(this.resource, raw), 'Warning', 'Ignored', message)
    }
  }

  async #publish(state: PublishedState): Promise<void> {
    const { client, namespace, wall } = this.#options
    const { checksum, count, ids, buckets } = state
    const spec = {
      timestamp: `${wall().toISOString().slice(0, 19)}Z`,
      checksum,
      count,
      ...(buckets.length > 0 ? { buckets } : { ids }),
    }
    const metadata = { name: CHECKSUM_NAME, namespace, labels: { 'app.kubernetes.io/name': 'sluice' } }
    await client.apply(this.resource, { metadata, spec }, { force: true })
  }
}

function withoutTimes(status: IngressCheckSumStatus): unknown {
  return {
    ...status,
    conditions: (status.conditions ?? []).map(({ type, status: is, reason, message }) => [type, is, reason, message]),
  }
}
