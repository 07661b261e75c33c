/**
 * One request and its answer as data: begun from a head, finished with an outcome. Whoever carries it (full path, relay,
 * tunnel) writes down what happened; nothing here knows sockets.
 */
import type { RequestHead } from '../http1/contract.ts'
import type { Recorder } from '../report/recorder.ts'
import type { TableReader } from '../table/contract.ts'
import type { Random } from '../table/split.ts'
import { answeredHere, decide, type AnswerCause, type Decision } from './decide.ts'
import type { Failure } from './error-answer.ts'
import type { HttpDate } from './http-date.ts'
import { isMisdirected } from './misdirected.ts'
import { HOPS_HEADER, fieldValue, hopsLeft, saneRequestId, type ClientLines, type Forwarded } from './headers.ts'
import type { Peer } from './peer.ts'
import type { RequestIds } from './request-ids.ts'
import { parseTarget, type Target } from './target.ts'
import type { TrustedAddresses } from './trust.ts'

export interface PublicPorts {
  readonly http: number
  readonly https: number
}

export interface AccessLog {
  write(exchange: Exchange): void
  /** Hands on what is buffered. */
  flush(): void
}

/** What the beginning of every exchange needs, the same for all of a worker. */
export interface ExchangeContext {
  readonly table: TableReader
  readonly publicPorts: PublicPorts
  readonly trusted: TrustedAddresses
  readonly recorder: Recorder
  readonly accessLog: AccessLog
  readonly date: HttpDate
  readonly ids: RequestIds
  readonly clientLines: ClientLines
  /** Draws for the weights of canaries. */
  readonly random: Random
}

/** A request that came through so many fleets is taken for a loop. */
export const MOST_HOPS = 10

export interface Exchange {
  readonly head: RequestHead
  readonly peer: Peer
  readonly id: string
  readonly startedAt: number
  readonly target: Target
  readonly decision: Decision
  /** How it is counted: TableReader.requestHost at the time of the decision. */
  readonly countedHost: string | null
  readonly forwarded: Forwarded
  /** Number of the request on its connection, from 1. */
  readonly number: number
  /** Bytes of the client's body that were read. */
  bodyBytesIn: number
  /** Bytes written for the answer: head and framing, and data of the body. */
  headBytesOut: number
  bodyBytesOut: number
  /** Endpoints that were tried, in order. */
  readonly endpoints: string[]
  /** Status that the backend gave; 0: none. */
  upstreamStatus: number
  /** Milliseconds; null: a connection was there already, or none came. */
  connectMs: number | null
  /** From the beginning to the head of the backend's answer; null: there was none. */
  firstByteMs: number | null
  /** Status that the client got; 0: none yet. */
  status: number
  failure: Failure | null
}

/** Why no more requests are taken right now. */
export type Lack = 'busy' | 'memory'

/** @param number of the request on its connection, from 1 @param lack null: it is taken @param now performance.now() */
export function begin(
  head: RequestHead,
  peer: Peer,
  context: ExchangeContext,
  number: number,
  lack: Lack | null,
  now: number,
): Exchange {
  const { table, publicPorts, trusted } = context
  const target = parseTarget(head.method, head.target, head.host)
  const hops = Number(fieldValue(head.fields, HOPS_LOWER) ?? 0)
  const left = head.method === 'OPTIONS' ? hopsLeft(head.fields) : null
  const anyway = answeredAnyway(head, hops, lack) ?? (head.http2 ? misdirected(target, peer, table) : null)
  const decided = decide(target, table, head.fields, context.random, anyway)
  const decision = left === 0 ? answeredHere(decided) : decided
  const id = saneRequestId(head.requestId) ?? context.ids.next()
  const claims = trusted.claims(peer.address, head.fields)
  const authority = target.ok ? target.authority : null
  const secure = peer.tls !== null
  // One literal without spreads: it is made as one object, not copied together from several.
  return {
    head,
    peer,
    id,
    startedAt: now,
    target,
    decision,
    number,
    countedHost: table.requestHost(target.host),
    forwarded: {
      client: claims?.client ?? peer.address,
      authority,
      host: claims?.host ?? authority ?? '',
      scheme: claims?.scheme ?? (secure ? 'https' : 'http'),
      port: claims?.port ?? String(secure ? publicPorts.https : publicPorts.http),
      requestId: id,
      prefix: claims?.prefix ?? null,
      hops: Number.isSafeInteger(hops) && hops > 0 ? hops + 1 : 1,
      maxForwards: left === null ? null : left - 1,
    },
    bodyBytesIn: 0,
    headBytesOut: 0,
    bodyBytesOut: 0,
    endpoints: [],
    upstreamStatus: 0,
    connectMs: null,
    firstByteMs: null,
    status: 0,
    failure: null,
  }
}

const HOPS_LOWER = HOPS_HEADER.toLowerCase()

