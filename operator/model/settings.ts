/** What a policy says of a rollout's course, in the form that the rollout machine works with. */

import type { Probe } from '../../protocol/messages.ts'

/** How many pods serve the update when a batch is out, earlier batches included. */
export type BatchSize = { readonly count: number } | { readonly percent: number }

/** What follows when a batch passed. */
export type Pause =
  { readonly type: 'none' } | { readonly type: 'time'; readonly forMs: number } | { readonly type: 'approval' }

export interface Batch {
  readonly pods: BatchSize
  readonly pause: Pause
}

/** Thresholds; null: the gate is off. Percentages and percentage points. */
export interface GateSettings {
  readonly successRate: { readonly min: number | null; readonly maxDrop: number | null } | null
  readonly notFoundRate: { readonly maxRise: number } | null
  readonly clientErrorRate: { readonly maxRise: number } | null
  readonly redirectRate: { readonly maxRise: number } | null
  /** Absent: a record from before there was this gate. */
  readonly connectFailureRate?: { readonly maxRise: number } | null
  /** maxRise: percent of the reference, 50 = half as slow again. */
  readonly latencyP99: { readonly maxRise: number } | null
  readonly tlsFailureRate: { readonly maxRise: number; readonly minHandshakes: number } | null
}

/** So few a minute are hardly anybody. In records from before there was a choice it is what the CRD has as default. */
export function idlePerMinute({ idleRequestsPerMinute = 10 }: Pick<Settings, 'idleRequestsPerMinute'>): number {
  return idleRequestsPerMinute
}

export const NO_GATES: GateSettings = {
  ...{ successRate: null, notFoundRate: null, clientErrorRate: null, redirectRate: null },
  ...{ connectFailureRate: null, latencyP99: null, tlsFailureRate: null },
}

/** Times in milliseconds. The implicit last batch of 100 % is written out. */
export interface Settings {
  /** Never empty; the last one is all pods and has no pause. */
  readonly batches: readonly Batch[]
  readonly bakeMs: number
  readonly ackDeadlineMs: number
  /** How often gates are looked at while a batch bakes. */
  readonly intervalMs: number
  readonly minRequests: number
  readonly gates: GateSettings
  readonly onInconclusive: 'Pause' | 'Promote'
  /** From the batch's start. */
  readonly deadlineMs: number
  readonly automaticRollback: boolean
  /** A deletion waits while it is asked for more often. Absent: a record from before there was a choice. */
  readonly idleRequestsPerMinute?: number
  /** `plain`: a certificate that needs no traffic when its bake is over (model/renewal.ts). Absent: a change like any other. */
  readonly renewal?: 'plain'
  /** Absent: none, or a record from before there were any. */
  readonly probes?: readonly Probe[]
}

/** So long a plain renewal is seen on the pods of a batch, at most. Two or three reports of a pod. Milliseconds. */
const PLAIN_BAKE_MS = 10_000

/** What a plain renewal begins with: first batch and all, as a policy has them, without pauses (docs/adr/0029-renewals.md). */
export function plainSettings(policy: Settings): Settings {
  const [first, ...others] = policy.batches.map(({ pods }): Batch => ({ pods, pause: { type: 'none' } }))
  const batches = [first, others.at(-1)].filter(batch => batch !== undefined)
  return { ...policy, batches, bakeMs: Math.min(policy.bakeMs, PLAIN_BAKE_MS), renewal: 'plain' }
}
