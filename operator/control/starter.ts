/**
 * Makes the IngressRollout of a content that is to go out, and forgets old ones.
 *
 * An IngressRollout is owned by its object (docs/adr/0022-owner-references.md): Kubernetes' garbage collector deletes it when
 * the object is gone. That of a deletion has no owner, because it begins when there is none any more
 * (docs/adr/0030-deletions.md): it is forgotten here, an hour after its end.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ObjectKey, ObjectKind } from '../../protocol/objects.ts'
import { release, withdraw } from '../assign/records.ts'
import { hashOf, releasedOf } from '../assign/revisions.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { KubeClient } from '../kube/client.ts'
import type { EventRecorder } from '../kube/events.ts'
import { NotLeaderError } from '../kube/errors.ts'
import { resources } from '../kube/resources.ts'
import type { Policy } from '../model/policy.ts'
import type { SourceObject } from '../model/types.ts'
import type { ObjectView, Pipeline } from '../pipeline/pipeline.ts'
import { rolloutName } from '../rollout/status.ts'
import { resetForAttempt } from './attempt.ts'
import type { Records } from './keeper.ts'
import type { Maker } from './maker.ts'
import { endOf, isMade, isTerminal } from './rollouts.ts'
import type { Rollout, Rollouts } from './rollouts.ts'
import { saySuperseded, supersededBefore } from './superseded.ts'

export interface StarterOptions {
  readonly pipeline: Pick<Pipeline, 'takes' | 'renewal' | 'isInUse'>
  readonly events: Pick<EventRecorder, 'event'>
  readonly client: Pick<KubeClient, 'delete' | 'applyStatus' | 'mergePatch'>
  readonly rollouts: Rollouts
  readonly maker: Pick<Maker, 'mayFollow' | 'make'>
  readonly records: Records
  readonly mayWrite: () => boolean
  readonly wall: () => Date
}

/** A rollout of an object that is gone is kept for so long, for whoever waits for it. Milliseconds. */
const KEEP_GONE_MS = 3_600_000
/** Where no policy says how much history there is to be. */
const DEFAULT_HISTORY = 10

/** What is to happen with the object's content. Pure. */
export function wish(view: ObjectView): 'nothing' | 'roll out' | 'go back' {
  const { key, source, record, governance, policy, invalid, namespaceTerminating } = view
  if (source === null || record === null || policy === null || governance.by !== 'policy') return 'nothing'
  if (invalid || namespaceTerminating || record.uid !== source.uid || !record.governed) return 'nothing'
  const { revision } = source
  if (revision === ABSENT_REVISION && key.startsWith('Secret/')) return 'nothing'
  const released = releasedOf(record)
  const isReleased = (released === null ? ABSENT_REVISION : hashOf(record, released)) === revision
  const { update, current } = record
  const underWay = update !== null && update !== current && hashOf(record, update) !== revision && record.index !== -1
  // What was refused may be the content again of an object that was made anew while its deletion was on its way.
  if (isReleased || record.refused.includes(revision)) return underWay ? 'go back' : 'nothing'
  return 'roll out'
}

/** The object's content is on its way to pods, or about to be. Pure. */
export function isRollingOut(view: ObjectView, rollouts: readonly Rollout[]): boolean {
  const promoted = ({ spec, status }: Rollout): boolean =>
    status?.phase === 'Held' && spec.promote && spec.revision === view.source?.revision
  return wish(view) === 'roll out' || rollouts.some(rollout => !isTerminal(rollout) || promoted(rollout))
}

export class Starter {
  readonly #options: StarterOptions

  constructor(options: StarterOptions) {
    this.#options = options
  }

