/** Reasons for which a request of HTTP/2 is not taken, beside those that it has in common with HTTP/1 (http1/refusals.ts). */
import type { Refusal } from '../http1/contract.ts'

const refusal = <C extends string>(status: Refusal['status'], code: C, reason: string) =>
  ({ status, code, reason }) as const

/** RFC 9113 8.3. */
export const BAD_PSEUDO = refusal(400, 'bad-pseudo-header', 'the pseudo-header fields are malformed')
/** RFC 9113 8.3.1. */
export const BAD_PATH = refusal(400, 'bad-path', 'the :path is neither a path nor *')
export const OTHER_HOST = refusal(400, 'other-host', 'the Host header is not what :authority says')
/** RFC 9113 8.2.2. */
export const CONNECTION_FIELD = refusal(400, 'connection-field', 'a header field is for one connection of HTTP/1 only')
/** RFC 9113 8.1.1. */
export const WRONG_LENGTH = refusal(400, 'wrong-length', 'the body is not as long as Content-Length says')
