/**
 * Where a message ends must be beyond doubt: a backend that reads another length takes the rest for a second request
 * (request smuggling). Node's parser refuses most of it; here is what it lets through.
 */
import type { IncomingMessage } from 'node:http'
import { headerValues } from './headers.ts'

/** Null: the message is clear. Else what is wrong with it. */
export function framingFault({
  httpVersion,
  rawHeaders,
}: Pick<IncomingMessage, 'httpVersion' | 'rawHeaders'>): string | null {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'the HTTP version is not supported'
  const lengths = headerValues(rawHeaders, 'content-length')
  if (lengths.length > 1) return 'more than one Content-Length'
  const codings = headerValues(rawHeaders, 'transfer-encoding')
  if (codings.length === 0) return null
  if (lengths.length > 0) return 'Content-Length beside Transfer-Encoding'
  // RFC 9112 6.1: a message of HTTP/1.0 with a transfer coding is to be treated as faulty.
  if (httpVersion === '1.0') return 'HTTP/1.0 has no Transfer-Encoding'
  // Another coding would have to be undone, or named to the backend, which may not know it.
  return codings.length === 1 && codings[0]?.trim().toLowerCase() === 'chunked'
    ? null
    : 'the Transfer-Encoding is not supported'
}
