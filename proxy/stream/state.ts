/** The verified state: what the operator assigned to this pod, as last proven by verify.ts. */
import { StateHash } from '../../protocol/hash.ts'
import type { Checksums } from '../../protocol/messages.ts'
import type { ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { Entry } from '../table/entry.ts'
import type { TableUpdate } from '../table/update.ts'
import { NO_IDS, type IdList } from './id-lists.ts'

/** IDs that take part in the global checksums. */
export interface IdLists {
  readonly Ingress: IdList
  readonly Secret: IdList
}

export interface StreamState {
  readonly entries: ReadonlyMap<ObjectKey, Entry>
  readonly ids: IdLists
  /** Computed here over `ids`; null before the first state. */
  readonly checksums: Checksums
  readonly hash: StateHash
}

/** What a step changes for the workers. */
export interface Changes {
  readonly fragments: TableUpdate['fragments']
  readonly certificates: TableUpdate['certificates']
  /** How many more served paths need a Service; less: negative. Those that stay the same are left out. */
  readonly needs: ReadonlyMap<ServiceKey, number>
  /** Objects whose assigned revision is another one now; null: none is assigned any more. */
  readonly revisions: ReadonlyMap<ObjectKey, string | null>
}

/** A verified change, not yet made. */
export interface Step {
  /** Null: `upsert` is the whole state. */
  readonly removed: readonly ObjectKey[] | null
  /** Handed over with the step: nobody else changes it. */
  readonly upsert: Map<ObjectKey, Entry>
  readonly ids: IdLists
  readonly checksums: Checksums
  readonly hash: StateHash
  readonly changes: Changes
}

/** Holds the state; steps come from verify.ts only. */
export class StateHolder implements StreamState {
  #entries = new Map<ObjectKey, Entry>()
  #ids: IdLists = { Ingress: NO_IDS, Secret: NO_IDS }
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

  /** Makes the step. What is long about it was done with the proof. */
  commit(step: Step): Changes {
    if (step.removed === null) this.#entries = step.upsert
    else {
      for (const key of step.removed) this.#entries.delete(key)
      for (const [key, entry] of step.upsert) this.#entries.set(key, entry)
    }
    this.#ids = step.ids
    this.#checksums = step.checksums
    this.#hash = step.hash
    return step.changes
  }
}
