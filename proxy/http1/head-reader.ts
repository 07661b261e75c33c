/** Heads of HTTP/1 out of the bytes of a connection, one after the other. */
import { BlockScanner } from './block-scanner.ts'
import { SP } from './characters.ts'
import type { HeadLimits, HeadResult, Refusal, RequestHead, ResponseHead } from './contract.ts'
import { BAD_HEADER, LONG_HEAD, LONG_LINE, isRefusal } from './refusals.ts'
import { MAX_EMPTY_LINES, parseRequestHead } from './request-head.ts'
import { parseResponseHead } from './response-head.ts'

const MORE = { state: 'more' } as const
const EMPTY_LINE = '\r\n\r\n'
const EMPTY_LINE_BYTES = Buffer.from(EMPTY_LINE, 'latin1')
const NOTHING = Buffer.alloc(0)
/** Bytes: a read of so many becomes one string, whatever stands behind the head. That is sooner done than looked for. */
const SHORT = 4_096

/**
 * Fed with what arrives; after a head or a refusal it is ready for the next head. The result does not depend on how the bytes
 * are cut into chunks. A head that can no longer become one is refused at once, not when its end comes.
 */
export abstract class HeadReader<H extends RequestHead | ResponseHead> {
  readonly #limits: HeadLimits
  readonly #emptyLines: number
  /** Made for the first head that comes in pieces: most connections never need it. */
  #scanner: BlockScanner | null = null

  protected constructor(limits: HeadLimits, emptyLines: number) {
    this.#limits = limits
    this.#emptyLines = emptyLines
  }

  protected abstract parse(text: string, end: number): H | Refusal

  /** Some byte of a head came: the peer is not idle. Empty lines before a request do not count. */
  get started(): boolean {
    return this.#scanner !== null && this.#scanner.started
  }

  read(chunk: Buffer): HeadResult<H> {
    return this.#atOnce(chunk) ?? this.#inPieces(chunk)
  }

  /** Nearly always the chunk begins with a head and holds all of it. Null: not so, or there is something odd about it. */
  #atOnce(chunk: Buffer): HeadResult<H> | null {
    const { head, line } = this.#limits
    if (this.#scanner?.pending === true || (chunk[0] ?? 0) <= SP) return null
    const short = chunk.length <= SHORT ? chunk.toString('latin1') : null
    const end = (short === null ? chunk.indexOf(EMPTY_LINE_BYTES) : short.indexOf(EMPTY_LINE)) + EMPTY_LINE.length
    if (end < EMPTY_LINE.length || end > head) return null
    const text = short ?? chunk.toString('latin1', 0, end)
    if (end > line && text.indexOf('\r') > line) return null
    return this.#result(text, end, chunk, end)
  }

  #inPieces(chunk: Buffer): HeadResult<H> {
    const { head, line } = this.#limits
    const scanner = (this.#scanner ??= new BlockScanner({ block: head, line, emptyLines: this.#emptyLines }))
    switch (scanner.scan(chunk, 0)) {
      case 'more':
        return MORE
      case 'end':
        return this.#result(scanner.text, scanner.text.length, chunk, scanner.end)
      case 'long-line':
        return { state: 'refused', refusal: LONG_LINE }
      case 'long-block':
        return { state: 'refused', refusal: LONG_HEAD }
      case 'bad': {
        // The parser knows best what is wrong with it, maybe long before the byte at which the scanner stopped.
        const parsed = this.parse(scanner.text, scanner.text.length)
        return { state: 'refused', refusal: isRefusal(parsed) ? parsed : BAD_HEADER }
      }
    }
  }

  #result(text: string, textEnd: number, chunk: Buffer, end: number): HeadResult<H> {
    const parsed = this.parse(text, textEnd)
    if (isRefusal(parsed)) return { state: 'refused', refusal: parsed }
    return { state: 'head', head: parsed, rest: end === chunk.length ? NOTHING : chunk.subarray(end) }
  }
}

export class RequestHeadReader extends HeadReader<RequestHead> {
  constructor(limits: HeadLimits) {
    super(limits, MAX_EMPTY_LINES)
  }

  protected override parse(text: string, end: number): RequestHead | Refusal {
    return parseRequestHead(text, end)
  }
}

export class ResponseHeadReader extends HeadReader<ResponseHead> {
  /** Method of the request that the next head answers: set it before that head is read. */
  requestMethod = 'GET'

  /** @param limit of a head, in bytes; a status line has none of its own */
  constructor(limit: number) {
    super({ head: limit, line: Infinity }, 0)
  }

  protected override parse(text: string, end: number): ResponseHead | Refusal {
    return parseResponseHead(text, this.requestMethod, end)
  }
}
