/** The IngressRollouts that are known, by object. Parsed once per version; what is malformed is left out. */
import type { ObjectKey } from '../../protocol/objects.ts'
import { objectKey, parseObjectKey } from '../../protocol/ids.ts'
import type { KubeObject } from '../kube/objects.ts'
import type { IngressRolloutSpec, IngressRolloutStatus } from '../model/generated/crds.ts'
import { ENDED } from '../rollout/machine/state.ts'

/** On an IngressRollout: so many before it, in a row, were superseded by newer content. Left out: none. */
export const SUPERSEDED_ANNOTATION = 'tengine.taobao.org/superseded-before'

export interface RolloutObject extends KubeObject {
  readonly spec: IngressRolloutSpec
  readonly status?: IngressRolloutStatus
}

export interface Rollout {
  readonly object: ObjectKey
  readonly namespace: string
  readonly name: string
  /** Of its object and content in this process, whether its IngressRollout is there or not. */
  readonly id: string
  /** Empty: it is being made. */
  readonly uid: string
  readonly resourceVersion: string
  readonly generation: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** It names its object as its owner: Kubernetes deletes it with that. */
  readonly owned: boolean
  /** So many before it, in a row, were superseded by newer content (superseded.ts). */
  readonly supersededBefore: number
  readonly spec: IngressRolloutSpec
  readonly status: IngressRolloutStatus | undefined
}

/** What is known of one before the API server has it. */
export type Expected = Pick<Rollout, 'object' | 'name' | 'createdAt' | 'owned' | 'supersededBefore' | 'spec'>

/** The API server has it. */
export function isMade({ uid }: Pick<Rollout, 'uid'>): boolean {
  return uid !== ''
}

/** Nothing happens by itself any more. */
export function isTerminal({ status }: Rollout): boolean {
  return status?.phase !== undefined && ENDED.has(status.phase)
}

/** Pods serve it, or may: it holds its hosts. */
export function isUnderWay(rollout: Rollout): boolean {
  const { phase } = rollout.status ?? {}
  return phase !== undefined && phase !== 'Pending' && !isTerminal(rollout)
}

/** Of one that has ended: when, in milliseconds since the epoch. */
export function endOf({ status, createdAt }: Rollout): number {
  const at = Date.parse(status?.finishedAt ?? '')
  return Number.isNaN(at) ? createdAt : at
}

export class Rollouts {
  readonly #byName = new Map<string, Rollout>()
  readonly #byObject = new Map<ObjectKey, Map<string, Rollout>>()
  /** Those that are not at their end: few of a long history. By name. */
  readonly #open = new Map<string, Rollout>()

  /** Returns the key of its object; null: it is not one that we can read. */
  put(raw: KubeObject): ObjectKey | null {
    const rollout = read(raw)
    return rollout === null ? null : this.#set(rollout)
  }

  /** It is about to be made: it begins now. */
  expect(wanted: Expected): Rollout {
    const { object, name, spec } = wanted
    const { namespace } = parseObjectKey(object)
    const rollout: Rollout = {
      ...wanted,
      ...{ namespace, id: idOf(namespace, name, spec.objectRef.uid), uid: '', resourceVersion: '', generation: 1 },
      status: undefined,
    }
    this.#set(rollout)
    return rollout
  }

  /** It could not be made. */
  drop({ namespace, name, id }: Rollout): void {
    const known = this.get(namespace, name)
    if (known?.id === id && !isMade(known)) this.#delete(known)
  }

  /** What another term was about to make. */
  dropUnmade(): void {
    for (const rollout of [...this.#open.values()]) this.drop(rollout)
  }

  /** @returns its object, and its id where it is known no more; null: it was not known */
  remove(raw: KubeObject): { readonly object: ObjectKey; readonly id: string | null } | null {
    const { namespace = '', name, uid = '' } = raw.metadata
    const known = this.get(namespace, name)
    if (known === null) return null
    if (known.uid === uid) {
      this.#delete(known)
      return known
    }
    // Another one has that name by now, or is about to.
    const id = read(raw)?.id ?? null
    return { object: known.object, id: id === known.id ? null : id }
  }

  #set(rollout: Rollout): ObjectKey {
    this.#byName.set(nameOf(rollout), rollout)
    if (isTerminal(rollout)) this.#open.delete(nameOf(rollout))
    else this.#open.set(nameOf(rollout), rollout)
    const siblings = this.#byObject.get(rollout.object) ?? new Map<string, Rollout>()
    siblings.set(rollout.name, rollout)
    this.#byObject.set(rollout.object, siblings)
    return rollout.object
  }

  #delete(rollout: Rollout): void {
    this.#byName.delete(nameOf(rollout))
    this.#open.delete(nameOf(rollout))
    const siblings = this.#byObject.get(rollout.object)
    siblings?.delete(rollout.name)
    if (siblings?.size === 0) this.#byObject.delete(rollout.object)
  }

  get(namespace: string, name: string): Rollout | null {
    return this.#byName.get(`${namespace}/${name}`) ?? null
  }

  /** Oldest first; one that is being made is younger than all, whatever our clock says. */
  of(object: ObjectKey): readonly Rollout[] {
    const later = (a: Rollout, b: Rollout): number => Number(isMade(b)) - Number(isMade(a)) || a.createdAt - b.createdAt
    return [...(this.#byObject.get(object)?.values() ?? [])].sort(later)
  }

  all(): Iterable<Rollout> {
    return this.#byName.values()
  }

  /** Not at their end: what they are about is to be observed. */
  open(): Iterable<Rollout> {
    return this.#open.values()
  }

  /** One of the object is not at its end. */
  isOpen(object: ObjectKey): boolean {
    for (const rollout of this.#byObject.get(object)?.values() ?? []) if (!isTerminal(rollout)) return true
    return false
  }
}

/** Rollouts that wait for a person, for time or for evidence, by the policy that they began under. */
export function pausedByPolicy(rollouts: Iterable<Rollout>): ReadonlyMap<string, number> {
  const paused = new Map<string, number>()
  for (const { status } of rollouts) {
    if (status?.phase !== 'Paused' || status.policy === undefined) continue
    paused.set(status.policy, (paused.get(status.policy) ?? 0) + 1)
  }
  return paused
}

function nameOf({ namespace, name }: Pick<Rollout, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

/** Its name says which content of which name, the UID of which object. */
function idOf(namespace: string, name: string, uid: string): string {
  return `${namespace}/${name} ${uid}`
}

function read(raw: KubeObject): Rollout | null {
  const { metadata, spec, status } = raw as RolloutObject
  const { namespace, name, uid, resourceVersion, generation = 0, creationTimestamp = '' } = metadata
  const { ownerReferences = [], annotations = {} } = metadata
  // The CRD's schema vouches for spec; before it was installed with one, anything could be stored.
  const ref = (spec as IngressRolloutSpec | undefined)?.objectRef
  if (ref === undefined || namespace === undefined || uid === undefined || resourceVersion === undefined) return null
  return {
    object: objectKey(ref.kind, namespace, ref.name),
    id: idOf(namespace, name, ref.uid),
    ...{ namespace, name, uid, resourceVersion, generation, spec, status },
    createdAt: Date.parse(creationTimestamp),
    owned: ownerReferences.some(owner => owner.uid === ref.uid),
    supersededBefore: countOf(annotations[SUPERSEDED_ANNOTATION]),
  }
}

/** What is no count is none: nothing is decided by it. */
function countOf(text = ''): number {
  return /^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : 0
}
