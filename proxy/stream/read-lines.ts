/** The lines of an open stream, and the end of one that has gone silent: half-open connections tell nobody that they are. */
import type { Readable } from 'node:stream'
import { LineSplitter } from '../../protocol/lines.ts'
import { StreamError } from './errors.ts'

/**
 * Batches of lines as they arrive. Only while it waits for the operator does the time of silence run, not while the
 * caller works on what came: nothing is read meanwhile, that is the back pressure.
 * @throws StreamError SLUICE_STREAM_SILENT, and whatever broke the connection
 */
export async function* readLines(stream: Readable, silenceMs: number): AsyncGenerator<readonly string[], void> {
  const splitter = new LineSplitter()
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  try {
    for (;;) {
      const timer = setTimeout(() => {
        stream.destroy(new StreamError('SLUICE_STREAM_SILENT', `nothing came for ${silenceMs} ms`))
      }, silenceMs)
      const result = await chunks.next().finally(() => clearTimeout(timer))
      if (result.done === true) return
      const lines = splitter.push(result.value)
      if (lines.length > 0) yield lines
    }
  } finally {
    stream.destroy()
  }
}
