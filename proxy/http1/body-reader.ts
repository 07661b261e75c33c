/** The body of a message (RFC 9112 6 and 7), as pieces of the chunks that arrive: nothing is copied. */
import { BlockScanner } from './block-scanner.ts'
import { CR, LF, SP, TOKEN, isControl } from './characters.ts'
import { CHUNKED, UNTIL_CLOSE, type Fields, type Refusal } from './contract.ts'
import { lowerAscii, noFacts, readFields } from './fields.ts'
import { BAD_CHUNK, BAD_TRAILER, LONG_EXTENSION, LONG_TRAILER } from './refusals.ts'

/** What reading one more chunk came to. After a refusal nothing on the connection can be trusted. */
export type BodyResult =
  | { readonly state: 'more' }
  | { readonly state: 'refused'; readonly refusal: Refusal }
  /** `rest`: the bytes behind the body, a view; empty if there are none. */
  | { readonly state: 'end'; readonly rest: Buffer }

/** Nobody uses chunk extensions; they only cost (as much as Node allows them). Bytes. */
export const MAX_CHUNK_EXTENSION = 1_024
export const MAX_BODY_EXTENSIONS = 16_384
/** More digits are no size that a sender means. */
const MAX_SIZE_DIGITS = 16

/** Trailer fields that are for one connection only, or would change how the message is read (RFC 9110 6.5.1). */
const NO_TRAILERS: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'host', 'expect'],
  ...['content-encoding', 'content-type', 'content-range'],
])

const MORE = { state: 'more' } as const
const NO_FIELDS: Fields = []

/** Where in a chunked body (RFC 9112 7.1) the next byte belongs. */
type Place =
  | 'size' // no digit yet
  | 'digits'
  | 'size-lf'
  | 'extension-name' // no character yet
  | 'extension-in-name'
  | 'extension-value' // no character yet
  | 'extension-in-value'
  | 'extension-quoted'
  | 'extension-escaped'
  | 'extension-quoted-end'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'trailers'

export class BodyReader {
  readonly #trailerLimit: number
  /** Made for the first trailer section. */
  #trailerScanner: BlockScanner | null = null
  #length = 0
  /** Bytes of data to come: of the body, or of the chunk. */
  #left = 0
  #place: Place = 'size'
  #ended = true
  #digits = 0
  #chunkExtension = 0
  #extensions = 0
  #trailers: Fields = NO_FIELDS

  /**
   * @param bodyLength of the message's head
   * @param trailerLimit of the trailer section, in bytes: as for a head
   */
  constructor(bodyLength: number, trailerLimit: number) {
    this.#trailerLimit = trailerLimit
    this.reset(bodyLength)
  }

  /** For the next message. */
  reset(bodyLength: number): void {
    this.#length = bodyLength
    this.#left = bodyLength === UNTIL_CLOSE ? Infinity : Math.max(bodyLength, 0)
    this.#place = 'size'
    this.#ended = bodyLength === 0
    this.#digits = 0
    this.#chunkExtension = 0
    this.#extensions = 0
    this.#trailers = NO_FIELDS
    this.#trailerScanner?.reset()
  }

  /** The whole body was read. At once if it is of no length: there is nothing to read then. */
  get ended(): boolean {
    return this.#ended
  }

  /** Once the body ended: what came behind it, without the fields that may not stand there. */
  get trailers(): Fields {
    return this.#trailers
  }

