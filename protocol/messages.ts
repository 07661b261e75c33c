/**
 * The messages of the stream: newline-delimited JSON, operator to proxy (GET /v1/stream),
 * and the reports that go the other way (POST /v1/report to the leader).
 * DESIGN "The stream". Schemas in schemas.ts are checked on both sides.
 */
import type { Assignment, Certificate, Fragment, ObjectKey, Revision, ServiceKey } from './objects.ts'

export const PROTOCOL_VERSION = 1

/** The published checksums (MD5, lower-case hex) that the state after this message must match; null: nothing published yet. */
export interface Checksums {
  readonly ingress: string | null
  readonly secret: string | null
}

/** Addresses `ip:port` (IPv6 in brackets) that may serve now, per Service port. An empty list: known, nobody serves. */
export type EndpointTable = Readonly<Record<ServiceKey, readonly string[]>>

export interface HelloMessage {
  readonly type: 'hello'
  readonly protocol: number
  /** Version of the operator that speaks. */
  readonly operator: string
  /** `host:port` of the leader, where reports go; null while there is none. */
  readonly leader: string | null
  /** The pod that the operator takes the client for, from its token. */
  readonly pod: string
  /** -1 for a pod without an ordinal: it counts as infinitely high. */
  readonly ordinal: number
}

/** Starts a full state. Nothing of it is applied before its snapshot-end arrived and everything verified. */
export interface SnapshotBeginMessage {
  readonly type: 'snapshot-begin'
  readonly sequence: number
}

export interface SnapshotItemsMessage {
  readonly type: 'snapshot-items'
  readonly assignments: readonly Assignment[]
  readonly fragments: readonly Fragment[]
  readonly certificates: readonly Certificate[]
  readonly endpoints: EndpointTable
}

export interface SnapshotEndMessage {
  readonly type: 'snapshot-end'
  readonly sequence: number
  readonly checksums: Checksums
  readonly stateHash: string
}

/** Changes since the state whose hash is `base`. Applied all or nothing. */
export interface DeltaMessage {
  readonly type: 'delta'
  readonly sequence: number
  readonly base: string
  /** New or changed assignments, each with its fragment or certificate below unless assigned is null or the payload is unchanged. */
  readonly assignments: readonly Assignment[]
  readonly fragments: readonly Fragment[]
  readonly certificates: readonly Certificate[]
  /** Objects that are gone altogether. */
  readonly removed: readonly ObjectKey[]
  readonly checksums: Checksums
  readonly stateHash: string
}

/** Endpoints are not configuration: they flow at once, whatever a rollout or a checksum says. */
export interface EndpointsMessage {
  readonly type: 'endpoints'
  readonly upsert: EndpointTable
  readonly remove: readonly ServiceKey[]
}

/** What rollouts want to see: these objects confirmed, these hosts counted even where no route knows them. Replaces the last one. */
export interface ObserveMessage {
  readonly type: 'observe'
  readonly objects: readonly ObjectKey[]
  readonly hosts: readonly string[]
  /** Time between reports, in milliseconds. */
  readonly intervalMs: number
  /** What pods are to ask themselves for, and to report. Absent: an operator that has no probes. */
  readonly probes?: readonly ObservedProbe[]
}

/** A request that a proxy sends through its own routing, again and again. Times in milliseconds. */
export interface Probe {
  readonly method: 'GET' | 'HEAD'
  /** `https`: as if it had come over TLS. */
  readonly scheme: 'http' | 'https'
  readonly host: string
  /** With the query. */
  readonly path: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Ranges of statuses that pass, both ends included. */
  readonly expect: readonly (readonly [from: number, to: number])[]
  /** A text that the first 64 KiB of the body have to hold, in UTF-8; absent: any body passes. */
  readonly body?: string
  /** For the whole answer. */
  readonly timeoutMs: number
  readonly intervalMs: number
}

/** A probe for an object that is rolled out. */
export interface ObservedProbe extends Probe {
  readonly object: ObjectKey
  /** The same for the same probe, whatever the object; what a report calls it. */
  readonly id: string
}

/** This replica refuses an update (its own checksum differs from the published one); relayed in reports so that the leader can name it. Null: resolved. */
export interface HeldMessage {
  readonly type: 'held'
  readonly kind: 'Ingress' | 'Secret'
  readonly mismatch: Mismatch | null
}

/**
 * What the keys of TLS session tickets are made from, the same for every pod (proxy/frontdoor/ticket-keys.ts). Comes once
 * per stream, wherever it fits in, and again when they are others. Never log one.
 */
export interface TicketsMessage {
  readonly type: 'tickets'
  /** Of days that follow each other, oldest first. */
  readonly secrets: readonly [DaySecret, ...DaySecret[]]
}

export interface DaySecret {
  /** Days since 1970-01-01 UTC. */
  readonly day: number
  /** 32 bytes, base64. */
  readonly secret: string
}

