/** One request on its way through Fastify: forwarding, failing, and what is counted and logged when it is over. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { DataPlaneError } from '../errors.ts'
import type { Recorder } from '../report/recorder.ts'
import type { Upstream, UpstreamAnswer } from '../upstream/upstream.ts'
import type { AccessLog } from './access-log.ts'
import { answerText, type Answer } from './answers.ts'
import type { Connections } from './connections.ts'
import type { Exchange, Failure } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import { hasBody, requestBody } from './request-body.ts'

export interface Passage {
  readonly exchange: Exchange
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly expectsContinue: boolean
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
  response.once('close', () => {
    if (!response.writableFinished) abort.abort(new DataPlaneError('SLUICE_CLIENT_GONE', 'the client went away'))
  })
  const stalled = (error: DataPlaneError): void => {
    exchange.failure ??= 'client-timeout'
    abort.abort(error)
  }
  return upstream.request({
    service: decision.service,
    addresses: decision.addresses,
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
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = (headers[i] ?? '').toLowerCase()
    grouped.set(name, [...(grouped.get(name) ?? []), headers[i + 1] ?? ''])
  }
  try {
    response.writeInformation(status, Object.fromEntries(grouped))
  } catch {
    // An interim answer that cannot be written is dropped: it is a hint, the final one follows.
  }
}

/** Answers for a backend that could not; cuts the connection if its answer had begun or the client is gone. */
export function fail({ status, failure, reason }: Answer, passage: Passage): void {
  const { exchange, request, response } = passage
  exchange.failure ??= failure
  if (failure === 'client-gone' || response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const text = answerText(status, reason, exchange.id)
  const headers = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(Buffer.byteLength(text))]
  if (!request.complete) headers.push('Connection', 'close')
  response.writeHead(status, headers).end(exchange.method === 'HEAD' ? '' : text)
}

const UPSTREAM_FAILURES: ReadonlySet<Failure | null> = new Set<Failure>(['connect', 'upstream', 'upstream-timeout'])

/** Counts and logs the request when its last byte is out or its connection is gone. */
export function follow(passage: Passage, books: Books): void {
  const { exchange, request, response } = passage
  const { socket } = request
  const writtenBefore = socket.bytesWritten
  books.connections.begin(socket)
  response.once('close', () => {
    const { decision } = exchange
    if (!response.writableFinished) exchange.failure ??= 'client-gone'
    const status = exchange.failure === 'client-gone' ? 499 : response.statusCode
    const bytesIn = exchange.headBytes + exchange.bodyBytes
    const bytesOut = Math.max(0, socket.bytesWritten - writtenBefore)
    books.recorder.request({
      host: exchange.countedHost,
      route: exchange.route,
      // An answer that the backend cut short began as 200, but it is a failure of the backend.
      status: exchange.failure === 'upstream-aborted' ? 502 : status,
      notFound: decision.kind === 'answer' && decision.cause === 'no-route',
      upstreamError:
        UPSTREAM_FAILURES.has(exchange.failure) || (decision.kind === 'answer' && decision.cause === 'no-endpoint'),
      milliseconds: exchange.milliseconds,
      requestBytes: bytesIn,
      responseBytes: bytesOut,
    })
    books.accessLog.write(exchange, { status, bytesIn, bytesOut })
    books.connections.end(socket)
  })
}
