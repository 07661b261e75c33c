/** The head of a request (RFC 9112 3): read strictly, or refused. */
import type { Refusal, RequestHead } from './contract.ts'
import { CR, LF, SP, TOKEN } from './characters.ts'
import { listed, noFacts, persists, readConnection, readFields, type FieldFacts } from './fields.ts'
import { framing } from './framing.ts'
import { BAD_LINE, BAD_VERSION, EMPTY_LINES, NO_HOST, TWO_HOSTS } from './refusals.ts'

/** RFC 9112 2.2: a server should skip "at least one" empty line; old clients send one behind a body. */
export const MAX_EMPTY_LINES = 4

const OTHER_VERSION = /HTTP\/[0-9]\.[0-9]\r\n/y

/**
 * @param text begins with a whole head in latin1, from the empty lines that may come before it to the one that ends it
 * @param end where the head ends
 *
 * Any token is taken as method, and any bytes but spaces and controls as target: both are judged by who routes them.
 */
export function parseRequestHead(text: string, end = text.length): RequestHead | Refusal {
  const start = afterEmptyLines(text)
  if (start === -1) return EMPTY_LINES
  const methodEnd = afterToken(text, start)
  if (methodEnd === start || text.charCodeAt(methodEnd) !== SP) return BAD_LINE
  const targetEnd = afterTarget(text, methodEnd + 1)
  if (targetEnd === methodEnd + 1 || text.charCodeAt(targetEnd) !== SP) return BAD_LINE
  const minor = minorVersion(text, targetEnd + 1)
  if (minor !== 0 && minor !== 1) return minor

  const facts = noFacts()
  const fault = readFields(text, targetEnd + 11, end, facts)
  if (fault !== null) return fault
  if (facts.hosts > 1) return TWO_HOSTS
  if (facts.host === null && minor === 1) return NO_HOST
  // RFC 9112 6.3: a request whose fields name no length has no body.
  const bodyLength = framing(facts, minor) ?? 0
  if (typeof bodyLength !== 'number') return bodyLength
  const connection = readConnection(facts.connection)
  return {
    minor,
    fields: facts.fields,
    text,
    lines: facts.lines,
    plain: facts.plain,
    bodyLength,
    bytes: end,
    keepAlive: persists(minor, connection),
    connectionOptions: connection.options,
    method: text.slice(start, methodEnd),
    target: text.slice(methodEnd + 1, targetEnd),
    host: facts.host,
    // RFC 9110 10.1.1: of HTTP/1.0 it is ignored, and so is what else may be expected.
    expectsContinue: minor === 1 && facts.expect !== null && listed(facts.expect).includes('100-continue'),
    upgrade: minor === 1 ? askedUpgrade(facts, connection.options) : null,
    requestId: facts.requestId,
    http2: false,
  }
}

/** RFC 9110 7.8: without the connection option an Upgrade is somebody else's; of HTTP/1.0 it is ignored. */
function askedUpgrade({ upgrade }: FieldFacts, options: ReadonlySet<string> | null): string | null {
  return upgrade !== null && options !== null && options.has('upgrade') ? upgrade : null
}

/** -1: there are too many. */
function afterEmptyLines(text: string): number {
  let at = 0
  while (text.charCodeAt(at) === CR && text.charCodeAt(at + 1) === LF) at += 2
  return at > 2 * MAX_EMPTY_LINES ? -1 : at
}

function afterToken(text: string, at: number): number {
  while (TOKEN[text.charCodeAt(at)] === 1) at++
  return at
}

/** Bytes above 127 are no part of a URI (RFC 3986 2), but old clients send them and servers know what to do with them. */
function afterTarget(text: string, at: number): number {
  let code = text.charCodeAt(at)
  while (code > SP && code !== 0x7f) code = text.charCodeAt(++at)
  return at
}

/** RFC 9112 2.3: in capitals, one digit each. */
function minorVersion(text: string, at: number): 0 | 1 | Refusal {
  if (text.startsWith('HTTP/1.1\r\n', at)) return 1
  if (text.startsWith('HTTP/1.0\r\n', at)) return 0
  OTHER_VERSION.lastIndex = at
  return OTHER_VERSION.test(text) ? BAD_VERSION : BAD_LINE
}