/** As nginx has it: what some servers take for the same method in other letters must not pass a rule for one of them. */
const METHOD = /^[A-Z][A-Z_-]*$/

/** What is answered whatever the table says. */
function answeredAnyway(head: RequestHead, hops: number, lack: Lack | null): Decision | null {
  // TRACE gives cookies and more to whoever can make a browser send it; CONNECT asks for a tunnel to anywhere.
  if (head.method === 'TRACE' || head.method === 'CONNECT') {
    const reason = `${head.method} is not served`
    return { kind: 'answer', status: 405, reason, route: null, cause: 'method' }
  }
  if (!METHOD.test(head.method)) {
    return { kind: 'answer', status: 400, reason: 'the method is malformed', route: null, cause: 'bad-request' }
  }
  if (hops >= MOST_HOPS) {
    const reason = 'the request came through here too often: a Service points back at the proxies'
    return { kind: 'answer', status: 508, reason, route: null, cause: 'loop' }
  }
  if (lack === null) return null
  const reason = lack === 'busy' ? 'too many requests at once' : 'too little memory for more requests'
  return { kind: 'answer', status: 503, reason, route: null, cause: lack }
}

function misdirected(target: Target, peer: Peer, table: TableReader): Decision | null {
  if (!target.ok || !isMisdirected(target.host, peer, table)) return null
  const reason = 'this connection was opened for a host with other certificates'
  return { kind: 'answer', status: 421, reason, route: null, cause: 'misdirected' }
}

const UPSTREAM_FAILURES: ReadonlySet<Failure | null> = new Set<Failure>([
  ...(['connect', 'upstream', 'upstream-timeout', 'upstream-aborted', 'upstream-head-too-big'] as const),
])

/** What the client got, or what kept it from getting it. */
export function countedStatus({ failure, status }: Pick<Exchange, 'failure' | 'status'>): number {
  switch (failure) {
    case 'client-gone':
      return 499
    case 'client-timeout':
      return 408
    // An answer that the backend cut short began as 200, but it is a failure of the backend.
    case 'upstream-aborted':
      return 502
    case 'internal':
      return Math.max(status, 500)
    default:
      return status
  }
}

/**
 * Into the books: counters and access log. Once per exchange, when its last byte is out or its connection is gone.
 * @param now performance.now()
 */
export function finish(exchange: Exchange, context: ExchangeContext, now = performance.now()): void {
  const { decision, failure } = exchange
  const own = isOwnWord(exchange)
  if (failure !== null) context.recorder.failure(failure)
  context.recorder.request({
    host: own ? null : exchange.countedHost,
    route: own ? null : decision.route,
    status: countedStatus(exchange),
    notFound: decision.kind === 'answer' && decision.cause === 'no-route',
    upstreamError: UPSTREAM_FAILURES.has(failure) || (decision.kind === 'answer' && decision.cause === 'no-endpoint'),
    // Ours, and evidence of nothing: neither for a revision nor against it.
    internal: failure === 'internal' || (decision.kind === 'answer' && isLack(decision.cause)),
    // As the revision has it: nothing failed, and no backend was asked.
    closed: failure === null && decision.kind === 'answer' && decision.cause === 'closed',
    milliseconds: now - exchange.startedAt,
    connectMs: exchange.connectMs,
    firstByteMs: exchange.firstByteMs,
    attempts: exchange.endpoints.length,
    requestBytes: exchange.head.bytes + exchange.bodyBytesIn,
    responseBytes: exchange.headBytesOut + exchange.bodyBytesOut,
  })
  context.accessLog.write(exchange)
}

/**
 * What the proxy answers whatever the table says: no word of a host or a revision, for or against. A client could else
 * make failures of pods of its choice, by a count of hops that it wrote itself. A loop that is one shows as 508 of the
 * backend, at every pod that the request came through before.
 */
function isOwnWord({ decision, target, head }: Exchange): boolean {
  if (decision.kind === 'forward') return false
  const { cause } = decision
  if (cause === 'bad-request') return !target.ok || !METHOD.test(head.method)
  return cause === 'max-forwards' || cause === 'method' || cause === 'loop' || cause === 'misdirected'
}

export function isLack(cause: AnswerCause): cause is Lack {
  return cause === 'busy' || cause === 'memory'
}

/** Counted when it opens: the hours that a tunnel stays open are no latency. Logged when it ends. */
export function countTunnel(exchange: Exchange, context: ExchangeContext): void {
  context.recorder.request({
    ...{ host: exchange.countedHost, route: exchange.decision.route, status: 101 },
    ...{ notFound: false, upstreamError: false, internal: false, closed: false },
    milliseconds: performance.now() - exchange.startedAt,
    ...{ connectMs: exchange.connectMs, firstByteMs: exchange.firstByteMs, attempts: exchange.endpoints.length },
    requestBytes: exchange.head.bytes,
    responseBytes: exchange.headBytesOut,
  })
}
