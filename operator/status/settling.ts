/**
 * What is said about an object that is not there settles first: things that belong together come and go one after another
 * (cert-manager deletes its solver's Service a moment before the Ingress, `kubectl apply` makes an Ingress before its
 * Service). To write it at once makes a conflict for whoever is writing just then, and is old news a second later. What is
 * served waits for nothing.
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import type { Problem } from '../model/types.ts'

/** Longer than clients take for what belongs together. Milliseconds. */
export const SETTLE_MS = 5_000

const ABSENCES: ReadonlySet<string> = new Set(['ServiceNotFound', 'SecretNotFound'])

export interface Settled {
  readonly problems: readonly Problem[]
  /** Until the next one has settled, in milliseconds; Infinity: none is on its way. */
  readonly waitMs: number
}

export interface Circumstance {
  /** The object is being deleted: what it lacks now it will not get, and nobody has to mend it. */
  readonly deleting: boolean
  /** It was said before (by a former leader, too). */
  readonly isSaid: (problem: Problem) => boolean
  /** Milliseconds. */
  readonly now: number
}

export class Settling {
  /** By object: since when each is missed, in milliseconds. */
  readonly #since = new Map<ObjectKey, ReadonlyMap<string, number>>()

  settled(key: ObjectKey, problems: readonly Problem[], { deleting, isSaid, now }: Circumstance): Settled {
    const before = this.#since.get(key)
    const since = new Map<string, number>()
    let waitMs = Infinity
    const kept = problems.filter(problem => {
      if (!ABSENCES.has(problem.reason)) return true
      // Not by its message: that also says what is served instead, which may change meanwhile.
      const what = `${problem.reason} ${problem.field}`
      const from = Math.min(before?.get(what) ?? now, now)
      since.set(what, from)
      if (isSaid(problem)) return true
      if (deleting) return false
      const left = from + SETTLE_MS - now
      if (left > 0) waitMs = Math.min(waitMs, left)
      return left <= 0
    })
    if (since.size === 0) this.#since.delete(key)
    else this.#since.set(key, since)
    return { problems: kept, waitMs }
  }

  forget(key: ObjectKey): void {
    this.#since.delete(key)
  }
}
