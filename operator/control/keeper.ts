/**
 * What the leader writes down of one object apart from any rollout: its record, its annotations, its finalizer, and what
 * people should know. Decisions are pure (operator/assign, operator/status); here they are put into effect, one at a time.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { isSecret } from '../assign/left.ts'
import { follow, forgotten, noted, withPolicy } from '../assign/records.ts'
import { removeStamps, restoreStamps, stampFor, wasStamped } from '../assign/stamps.ts'
import type { Hold, ReleaseRecord } from '../assign/types.ts'
import { isKubeError } from '../kube/errors.ts'
import type { Condition } from '../model/generated/crds.ts'
import type { SourceObject } from '../model/types.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { CONDITIONS_ANNOTATION, isSaid, objectConditions } from '../status/object-conditions.ts'
import { Settling } from '../status/settling.ts'
import { FINALIZER, wantedFinalizers } from './finalizer.ts'
import type { ObjectWriter } from './object-writer.ts'

/** The part of the revision store that the keeper needs. */
export interface Records {
  put(record: ReleaseRecord): Promise<void>
  putLater(record: ReleaseRecord): void
  remove(uid: string): Promise<void>
  /** The record of whatever object last had this key. */
  byKey(key: ObjectKey): ReleaseRecord | null
}

export interface KeeperOptions {
  readonly records: Records
  readonly writer: Pick<ObjectWriter, 'patch'>
  readonly annotationPrefix: string
  /** Nothing was stored when this leader began, and the object was there: it is taken over as it is. */
  readonly fresh: (uid: string) => boolean
  /** Something that is served refers to the Secret. */
  readonly needed: (key: ObjectKey) => boolean
  /** An Ingress of ours names the Secret, in its own content or in one that is released or on its way. */
  readonly named: (key: ObjectKey) => boolean
  /** None does, and that is sure: what is not known yet may. */
  readonly unnamed: (key: ObjectKey) => boolean
  readonly say: (object: Pick<SourceObject, 'key' | 'uid'>, condition: Condition) => void
  readonly wall: () => Date
  /** Monotonic milliseconds. */
  readonly now: () => number
}

/**
 * `settled`: nothing was written, the view is as it should be. `changed`: something was, look again when it shows.
 * A number: as settled, and look again after so many milliseconds.
 */
export type Kept = 'settled' | 'changed' | number

export interface Circumstances {
  /** A rollout of the object's content is on its way or about to begin. */
  readonly rollingOut: boolean
}

export class Keeper {
  readonly #options: KeeperOptions
  readonly #settling = new Settling()
  /** What annotations were seen to say as the record does: what differs from that since is somebody else's doing. */
  readonly #copied = new Map<ObjectKey, string>()
  /** Secrets of which was said that they are gone and needed. */
  readonly #lost = new Set<ObjectKey>()
  /** What was said of Secrets, which carry no conditions: those of their Ingresses and events say it. */
  readonly #saidOfSecrets = new Map<ObjectKey, string>()
  /** Secrets of which was said that their annotations cannot be written. */
  readonly #unwritable = new Set<ObjectKey>()

  /** Since when nothing names a Secret whose content is stored, as this leader saw it. Monotonic milliseconds. */
  readonly #unnamed = new Map<ObjectKey, number>()

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  /** A new leader has seen nothing of what was between. */
  start(): void {
    this.#unnamed.clear()
    this.#copied.clear()
  }

