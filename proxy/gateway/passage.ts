/** One request on its way through Fastify: forwarding, failing, and what is counted and logged when it is over. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { DataPlaneError } from '../errors.ts'
import type { Recorder } from '../report/recorder.ts'
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts'
import type { AccessLog, Outcome } from './access-log.ts'
import { answerText, type Answer } from './answers.ts'
import type { Connections } from './connections.ts'
import type { Exchange, Failure } from './exchange.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import { hasBody, requestBody } from './request-body.ts'

export interface Passage {
  readonly exchange: Exchange
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The client sends its body only after a 100 Continue that it did not get yet. */
  expectsContinue: boolean
  answer: UpstreamAnswer | null
  error: unknown
}

export interface Books {
  readonly recorder: Recorder
  readonly accessLog: AccessLog
  readonly connections: Connections
}

/** @throws what Upstream.request throws, or a client error of ours */
export function forward(passage: Passage, upstream: Upstream, bodyIdleMs: number): Promise<UpstreamAnswer> {
  const { exchange, request, response } = passage
  const { decision, target } = exchange
  if (decision.kind !== 'forward' || !target.ok) throw new TypeError('an answered request cannot be forwarded')
  const abort = new AbortController()
  // Also after an answer of our own to a request that is still being sent.
  response.once('close', () => abort.abort(new DataPlaneError('SLUICE_CLIENT_GONE', 'the client went away')))
  const stalled = (error: DataPlaneError): void => {
    exchange.failure ??= 'client-timeout'
    abort.abort(error)
  }
  return upstream.request({
    service: decision.service,
    addresses: upstream.addresses(decision.service),
    method: exchange.method,
    path: target.forward,
    headers: requestHeaders(request.rawHeaders, exchange.forwarded),
    body: hasBody(request) ? () => requestBody(passage, bodyIdleMs, stalled) : null,
    signal: abort.signal,
    onAttempt: address => {
      exchange.endpoint = address
      exchange.attempts++
    },
    onInformation: (status, headers) => relayInformation(status, headers, exchange, response),
  })
}

/** 103 and the like. 100 is ours to say, and 101 never comes here. */
function relayInformation(
  status: number,
  headers: readonly string[],
  exchange: Exchange,
  response: ServerResponse,
): void {
  if (status <= 101 || exchange.httpVersion !== '1.1' || response.headersSent || response.destroyed) return
  const grouped = new Map<string, string[]>()
  const kept = responseHeaders(headers)
  for (let i = 0; i + 1 < kept.length; i += 2) {
    const name = (kept[i] ?? '').toLowerCase()
    grouped.set(name, [...(grouped.get(name) ?? []), kept[i + 1] ?? ''])
  }
  try {
    response.writeInformation(status, Object.fromEntries(grouped))
  } catch {
    // An interim answer that cannot be written is dropped: it is a hint, the final one follows.
  }
}

/** Answers for a backend that could not; cuts the connection if its answer had begun or the client is gone. */
export function fail({ status, failure, reason }: Answer, passage: Passage): void {
  const { exchange, response } = passage
  exchange.failure ??= failure
  if (failure === 'client-gone' || response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const text = answerText(status, reason, exchange.id)
  const headers = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(Buffer.byteLength(text))]
  if (mustClose(passage)) headers.push('Connection', 'close')
  response.writeHead(status, headers).end(exchange.method === 'HEAD' ? '' : text)
}

/** A body that the client was never asked for may come or not: what follows on the connection could be either. */
export function mustClose({ exchange, expectsContinue }: Passage): boolean {
  const { decision, failure } = exchange
  return (
    expectsContinue ||
    failure === 'client-malformed' ||
    (decision.kind === 'answer' && decision.cause === 'bad-request')
  )
}

const UPSTREAM_FAILURES: ReadonlySet<Failure | null> = new Set<Failure>(['connect', 'upstream', 'upstream-timeout'])

/** How long the rest of a body is thrown away after its answer, in milliseconds: a client that is cut off while it sends may lose the answer. */
const LINGER_MS = 5_000

/**
 * Counts and logs the request when its last byte is out or its connection is gone.
 * @param idleMs a client that takes nothing of its answer for so long gives it up; 0: never
 */
export function follow(passage: Passage, books: Books, idleMs: number): void {
  const { exchange, request, response } = passage
  const { socket } = request
  const writtenBefore = socket.bytesWritten
  books.connections.begin(socket)
  if (idleMs > 0) {
    response.setTimeout(idleMs, () => undefined)
    response.on('timeout', () => {
      // Also called while a backend keeps us waiting: that has limits of its own.
      if (socket.writableLength === 0) return
      exchange.failure ??= 'client-timeout'
      socket.destroy()
    })
  }
  response.once('finish', () => {
    if (request.complete) return
    request.resume()
    const timer = setTimeout(() => socket.destroy(), idleMs > 0 ? Math.min(idleMs, LINGER_MS) : LINGER_MS)
    request.once('close', () => clearTimeout(timer))
    // Node forgets a request with its answer, and whoever reads the body would wait for ever.
    socket.once('close', () => request.destroy())
  })
  response.once('close', () => {
    if (!response.writableFinished) exchange.failure ??= 'client-gone'
    const bytesIn = exchange.headBytes + exchange.bodyBytes
    const bytesOut = Math.max(0, socket.bytesWritten - writtenBefore)
    record(passage, books, { status: countedStatus(passage), bytesIn, bytesOut })
    books.connections.end(socket)
  })
}

/** What the client got, or what kept it from getting it. */
export function countedStatus({ exchange, response }: Passage): number {
  switch (exchange.failure) {
    case 'client-gone':
      return 499
    case 'client-timeout':
      return 408
    // An answer that the backend cut short began as 200, but it is a failure of the backend.
    case 'upstream-aborted':
      return 502
    default:
      return response.statusCode
  }
}

/** Into the books: counters and access log. */
export function record({ exchange }: Passage, books: Books, outcome: Outcome): void {
  const { decision, failure } = exchange
  books.recorder.request({
    host: exchange.countedHost,
    route: exchange.route,
    status: outcome.status,
    notFound: decision.kind === 'answer' && decision.cause === 'no-route',
    upstreamError: UPSTREAM_FAILURES.has(failure) || (decision.kind === 'answer' && decision.cause === 'no-endpoint'),
    milliseconds: exchange.milliseconds,
    requestBytes: outcome.bytesIn,
    responseBytes: outcome.bytesOut,
  })
  books.accessLog.write(exchange, outcome)
}
