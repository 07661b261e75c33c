/**
 * The rollout machine's words. DESIGN "The rollout machine": pure (state, observation, settings) → (state, commands).
 * Durations are judged by a monotonic clock; wall times are for people and for pauses that outlive this process.
 */
import type { ObjectKind, Revision } from '../../../protocol/objects.ts'
import type { Settings } from '../../model/settings.ts'
import type { Aggregate, Baseline, Before, EventClass } from './figures.ts'
import type { Sample } from './statistics.ts'

export type { Batch, BatchSize, GateSettings, Pause, Settings } from '../../model/settings.ts'

export type Phase =
  'Pending' | 'Progressing' | 'Paused' | 'Complete' | 'RollingBack' | 'RolledBack' | 'Superseded' | 'Held'

export interface Verdict {
  readonly name: string
  readonly verdict: 'pass' | 'fail' | 'inconclusive'
  /** CamelCase. */
  readonly reason: string
  /** A sentence with the figures, for people. */
  readonly message: string
  readonly figures: Readonly<Record<string, number>>
}

/** Where the machine is inside the batch. `since`: monotonic milliseconds of this process. */
export type BatchStep =
  /**
   * Waits for endpoints of the update, or for pods, before it raises the index.
   * `merge`: the batch before passed in this process; if this one adds no pod, nothing is left to see.
   */
  | { readonly name: 'raising'; readonly since: number; readonly merge: boolean }
  /** The index is raised; ready pods below it have not all confirmed yet. */
  | { readonly name: 'acknowledging'; readonly since: number }
  | { readonly name: 'baking'; readonly since: number }
  /** Passed; waits for time (both ends of the same pause) or for approval (null). */
  | { readonly name: 'waiting'; readonly until: { readonly mono: number; readonly wall: number } | null }
  /** Released, or taken back; waits until every ready pod confirms, or the deadline. */
  | { readonly name: 'confirming'; readonly since: number }

/** Why the rollout does not go on though its batch could. A person decides, or the cause goes away. */
export interface Blocked {
  readonly reason: 'GateFailed' | 'InUse' | 'Inconclusive' | 'ManualIndex' | 'NoRollbackTarget' | 'OtherRollout'
  readonly message: string
  /** spec.approvedBatches when it began: only an approval given later counts as an answer. */
  readonly approvedBefore: number
}

/** Which looks a batch has spent of its error budget. A new leader begins anew: its bake does, too. */
export interface Spent {
  /** `batchSince` of the batch that it belongs to. */
  readonly batchSince: number
  /** By gate: the looks after the bake, and what the last of them had seen. The next one is due when that has doubled. */
  readonly looks: Readonly<Record<string, Look>>
  /** The last minute that was judged as a whole, and the gates that failed in it; null: none yet. Monotonic. */
  readonly late: { readonly at: number; readonly failed: readonly string[] } | null
  /** Since when something fails that nobody knows of the stable pods yet; null: nothing does. Monotonic. */
  readonly uncomparedSince: number | null
}

export interface Look {
  readonly taken: number
  /** Requests, or handshakes. */
  readonly total: number
}

/** Why a change is or was taken back. */
export interface Cause {
  readonly reason: string
  readonly message: string
}

