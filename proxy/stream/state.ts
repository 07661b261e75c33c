/** The verified state: what the operator assigned to this pod, as last proven by verify.ts. */
import { StateHash } from '../../protocol/hash.ts'
import type { Checksums } from '../../protocol/messages.ts'
import type { Assignment, Certificate, Fragment, ObjectKey } from '../../protocol/objects.ts'
import type { TableUpdate } from '../table/update.ts'

/** One object: what is assigned, with its compiled form; payload is null if and only if nothing is assigned. */
export interface Entry {
  readonly assignment: Assignment
  readonly payload: Fragment | Certificate | null
}

/** IDs that take part in the global checksums, sorted bytewise; an ID may occur twice. */
export interface IdLists {
  readonly Ingress: readonly string[]
  readonly Secret: readonly string[]
}

export interface StreamState {
  readonly entries: ReadonlyMap<ObjectKey, Entry>
  readonly ids: IdLists
  /** Computed here over `ids`; null before the first state. */
  readonly checksums: Checksums
  readonly hash: StateHash
}

/** A verified change, not yet made. */
export interface Step {
  /** Null: `upsert` is the whole state. */
  readonly removed: readonly ObjectKey[] | null
  readonly upsert: ReadonlyMap<ObjectKey, Entry>
  readonly ids: IdLists
  readonly checksums: Checksums
  readonly hash: StateHash
}

/** What a step changes for the workers, and which objects it touched at all. */
export interface Committed {
  readonly fragments: TableUpdate['fragments']
  readonly certificates: TableUpdate['certificates']
  /** Content that was served before and is not any more. */
  readonly replaced: readonly (Fragment | Certificate)[]
  /** Objects whose assigned revision is another one now; null: none is assigned any more. */
  readonly revisions: ReadonlyMap<ObjectKey, string | null>
}

/** Holds the state; steps come from verify.ts only. */
export class StateHolder implements StreamState {
  readonly #entries = new Map<ObjectKey, Entry>()
  #ids: IdLists = { Ingress: [], Secret: [] }
  #checksums: Checksums = { ingress: null, secret: null }
  #hash = new StateHash()

  get entries(): ReadonlyMap<ObjectKey, Entry> {
    return this.#entries
  }

  get ids(): IdLists {
    return this.#ids
  }

  get checksums(): Checksums {
    return this.#checksums
  }

  get hash(): StateHash {
    return this.#hash
  }

  /** Makes the step, and says what it changed: payloads that stay the same are not handed to the workers again. */
  commit(step: Step): Committed {
    const removed = step.removed ?? [...this.#entries.keys()].filter(key => !step.upsert.has(key))
    const fragments: { readonly upsert: Fragment[]; readonly remove: ObjectKey[] } = { upsert: [], remove: [] }
    const certificates: { readonly upsert: Certificate[]; readonly remove: ObjectKey[] } = { upsert: [], remove: [] }
    const replaced: (Fragment | Certificate)[] = []
    const revisions = new Map<ObjectKey, string | null>()
    const changed = (key: ObjectKey, before: Entry | undefined, after: Entry | null): void => {
      const [old, next] = [before?.payload ?? null, after?.payload ?? null]
      if (old?.revision !== next?.revision) revisions.set(key, next?.revision ?? null)
      if (before?.assignment.digest === after?.assignment.digest) return
      if (old !== null) replaced.push(old)
      if (next === null) {
        if (old !== null) ('chain' in old ? certificates : fragments).remove.push(key)
      } else if ('chain' in next) certificates.upsert.push(next)
      else fragments.upsert.push(next)
    }
    for (const key of removed) {
      changed(key, this.#entries.get(key), null)
      this.#entries.delete(key)
    }
    for (const [key, entry] of step.upsert) {
      changed(key, this.#entries.get(key), entry)
      this.#entries.set(key, entry)
    }
    this.#ids = step.ids
    this.#checksums = step.checksums
    this.#hash = step.hash
    return { fragments, certificates, replaced, revisions }
  }
}
