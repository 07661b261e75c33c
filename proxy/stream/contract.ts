/** What the process that runs the stream client sees of it. */
import type { Checksums } from '../../protocol/messages.ts'

export interface StreamHandle {
  status(): StreamStatus
  /** Stops receiving; sends a last report if it can. */
  close(): Promise<void>
}

export interface StreamStatus {
  /** Hash of the applied state; empty before the first. */
  readonly stateHash: string
  readonly source: 'none' | 'disk' | 'stream'
  /** Computed by the proxy over what is applied. */
  readonly checksums: Checksums
  /** A stream to an operator is open. */
  readonly connected: boolean
  /** Reasons why an update is refused right now; 0: none is. */
  readonly refusals: number
  /** Why the copy on disk could not be written last; null: it could, or none is kept. */
  readonly diskError: string | null
  /** Copies on disk that were not used, or not any more: damaged, of another version, or not proven. */
  readonly diskRefused: number
}