export interface State {
  readonly phase: Phase
  /** What it began with: it runs to its end on that, whatever becomes of its policy. Null: it has not begun. */
  readonly settings: Settings | null
  /** From 1; grows with every retry. */
  readonly attempt: number
  /** The value of spec.retry that was acted upon. */
  readonly observedRetry: number
  /** Index into settings.batches. */
  readonly batch: number
  /** As the machine last wrote it: pods below it serve the update; -1: all. */
  readonly index: number
  /** The highest index of this attempt; -1: all. Those pods may have had the update. */
  readonly reached: number
  readonly step: BatchStep
  /** Monotonic start of the batch, from which settings.deadlineMs counts. */
  readonly batchSince: number
  readonly blocked: Blocked | null
  /** Set from the moment of the decision to take the change back. */
  readonly cause: Cause | null
  /** By pod name: since when a ready pod below the index owes its confirmation, monotonic. */
  readonly owing: Readonly<Record<string, number>>
  readonly verdicts: readonly Verdict[]
  readonly baseline: Baseline | null
  /** Per pod, from before the rollout; null: not known, as after a change of the leader. */
  readonly before: Before | null
  /** Null: no look was spent yet. */
  readonly spent: Spent | null
  /** What is on its way out was missed when it went, and is on the pods again; monotonic. Null: not that. */
  readonly missed: (Cause & { readonly at: number }) | null
  /** spec.abort was there before this attempt began and does not concern it. */
  readonly ignoreAbort: boolean
  /** The state in a sentence. */
  readonly message: string
  /** Wall times in milliseconds, for people; null: not yet. */
  readonly startedAt: number | null
  readonly batchStartedAt: number | null
  readonly finishedAt: number | null
}

export interface PodObservation {
  readonly name: string
  /** -1: a pod without an ordinal; it gets the update with the release. */
  readonly ordinal: number
  readonly ready: boolean
  /** The revision that the pod says it serves; null: it serves none; undefined: it has not said. */
  readonly serves: Revision | null | undefined
  /** Since its last report; null: none yet. */
  readonly lastReportAgeMs: number | null
  /** Why it cannot serve what it was given of this object, in its own words; null: it does not say so. */
  readonly refuses: string | null
}

/** What pods saw of one probe since the batch was raised; only of pods that said something of it lately. */
export interface ProbeSeen {
  /** `GET https://shop.example.com/healthz` */
  readonly words: string
  /** The update passed it on some pod, at any time. */
  readonly passed: boolean
  readonly update: readonly PodProbe[]
  readonly stable: readonly PodProbe[]
}

export interface PodProbe {
  readonly pod: string
  readonly ok: number
  readonly failed: number
  /** Failures in a row, up to the last answer. */
  readonly failedInRow: number
  /** What came last, for people. */
  readonly last: string
  /** What this pod showed last on the stable revision; null: not known. */
  readonly before: 'passed' | 'failed' | null
}

/** Figures of one window of time, of the pods that confirmed serving the update throughout, and of those on stable. */
export interface WindowFigures {
  readonly update: Aggregate
  readonly stable: Aggregate
  /**
   * The same of one time: what was counted of the update until all stable pods had been heard of, and what those counted meanwhile, at its
   * worst by these events. Pods report one after the other, and what hits all of them is known of some first
   * (docs/adr/0041-heard-of-the-same-time.md). Absent: the same as above.
   */
  readonly sideBySide?: (events: EventClass) => Pick<WindowFigures, 'update' | 'stable'>
  /**
   * How much more the answers of the update that took longer (milliseconds) vary from second to second of the window, all its pods
   * together, than independent ones would; at least 1. Absent: not known, they do not.
   */
  readonly bunched?: (slowerThanMs: number) => number
  /**
   * The answers of the update, and those that took longer (milliseconds), without the moment of the window in which most did: some
   * seconds, in a long window a part of it. Absent: not known, there was none.
   */
  readonly calm?: (slowerThanMs: number) => Sample
}

