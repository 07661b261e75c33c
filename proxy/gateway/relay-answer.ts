/** From a backend's answer to the client's: head at once, body as it comes, nothing kept. */
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { errorCode } from '../errors.ts'
import type { Exchange } from './exchange.ts'
import { headerValues, responseHeaders } from './headers.ts'

export interface BackendAnswer {
  readonly status: number
  readonly message: string
  /** [name, value, …] as received. */
  readonly headers: readonly string[]
  readonly body: Readable
  /** Read when the body ended. */
  readonly trailers: Readonly<Record<string, string>>
}

const SANE_REASON = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/**
 * The caller stops the body when the client goes.
 * @throws if the backend's head cannot be written (bad status, bad header characters); then nothing was sent
 */
export function relayAnswer(exchange: Exchange, answer: BackendAnswer, response: ServerResponse, close: boolean): void {
  const { status, message, body } = answer
  if (status < 200 || status > 999) throw new RangeError(`the backend answered with status ${status}`)
  const headers = responseHeaders(answer.headers)
  if (close) headers.push('Connection', 'close')
  const trailing = headerValues(headers, 'trailer').length > 0
  response.writeHead(status, SANE_REASON.test(message) ? message : '', headers)
  body.once('error', error => {
    exchange.failure ??= errorCode(error) === 'SLUICE_CLIENT_GONE' ? 'client-gone' : 'upstream-aborted'
    // Cut off, so that the client does not take the piece it has for the whole.
    response.destroy()
  })
  // Registered before pipe's own listener, which ends the response.
  if (trailing) body.once('end', () => addTrailers(response, answer.trailers))
  body.pipe(response)
  // writeHead only keeps the head for the first write; an event stream may have none for a long time.
  setImmediate(() => {
    if (!response.writableEnded && !response.destroyed) response.flushHeaders()
  })
}

function addTrailers(response: ServerResponse, trailers: Readonly<Record<string, string>>): void {
  try {
    response.addTrailers(trailers)
  } catch {
    // Trailers that cannot be written are left out: RFC 9110 6.5.1 lets an intermediary drop them.
  }
}