  /** The connection ends. May the body end with it (RFC 9112 8)? */
  finish(): boolean {
    if (this.#length === UNTIL_CLOSE) this.#ended = true
    return this.#ended
  }

  /** @param onData gets the data of `chunk` piece by piece, as views into it, never empty ones */
  read(chunk: Buffer, onData: (piece: Buffer) => void): BodyResult {
    if (this.#ended) return { state: 'end', rest: chunk }
    if (this.#length === CHUNKED) return this.#readChunked(chunk, onData)
    const end = this.#readData(chunk, 0, onData)
    if (this.#left > 0) return MORE
    this.#ended = true
    return { state: 'end', rest: chunk.subarray(end) }
  }

  /** The position behind the data. */
  #readData(chunk: Buffer, at: number, onData: (piece: Buffer) => void): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    if (end > at) onData(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end))
    return end
  }

  #readChunked(chunk: Buffer, onData: (piece: Buffer) => void): BodyResult {
    let at = 0
    while (at < chunk.length) {
      if (this.#place === 'trailers') return this.#readTrailers(chunk, at)
      if (this.#place === 'data') {
        at = this.#readData(chunk, at, onData)
        if (this.#left === 0) this.#place = 'data-cr'
        continue
      }
      const refusal = this.#step(chunk[at++] ?? 0)
      if (refusal !== null) return { state: 'refused', refusal }
    }
    return MORE
  }

  #readTrailers(chunk: Buffer, at: number): BodyResult {
    const limits = { block: this.#trailerLimit, line: Infinity, emptyLines: null }
    const scanner = (this.#trailerScanner ??= new BlockScanner(limits))
    switch (scanner.scan(chunk, at)) {
      case 'more':
        return MORE
      case 'end': {
        const trailers = trailerFields(scanner.text)
        if (trailers === null) return { state: 'refused', refusal: BAD_TRAILER }
        this.#trailers = trailers
        this.#ended = true
        return { state: 'end', rest: chunk.subarray(scanner.end) }
      }
      case 'bad':
        return { state: 'refused', refusal: BAD_TRAILER }
      case 'long-line':
      case 'long-block':
        return { state: 'refused', refusal: LONG_TRAILER }
    }
  }

  /** A byte that is no data. */
  #step(byte: number): Refusal | null {
    switch (this.#place) {
      case 'size':
      case 'digits':
        return this.#stepSize(byte)
      case 'size-lf':
        if (byte !== LF) return BAD_CHUNK
        this.#digits = 0
        this.#chunkExtension = 0
        this.#place = this.#left === 0 ? 'trailers' : 'data'
        return null
      case 'data-cr':
        this.#place = 'data-lf'
        return byte === CR ? null : BAD_CHUNK
      case 'data-lf':
        this.#place = 'size'
        return byte === LF ? null : BAD_CHUNK
      default:
        return this.#stepExtension(byte)
    }
  }

  #stepSize(byte: number): Refusal | null {
    const digit = hexDigit(byte)
    if (digit !== -1) {
      this.#left = this.#left * 16 + digit
      this.#digits++
      this.#place = 'digits'
      return this.#digits > MAX_SIZE_DIGITS || this.#left > Number.MAX_SAFE_INTEGER ? BAD_CHUNK : null
    }
    if (this.#place === 'size') return BAD_CHUNK
    return this.#endOfExtension(byte)
  }

  /** RFC 9112 7.1.1, without the white space that it calls bad: read strictly and forgotten. */
  #stepExtension(byte: number): Refusal | null {
    if (byte !== CR) {
      this.#extensions++
      this.#chunkExtension++
      if (this.#chunkExtension > MAX_CHUNK_EXTENSION || this.#extensions > MAX_BODY_EXTENSIONS) return LONG_EXTENSION
    }
    const isToken = TOKEN[byte] === 1
    switch (this.#place) {
      case 'extension-name':
        this.#place = 'extension-in-name'
        return isToken ? null : BAD_CHUNK
      case 'extension-in-name':
        if (isToken) return null
        if (byte !== EQUALS) return this.#endOfExtension(byte)
        this.#place = 'extension-value'
        return null
      case 'extension-value':
        this.#place = byte === QUOTE ? 'extension-quoted' : 'extension-in-value'
        return isToken || byte === QUOTE ? null : BAD_CHUNK
      case 'extension-in-value':
        return isToken ? null : this.#endOfExtension(byte)
      case 'extension-quoted':
        if (byte === QUOTE) this.#place = 'extension-quoted-end'
        else if (byte === BACKSLASH) this.#place = 'extension-escaped'
        return isControl(byte) ? BAD_CHUNK : null
      case 'extension-escaped':
        this.#place = 'extension-quoted'
        return isControl(byte) ? BAD_CHUNK : null
      default:
        return this.#endOfExtension(byte)
    }
  }

  #endOfExtension(byte: number): Refusal | null {
    if (byte === CR) this.#place = 'size-lf'
    else if (byte === SEMICOLON) this.#place = 'extension-name'
    else return BAD_CHUNK
    return null
  }
}

const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | SP
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Null: malformed. */
function trailerFields(section: string): Fields | null {
  if (section.length === 2) return NO_FIELDS
  const facts = noFacts()
  // A length behind the body has no meaning, and for some readers one all the same (RFC 9110 6.5.1).
  if (readFields(section, 0, section.length, facts) !== null || facts.lengths > 0 || facts.codings > 0) return null
  const kept: string[] = []
  const { fields } = facts
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (!NO_TRAILERS.has(lowerAscii(name))) kept.push(name, fields[i + 1] ?? '')
  }
  return kept
}
