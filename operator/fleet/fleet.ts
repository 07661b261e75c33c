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
  /** As pods() last said it; what is not there is another by now. */
  readonly #known = new Map<string, FleetPod>()
  #order: readonly string[] | null = null
  #listed: readonly FleetPod[] | null = null

  constructor(statefulSet: string) {
    this.#statefulSet = statefulSet
  }

  put(pod: Pod): void {
    const { name } = pod.metadata
    const { size } = this.#pods
    if (controllerOf(pod) === this.#statefulSet) this.#pods.set(name, pod)
    else this.#pods.delete(name)
    if (this.#pods.size !== size) this.#order = null
    this.#changed(name)
  }

  remove(pod: Pod): void {
    this.#pods.delete(pod.metadata.name)
    this.#heard.delete(pod.metadata.name)
    this.#order = null
    this.#changed(pod.metadata.name)
  }

  /** For the stream's authentication: the pod of this name and the StatefulSet that made it. */
  find(name: string): { readonly uid: string; readonly statefulSet: string | null } | null {
    const pod = this.#pods.get(name)
    return pod === undefined ? null : { uid: pod.metadata.uid ?? '', statefulSet: controllerOf(pod) }
  }

  heard(pod: { readonly name: string; readonly uid: string }, report: Report, at: number): Said {
    const known = this.#heard.get(pod.name)
    this.#heard.set(pod.name, { uid: pod.uid, report, at })
    this.#changed(pod.name)
    const before = known?.uid === pod.uid ? known.report : null
    return { objects: newlySaid(before, report), isNewState: !saysTheSame(before, report) }
  }

  get size(): number {
    return this.#pods.size
  }

  /** In ordinal order, pods without an ordinal last. What is new of one pod makes that one anew, and sorts nothing. */
  pods(): readonly FleetPod[] {
    this.#order ??= orderOf(this.#pods.keys())
    this.#listed ??= this.#order.flatMap(name => this.#podOf(name) ?? [])
    return this.#listed
  }

  #podOf(name: string): FleetPod | null {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const pod = this.#pods.get(name)
    if (pod === undefined) return null
    const { uid = '' } = pod.metadata
    const heard = this.#heard.get(name)
    const current = heard?.uid === uid ? heard : undefined
    const found: FleetPod = {
      ...{ name, uid, ordinal: podOrdinal(name), ready: isReady(pod) },
      report: current?.report ?? null,
      reportedAt: current?.at ?? null,
    }
    this.#known.set(name, found)
    return found
  }

  #changed(name: string): void {
    this.#known.delete(name)
    this.#listed = null
  }
}

function orderOf(names: Iterable<string>): readonly string[] {
  const ranked = [...names].map(name => ({ name, ordinal: podOrdinal(name) }))
  const rank = (ordinal: number): number => (ordinal < 0 ? Infinity : ordinal)
  ranked.sort((a, b) => rank(a.ordinal) - rank(b.ordinal) || (a.name < b.name ? -1 : 1))
  return ranked.map(({ name }) => name)
}

/** Of its checksums and of what it refuses. A report that is the last one again has them from there. */
function saysTheSame(before: Report | null, now: Report): boolean {
  if (before?.checksums === now.checksums && before.refused === now.refused) return true
  return stateOf(before) === stateOf(now)
}

function stateOf(report: Report | null): string {
  return report === null ? '' : JSON.stringify([report.checksums, report.refused])
}

function newlySaid(before: Report | null, now: Report): ReadonlySet<ObjectKey> {
  const keys = new Set<ObjectKey>()
  if (before?.revisions === now.revisions && before.refused === now.refused) return keys
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