  /** True if something was written that does not show yet. @throws KubeError */
  async start(view: ObjectView): Promise<boolean> {
    const wanted = wish(view)
    const { source, record } = view
    if (source !== null && isDeletionHeld(view)) {
      const { kind, namespace, name } = parseObjectKey(view.key)
      const heldBy = rolloutName(kind, name, source.revision)
      if (this.#options.rollouts.get(namespace, heldBy) === null) return this.#create(view, heldBy)
    }
    if (view.invalid && record !== null && this.#isOrphaned(view, record)) {
      // Its content cannot begin again, and what is on pods nobody judges.
      this.#assertLeading()
      await this.#options.records.put(withdraw(record))
      return true
    }
    if (wanted === 'nothing' || source === null || record === null) return this.#forgetOld(view)
    const { rollouts, records } = this.#options
    const open = rollouts.of(view.key).filter(rollout => !isTerminal(rollout))
    if (wanted === 'go back') {
      // The rollout under way sees it and ends; without one (somebody deleted it) nobody else would.
      if (open.length > 0) return false
      this.#assertLeading()
      await records.put(withdraw(record))
      return true
    }
    if (open.length === 0 && (await this.#takeOff(view))) return true
    // One of other content ends when it sees what is released; its own goes on by itself.
    if (open.every(({ spec }) => spec.revision !== source.revision) && (await this.#releaseAtOnce(view))) return true
    // On its way under another name: one that it had with its ACME challenges, or that a person gave it.
    const { update } = record
    const isNamed = update !== null && update !== source.revision && hashOf(record, update) === source.revision
    if (isNamed && open.some(({ spec }) => spec.revision === update)) return false
    const { kind, namespace, name } = parseObjectKey(view.key)
    const wantedName = rolloutName(kind, name, source.revision)
    const existing = rollouts.get(namespace, wantedName)
    if (existing === null) return this.#create(view, wantedName)
    // One that is being made for an object that is gone: its end comes when it is made, or cannot be.
    if (!isMade(existing)) return false
    if (existing.spec.objectRef.uid !== source.uid) return this.#delete(existing)
    // Of an object that never comes to its end history would grow without end.
    if (!isTerminal(existing)) return this.#forgetOld(view)
    const { attempt = 1 } = existing.status ?? {}
    this.#assertLeading()
    const { client, wall } = this.#options
    const before = this.#supersededBefore(view, wantedName)
    rollouts.put(await resetForAttempt(client, existing, attempt + 1, releasedOf(record), wall(), before))
    const begins = `${wantedName} begins attempt ${attempt + 1} of ${whatOf(source)}`
    this.#say(view, source, 'RolloutCreated', `${begins}; ${howToWait(namespace, wantedName)}`)
    saySuperseded(this.#options.events, existing, before)
    return true
  }

  /**
   * Older content on pods whose IngressRollout somebody deleted (a person, the garbage collector): nobody judges it any
   * more, and the newer one may have to wait for its turn.
   */
  async #takeOff({ source, record }: ObjectView): Promise<boolean> {
    if (source === null || record === null || record.update === null || record.update === record.current) return false
    if (record.index === 0 || record.index === -1 || hashOf(record, record.update) === source.revision) return false
    this.#assertLeading()
    await this.#options.records.put(withdraw(record))
    return true
  }

  /** To hold it back would protect nobody. */
  async #releaseAtOnce(view: ObjectView): Promise<boolean> {
    const { source, record, policy } = view
    if (source === null || record === null || policy === null || source.revision === ABSENT_REVISION) return false
    const why = this.#whyAtOnce(view, record, policy)
    if (why === null) return false
    this.#assertLeading()
    await this.#options.records.put(release(record, source))
    this.#say(view, source, 'Released', `revision ${source.revision} is released to all pods at once: ${why}`)
    return true
  }

  /** What never was released and takes nothing from what is served, and what takes the place of something useless. */
  #whyAtOnce(view: ObjectView, record: ReleaseRecord, { creation }: Policy): string | null {
    const { pipeline } = this.#options
    const isSecret = view.key.startsWith('Secret/')
    if (isSecret && !pipeline.isInUse(view.key)) return 'no pod serves anything with it yet'
    if (creation === 'Gradual') return null
    const isNew = record.current === null && record.update === null
    if (!isNew) return isSecret ? (pipeline.renewal(view)?.useless ?? null) : null
    if (creation === 'Immediate') return 'it is new and the policy releases what is created at once'
    return pipeline.takes(view) === null ? 'it is new and takes nothing from what is served' : null
  }

  /**
   * It begins in this look, while its IngressRollout is made; where the last one could not be made this one is waited for.
   * @throws KubeError where it could not be made, after what nobody judges is off the pods
   */
  async #create(view: ObjectView, name: string): Promise<boolean> {
    const { key, source, record, policy } = view
    if (source === null || record === null || policy === null) return false
    this.#assertLeading()
    const { rollouts, maker, wall } = this.#options
    const { uid, revision, deleting } = source
    const { kind, name: objectName } = parseObjectKey(key)
    const rollout = rollouts.expect({
      ...{ object: key, name, createdAt: wall().getTime(), owned: !deleting },
      supersededBefore: this.#supersededBefore(view, name),
      spec: {
        ...{ objectRef: { kind, name: objectName, uid }, revision },
        ...{ paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 },
      },
    })
    if (maker.mayFollow(rollout)) return false
    try {
      await maker.make(rollout)
      return false
    } catch (error) {
      rollouts.drop(rollout)
      if (this.#isOrphaned(view, record)) await this.#options.records.put(withdraw(record))
      throw error
    }
  }

  /** An update is on pods, and no IngressRollout drives it. */
  #isOrphaned({ key, governance }: ObjectView, { update, current, index }: ReleaseRecord): boolean {
    if (governance.by !== 'policy' || update === null || update === current || index <= 0) return false
    return this.#options.rollouts.of(key).every(isTerminal)
  }

  /** Of a deletion it does not matter what it supersedes: nothing newer comes. */
  #supersededBefore({ key, source, record }: ObjectView, name: string): number {
    if (source === null || record === null || source.revision === ABSENT_REVISION) return 0
    const { rollouts, wall } = this.#options
    const others = rollouts.of(key).filter(rollout => rollout.name !== name || isTerminal(rollout))
    return supersededBefore(others, { uid: source.uid, stable: releasedOf(record), now: wall().getTime() })
  }

  /** Ended rollouts beyond the policy's limit, and those of an object that is no more. */
  async #forgetOld(view: ObjectView): Promise<boolean> {
    const { rollouts } = this.#options
    const limit = view.policy?.historyLimit ?? DEFAULT_HISTORY
    const uid = view.source?.uid
    const ended = rollouts.of(view.key).filter(isTerminal)
    // That of the content which the object has is no history: a person says retry or promote to it.
    const holds = ({ spec }: Rollout): boolean => spec.revision === view.source?.revision
    const old = ended
      .filter(rollout => rollout.spec.objectRef.uid === uid && !holds(rollout))
      .sort((a, b) => endOf(b) - endOf(a))
      .slice(limit)
    const gone = ended.filter(rollout => rollout.spec.objectRef.uid !== uid && this.#isLongGone(rollout))
    for (const rollout of [...old, ...gone]) await this.#delete(rollout)
    return false
  }

  /**
   * Of an object that nothing is known of any more: ended rollouts that an operator without owner references made. Those
   * with one are deleted by the garbage collector. @throws KubeError
   */
  async sweep(key: ObjectKey): Promise<void> {
    for (const rollout of this.#options.rollouts.of(key)) {
      if (!rollout.owned && isTerminal(rollout) && this.#isLongGone(rollout)) await this.#delete(rollout)
    }
  }

  /** Where whoever changed the object looks: a name that has our hash in it is nothing that one can guess. */
  #say({ key }: ObjectView, { uid }: SourceObject, reason: string, message: string): void {
    const { namespace } = parseObjectKey(key)
    this.#options.events.event({ ...referenceOf(key), namespace, uid }, 'Normal', reason, message)
  }

  #isLongGone(rollout: Rollout): boolean {
    return this.#options.wall().getTime() - endOf(rollout) > KEEP_GONE_MS
  }

