/**
 * Puts the fleet's addresses into the status of every Ingress of our class, and takes them off one that left it. Whoever
 * reads an address (external-dns, a person, a test) comes there at once: an Ingress gets its first one when every ready pod
 * says that it serves it.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { revisionFor } from '../assign/plan.ts'
import type { Plan } from '../assign/types.ts'
import { confirmed } from '../fleet/fleet.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { KubeClient } from '../kube/client.ts'
import { NotLeaderError } from '../kube/errors.ts'
import { resources } from '../kube/resources.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { sameAddresses, shownAddresses, showsOurs } from '../status/addresses.ts'
import type { Address } from '../status/addresses.ts'

export interface AddressWriterOptions {
  readonly client: Pick<KubeClient, 'patchStatus'>
  /** What Ingresses of ours are to show; null: not known yet. */
  readonly wanted: () => readonly Address[] | null
  /** The stream gives it out. */
  readonly released: (key: ObjectKey) => boolean
  readonly pods: () => readonly FleetPod[]
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Asked before every write. */
  readonly mayWrite: () => boolean
}

/** So long a pod that is ready and says nothing keeps an address back. Milliseconds. */
export const PATIENCE_MS = 10_000
/** Pods are asked about so many at a time: those that came first. */
export const MOST_ASKED = 100

export class AddressWriter {
  readonly #options: AddressWriterOptions
  /** Ingresses that wait for their first address, and since when; oldest first. */
  readonly #waiting = new Map<ObjectKey, number>()

  constructor(options: AddressWriterOptions) {
    this.#options = options
  }

  /** What pods are to say of themselves whether they serve it; on every replica, since pods listen to all of them. */
  get asked(): readonly ObjectKey[] {
    const asked: ObjectKey[] = []
    for (const key of this.#waiting.keys()) {
      if (asked.length === MOST_ASKED) break
      asked.push(key)
    }
    return asked
  }

  /** Takes note of an object that was looked at; null: it is gone. @returns others wait than before */
  note(key: ObjectKey, view: ObjectView | null): boolean {
    const waits = view !== null && this.#stateOf(view) === 'first'
    if (waits === this.#waiting.has(key)) return false
    if (waits) this.#waiting.set(key, this.#options.now())
    else this.#waiting.delete(key)
    return true
  }

  /**
   * Writes the Ingress's status where it differs. Of one that is not ours nothing but what we wrote is taken away.
   *
   * @returns milliseconds after which to look again, whatever happens; null: only when something does
   * @throws KubeError KUBE_CONFLICT if somebody else wrote meanwhile; NotLeaderError
   */
  async write(view: ObjectView): Promise<number | null> {
    const { key, raw } = view
    const state = this.#stateOf(view)
    if (state === 'first') {
      this.note(key, view)
      const left = PATIENCE_MS - (this.#options.now() - (this.#waiting.get(key) ?? 0))
      if (left > 0 && !this.#isServed(key)) return left
    }
    const wanted = state === 'none' ? null : state === 'left' ? [] : this.#options.wanted()
    if (raw === null || wanted === null || sameAddresses(wanted, shownAddresses(raw))) return null
    if (!this.#options.mayWrite()) throw new NotLeaderError(`${key}: this replica does not lead`)
    const { namespace, name } = parseObjectKey(key)
    await this.#options.client.patchStatus(
      resources.ingresses,
      { namespace, name },
      { loadBalancer: { ingress: wanted } },
      { resourceVersion: raw.metadata.resourceVersion },
    )
    return null
  }

  /**
   * - `none`: what stands there stays · `left`: it is not ours any more, or on its way out, and shows what we wrote
   * - `first`: it is served by all that is to serve it, and shows nothing of ours yet · `ours`: it shows ours
   */
  #stateOf({ key, source, raw, plan }: ObjectView): 'none' | 'left' | 'first' | 'ours' {
    if (source === null || raw === null || !key.startsWith('Ingress/')) return 'none'
    // A deletion cannot be taken back: while pods still serve it, whoever follows the address (external-dns) leads nobody here any more.
    if (source.deleting) return showsOurs(raw) ? 'left' : 'none'
    // Its leaving is rolled out like any change: until it is complete, proxies serve it at these addresses.
    if (!source.ours) return !isServedBySome(plan) && showsOurs(raw) ? 'left' : 'none'
    const wanted = this.#options.wanted()
    if (showsOurs(raw) || wanted === null || wanted.length === 0 || sameAddresses(wanted, shownAddresses(raw))) {
      return 'ours'
    }
    const everywhere = this.#ordinals().every(ordinal => serves(plan, ordinal))
    return everywhere && this.#options.released(key) ? 'first' : 'none'
  }

  #isServed(key: ObjectKey): boolean {
    return this.#ready().every(pod => {
      const revision = confirmed(pod, key)
      return revision !== undefined && revision !== null && revision !== ABSENT_REVISION
    })
  }

  #ready(): readonly FleetPod[] {
    return this.#options.pods().filter(({ ready }) => ready)
  }

  /** While no pod is ready: those that may come. */
  #ordinals(): readonly number[] {
    const ready = this.#ready()
    return ready.length === 0 ? ANY : ready.map(({ ordinal }) => ordinal)
  }
}

/** The first pod, and one of an ordinal as high as can be. */
const ANY: readonly number[] = [0, -1]

function isServedBySome(plan: Plan | null): boolean {
  return ANY.some(ordinal => serves(plan, ordinal))
}

function serves(plan: Plan | null, ordinal: number): boolean {
  const revision = plan === null ? null : revisionFor(plan, ordinal)
  return revision !== null && revision !== ABSENT_REVISION
}
