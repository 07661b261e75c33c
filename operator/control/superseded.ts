/**
 * An object that is edited faster than it can be rolled out: each change supersedes the one before, each begins at batch 0, and
 * none is ever released. Nobody would notice, because nothing fails.
 *
 * What is counted stands on the newest IngressRollout, as an annotation that is written when an attempt of it begins: older ones
 * may be forgotten (historyLimit), or begin anew under the same name.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Revision } from '../../protocol/objects.ts'
import type { EventRecorder } from '../kube/events.ts'
import { resources } from '../kube/resources.ts'
import { endOf, isTerminal } from './rollouts.ts'
import type { Rollout } from './rollouts.ts'

/** A rollout that ended so long ago was not superseded by what begins now: somebody took the change back. Milliseconds. */
const RECENT_MS = 300_000

export interface Beginning {
  readonly uid: string
  /** What pods fall back to; null: nothing was ever released. */
  readonly stable: Revision | null
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * How many rollouts in a row were, or are about to be, superseded by the one that begins. One that was released, taken back or
 * held in between ends the row. Pure.
 *
 * @param rollouts Those of the object before the one that begins, or begins again.
 */
export function supersededBefore(rollouts: readonly Rollout[], { uid, stable, now }: Beginning): number {
  const own = rollouts.filter(({ spec }) => spec.objectRef.uid === uid)
  const open = own.filter(rollout => !isTerminal(rollout))
  // The one that this one supersedes has counted those before it.
  const row = (open.length > 0 ? open : lately(own, now)).filter(
    // Of one that was made a moment ago no status is written yet.
    ({ status }) =>
      status === undefined || (status.phase !== 'RollingBack' && (status.stableRevision ?? null) === stable),
  )
  return Math.max(0, ...row.map(({ supersededBefore: before }) => before + 1))
}

/** At the third, and then ever more seldom: 3, 10, 30, 100 … Pure. */
export function isToBeSaid(count: number): boolean {
  if (!Number.isInteger(count) || count < 3) return false
  let rest = count
  while (rest % 10 === 0) rest /= 10
  return rest === 3 || rest === 1
}

/** Objects whose newest rollout is one of many in a row: for a metric. */
export function supersededAgain(open: Iterable<Rollout>): number {
  const objects = new Set<string>()
  for (const { object, supersededBefore: before } of open) if (before >= 3) objects.add(object)
  return objects.size
}

/** Superseded a moment ago, before the one that begins could be made; nothing that ended otherwise came after. */
function lately(own: readonly Rollout[], now: number): readonly Rollout[] {
  const otherwise = own.filter(({ status }) => status?.phase !== 'Superseded').map(endOf)
  const after = Math.max(now - RECENT_MS, ...otherwise)
  return own.filter(rollout => rollout.status?.phase === 'Superseded' && endOf(rollout) > after)
}

/** At the object, and at the newest of its rollouts. */
export function saySuperseded(events: Pick<EventRecorder, 'event'>, newest: Rollout, count: number): void {
  if (!isToBeSaid(count)) return
  const { object, namespace, name, uid, spec } = newest
  const { kind, name: objectName } = parseObjectKey(object)
  const { apiVersion } = kind === 'Ingress' ? resources.ingresses : resources.secrets
  const message = `${count} rollouts in a row were superseded by newer content, none was released: the object is changed faster than it is rolled out`
  for (const about of [
    { apiVersion, kind, name: objectName, namespace, uid: spec.objectRef.uid },
    { apiVersion: resources.ingressRollouts.apiVersion, kind: 'IngressRollout', namespace, name, uid },
  ])
    events.event(about, 'Warning', 'SupersededAgain', message)
}
