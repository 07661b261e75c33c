/**
 * Do the ready pods of the batch serve the revision? A pod that is not ready owes nothing. Against the revision speaks only a pod
 * that says it cannot serve it; one that is silent, or was not given it yet, says something of the infrastructure.
 */
import { ABSENT_REVISION } from '../../../../protocol/objects.ts'
import type { Revision } from '../../../../protocol/objects.ts'
import type { PodObservation, Verdict } from '../types.ts'
import { verdict } from './gate.ts'

/** A confirmation from so long ago says nothing of now: reports come every 2 s while a rollout runs. Milliseconds. */
export const SILENT_MS = 15_000

/** Serves exactly this revision; ABSENT_REVISION and null both mean that it answers as if the object did not exist. */
export function serves(pod: PodObservation, revision: Revision | null): boolean {
  const wanted = revision === ABSENT_REVISION ? null : revision
  return pod.serves === wanted && isHeard(pod)
}

/** It said something not long ago. */
export function isHeard({ lastReportAgeMs }: PodObservation): boolean {
  return lastReportAgeMs !== null && lastReportAgeMs <= SILENT_MS
}

/** The ready pods below the index; -1: all pods, those without an ordinal too. */
export function readyBelow(pods: readonly PodObservation[], index: number): readonly PodObservation[] {
  return pods.filter(pod => pod.ready && (index === -1 || (pod.ordinal >= 0 && pod.ordinal < index)))
}

/** Since when each ready pod below the index owes its confirmation; each has its own deadline, from when it became ready. */
export function owed(
  pods: readonly PodObservation[],
  index: number,
  revision: Revision,
  before: Readonly<Record<string, number>>,
  now: number,
): Readonly<Record<string, number>> {
  const owing = readyBelow(pods, index).filter(pod => !serves(pod, revision))
  return Object.fromEntries(owing.map(pod => [pod.name, before[pod.name] ?? now]))
}

export interface AckInput {
  readonly pods: readonly PodObservation[]
  readonly index: number
  readonly owing: Readonly<Record<string, number>>
  readonly deadlineMs: number
  readonly now: number
}

/** AckTimeout: overdue, and nobody says that the revision is to blame. */
export function acknowledgement({ pods, index, owing, deadlineMs, now }: AckInput): Verdict {
  const ready = readyBelow(pods, index)
  const names = Object.keys(owing)
  const figures = { ready: ready.length, acknowledged: ready.length - names.length }
  const say = (result: Verdict['verdict'], reason: string, message: string): Verdict =>
    verdict('acknowledgement', result, reason, message, figures)
  const refusing = ready.filter(pod => pod.name in owing && pod.refuses !== null && isHeard(pod))
  if (refusing.length > 0) {
    return say('fail', 'Refused', `refused by ${cut(refusing.map(({ name, refuses }) => `${name} (${refuses})`))}`)
  }
  const late = names.filter(name => now - (owing[name] ?? now) >= deadlineMs)
  if (late.length > 0) {
    const list = late.map(name => `${name} (${saysOf(pods.find(pod => pod.name === name))})`)
    return say('inconclusive', 'AckTimeout', `not confirmed within ${deadlineMs / 1000} s by ${cut(list)}`)
  }
  if (ready.length === 0) return say('inconclusive', 'NoPodReady', 'no pod of the batch is ready')
  if (names.length > 0) return say('inconclusive', 'AckPending', `waiting for ${cut(names)} to confirm`)
  return say('pass', 'Acknowledged', `${ready.length} ready ${ready.length === 1 ? 'pod' : 'pods'} confirmed`)
}

export function saysOf(pod: PodObservation | undefined): string {
  if (pod === undefined) return 'gone'
  if (pod.lastReportAgeMs === null) return 'no report'
  if (pod.lastReportAgeMs > SILENT_MS) return `silent for ${Math.round(pod.lastReportAgeMs / 1000)} s`
  if (pod.serves === undefined) return 'says nothing of this object'
  return pod.serves === null ? 'serves none' : `serves ${pod.serves}`
}

export function cut(names: readonly string[]): string {
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ')
}
