/**
 * What the leader writes down of one object apart from any rollout: its record, its annotations, its finalizer, and what
 * people should know. Decisions are pure (operator/assign, operator/status); here they are put into effect, one at a time.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { follow, noted, withPolicy } from '../assign/records.ts'
import { removeStamps, restoreStamps, stampFor, wasStamped } from '../assign/stamps.ts'
import type { ReleaseRecord } from '../assign/types.ts'
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
  readonly say: (object: Pick<SourceObject, 'key' | 'uid'>, condition: Condition) => void
  readonly wall: () => Date
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
  /** Records that annotations agreed with: what differs since is somebody else's doing. */
  readonly #copied = new WeakSet<ReleaseRecord>()
  /** Secrets of which was said that they are gone and needed. */
  readonly #lost = new Set<ObjectKey>()

  constructor(options: KeeperOptions) {
    this.#options = options
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
      return this.#write(view, source, { finalizers: wantedFinalizers(view), annotations: {} })
    }
    if (await this.#record(view, source)) return 'changed'
    const stamps = this.#stamps(view, source)
    const { annotations, waitMs } = this.#conditions(view, source, circumstances)
    const kept = await this.#write(view, source, {
      finalizers: wantedFinalizers(view),
      annotations: { ...stamps, ...annotations },
    })
    const { hold } = view
    const differs = Object.keys(stamps).length > 0
    if (record !== null && differs) {
      if (hold?.reason === 'StampMissing' && wasStamped(record)) this.#sayRestored(source, hold.message)
      if (isClosed(view) && this.#copied.has(record)) {
        this.#sayRestored(source, 'rollout annotations were changed, and the policy lets nobody but the operator')
      }
    } else if (record !== null) this.#copied.add(record)
    return kept === 'settled' && Number.isFinite(waitMs) ? waitMs : kept
  }

  /** Nothing is known of the object any more. */
  forget(key: ObjectKey): void {
    this.#settling.forget(key)
    this.#lost.delete(key)
  }

  /** No condition: it is mended by the write that goes with it. */
  #sayRestored(source: SourceObject, message: string): void {
    const lastTransitionTime = this.#options.wall().toISOString()
    const restored = `${message}; they are written again`
    this.#options.say(source, {
      ...{ type: 'Released', status: 'False', reason: 'StampMissing', message: restored, lastTransitionTime },
    })
  }

  async #gone({ key, hold }: ObjectView, record: ReleaseRecord | null): Promise<Kept> {
    this.#settling.forget(key)
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
  async #record(view: ObjectView, source: SourceObject): Promise<boolean> {
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
      if (later !== null) records.putLater(later)
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
    return restoreStamps(source, governance, record, prefix) ?? {}
  }

  #conditions(
    view: ObjectView,
    source: SourceObject,
    { rollingOut }: Circumstances,
  ): { readonly annotations: Readonly<Record<string, string | null>>; readonly waitMs: number } {
    const { hold, raw, governance } = view
    const { deleting } = source
    const previous = raw?.metadata.annotations?.[CONDITIONS_ANNOTATION]
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
    return { annotations: value === (previous ?? null) ? {} : { [CONDITIONS_ANNOTATION]: value }, waitMs }
  }

  async #write(
    view: ObjectView,
    source: SourceObject,
    wanted: {
      readonly finalizers: readonly string[]
      readonly annotations: Readonly<Record<string, string | null>>
    },
  ): Promise<Kept> {
    const { annotations = {} } = view.raw?.metadata ?? {}
    const changed = Object.entries(wanted.annotations).filter(([name, value]) => (annotations[name] ?? null) !== value)
    const same = wanted.finalizers.join() === source.finalizers.join()
    if (changed.length === 0 && same) return 'settled'
    await this.#options.writer.patch(source, {
      ...(changed.length === 0 ? {} : { annotations: Object.fromEntries(changed) }),
      ...(same ? {} : { finalizers: wanted.finalizers }),
    })
    return 'changed'
  }
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
