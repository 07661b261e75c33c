/** What is kept on disk of a table: all that a proxy needs to serve again with nobody there to ask. */
import type { Checksums } from '../../protocol/messages.ts'
import type { ImageSteps, StoredTable } from '../table/stored.ts'

interface Said {
  readonly endpoints: StoredTable['endpoints']
  readonly checksums: Checksums
  readonly stateHash: string
}

export interface TableContents extends Said {
  /** Made as it is asked for. */
  readonly image: ImageSteps
}

/** Of a table that changes meanwhile: the same until it is closed. */
export interface PinnedContents extends TableContents {
  readonly close: () => void
}

/** As it was read. */
export interface StoredContents extends StoredTable, Said {}
