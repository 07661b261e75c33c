/** Newline-delimited JSON in chunks that know nothing of lines or characters. */

/** etcd refuses objects above 1.5 MB; a line far above is no event, and would fill the memory. */
export const MAX_LINE = 32 * 1024 * 1024

export class LineTooLongError extends Error {
  readonly code = 'SLUICE_LINE_TOO_LONG'
  override readonly name = 'LineTooLongError'
}

/** Yields the complete lines of each chunk together. A last line without its end is dropped: it was cut. */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  maxLine = MAX_LINE,
): AsyncGenerator<readonly string[], void, undefined> {
  const decoder = new TextDecoder()
  let parts: string[] = []
  let length = 0
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true })
    const pieces = text.split('\n')
    const rest = pieces.pop() ?? ''
    if (pieces.length > 0) {
      pieces[0] = [...parts, pieces[0] ?? ''].join('')
      parts = []
      length = 0
      const whole = pieces.map(line => line.trim()).filter(line => line !== '')
      if (whole.length > 0) yield whole
    }
    if (rest !== '') parts.push(rest)
    length += rest.length
    if (length > maxLine) throw new LineTooLongError(`a line of more than ${maxLine} characters`)
  }
}