  async #delete({ namespace, name, uid }: Rollout): Promise<boolean> {
    this.#assertLeading()
    return this.#options.client.delete(resources.ingressRollouts, { namespace, name }, { uid })
  }

  #assertLeading(): void {
    if (!this.#options.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
  }
}

/** Of an object that a person wants served on: it is, until there is another of its name or a person lets it go. */
function isDeletionHeld({ source, record, governance, namespaceTerminating }: ObjectView): boolean {
  if (source === null || record === null || governance.by !== 'policy' || namespaceTerminating) return false
  if (!source.deleting || record.uid !== source.uid) return false
  return record.refused.includes(ABSENT_REVISION) && releasedOf(record) !== ABSENT_REVISION
}

function referenceOf(key: ObjectKey): {
  readonly apiVersion: string
  readonly kind: ObjectKind
  readonly name: string
} {
  const { kind, name } = parseObjectKey(key)
  const { apiVersion } = kind === 'Ingress' ? resources.ingresses : resources.secrets
  return { apiVersion, kind, name }
}

function whatOf({ revision, deleting }: SourceObject): string {
  if (revision !== ABSENT_REVISION) return `revision ${revision}`
  return deleting ? 'the deletion' : 'the change of class'
}

function howToWait(namespace: string, name: string): string {
  return `kubectl wait -n ${namespace} --for=condition=Ready ingressrollout/${name} --timeout=10m`
}