export interface PingMessage {
  readonly type: 'ping'
  readonly leader: string | null
}

export type StreamMessage =
  | HelloMessage
  | SnapshotBeginMessage
  | SnapshotItemsMessage
  | SnapshotEndMessage
  | DeltaMessage
  | EndpointsMessage
  | ObserveMessage
  | HeldMessage
  | TicketsMessage
  | PingMessage

/** How a computed list of IDs differs from the published one. Lists are cut at 20 entries. */
export interface Mismatch {
  readonly expected: string
  readonly actual: string
  /** IDs that were published and are not there. */
  readonly missing: readonly string[]
  /** IDs that are there and were not published. */
  readonly unexpected: readonly string[]
  readonly message: string
}

/** Upper bounds in milliseconds of the latency histogram; one more bucket counts what is slower. */
export const LATENCY_BUCKETS_MS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000] as const

/**
 * Counts since the last report. Without what is evidence of nothing: our own faults, and answers of closed paths
 * (`Backend` with `protects`), which are in no other count than `closed`.
 */
export interface HostCounters {
  readonly requests: number
  /** Answers by class, index 0 = 1xx … 4 = 5xx. A request that the client gave up on counts as 4xx (499). */
  readonly status: readonly [number, number, number, number, number]
  /** Answered 404 by the proxy because no route matched (part of 4xx). */
  readonly notFound: number
  /** Answered 502, 503 or 504 by the proxy because no backend could be reached (part of 5xx). */
  readonly upstreamErrors: number
  /** Handshakes finished. */
  readonly tlsHandshakes: number
  /**
   * An alert, a handshake that the client left, or a connection that it closed after one, not of a resumed session,
   * without one byte of a request. Nothing that may be our own fault (proxy/frontdoor/certificate-evidence.ts).
   */
  readonly tlsFailures: number
  /** One count per LATENCY_BUCKETS_MS and one for slower, from the first byte of the request to the last of the answer. */
  readonly latency: readonly number[]
  /** Answered 503 because the path is closed. Absent: a proxy that does not count them apart; they are among its 5xx. */
  readonly closed?: number
}

/** Without our own faults and answers of closed paths, like HostCounters. */
export interface ObjectCounters {
  readonly revision: Revision
  readonly requests: number
  readonly status: readonly [number, number, number, number, number]
  /** As HostCounters.closed. */
  readonly closed?: number
}

/** What a pod's probes for an object came to, all of them while it served the same revision. */
export interface ProbedObject {
  /** Null: it serves none. */
  readonly revision: Revision | null
  /** By id. Probes without an answer since the last report are left out. */
  readonly probes: Readonly<Record<string, ProbeCounters>>
}

/** Counts since the last report. A probe of which it is not known what a client would have got is in none. */
export interface ProbeCounters {
  readonly ok: number
  readonly failed: number
  /** Of both, those that the table sent to the object itself; the others are another one's, or nobody's. */
  readonly own: number
  /** Failures in a row, up to now and since the pod serves the revision: older than the last report, too. */
  readonly failedInRow: number
  /** The last status; null: there was none. */
  readonly status: number | null
  /** Why there was none, or not all of an answer; null: that was not so. */
  readonly error: string | null
}

/** What one pod says of itself: every `intervalMs`, and at once when an observed object changed. */
export interface Report {
  readonly type: 'report'
  readonly protocol: number
  readonly pod: string
  /** Changes with every start of the proxy process. */
  readonly instance: string
  /** Grows by one per new report of an instance; a report sent again keeps its number and is counted once. */
  readonly sequence: number
  /** Hash of the applied state; empty before the first. */
  readonly stateHash: string
  /** Where the table came from. */
  readonly source: 'none' | 'disk' | 'stream'
  /** Checksums of what is applied, computed by the proxy. */
  readonly checksums: Checksums
  /** Why the last update was refused, by the proxy itself or by its operator replica; absent if none was. */
  readonly refused: readonly Refusal[]
  /** Revision served of each observed object; null: none. */
  readonly revisions: Readonly<Record<ObjectKey, Revision | null>>
  /** Keyed by the host as the table writes it (`*.example.com` for what a wildcard served), or by an observed host without a route. */
  readonly hosts: Readonly<Record<string, HostCounters>>
  /** Governed objects that answered requests. */
  readonly objects: Readonly<Record<ObjectKey, ObjectCounters>>
  /** Absent: nothing was probed, or by a proxy that has no probes. */
  readonly probes?: Readonly<Record<ObjectKey, ProbedObject>>
}

export interface Refusal {
  readonly reason:
    'ChecksumMismatch' | 'DigestMismatch' | 'AssignmentInvalid' | 'StateHashMismatch' | 'SchemaViolation' | 'Held'
  /** The object or ID at fault, where one can be named. */
  readonly object: string | null
  readonly message: string
}
