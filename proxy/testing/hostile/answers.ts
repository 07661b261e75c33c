/**
 * Reads a client connection's bytes as a sequence of HTTP/1.1 answers, strictly (RFC 9112). Written to judge the proxy:
 * it shares no line with the proxy's own parser, so that an error of one is not forgiven by the other.
 */

export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly fields: readonly (readonly [string, string])[]
  /** Statuses of the interim answers before it. */
  readonly interim: readonly number[]
  readonly framing: 'none' | 'length' | 'chunked' | 'until-close'
  /** Decoded, as far as it came. */
  readonly body: string
  /** All of it came. With `until-close`: the connection ended, which is all that there is to know. */
  readonly complete: boolean
  /** Nothing may follow on the connection. */
  readonly close: boolean
}

export interface Reading {
  /** Final answers in order; the last one may be incomplete. */
  readonly answers: readonly Answer[]
  /** What came after a 101; null: none came. */
  readonly tunnel: string | null
  /** Statuses of interim answers behind the last final one. */
  readonly pendingInterim: readonly number[]
  /** Why this is no sequence of answers; null: it is one. */
  readonly fault: string | null
}

interface Head {
  readonly status: number
  readonly fields: readonly (readonly [string, string])[]
}

interface Body {
  readonly framing: Answer['framing']
  readonly text: string
  readonly complete: boolean
  /** Where the next answer begins. */
  readonly end: number
}

class Fault extends Error {}

const STATUS_LINE = /^HTTP\/1\.1 ([1-9][0-9]{2}) [\t\u0020-\u007e\u0080-\u00ff]*$/
const FIELD =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\u0021-\u007e\u0080-\u00ff](?:[\t\u0020-\u007e\u0080-\u00ff]*[\u0021-\u007e\u0080-\u00ff])?)?)[ \t]*$/
const START = 'HTTP/1.1 '

/**
 * @param text latin1
 * @param methods of the requests that were sent, in order: what follows a head depends on it
 * @param ended nothing more will come
 */
export function readAnswers(text: string, methods: readonly string[], ended: boolean): Reading {
  const answers: Answer[] = []
  let interim: number[] = []
  let at = 0
  let closed = false
  const reading = (fault: string | null, tunnel: string | null = null): Reading => {
    return { answers, tunnel, pendingInterim: interim, fault }
  }
  try {
    while (at < text.length) {
      if (closed) throw new Fault(`bytes after an answer that closes: ${excerpt(text, at)}`)
      const method = methods[answers.length]
      const headEnd = text.indexOf('\r\n\r\n', at)
      if (headEnd === -1) {
        const part = text.slice(at, at + START.length)
        if (!START.startsWith(part)) throw new Fault(`no answer begins like this: ${excerpt(text, at)}`)
        return reading(null)
      }
      const head = readHead(text.slice(at, headEnd))
      if (method === undefined) throw new Fault(`an answer that nobody asked for: ${excerpt(text, at)}`)
      at = headEnd + 4
      if (head.status === 101) return reading(null, text.slice(at))
      if (head.status < 200) {
        interim.push(head.status)
        continue
      }
      const body = readBody(text, at, head, method, ended)
      const saysClose = values(head.fields, 'connection').some(value => /(?:^|[ ,])close(?:$|[ ,])/i.test(value))
      closed = saysClose || body.framing === 'until-close'
      answers.push({ ...head, interim, framing: body.framing, body: body.text, complete: body.complete, close: closed })
      interim = []
      if (!body.complete) return reading(null)
      at = body.end
    }
    return reading(null)
  } catch (error) {
    if (error instanceof Fault) return reading(error.message)
    throw error
  }
}

/** @param names in lower case */
export function values(fields: Answer['fields'], name: string): readonly string[] {
  return fields.filter(([other]) => other === name).map(([, value]) => value)
}

function readHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n')
  const status = STATUS_LINE.exec(first)?.[1]
  if (status === undefined) throw new Fault(`a bad status line: ${excerpt(first, 0)}`)
  const fields = lines.map(line => {
    const [, name = '', value = ''] = FIELD.exec(line) ?? []
    if (name === '') throw new Fault(`a bad field: ${excerpt(line, 0)}`)
    return [name.toLowerCase(), value] as const
  })
  return { status: Number(status), fields }
}

function readBody(text: string, at: number, { status, fields }: Head, method: string, ended: boolean): Body {
  const lengths = values(fields, 'content-length')
  const codings = values(fields, 'transfer-encoding')
  if (lengths.length > 1 || lengths.some(length => !/^[0-9]{1,15}$/.test(length))) {
    throw new Fault(`a bad Content-Length: ${lengths.join(' and ')}`)
  }
  if (codings.length > 0 && (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked')) {
    throw new Fault(`a bad Transfer-Encoding: ${codings.join(' and ')}`)
  }
  if (lengths.length > 0 && codings.length > 0) throw new Fault('both Content-Length and Transfer-Encoding')
  // RFC 9110 8.6, RFC 9112 6.1.
  if (status === 204 && lengths.length + codings.length > 0) throw new Fault('a 204 with a length')
  // Who gave up waiting for the rest of a head may not know yet that it is a HEAD.
  const early = (status === 400 || status === 408) && text.length > at
  if ((method === 'HEAD' && !early) || status === 204 || status === 304)
    return { framing: 'none', text: '', complete: true, end: at }
  if (codings.length > 0) return readChunks(text, at)
  if (lengths.length > 0) {
    const end = at + Number(lengths[0])
    return { framing: 'length', text: text.slice(at, end), complete: text.length >= end, end }
  }
  return { framing: 'until-close', text: text.slice(at), complete: ended, end: text.length }
}

function readChunks(text: string, start: number): Body {
  const parts: string[] = []
  const soFar = (complete: boolean, end: number): Body => ({ framing: 'chunked', text: parts.join(''), complete, end })
  let at = start
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) {
      if (!/^[0-9a-fA-F]{0,8}(?:;[^\r\n]*)?\r?$/.test(text.slice(at)))
        throw new Fault(`a bad chunk: ${excerpt(text, at)}`)
      return soFar(false, at)
    }
    const size = /^([0-9a-fA-F]{1,8})(?:[ \t]*;[^\r\n]*)?$/.exec(text.slice(at, lineEnd))?.[1]
    if (size === undefined) throw new Fault(`a bad chunk: ${excerpt(text, at)}`)
    const bytes = Number.parseInt(size, 16)
    at = lineEnd + 2
    if (bytes === 0) {
      const trailerEnd = text.startsWith('\r\n', at) ? at : text.indexOf('\r\n\r\n', at)
      if (trailerEnd === -1) return soFar(false, at)
      if (trailerEnd === at) return soFar(true, at + 2)
      readTrailers(text.slice(at, trailerEnd))
      return soFar(true, trailerEnd + 4)
    }
    parts.push(text.slice(at, at + bytes))
    at += bytes
    if (text.length < at + 2) return soFar(false, at)
    if (!text.startsWith('\r\n', at)) throw new Fault(`a chunk longer than its size: ${excerpt(text, at)}`)
    at += 2
  }
}

function readTrailers(text: string): void {
  for (const line of text.split('\r\n')) if (!FIELD.test(line)) throw new Fault(`a bad trailer: ${excerpt(line, 0)}`)
}

function excerpt(text: string, at: number): string {
  return JSON.stringify(text.slice(at, at + 80))
}
