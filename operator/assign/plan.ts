/**
 * Which revision does a pod serve? A pure function of object, governance and record (DESIGN, section of that name;
 * docs/which-revision.md has every case). Every replica evaluates it; none of them decides anything.
 */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { SourceObject } from '../model/types.ts'
import { hashOf, isRefused, knows, releasedOf } from './revisions.ts'
import type { Governance, Hold, Plan, ReleaseRecord } from './types.ts'

export { governanceOf } from './governance.ts'
export type { GovernanceDecision } from './governance.ts'

export interface PlanOptions {
  /** The object's content as it stands cannot be served (a Problem rejects it). */
  readonly invalid: boolean
  /** Its namespace is being deleted: everything in it is dropped at once. */
  readonly namespaceTerminating: boolean
  /**
   * Secrets: something that is served refers to it, so that its last good content outlives its deletion.
   * Left out it counts as needed.
   */
  readonly needed?: boolean
}

/** The revision of the pod with this ordinal (-1: none, infinitely high); ABSENT_REVISION or null: as if there were no object. */
export function revisionFor(plan: Plan, ordinal: number): Revision | null {
  if (plan.update === null) return plan.current
  return plan.index === -1 || (ordinal >= 0 && ordinal < plan.index) ? plan.update : plan.current
}

/**
 * @param object Null: the API server does not have it (any more).
 * @param record Null: nothing was ever stored. Of a Secret that was deleted and made again the record of its predecessor.
 */
export function plan(
  object: SourceObject | null,
  governance: Governance,
  record: ReleaseRecord | null,
  options: PlanOptions,
): Plan {
  const key = object?.key ?? record?.key ?? ''
  if (options.namespaceTerminating) {
    return absent(key, {
      reason: 'NamespaceTerminating',
      message: 'the namespace is being deleted: the object is dropped at once, without a rollout',
    })
  }
  if (key.startsWith('Secret/') && (object === null || object.revision === ABSENT_REVISION)) {
    return planOfLostSecret(key, record, options)
  }
  if (object === null) return absent(key, null)
  if (object.revision === ABSENT_REVISION && nothingReleased(record)) return absent(key, null)
  return governance.by === 'none'
    ? planUngoverned(object, record, options)
    : planGoverned(object, governance, record, options)
}

/** While a served revision needs a Secret, its last good content outlives its deletion. */
function planOfLostSecret(key: ObjectKey, record: ReleaseRecord | null, options: PlanOptions): Plan {
  const kept = record === null ? null : releasedOf(record)
  if (options.needed === false || kept === null || kept === ABSENT_REVISION) return absent(key, null)
  return everywhere(key, kept, {
    reason: 'StillNeeded',
    message: 'the Secret is gone; its last good certificate is served as long as an Ingress that is served needs it',
  })
}

function nothingReleased(record: ReleaseRecord | null): boolean {
  return record === null || ((record.current ?? ABSENT_REVISION) === ABSENT_REVISION && record.update === null)
}

function planUngoverned(object: SourceObject, record: ReleaseRecord | null, options: PlanOptions): Plan {
  const { key, revision } = object
  const atOnce = everywhere(key, revision === ABSENT_REVISION ? null : revision, null)
  if (record === null) {
    return options.invalid
      ? absent(key, { reason: 'InvalidContent', message: 'the content cannot be served, and there is no earlier one' })
      : atOnce
  }
  const kept = releasedOf(record)
  const keep = (reason: Hold['reason'], message: string): Plan => everywhere(key, kept, { reason, message })
  if (record.refused.includes(revision) && hashOf(record, kept) !== revision) {
    return keep(
      'UngovernedKept',
      `revision ${revision} was taken back and stays in until someone promotes or retries it`,
    )
  }
  // Kubernetes cannot take a deletion back, and nobody rolls it out any more.
  if (revision === ABSENT_REVISION) return absent(key, null)
  if (options.invalid) return keep('InvalidContent', 'the content cannot be served: the last good one is')
  if (hashOf(record, kept) === revision) return atOnce
  if (record.governed ? !record.byHand : record.seen === revision) {
    return keep(
      'UngovernedKept',
      'no policy governs the object any more: what was released last stays until the content changes or someone promotes it',
    )
  }
  return atOnce
}

