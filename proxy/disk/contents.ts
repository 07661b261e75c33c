/** What is kept on disk of a table: all that a proxy needs to serve again with nobody there to ask. */
import type { Checksums } from '../../protocol/messages.ts'
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Entry } from '../table/entry.ts'

export interface TableContents {
  /** In no order. */
  readonly entries: Iterable<Entry>
  readonly endpoints: readonly (readonly [ServiceKey, readonly string[]])[]
  readonly checksums: Checksums
  readonly stateHash: string
}

/** Of a table that changes meanwhile: read as it is asked for, and the same until it is closed. */
export interface PinnedContents extends TableContents {
  readonly close: () => void
}

/** As it was read. */
export interface StoredContents extends TableContents {
  readonly entries: readonly Entry[]
}