export interface Observation {
  /** Monotonic milliseconds of this process. */
  readonly now: number
  /** Milliseconds since the epoch. */
  readonly wall: number
  readonly kind: ObjectKind
  /** The revision that is rolled out; ABSENT_REVISION for a deletion or a change of class. */
  readonly revision: Revision
  /** What the pods fall back to; null: the object was never released, they fall back to "does not exist". */
  readonly stable: Revision | null
  /** Kubernetes is deleting the object: that cannot be taken back, only held. */
  readonly deletion: boolean
  /** Requests in the last minute that the object answered on all pods; null: not known yet, or not asked: it is not on its way out. */
  readonly use: number | null
  /** Others serve every path of it: whoever asks goes on being answered when it is gone. */
  readonly takenOver: boolean
  /**
   * Why every path of the revision answers 503: protection that is not supported. It goes out without other evidence than
   * confirmations, because there will be none, and taking it back would open what is to be protected. Null: it is not closed.
   */
  readonly closed: string | null
  readonly pods: readonly PodObservation[]
  /** Since the batch was confirmed. */
  readonly figures: WindowFigures
  /** The last minute of it; null: the batch is younger. A late fault must not drown in hours of good figures. */
  readonly recent: WindowFigures | null
  /** Probes that concern the object. Absent: the policy has none, or none of them does. */
  readonly probes?: readonly ProbeSeen[]
  /** The last minute before now on the stable revision; the machine keeps the one of the rollout's start. */
  readonly baseline: Baseline | null
  /** What each pod counted until now; only asked while Pending. Null: not known. */
  readonly before: Before | null
  /** spec of the IngressRollout. */
  readonly commands: Commands
  /**
   * `newer`: other content came, its own rollout takes over; `deleted`: the same, and it is the object's deletion;
   * `reverted`: the object's content is the stable one again; `ungoverned`: no policy governs the object any more;
   * `gone`: the object is, or goes with its namespace, or another one has its name.
   */
  readonly superseded: 'newer' | 'deleted' | 'reverted' | 'ungoverned' | 'gone' | null
  /**
   * What the change can have moved, which is what it is judged by. Two rollouts at once on a host, one of its certificate and one of
   * its paths, must not be judged by each other's faults.
   */
  readonly moves: { readonly requests: boolean; readonly handshakes: boolean }
  /** At least one endpoint of the revision's Services serves. Always true where there is nothing to ask (Secret, no Services). */
  readonly endpoints: {
    readonly update: boolean
    readonly stable: boolean
    /** Those of the update's Services that have none, for people. */
    readonly missing?: readonly string[]
  }
  /**
   * Certificates that the update needs, that nothing on its way back needs, and that are not with the pods yet, in words; null: none.
   */
  readonly lacksCertificates: string | null
  /** Of a certificate: what it is to the one that is served (model/renewal.ts). Null: a change like any other. */
  readonly renewal: RenewalObservation | null
  /** The index annotation, if it is another than the machine wrote; null: it is ours. */
  readonly manualIndex: number | null
  /** It is this rollout's turn (concurrency, other rollouts on the same hosts). Only asked while Pending, or Paused. */
  readonly isItsTurn: boolean
}

export interface RenewalObservation {
  readonly standing: 'valid' | 'urgent'
  /** Its policy lets it go out as a plain one. Only what has not begun is asked. */
  readonly isPlain: boolean
  readonly why: string
}

export interface Commands {
  readonly paused: boolean
  /** The pauses after the first so many batches are approved. */
  readonly approvedBatches: number
  readonly abort: boolean
  readonly promote: boolean
  readonly retry: number
}

/**
 * What the controller is to do, in order. It adopts the new state only when all took effect; else it steps again from
 * the old one: the machine is pure, so nothing is lost and nothing doubled.
 */
export type Command =
  /** Record and annotation: this index. */
  | { readonly type: 'setIndex'; readonly index: number }
  /** Record and annotations: current and update := the rollout's revision, index -1; it is no longer refused. */
  | { readonly type: 'release' }
  /** Record and annotations: index 0, update := current; `refuse`: the revision joins the refused ones. */
  | { readonly type: 'takeBack'; readonly refuse: boolean }
  /** New attempt: approvedBatches 0, abort and promote false, then its status with fresh conditions; then not refused, update := revision, index 0. */
  | { readonly type: 'begin'; readonly attempt: number }
  | {
      readonly type: 'event'
      readonly level: 'Normal' | 'Warning'
      readonly reason: string
      readonly message: string
    }
  /** Call step again after so many milliseconds, if nothing changes earlier. */
  | { readonly type: 'requeue'; readonly afterMs: number }

export interface StepResult {
  readonly state: State
  readonly commands: readonly Command[]
}
