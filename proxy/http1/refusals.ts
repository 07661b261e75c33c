/** Every reason for which a message is not taken. Constants: a refusal costs nothing, and its words never hold the sender's. */
import type { Refusal } from './contract.ts'

const refusal = <C extends string>(status: Refusal['status'], code: C, reason: string) =>
  ({ status, code, reason }) as const

/** The request or status line is not one. */
export const BAD_LINE = refusal(400, 'bad-line', 'the first line is malformed')
/** RFC 9110 15.6.6. */
export const BAD_VERSION = refusal(505, 'bad-version', 'the HTTP version is not supported')
export const EMPTY_LINES = refusal(400, 'empty-lines', 'too many empty lines before the request')
/** RFC 9112 5. */
export const BAD_HEADER = refusal(400, 'bad-header', 'a header field is malformed')
/** RFC 9112 3.2. */
export const NO_HOST = refusal(400, 'no-host', 'the Host header is missing')
export const TWO_HOSTS = refusal(400, 'two-hosts', 'more than one Host header')
/** RFC 9112 6.3. */
export const BAD_LENGTH = refusal(400, 'bad-length', 'the Content-Length is no length')
export const TWO_LENGTHS = refusal(400, 'two-lengths', 'more than one Content-Length')
export const LENGTH_AND_CODING = refusal(400, 'length-and-coding', 'Content-Length beside Transfer-Encoding')
/** RFC 9112 6.1. */
export const OLD_CODING = refusal(400, 'old-coding', 'HTTP/1.0 has no Transfer-Encoding')
/** RFC 9112 6.1: another coding would have to be undone, or named to the next peer, which may not know it. */
export const CODING = refusal(501, 'coding', 'the Transfer-Encoding is not supported')
/** RFC 9110 15.5.15. */
export const LONG_LINE = refusal(414, 'long-line', 'the request line is too long')
/** RFC 6585 5. */
export const LONG_HEAD = refusal(431, 'long-head', 'the header fields are too large')
/** RFC 9112 7.1. */
export const BAD_CHUNK = refusal(400, 'bad-chunk', 'the chunked body is malformed')
export const LONG_EXTENSION = refusal(400, 'long-extension', 'the chunk extensions are too long')
/** RFC 9112 7.1.2. */
export const BAD_TRAILER = refusal(400, 'bad-trailer', 'a trailer field is malformed')
export const LONG_TRAILER = refusal(431, 'long-trailer', 'the trailer fields are too large')

export function isRefusal(result: object): result is Refusal {
  return 'code' in result
}
