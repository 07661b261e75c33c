/** What every worker serves by now: the only thing that a report may claim. Follows the verified state by the time workers need. */
import type { Checksums } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'

export type TableSource = 'none' | 'disk' | 'stream'

export class Served {
  #source: TableSource = 'none'
  #stateHash = ''
  #checksums: Checksums = { ingress: null, secret: null }
  readonly #revisions = new Map<ObjectKey, Revision>()

  get source(): TableSource {
    return this.#source
  }

  /** Empty before the first table. */
  get stateHash(): string {
    return this.#stateHash
  }

  get checksums(): Checksums {
    return this.#checksums
  }

  /** Null: none is served. */
  revision(key: ObjectKey): Revision | null {
    return this.#revisions.get(key) ?? null
  }

  acknowledge(
    state: { readonly stateHash: string; readonly checksums: Checksums },
    source: TableSource,
    revisions: ReadonlyMap<ObjectKey, Revision | null>,
  ): void {
    this.#source = source
    this.#stateHash = state.stateHash
    this.#checksums = state.checksums
    for (const [key, revision] of revisions) {
      if (revision === null) this.#revisions.delete(key)
      else this.#revisions.set(key, revision)
    }
  }

  /** The operator confirmed that the table from disk is what it would send. */
  confirm(): void {
    if (this.#source === 'disk') this.#source = 'stream'
  }
}
