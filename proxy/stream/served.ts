/** What every worker serves by now: the only thing that a report may claim. Follows the verified state by the time workers need. */
import type { Checksums } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { Objects } from '../table/objects.ts'

export type TableSource = 'none' | 'disk' | 'stream'

export class Served {
  #objects: Objects
  #source: TableSource = 'none'
  #stateHash = ''
  #checksums: Checksums = { ingress: null, secret: null }

  /** @param objects as they are before the first table; open for as long as they are served */
  constructor(objects: Objects) {
    this.#objects = objects
  }

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
    return this.#objects.revision(key)
  }

  /** All that is served, as it is now. To be closed. */
  objects(): Objects {
    return this.#objects.again()
  }

  /** Every worker serves this generation of the table. */
  advance(generation: number): void {
    this.#objects.advance(generation)
  }

  /** The state that is served, whose generation is. */
  acknowledge(state: { readonly stateHash: string; readonly checksums: Checksums }, source: TableSource): void {
    this.#source = source
    this.#stateHash = state.stateHash
    this.#checksums = state.checksums
  }

  /** What was served is not any more, and nothing is. @param objects as they are now */
  withdraw(objects: Objects): void {
    this.#objects.close()
    this.#objects = objects
    this.#source = 'none'
    this.#stateHash = ''
    this.#checksums = { ingress: null, secret: null }
  }

  /** The operator confirmed that the table from disk is what it would send. */
  confirm(): void {
    if (this.#source === 'disk') this.#source = 'stream'
  }
}