function planGoverned(
  object: SourceObject,
  governance: Governance,
  record: ReleaseRecord | null,
  options: PlanOptions,
): Plan {
  const { key } = object
  if (record === null) {
    return absent(key, { reason: 'NotStamped', message: 'nothing of this object was released yet' })
  }
  const closed = governance.by === 'policy' && !governance.manual
  const wish = closed ? recorded(record, null) : followStamp(object, record)
  const { update, index } = wish
  const { current } = record
  const made = (to: Revision | null, hold: Hold | null): Plan => ({
    key,
    announced: to ?? current,
    current,
    update: to,
    index: to === null ? -1 : index,
    hold,
  })
  if (options.invalid) {
    const hold: Hold = {
      reason: 'InvalidContent',
      message: 'the content cannot be served and is not released; what was released is served',
    }
    // What became invalid on its way (a certificate that expires) goes no further.
    return made(
      update !== null && hashOf(record, update) === object.revision && update !== current ? null : update,
      hold,
    )
  }
  return made(update, wish.hold ?? unreleasedHold(object, record, update))
}

/** The content that the object has is not the one which is released or on its way. */
function unreleasedHold(object: SourceObject, record: ReleaseRecord, update: Revision | null): Hold | null {
  const { revision } = object
  const served = hashOf(record, update ?? record.current)
  if (served === revision) return null
  if (isRefused(record, revision) || record.refused.includes(revision)) {
    if (object.deleting) {
      const message =
        'the deletion was taken back: pods go on serving the object until someone promotes its IngressRollout'
      return { reason: 'RevisionRefused', message }
    }
    return {
      reason: 'RevisionRefused',
      message: `revision ${revision} was taken back and stays in until someone says retry`,
    }
  }
  return {
    reason: 'NotStamped',
    message:
      update === null
        ? `the content (${revision}) is not released: no update revision names it`
        : `the content (${revision}) is not that of update revision ${update}: it is released when a new name is stamped for it`,
  }
}

interface Wish {
  readonly update: Revision | null
  readonly index: number
  readonly hold: Hold | null
}

/** What the annotations say, where they say something valid about known revisions; else what the record says. */
function followStamp(object: SourceObject, record: ReleaseRecord): Wish {
  const { flag, update, index } = object.stamp
  const asRecorded = (hold: Hold | null): Wish => recorded(record, hold)
  const kept = 'what was released before is served'
  if (flag.state === 'invalid') {
    return asRecorded({
      reason: 'InvalidFlag',
      message: `the rollout flag ${quoted(flag.text)} is neither true nor false: ${kept}`,
    })
  }
  if (index.state === 'invalid') {
    return asRecorded({
      reason: 'InvalidIndex',
      message: `the rollout index ${quoted(index.text)} is not a whole number from -1 up: ${kept}`,
    })
  }
  if (update.state === 'invalid') {
    return asRecorded({
      reason: 'UnknownRevision',
      message: `the update revision ${quoted(update.text)} is not a name (at most 63 letters, digits, - _ .): ${kept}`,
    })
  }
  if (update.state === 'absent' && record.update === null) return asRecorded(null)
  if (flag.state === 'absent' || update.state === 'absent' || index.state === 'absent') {
    const lost = [
      flag.state === 'absent' && 'flag',
      update.state === 'absent' && 'update revision',
      index.state === 'absent' && 'index',
    ]
    return asRecorded({
      reason: 'StampMissing',
      message: `rollout annotations are missing (${lost.filter(name => name !== false).join(', ')}): ${kept}`,
    })
  }
  const name = update.value
  if (isRefused(record, name)) {
    return asRecorded({
      reason: 'RevisionRefused',
      message: `update revision ${name} was taken back and stays in until someone says retry: ${kept}`,
    })
  }
  const bound = hashOf(record, name)
  if (!knows(record, name) && (bound === null || bound === object.revision)) {
    return asRecorded({
      reason: 'UnknownRevision',
      message: `nobody has the content of update revision ${name} (yet): ${kept}`,
    })
  }
  if (name !== record.update && name !== record.current && hashOf(record, name) !== object.revision) {
    return asRecorded({
      reason: 'RevisionConflict',
      message: `update revision ${name} is the name of other content; a changed content needs a new name: ${kept}`,
    })
  }
  return { update: name, index: index.value, hold: null }
}

function recorded(record: ReleaseRecord, hold: Hold | null): Wish {
  const update = record.update !== null && isRefused(record, record.update) ? null : record.update
  return { update, index: record.index, hold }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text)
}

function absent(key: ObjectKey, hold: Hold | null): Plan {
  return { key, announced: null, current: null, update: null, index: -1, hold }
}

function everywhere(key: ObjectKey, revision: Revision | null, hold: Hold | null): Plan {
  return { key, announced: revision, current: revision, update: null, index: -1, hold }
}
