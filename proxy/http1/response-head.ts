/** The head of an answer (RFC 9112 4): as strict as with requests, since backends are not beyond doubt either. */
import { UNTIL_CLOSE, type Refusal, type ResponseHead } from './contract.ts'
import { CR, LF, SP, isControl } from './characters.ts'
import { noFacts, persists, readConnection, readFields } from './fields.ts'
import { framing } from './framing.ts'
import { BAD_LINE, BAD_VERSION } from './refusals.ts'

const OTHER_VERSION = /^HTTP\/[0-9]\.[0-9] /

/**
 * @param text begins with a whole head in latin1, the empty line that ends it included
 * @param requestMethod of the request that it answers: it decides about the body
 * @param end where the head ends
 *
 * Interim answers (1xx) are heads like others; the final one follows them.
 */
export function parseResponseHead(text: string, requestMethod: string, end = text.length): ResponseHead | Refusal {
  if (!text.startsWith('HTTP/1.1 ') && !text.startsWith('HTTP/1.0 ')) {
    return OTHER_VERSION.test(text) ? BAD_VERSION : BAD_LINE
  }
  const minor = text.charCodeAt(7) === 0x31 ? 1 : 0
  const status = statusAt(text, 9)
  if (status === null) return BAD_LINE
  // RFC 9112 4: the space stays when the reason is missing; some leave it out as well.
  let reasonStart = 12
  if (text.charCodeAt(12) === SP) reasonStart = 13
  else if (text.charCodeAt(12) !== CR) return BAD_LINE
  let at = reasonStart
  while (at < text.length && !isControl(text.charCodeAt(at))) at++
  if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) return BAD_LINE

  const facts = noFacts()
  const fault = readFields(text, at + 2, end, facts)
  if (fault !== null) return fault
  // Read where there is no body, too: a sender that contradicts itself is not to be trusted about its next message.
  const named = framing(facts, minor)
  if (named !== null && typeof named !== 'number') return named
  const bodyLength = hasNoBody(status, requestMethod) ? 0 : (named ?? UNTIL_CLOSE)
  const connection = readConnection(facts.connection)
  return {
    minor,
    fields: facts.fields,
    text,
    lines: facts.lines,
    plain: facts.plain,
    bodyLength,
    bytes: end,
    keepAlive: bodyLength !== UNTIL_CLOSE && persists(minor, connection),
    connectionOptions: connection.options,
    status,
    reason: text.slice(reasonStart, at),
    upgrade: status === 101 ? facts.upgrade : null,
  }
}

/** RFC 9112 6.3, 1 and 2: whatever the fields say. */
function hasNoBody(status: number, requestMethod: string): boolean {
  if (status < 200 || status === 204 || status === 304 || requestMethod === 'HEAD') return true
  return requestMethod === 'CONNECT' && status < 300
}

/** RFC 9110 15: three digits, 100 and above. */
function statusAt(text: string, at: number): number | null {
  let status = 0
  for (let i = at; i < at + 3; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (!(digit >= 0 && digit <= 9)) return null
    status = status * 10 + digit
  }
  return status >= 100 ? status : null
}
