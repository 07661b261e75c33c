/** What the demo writes down while it runs. The verdict is a pure function of it. Times: milliseconds of performance.now(). */
import type { LoadRecord } from '../load/record.ts'

/** `rest` is everything between the four scenes. */
export const SCENES = ['good', 'bad', 'certificate', 'host'] as const
export type Scene = (typeof SCENES)[number]
export type Part = Scene | 'rest'

export interface PartEvent {
  readonly type: 'part'
  readonly at: number
  readonly part: Part
}

/** An IngressRollout as the watch showed it. */
export interface RolloutEvent {
  readonly type: 'rollout'
  readonly at: number
  readonly name: string
  readonly kind: 'Ingress' | 'Secret'
  readonly object: string
  readonly revision: string
  readonly stableRevision: string | null
  /** Empty before the operator wrote a status. */
  readonly phase: string
  readonly message: string
  /** Pods from ordinal 0 that serve the update; -1: all; null: not said yet. */
  readonly index: number | null
  readonly gates: readonly { readonly name: string; readonly verdict: string; readonly message: string }[]
}

export interface RequestEvent {
  readonly type: 'request'
  readonly at: number
  readonly record: LoadRecord
}

/** A Kubernetes event of type Warning. */
export interface WarningEvent {
  readonly type: 'warning'
  readonly at: number
  /** `Kind/name` of what it is about. */
  readonly object: string
  readonly reason: string
  readonly message: string
}

export type DemoEvent = PartEvent | RolloutEvent | RequestEvent | WarningEvent

/** Names that the scenes and the verdict share. */
export const CAST = {
  namespace: 'demo',
  host: 'shop.example.test',
  ingress: 'web',
  secret: 'web-tls',
  policy: 'demo',
  /** Versions of the backends, as they call themselves. */
  before: 'v1',
  good: 'v2',
  bad: 'v3',
} as const
