/** The verified state: what the operator assigned to this pod, as last proven by verify.ts. */
import { StateHash } from '../../protocol/hash.ts'
import type { Checksums } from '../../protocol/messages.ts'
import type { ObjectKey, ObjectKind, ServiceKey } from '../../protocol/objects.ts'
import type { Objects } from '../table/objects.ts'
import type { TableUpdate } from '../table/update.ts'
import { NO_IDS, type IdList } from './id-lists.ts'

/** IDs that take part in the global checksums. */
export type IdLists = Readonly<Record<ObjectKind, IdList>>

/** All of a state but its objects, which are in the table. */
export interface StateHead {
  /** How many objects there are, also such as have no ID. */
  readonly counts: Readonly<Record<ObjectKind, number>>
  readonly ids: IdLists
  /** Computed here over `ids`; null before the first state. */
  readonly checksums: Checksums
  readonly hash: StateHash
}

export interface StreamState extends StateHead {
  readonly objects: Pick<Objects, 'entry'> & { readonly keys: () => Iterable<ObjectKey> }
}

export const EMPTY_STATE: StateHead = {
  counts: { Ingress: 0, Secret: 0 },
  ids: { Ingress: NO_IDS, Secret: NO_IDS },
  checksums: { ingress: null, secret: null },
  hash: new StateHash(),
}

/** What a step changes. */
export interface Changes {
  /** Those that stay the same are left out. */
  readonly objects: TableUpdate['objects']
  /** How many more served paths need a Service; less: negative. Those that stay the same are left out. */
  readonly needs: ReadonlyMap<ServiceKey, number>
  /** Objects whose assigned revision is another one now; null: none is assigned any more. */
  readonly revisions: ReadonlyMap<ObjectKey, string | null>
}

/** A verified change, not yet made. */
export interface Step {
  readonly state: StateHead
  readonly changes: Changes
}
