/**
 * How the stream becomes small on its way: `Content-Encoding: zstd` (RFC 8878, RFC 9110 8.4), for clients that accept it. One frame for all
 * of a connection, flushed with every line, so that each can be read when it has come. Not a frame for each line: Node's decoder loses
 * those that come together with the end of another one (findings/node-zstd-frames.sh).
 */
import { pipeline, type Readable, type Writable } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'

export const ZSTD = 'zstd'

/**
 * What an encoder looks back to, and its table for that, as powers of two: with them an open connection keeps 0.3 MB; with those of the
 * level 0.9 MB, for 6 % fewer bytes of a snapshot.
 */
const WINDOW_LOG = 16
const HASH_LOG = 13

/** @param header of `Accept-Encoding` */
export function acceptsZstd(header: string | readonly string[] | undefined): boolean {
  const codings = String(header ?? '').split(',')
  return codings.some(coding => {
    const [name, ...parameters] = coding.split(';').map(part => part.trim().toLowerCase())
    return name === ZSTD && !parameters.some(parameter => /^q=0(?:\.0*)?$/.test(parameter))
  })
}

/** Text that is written to it goes on as one frame, each piece as soon as it was written. Each ends and fails with the other. */
export function zstdInto(to: Writable): Writable {
  const text = createZstdCompress({
    flush: constants.ZSTD_e_flush,
    params: {
      // Higher levels take longer and make a snapshot no smaller.
      [constants.ZSTD_c_compressionLevel]: 1,
      [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      [constants.ZSTD_c_hashLog]: HASH_LOG,
    },
  })
  // Whoever has one of the two learns there of what happened to the other.
  pipeline(text, to, () => undefined)
  return text
}

/** The text of the frame. Each ends and fails with the other. */
export function zstdText(from: Readable): Readable {
  const text = createZstdDecompress()
  pipeline(from, text, () => undefined)
  return text
}
