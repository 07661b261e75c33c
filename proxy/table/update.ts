/**
 * Where the stream meets the data plane: verified steps go in; counts come out by report/counter-source.ts.
 * proxy/stream produces updates and consumes counters; proxy/workers does the opposite. Neither knows more of the other.
 */
import type { TicketSecrets } from '../frontdoor/ticket-keys.ts'
import type { ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import type { Entry } from './entry.ts'
import type { Objects } from './objects.ts'
import type { ReadStored, StoredTable } from './stored.ts'

/** As EndpointTable. A Map: an object of 100 000 names takes a tenth of a second whenever somebody asks for its keys. */
export type Addresses = ReadonlyMap<ServiceKey, readonly string[]>

/** One verified step from table to table. No request sees half of it. Never log one: certificates hold private keys. */
export interface TableUpdate {
  /** True: a full replacement, whatever is not named below is gone. */
  readonly reset: boolean
  readonly objects: {
    /** New or changed; replaces the one of the same key. */
    readonly upsert: readonly Entry[]
    readonly remove: readonly ObjectKey[]
  }
  readonly endpoints: {
    readonly upsert: Addresses
    readonly remove: readonly ServiceKey[]
  }
  /** Hosts to count even where no route knows them; null: unchanged (a reset with null keeps them). */
  readonly observed: readonly string[] | null
}

/** An update that changes nothing: spread it and fill in what there is. */
export const EMPTY_UPDATE: TableUpdate = {
  reset: false,
  objects: { upsert: [], remove: [] },
  endpoints: { upsert: new Map(), remove: [] },
  observed: null,
}

/** What a worker is told of an update: the table itself is in memory that it shares with the main thread (shared-table.ts). */
export interface Published {
  /** The worker serves it from now on, all of it at once. */
  readonly generation: number
  /** Secrets whose certificates came, changed or went. */
  readonly certificates: readonly ObjectKey[]
  readonly endpoints: TableUpdate['endpoints']
}

export interface TableSink {
  /**
   * Resolves with its generation when EVERY worker serves it: acknowledgements to the operator rely on that. Calls may overlap; they are
   * applied in the order of the calls. A worker that dies meanwhile is replaced by one that starts from the new table,
   * which counts as applied. A failure to apply is a defect and ends the worker; it rejects where an
   * update could not be written at all, and then with every later one, too.
   */
  apply(update: TableUpdate): Promise<number>

  /** Resolves when all that was given is written, whether a worker serves it yet or not. @throws if some of it could not be */
  written(): Promise<void>

  /** The objects as they are written by now. To be closed. */
  objects(): Objects

  /**
   * Takes up a table that was stored, as it is, in place of a first update, and resolves with it when every worker serves it; null: there is
   * none. @throws what `read` throws; then there is no table, as before
   */
  restore<S extends StoredTable>(
    read: ReadStored<S>,
  ): Promise<{ readonly stored: S; readonly generation: number } | null>

  /**
   * What is served is wrong: resolves when nobody serves it any more, and there is no table, as at the start. Connections are lost.
   * What `objects` gave before is of a table that is gone.
   */
  withdraw(): Promise<void>
}

export interface TicketSink {
  /**
   * Takes the secrets that all pods share, for the keys of session tickets (frontdoor/ticket-keys.ts); they come with every
   * stream, nearly always the same. Never log one, never write one to disk.
   */
  setTicketSecrets(secrets: TicketSecrets): void
}
