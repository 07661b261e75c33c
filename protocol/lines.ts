/** Newline-delimited text out of chunks that know nothing of lines or characters. */
import { ProtocolError } from './errors.ts'

/** Longest line that either side accepts, in bytes. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024

const NEWLINE = 0x0a

/** One splitter per stream. What comes after the last newline is kept for the next chunk; a cut last line is never given out. */
export class LineSplitter {
  readonly #max: number
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(maxBytes = MAX_LINE_BYTES) {
    this.#max = maxBytes
  }

  /** The lines that end in this chunk, without their newline; empty lines are left out. @throws ProtocolError SLUICE_LINE_TOO_LONG */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#add(chunk.subarray(from, end))
      const line = Buffer.concat(this.#parts).toString('utf8')
      if (line !== '') lines.push(line)
      this.#parts = []
      this.#bytes = 0
      from = end + 1
    }
    if (from < chunk.length) this.#add(chunk.subarray(from))
    return lines
  }

  #add(part: Uint8Array): void {
    this.#bytes += part.length
    if (this.#bytes > this.#max) {
      throw new ProtocolError('SLUICE_LINE_TOO_LONG', `a line of more than ${this.#max} bytes`)
    }
    this.#parts.push(part)
  }
}
