/**
 * The proxy pods: which exist, which are ready, and what each last said of itself.
 * A report counts only for the very pod (by UID) that sent it: a replaced pod starts with nothing confirmed.
 */
import { podOrdinal } from '../../protocol/ids.ts'
import type { Report } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { Pod } from '../kube/objects.ts'

export interface FleetPod {
  readonly name: string
  readonly uid: string
  /** -1: not of the StatefulSet's pattern. */
  readonly ordinal: number
  readonly ready: boolean
  readonly report: Report | null
  /** Monotonic milliseconds at which the report came; null: none yet. */
  readonly reportedAt: number | null
}

interface Heard {
  readonly uid: string
  readonly report: Report
  readonly at: number
}

export class Fleet {
  readonly #statefulSet: string
  readonly #pods = new Map<string, Pod>()
  readonly #heard = new Map<string, Heard>()

  constructor(statefulSet: string) {
    this.#statefulSet = statefulSet
  }

  put(pod: Pod): void {
    if (controllerOf(pod) === this.#statefulSet) this.#pods.set(pod.metadata.name, pod)
    else this.#pods.delete(pod.metadata.name)
  }

  remove(pod: Pod): void {
    this.#pods.delete(pod.metadata.name)
    this.#heard.delete(pod.metadata.name)
  }

  /** For the stream's authentication: the pod of this name and the StatefulSet that made it. */
  find(name: string): { readonly uid: string; readonly statefulSet: string | null } | null {
    const pod = this.#pods.get(name)
    return pod === undefined ? null : { uid: pod.metadata.uid ?? '', statefulSet: controllerOf(pod) }
  }

  heard(pod: { readonly name: string; readonly uid: string }, report: Report, at: number): void {
    this.#heard.set(pod.name, { uid: pod.uid, report, at })
  }

  /** In ordinal order, pods without an ordinal last. */
  pods(): readonly FleetPod[] {
    const pods = [...this.#pods.values()].map(pod => {
      const { name, uid = '' } = pod.metadata
      const heard = this.#heard.get(name)
      const current = heard?.uid === uid ? heard : undefined
      return {
        name,
        uid,
        ordinal: podOrdinal(name),
        ready: isReady(pod),
        report: current?.report ?? null,
        reportedAt: current?.at ?? null,
      }
    })
    const rank = (p: FleetPod): number => (p.ordinal < 0 ? Infinity : p.ordinal)
    return pods.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
  }
}

/** The revision of the object that the pod says it serves; undefined: it has not said. */
export function confirmed(pod: FleetPod, key: ObjectKey): Revision | null | undefined {
  return pod.report?.revisions[key]
}

function controllerOf(pod: Pod): string | null {
  const owner = pod.metadata.ownerReferences?.find(o => o.controller === true)
  return owner?.kind === 'StatefulSet' ? owner.name : null
}

function isReady(pod: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp === undefined &&
    pod.status?.conditions?.some(c => c.type === 'Ready' && c.status === 'True') === true
  )
}