  /** @throws KubeError, NotLeaderError */
  async keep(view: ObjectView, circumstances: Circumstances): Promise<Kept> {
    const { source, record, stored } = view
    if (source === null) return this.#gone(view, record)
    if (source.gone === true) return this.#leaving(view, circumstances)
    this.#lost.delete(view.key)
    const { records } = this.#options
    if (view.namespaceTerminating) {
      if (stored !== null) await records.remove(stored.uid)
      const gone = await this.#write(view, source, { finalizers: wantedFinalizers(view), annotations: {} })
      return gone === 'forbidden' ? UNWRITABLE_MS : gone
    }
    const { named } = this.#options
    const isToBeKept = !isSecret(source) || named(view.key) || view.governance.by === 'hand' || circumstances.rollingOut
    if (await this.#record(view, source, isToBeKept)) return 'changed'
    const letGo = await this.#letGo(view.key, isToBeKept ? null : stored, view.plan?.hold ?? null)
    if (letGo === 'changed') return 'changed'
    const stamps = this.#stamps(view, source)
    const { annotations, waitMs } = this.#conditions(view, source, circumstances)
    const kept = await this.#write(view, source, {
      finalizers: wantedFinalizers(view),
      annotations: { ...stamps, ...annotations },
    })
    if (kept === 'forbidden') return UNWRITABLE_MS
    const { hold } = view
    const differs = Object.keys(stamps).length > 0
    if (record !== null && differs) {
      if (hold?.reason === 'StampMissing' && wasStamped(record)) this.#sayRestored(source, hold.message)
      if (isClosed(view) && this.#isCopied(record)) {
        this.#sayRestored(source, 'rollout annotations were changed, and the policy lets nobody but the operator')
      }
    } else if (record !== null) this.#copied.set(view.key, saidOf(record))
    const wait = Math.min(waitMs, letGo)
    return kept === 'settled' && Number.isFinite(wait) ? wait : kept
  }

  #isCopied(record: ReleaseRecord): boolean {
    return this.#copied.get(record.key) === saidOf(record)
  }

  /** Nothing is known of the object (any more): it is gone, or a Secret whose content nobody asks for. */
  async forget(key: ObjectKey): Promise<Kept> {
    this.#settling.forget(key)
    this.#copied.delete(key)
    this.#lost.delete(key)
    this.#saidOfSecrets.delete(key)
    this.#unwritable.delete(key)
    const stored = key.startsWith('Secret/') ? this.#options.records.byKey(key) : null
    // Whether its content is the one that was refused or held is not known: then the good one stays.
    const rests = stored !== null && !stored.byHand && stored.seen === null && stored.refused.length === 0
    const isAtRest = rests && (stored.update === null || stored.update === stored.current)
    const letGo = await this.#letGo(key, isAtRest && !this.#options.named(key) ? stored : null, null)
    return letGo === Infinity ? 'settled' : letGo
  }

  /**
   * The content of a Secret that nothing names is not kept (docs/adr/0025-keys-in-the-store.md): after a while, as an Ingress may be made
   * again in a moment. What the Secret itself does not hold (it was refused, or is no good) stays: nothing else has it.
   * @param stored null: it stays
   * @returns milliseconds after which to look again
   */
  async #letGo(key: ObjectKey, stored: ReleaseRecord | null, hold: Hold | null): Promise<'changed' | number> {
    if (stored === null || hold !== null || Object.keys(stored.revisions).length === 0) {
      this.#unnamed.delete(key)
      return Infinity
    }
    const { unnamed, now, records } = this.#options
    if (!unnamed(key)) {
      this.#unnamed.delete(key)
      return UNKNOWN_MS
    }
    const since = this.#unnamed.get(key) ?? now()
    this.#unnamed.set(key, since)
    const left = since + LET_GO_MS - now()
    if (left > 0) return left
    this.#unnamed.delete(key)
    const rest = forgotten(stored)
    if (rest === null) await records.remove(stored.uid)
    else await records.put(rest)
    return 'changed'
  }

  /** No condition: it is mended by the write that goes with it. */
  #sayRestored(source: SourceObject, message: string): void {
    const lastTransitionTime = this.#options.wall().toISOString()
    const restored = `${message}; they are written again`
    this.#options.say(source, {
      ...{ type: 'Released', status: 'False', reason: 'StampMissing', message: restored, lastTransitionTime },
    })
  }

  async #gone(view: ObjectView, record: ReleaseRecord | null): Promise<Kept> {
    const { key, hold, namespaceTerminating } = view
    this.#settling.forget(key)
    this.#copied.delete(key)
    if (record === null) return 'settled'
    if (key.startsWith('Secret/') && this.#options.needed(key)) {
      // There is no object that a condition could be written to; the Ingresses that name it say the rest.
      if (hold?.reason === 'StillNeeded' && !this.#lost.has(key)) {
        this.#lost.add(key)
        const lastTransitionTime = this.#options.wall().toISOString()
        const { reason, message } = hold
        this.#options.say(
          { key, uid: record.uid },
          { type: 'Released', status: 'False', reason, message, lastTransitionTime },
        )
      }
      return 'settled'
    }
    this.#lost.delete(key)
    const holds = Object.keys(record.revisions).length > 0
    if (key.startsWith('Secret/') && holds && !namespaceTerminating) {
      // Nothing is to be remembered of a Secret that is gone; but an Ingress that is made again may still need it.
      const whole = { ...record, refused: [], bound: {} }
      const letGo = await this.#letGo(key, this.#options.named(key) ? null : whole, null)
      return letGo === Infinity ? 'settled' : letGo
    }
    await this.#options.records.remove(record.uid)
    return 'changed'
  }

  /** There is no object any more that anything could be written to: its record goes when nothing of it is served. */
  async #leaving({ record, plan, stored }: ObjectView, { rollingOut }: Circumstances): Promise<Kept> {
    const isOff = record !== null && isDropped(record) && !rollingOut
    if (stored === null || !(plan?.announced == null || isOff)) return 'settled'
    await this.#options.records.remove(stored.uid)
    return 'changed'
  }

  /** True if the record was written: everything that depends on it waits for it. */
  async #record(view: ObjectView, source: SourceObject, isToBeKept: boolean): Promise<boolean> {
    const { governance, record, stored, plan, invalid } = view
    const { records, fresh, annotationPrefix } = this.#options
    if (plan === null) return false
    // The stamp of a policy that is gone goes first: the record tells that it is not somebody's own.
    if (removeStamps(source, governance, record, annotationPrefix) !== null) return false
    if (record !== null && record !== stored && governance.by !== 'none') {
      await records.put(record)
      return true
    }
    if (record !== null && isOver(record, source)) {
      // The annotations go first: without the record nobody would know whose they were.
      if (Object.keys(this.#stamps(view, source)).some(name => view.raw?.metadata.annotations?.[name] !== undefined)) {
        return false
      }
      await records.remove(record.uid)
      return true
    }
    const known = governance.by === 'none' ? stored : record
    const next = noted({ object: source, governance, record: known, plan, invalid, fresh: fresh(source.uid) })
    if (governance.by === 'none' && !(stored?.governed ?? false)) {
      // Nobody waits for it: what is served does not depend on it before the object becomes governed.
      const later = next ?? (record === stored ? null : record)
      if (later !== null && isToBeKept) records.putLater(later)
      return false
    }
    if (next !== null) {
      await records.put(withPolicy(next, governance))
      if (record !== null && record.uid !== next.uid) await records.remove(record.uid)
      return true
    }
    const named = record === null ? null : withPolicy(record, governance)
    if (named !== null && named !== record) {
      // Only asked for when the object is gone: nobody waits for it, but where it goes as soon as its finalizer does.
      if (!source.deleting && !source.finalizers.includes(FINALIZER)) records.putLater(named)
      else {
        await records.put(named)
        return true
      }
    }
    if (governance.by !== 'hand' || record === null) return false
    const followed = follow(record, source, invalid)
    if (followed.record === record) return false
    await records.put(followed.record)
    return true
  }

  #stamps({ governance, record }: ObjectView, source: SourceObject): Readonly<Record<string, string | null>> {
    const { annotationPrefix: prefix } = this.#options
    if (record !== null && isOver(record, source)) return removed(stampFor(record, prefix))
    const gone = removeStamps(source, governance, record, prefix)
    if (gone !== null) return gone
    if (record === null || governance.by === 'none') return {}
    return restoreStamps(source, governance, record, prefix, this.#isCopied(record)) ?? {}
  }

  #conditions(
    view: ObjectView,
    source: SourceObject,
    { rollingOut }: Circumstances,
  ): { readonly annotations: Readonly<Record<string, string | null>>; readonly waitMs: number } {
    const { hold, raw, governance } = view
    const { deleting } = source
    const secret = isSecret(source)
    const previous = secret ? this.#saidOfSecrets.get(source.key) : raw?.metadata.annotations?.[CONDITIONS_ANNOTATION]
    // What is not ours, and never was, is none of our business.
    const mine = source.ours && (source.key.startsWith('Ingress/') || this.#options.needed(source.key))
    const { problems, waitMs } = this.#settling.settled(source.key, mine ? view.problems : [], {
      ...{ deleting, now: this.#options.wall().getTime() },
      isSaid: problem => isSaid(previous, problem),
    })
    const { value, news } = objectConditions({
      problems,
      hold: mine || view.record !== null ? hold : null,
      expected: rollingOut || governance.by === 'policy',
      deleting,
      previous,
      now: this.#options.wall().toISOString(),
    })
    for (const condition of news) this.#options.say(source, condition)
    if (secret) {
      if (value === null) this.#saidOfSecrets.delete(source.key)
      else this.#saidOfSecrets.set(source.key, value)
      return { annotations: {}, waitMs }
    }
    return { annotations: value === (previous ?? null) ? {} : { [CONDITIONS_ANNOTATION]: value }, waitMs }
  }

  async #write(
    view: ObjectView,
    source: SourceObject,
    wanted: {
      readonly finalizers: readonly string[]
      readonly annotations: Readonly<Record<string, string | null>>
    },
  ): Promise<'settled' | 'changed' | 'forbidden'> {
    const { annotations = {} } = view.raw?.metadata ?? {}
    const changed = Object.entries(wanted.annotations).filter(([name, value]) => (annotations[name] ?? null) !== value)
    const same = wanted.finalizers.join() === source.finalizers.join()
    if (changed.length === 0 && same) return 'settled'
    try {
      await this.#options.writer.patch(source, {
        ...(changed.length === 0 ? {} : { annotations: Object.fromEntries(changed) }),
        ...(same ? {} : { finalizers: wanted.finalizers }),
      })
    } catch (error) {
      if (!isSecret(source) || !isKubeError(error, 'KUBE_FORBIDDEN')) throw error
      this.#sayUnwritable(source, changed)
      return 'forbidden'
    }
    this.#unwritable.delete(source.key)
    return 'changed'
  }

  /** The right to write on Secrets is an opt-in: without it whoever drives one by hand writes all of it. */
  #sayUnwritable(source: SourceObject, wanted: readonly (readonly [string, string | null])[]): void {
    if (this.#unwritable.has(source.key)) return
    this.#unwritable.add(source.key)
    const missing = wanted.map(([name, value]) => (value === null ? `${name}-` : `${name}=${value}`)).join(' ')
    const message = `the operator may not write on Secrets, and goes on with its record: write what is missing (${missing}), or give it the right with deploy/components/secrets-by-hand`
    const lastTransitionTime = this.#options.wall().toISOString()
    this.#options.say(source, { type: 'Released', status: 'False', reason: 'NotWritten', message, lastTransitionTime })
  }
}

