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

/** What a pod says now and did not say before. */
export interface Said {
  /** It serves another revision of them, or refuses it. */
  readonly objects: ReadonlySet<ObjectKey>
  /** Of its checksums, or of what it refuses: the status of the checksums may be another one. */
  readonly isNewState: boolean
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

  heard(pod: { readonly name: string; readonly uid: string }, report: Report, at: number): Said {
    const known = this.#heard.get(pod.name)
    this.#heard.set(pod.name, { uid: pod.uid, report, at })
    const before = known?.uid === pod.uid ? known.report : null
    return { objects: newlySaid(before, report), isNewState: stateOf(before) !== stateOf(report) }
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

function stateOf(report: Report | null): string {
  return report === null ? '' : JSON.stringify([report.checksums, report.refused])
}

function newlySaid(before: Report | null, now: Report): ReadonlySet<ObjectKey> {
  const keys = new Set<ObjectKey>()
  for (const key of Object.keys({ ...before?.revisions, ...now.revisions })) {
    if (before?.revisions[key] !== now.revisions[key]) keys.add(key)
  }
  const [refusedBefore, refused] = [before?.refused ?? [], now.refused].map(refusals)
  if (refusedBefore !== refused) {
    for (const { object } of [...(before?.refused ?? []), ...now.refused]) if (object !== null) keys.add(object)
  }
  return keys
}

const refusals = (refused: Report['refused']): string => JSON.stringify(refused)

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
