/** Where our reading of a message and that of llhttp differ in a way that matters. */
import { readWithLlhttp } from './llhttp.ts'
import type { Kind, Message, Outcome, Reader } from './message.ts'

/** What became of the messages: pairs of our outcome and llhttp's, and the codes of what we refuse alone. */
export type Tally = Map<string, number>

/** Methods of HTTP that llhttp knows and reads as others: CONNECT opens a tunnel for it, whatever length the head names. */
const KNOWN = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH|PURGE|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|LOCK|UNLOCK)$/
/** Of what begins like an absolute URL llhttp checks the authority; with us the gateway does. */
const PLAIN_TARGET = /^(?:\/|\*|https?:\/\/[a-z0-9.]+\/)/
/** Trailer fields that we drop. */
const DROPPED =
  /^(?:connection|keep-alive|proxy-connection|te|trailer|upgrade|content-(?:encoding|type|range)|host|expect)$/i
/** llhttp knows no option with a tab behind it, which RFC 9110 5.6.3 allows: it closes where `keep-alive` has one. */
const TABBED_CONNECTION = /^connection:[^\r]*\t/im
/** Pipelined messages that are compared. */
const MESSAGES = 4

/** @returns null: none. Else what differs. */
export function difference(
  kind: Kind,
  bytes: Buffer,
  read: Reader,
  cut: (bytes: Buffer) => readonly Buffer[],
  tally: Tally,
): string | null {
  let rest = bytes
  for (let i = 0; i < MESSAGES && rest.length > 0; i++) {
    const ours = read(kind, cut(rest))
    if (ours.state !== 'message') {
      const theirs = readWithLlhttp(kind, rest)
      count(tally, ours.state === 'refused' ? `refused/${theirs.state}` : `more/${theirs.state}`)
      if (ours.state === 'refused' && theirs.state !== 'refused') count(tally, `  ours alone: ${ours.code}`)
      if (ours.state !== 'more' || theirs.state !== 'message') return null
      return theirs.message.line[0] === 'CONNECT' ? null : 'ours waits for more, llhttp has a message'
    }
    const fault = compared(kind, rest, ours.message)
    if (fault !== null) return fault
    count(tally, 'message/message')
    rest = rest.subarray(ours.message.end)
  }
  return null
}

function count(tally: Tally, what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1)
}

function compared(kind: Kind, bytes: Buffer, ours: Message): string | null {
  const [sent, expected] = kind === 'request' ? narrowed(bytes, ours) : [bytes, ours]
  const theirs: Outcome = readWithLlhttp(kind, sent)
  if (theirs.state === 'refused') return `ours takes it, llhttp refuses: ${theirs.code}`
  if (theirs.state === 'more') return 'ours has a message, llhttp waits for more'
  const { message } = theirs
  const kept = message.trailers.flatMap((name, i, all) =>
    i % 2 === 0 && !DROPPED.test(name) ? [name, all[i + 1] ?? ''] : [],
  )
  const tabbed = TABBED_CONNECTION.test(bytes.toString('latin1', 0, ours.end))
  if (expected.keepAlive && !message.keepAlive && !tabbed) return 'ours keeps the connection, llhttp closes it'
  const [a, b] = [
    { ...expected, keepAlive: true },
    { ...message, keepAlive: true, trailers: kept },
  ].map(m => JSON.stringify([m.line, m.minor, m.fields, m.body, m.trailers, m.end]))
  return a === b ? null : `ours: ${String(a)} llhttp: ${String(b)}`
}

/**
 * We are wider on purpose where nothing depends on it: any token is a method, and a target is any bytes but spaces and
 * controls, those above 127 included. llhttp gets the message with a method and a target that it takes.
 */
function narrowed(bytes: Buffer, ours: Message): readonly [Buffer, Message] {
  const [method, target] = ours.line
  const known = KNOWN.test(method)
  const ascii = target.replace(/[\u0080-\u00ff]/g, 'x')
  const plain = PLAIN_TARGET.test(ascii) ? ascii : `/${ascii.slice(1)}`
  if (known && plain === target) return [bytes, ours]
  const text = bytes.toString('latin1')
  const start = text.length - text.replace(/^(?:\r\n)+/, '').length
  const behind = text.slice(start + method.length + 1 + target.length)
  const name = known ? method : 'POST'
  const sent = `${text.slice(0, start)}${name} ${plain}${behind}`
  return [Buffer.from(sent, 'latin1'), { ...ours, line: [name, plain], end: ours.end + name.length - method.length }]
}
