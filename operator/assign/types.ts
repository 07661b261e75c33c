/** What is known of an object's releases, and what follows from it for the pods. DESIGN "Which revision does a pod serve?" */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { Content } from '../model/types.ts'
import type { Kept, TakenBackMemory } from '../rollout/machine/memory.ts'

/** A revision that the store holds: its name is bound to the content first seen with it. */
export interface StoredRevision {
  /** Hash of the content (equals the name unless the name was written by hand). */
  readonly hash: Revision
  /** Null for ABSENT_REVISION. */
  readonly content: Content | null
}

/** A rollout that has begun, driven by a policy: all that a new leader goes on from. */
export interface BegunRollout extends Kept {
  /** The index before it was last moved: an annotation that says so is ours of then, and nobody's hand. Absent: it never was. */
  readonly indexBefore?: number
}

/** The revision store's entry of one object, by UID. */
export interface ReleaseRecord {
  readonly uid: string
  readonly key: ObjectKey
  readonly createdAt: number
  /** Was governed when the leader last looked. While this is true nothing but what the record says is served. */
  readonly governed: boolean
  /** Governed by annotations that a person or an outside control plane wrote, not by a policy. */
  readonly byHand: boolean
  /** The policy that governs it: when the object is gone nothing else tells. Absent: none, or an older operator wrote this. */
  readonly policy?: string
  /**
   * Hash of the content at the moment when the object stopped being governed: this content is not released by losing
   * its policy, other content is. Null: governed, or served as it is.
   */
  readonly seen: Revision | null
  /** Released: what every pod may fall back to; null: never released (created while governed). */
  readonly current: Revision | null
  /** On its way; null: nothing. */
  readonly update: Revision | null
  /** Pods from ordinal 0 that serve `update`; -1: all. */
  readonly index: number
  /** Of `update`, while it is on its way; absent: driven by hand, or an operator from before this field began it. */
  readonly rollout?: BegunRollout
  /** What was taken back last, and why; absent: other content began since, or nothing was. */
  readonly takenBack?: TakenBackMemory
  /** Revisions taken back; they do not go out again before someone says retry. */
  readonly refused: readonly Revision[]
  readonly revisions: Readonly<Record<Revision, StoredRevision>>
  /**
   * The rollout annotations of a Secret as they stood while nobody drove by them (an operator from before wrote them, or a
   * person under a policy): what stands there unchanged drives nothing later either. Nobody takes them off a Secret.
   */
  readonly left?: string
  /** Hand-written names whose content is not kept any more, with its hash: a name never comes to mean other content. */
  readonly bound?: Readonly<Record<Revision, Revision>>
}

/** Who governs an object. */
export type Governance =
  | { readonly by: 'none' }
  /** `manual`: people may drive it by its annotations, too; else these are a copy of the record and nothing more. */
  | { readonly by: 'policy'; readonly policy: string; readonly manual: boolean }
  | { readonly by: 'hand' }

/** The outcome for one object, the same for every pod; revisionFor(plan, ordinal) gives the pod's revision. */
export interface Plan {
  readonly key: ObjectKey
  /** What the object announces (update; current if there is none); ABSENT_REVISION: on its way out; null: takes no part (nothing was ever released or stamped). */
  readonly announced: Revision | null
  readonly current: Revision | null
  readonly update: Revision | null
  readonly index: number
  /** Why the object's own wish is not followed, for status and event; null: it is. */
  readonly hold: Hold | null
}

export interface Hold {
  readonly reason:
    | 'InvalidFlag'
    | 'InvalidIndex'
    | 'UnknownRevision'
    | 'RevisionRefused'
    | 'RevisionConflict'
    | 'NotStamped'
    | 'OptOutRefused'
    | 'StampMissing'
    | 'InvalidContent'
    | 'UngovernedKept'
    | 'StillNeeded'
    | 'NamespaceTerminating'
  readonly message: string
}
