/**
 * The head of a request of HTTP/2 (RFC 9113 8), read strictly, as the head of HTTP/1.1 that it means: whoever routes, counts
 * and forwards knows that alone. nghttp2 refuses most of what is wrong already; nothing here relies on it, because what
 * would slip through is written to a backend.
 */
import { SP, TOKEN, VALUE } from '../http1/characters.ts'
import { CHUNKED, type HeadLimits, type Refusal, type RequestHead } from '../http1/contract.ts'
import { listed, noFacts, type FieldFacts } from '../http1/fields.ts'
import { framing } from '../http1/framing.ts'
import { BAD_HEADER, BAD_LINE, LONG_HEAD, LONG_LINE, NO_HOST, TWO_HOSTS } from '../http1/refusals.ts'
import { BAD_PATH, BAD_PSEUDO, CONNECTION_FIELD, OTHER_HOST, WRONG_LENGTH } from './refusals.ts'

/** RFC 9113 8.2.2: `te` may say `trailers`, and is nothing that a backend hears of. */
export const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings'],
])

type Pseudo = ':method' | ':scheme' | ':authority' | ':path'

/**
 * @param raw [name, value, name, value …] as they came, one character per byte
 * @param endStream nothing follows the head
 */
export function http2RequestHead(
  raw: readonly string[],
  endStream: boolean,
  limits: HeadLimits,
): RequestHead | Refusal {
  const pseudo = readPseudo(raw)
  if ('code' in pseudo) return pseudo
  const facts = noFacts()
  const cookies = readFields(raw, pseudo.count, facts)
  if (cookies !== null && typeof cookies !== 'string') return cookies
  const line = requestLine(pseudo)
  if (typeof line !== 'string') return line
  if (line.length > limits.line) return LONG_LINE
  const host = hostOf(pseudo[':authority'], facts)
  if (typeof host !== 'string') return host
  const bodyLength = lengthOf(facts, endStream)
  if (typeof bodyLength !== 'number') return bodyLength
  const head = written(line, host, facts.fields, cookies)
  if (head.text.length > limits.head) return LONG_HEAD
  return {
    minor: 1,
    fields: head.fields,
    text: head.text,
    lines: head.lines,
    plain: true,
    bodyLength,
    bytes: head.text.length,
    keepAlive: true,
    connectionOptions: null,
    method: pseudo[':method'] ?? '',
    target: targetOf(pseudo),
    host,
    expectsContinue: facts.expect !== null && listed(facts.expect).includes('100-continue'),
    upgrade: null,
    requestId: facts.requestId,
    http2: true,
  }
}

type PseudoFields = Readonly<Partial<Record<Pseudo, string>>> & { readonly count: number }

/** RFC 9113 8.3: before all others, each once, and no unknown ones. */
function readPseudo(raw: readonly string[]): PseudoFields | Refusal {
  const found: Partial<Record<Pseudo, string>> & { count: number } = { count: 0 }
  let i = 0
  for (; i < raw.length && raw[i]?.startsWith(':') === true; i += 2) {
    const name = raw[i] as Pseudo
    switch (name) {
      case ':method':
      case ':scheme':
      case ':authority':
      case ':path':
        if (found[name] !== undefined) return BAD_PSEUDO
        found[name] = raw[i + 1] ?? ''
        break
      default:
        return BAD_PSEUDO
    }
  }
  found.count = i
  return found
}

/**
 * RFC 9113 8.3.1; CONNECT is answered 405 and named by its authority (8.5). Which scheme a client names is not asked: the
 * connection says what it is, and clients behind others' TLS are known to say `http`.
 */
function requestLine(pseudo: PseudoFields): string | Refusal {
  const { ':method': method, ':scheme': scheme, ':path': path } = pseudo
  if (method === undefined || !isToken(method)) return BAD_LINE
  if (method === 'CONNECT') {
    if (scheme !== undefined || path !== undefined) return BAD_PSEUDO
  } else {
    if (scheme === undefined || path === undefined) return BAD_PSEUDO
    if (scheme !== 'https' && scheme !== 'http') return BAD_PSEUDO
    if (!path.startsWith('/') && !(path === '*' && method === 'OPTIONS')) return BAD_PATH
  }
  const target = targetOf(pseudo)
  return isTarget(target) ? `${method} ${target} HTTP/1.1\r\n` : BAD_LINE
}

const targetOf = (pseudo: PseudoFields): string => pseudo[':path'] ?? pseudo[':authority'] ?? ''

/** @returns the cookies, joined; null: there are none */
function readFields(raw: readonly string[], from: number, facts: FieldFacts): string | null | Refusal {
  let cookies: string | null = null
  for (let i = from; i < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const value = raw[i + 1] ?? ''
    if (!isLowerToken(name) || !isTrimmedValue(value)) return BAD_HEADER
    if (CONNECTION_FIELDS.has(name) || (name === 'te' && value !== 'trailers')) return CONNECTION_FIELD
    switch (name) {
      case 'host':
        if (facts.hosts++ === 0) facts.host = value
        continue
      case 'cookie':
        // RFC 9113 8.2.3: crumbs of one.
        cookies = cookies === null ? value : `${cookies}; ${value}`
        continue
      case 'content-length':
        if (facts.lengths++ === 0) facts.length = value
        break
      case 'expect':
        facts.expect = facts.expect === null ? value : `${facts.expect}, ${value}`
        break
      case 'x-request-id':
        facts.requestId ??= value
        break
    }
    facts.fields.push(name, value)
  }
  return cookies
}

/** RFC 9113 8.3.1: `:authority` replaces Host; who sends both must mean the same. */
function hostOf(authority: string | undefined, { host, hosts }: FieldFacts): string | Refusal {
  if (hosts > 1) return TWO_HOSTS
  const named = authority ?? host ?? ''
  if (named === '') return NO_HOST
  if (!isTrimmedValue(named)) return BAD_HEADER
  return host === null || host.toLowerCase() === named.toLowerCase() ? named : OTHER_HOST
}

function lengthOf(facts: FieldFacts, endStream: boolean): number | Refusal {
  const length = framing(facts, 1)
  if (length !== null && typeof length !== 'number') return length
  if (!endStream) return length ?? CHUNKED
  return length === null || length === 0 ? 0 : WRONG_LENGTH
}

function written(
  line: string,
  host: string,
  fields: readonly string[],
  cookies: string | null,
): Pick<RequestHead, 'fields' | 'text' | 'lines'> {
  const all = ['host', host, ...fields]
  if (cookies !== null) all.push('cookie', cookies)
  const lines: number[] = []
  let text = line
  for (let i = 0; i < all.length; i += 2) {
    lines.push(text.length)
    text += `${all[i] ?? ''}: ${all[i + 1] ?? ''}\r\n`
  }
  lines.push(text.length)
  return { fields: all, text: `${text}\r\n`, lines }
}

function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (TOKEN[text.charCodeAt(i)] !== 1) return false
  return text.length > 0
}

/** RFC 9113 8.2.1. */
const isLowerToken = (text: string): boolean => isToken(text) && !/[A-Z]/.test(text)

/** RFC 9113 8.2.1: no white space around it. */
function isTrimmedValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (VALUE[text.charCodeAt(i)] !== 1) return false
  return !/^[ \t]|[ \t]$/.test(text)
}

function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= SP || code === 0x7f || code > 0xff) return false
  }
  return text.length > 0
}