/** So long nothing has named a Secret before its content is let go. Milliseconds. */
const LET_GO_MS = 600_000
/** What an Ingress names is not known: look again after so many milliseconds. */
const UNKNOWN_MS = 30_000
/** What may not be written is tried again after so many milliseconds: the right may have been given. */
const UNWRITABLE_MS = 60_000

/** What its annotations are to say, in one word for all of them. */
function saidOf({ uid, current, update, index }: ReleaseRecord): string {
  return [uid, current, update, index].join(' ')
}

function isClosed({ governance }: ObjectView): boolean {
  return governance.by === 'policy' && !governance.manual
}

/** Its change of class is released to all pods: the object is none of ours any more, and nothing of it is kept. */
function isOver(record: ReleaseRecord, source: SourceObject): boolean {
  const released = record.current === ABSENT_REVISION && (record.update === null || record.update === ABSENT_REVISION)
  return released && record.index === -1 && source.revision === ABSENT_REVISION && !source.deleting
}

/** Nothing is released and nothing on its way, whatever the index: also where the deletion came before anything was released. */
function isDropped({ current, update }: ReleaseRecord): boolean {
  return [current, update].every(revision => (revision ?? ABSENT_REVISION) === ABSENT_REVISION)
}

function removed(stamp: Readonly<Record<string, string | null>>): Readonly<Record<string, null>> {
  return Object.fromEntries(Object.keys(stamp).map(name => [name, null]))
}
