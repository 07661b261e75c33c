/** What main thread and workers say to each other. Plain data; order is kept in both directions. */
import type { KeyPair } from '../frontdoor/contexts.ts'
import type { DataPlaneConfig } from '../config.ts'
import type { TicketSecrets } from '../frontdoor/ticket-keys.ts'
import type { CountsDelta } from '../report/counts.ts'
import type { Published } from '../table/update.ts'
import type { ProbeAnswer, ProbeRequest } from '../probe/self.ts'
import type { HostDescription } from './describe-host.ts'
import type { Explained, Question } from './explain.ts'
import type { UpstreamCounts } from '../upstream/endpoint-counters.ts'

/** Given to a worker at its start. Never log it. */
export interface WorkerSetup {
  readonly config: DataPlaneConfig
  readonly defaultCertificate: KeyPair
  /** The newest: the fleet's, or one of this pod's. */
  readonly ticketSecrets: TicketSecrets
  /** The table. */
  readonly table: SharedArrayBuffer
  /** Of its Vitals. */
  readonly vitals: SharedArrayBuffer
  /** Of its LogCredit. */
  readonly logCredit: SharedArrayBuffer
}

export type ToWorker =
  /** Pieces of the first table come before `listen`. */
  | { readonly type: 'update'; readonly sequence: number; readonly update: Published }
  /** The fleet's. Never log it. */
  | { readonly type: 'ticket-secrets'; readonly secrets: TicketSecrets }
  /** Accept connections. Comes after the first table: a worker without one would answer 404 to everything. */
  | { readonly type: 'listen'; readonly httpPort: number; readonly httpsPort: number }
  /** Send the counts now. */
  | { readonly type: 'flush'; readonly sequence: number }
  /** Say where a request would go. */
  | { readonly type: 'explain'; readonly sequence: number; readonly question: Question }
  /** Say what you know of a host. */
  | { readonly type: 'describe-host'; readonly sequence: number; readonly name: string }
  /** Ask yourself for this. */
  | { readonly type: 'probe'; readonly sequence: number; readonly probe: ProbeRequest }
  /** Answers say Connection: close from now on. */
  | { readonly type: 'announce-drain' }
  /** Accept no more, close what is idle, say when the rest is done. */
  | { readonly type: 'drain' }
  /** Close everything and end. */
  | { readonly type: 'stop' }

export type FromWorker =
  /** Its code is loaded, and it takes messages. */
  | { readonly type: 'started' }
  | { readonly type: 'listening'; readonly httpPort: number; readonly httpsPort: number }
  /** @param generation of the table that it serves */
  | { readonly type: 'applied'; readonly sequence: number; readonly generation: number }
  | { readonly type: 'counts'; readonly delta: CountsDelta }
  | { readonly type: 'upstream'; readonly counts: UpstreamCounts }
  /** All counts up to the flush of this number were sent. */
  | { readonly type: 'flushed'; readonly sequence: number }
  | { readonly type: 'explained'; readonly sequence: number; readonly explained: Explained }
  | { readonly type: 'host-described'; readonly sequence: number; readonly host: HostDescription | null }
  | { readonly type: 'probed'; readonly sequence: number; readonly answer: ProbeAnswer }
  | { readonly type: 'drained' }
  /** Lines of the access log. The data is handed over, not copied. */
  | { readonly type: 'lines'; readonly data: Uint8Array<ArrayBuffer>; readonly lines: number }
  | { readonly type: 'log'; readonly level: 'warn' | 'error'; readonly message: string; readonly stack: string }
