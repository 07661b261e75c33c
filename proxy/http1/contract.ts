/**
 * Messages of HTTP/1 as plain data (RFC 9112). Text is latin1 everywhere: one character per byte, so bytes above 127 pass
 * unchanged. Nothing here knows sockets, Node's http module or routes.
 */

/** Values of `bodyLength` that are no length. */
export const CHUNKED = -1
/** Answers only: the body ends with its connection. */
export const UNTIL_CLOSE = -2

/** Header fields in the order in which they came: [name, value, name, value …], names as sent, values trimmed. */
export type Fields = readonly string[]

export interface MessageHead {
  /** HTTP/1.<minor>. */
  readonly minor: 0 | 1
  readonly fields: Fields
  /** What the head was read from; what came behind it may stand there, too. */
  readonly text: string
  /** Where in `text` each field line begins, and, as the last one, the empty line. */
  readonly lines: readonly number[]
  /** Every field line reads `name: value`, with one space between them and none behind (nearly always). */
  readonly plain: boolean
  /** What follows the head: a count of bytes (0: nothing), CHUNKED, or UNTIL_CLOSE. */
  readonly bodyLength: number
  /** Of this head on the wire, the empty line included. */
  readonly bytes: number
  /** The sender lets the connection be used again (RFC 9112 9.3). */
  readonly keepAlive: boolean
  /**
   * Lower-case names that Connection lists, `close` and `keep-alive` left out: they go with the connection. Null: none
   * (nearly always).
   */
  readonly connectionOptions: ReadonlySet<string> | null
}

/** A request whose meaning and length are beyond doubt: everything else is a Refusal. */
export interface RequestHead extends MessageHead {
  readonly method: string
  /** As sent. */
  readonly target: string
  /** Value of the only Host field; null: there is none (HTTP/1.0 only). */
  readonly host: string | null
  /** Expect: 100-continue, of HTTP/1.1. */
  readonly expectsContinue: boolean
  /** All Upgrade fields, joined with `, `, where Connection lists `upgrade`; null: none. */
  readonly upgrade: string | null
  /** First X-Request-ID; null: none. */
  readonly requestId: string | null
  /** It came over HTTP/2 (http2/request-head.ts), and is written here as the request of HTTP/1.1 that it means. */
  readonly http2: boolean
}

export interface ResponseHead extends MessageHead {
  readonly status: number
  readonly reason: string
  /** Of a 101: the Upgrade fields joined with `, `. */
  readonly upgrade: string | null
}

/** Why a head is not taken, and the status that says so to its sender. */
export interface Refusal {
  readonly status: 400 | 414 | 431 | 501 | 505
  /** One of a few fixed words for metrics, e.g. `bad-header`, `two-lengths`. */
  readonly code: string
  /** For people. */
  readonly reason: string
}

export interface HeadLimits {
  /** Of a whole head, in bytes. */
  readonly head: number
  /** Of a request's first line, in bytes. */
  readonly line: number
}

/** What reading one more piece of a head came to. */
export type HeadResult<H> =
  | { readonly state: 'more' }
  | { readonly state: 'refused'; readonly refusal: Refusal }
  /** `rest`: the bytes behind the head, a view; empty if there are none. */
  | { readonly state: 'head'; readonly head: H; readonly rest: Buffer }
