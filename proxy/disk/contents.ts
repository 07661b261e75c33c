/** What is kept on disk of a table: all that a proxy needs to serve again with nobody there to ask. */
import type { Checksums } from '../../protocol/messages.ts'
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Entry } from '../table/entry.ts'

export interface TableContents {
  readonly entries: readonly Entry[]
  readonly endpoints: readonly (readonly [ServiceKey, readonly string[]])[]
  readonly checksums: Checksums
  readonly stateHash: string
}
