/** Counts as they go from a worker to the main thread: plain data, differences since the last flush. */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { PeerTls } from '../exchange/peer.ts'

/** Figures of a row (columns.ts) as an object. */
export interface RequestCounts {
  readonly requests: number
  /** 1xx to 5xx. */
  readonly status: readonly number[]
  readonly notFound: number
  readonly upstreamErrors: number
  /** Our own faults (part of 5xx). Reports leave them out: they are evidence of nothing. */
  readonly internal: number
  /** Answers of closed paths (part of 5xx, and of no other count). Reports keep them apart: no backend was asked. */
  readonly closed: number
  /** Head and body, all requests together: their mean is of use, and two histograms per host are not worth their size. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** Milliseconds; one count per bound and one for more. */
  readonly latency: { readonly sum: number; readonly counts: readonly number[] }
}

/** Whose figures a row has: requests of one host answered by one object at one revision. */
export interface RowName {
  /** As Table.requestHost says; null: no name of ours. */
  readonly host: string | null
  readonly object: ObjectKey | null
  readonly revision: Revision
  readonly governed: boolean
}

/** More than any status code. */
export const CODES_OF_ROW = 1_024

/** Named rows. The buffer of the figures may be handed over instead of copied. */
export interface NamedRows {
  readonly names: readonly RowName[]
  /** In the order of the names, see columns.ts. */
  readonly figures: Float64Array<ArrayBuffer>
  /** [row * CODES_OF_ROW + status code, how many]; what is missing of a row's requests is 200. */
  readonly codes: readonly (readonly [key: number, count: number])[]
}

export interface HandshakeCounts {
  handshakes: number
  failures: number
}

export interface TlsCounts extends HandshakeCounts {
  readonly host: string | null
  /** By what was agreed on, as `kindOf` has it. */
  readonly kinds: Map<string, HandshakeCounts>
}

/** What client and proxy agreed on. */
export type TlsSession = Pick<PeerTls, 'version' | 'cipher' | 'resumed'>

/** One text for all alike. @param session null: it did not come to that */
export function kindOf(session: TlsSession | null): string {
  return session === null ? 'none none false' : `${session.version} ${session.cipher} ${session.resumed}`
}

/** Requests that went to a backend, by their way through the proxy. */
export interface Carried {
  readonly relay: number
  readonly full: number
}

export interface CountsDelta {
  readonly requests: NamedRows
  readonly tls: readonly TlsCounts[]
  readonly connectFailures: number
  /** Things of ours that threw. */
  readonly defects: number
  readonly carried: Carried
  /** What has no host: [`request <code>` or `connection <code>` (refused), `failure <reason>`, `context <event>`, how many] */
  readonly events: readonly (readonly [string, number])[]
}
