/**
 * Field lines (RFC 9112 5) and what they say about the message. One pass over the text; the few names that matter are told
 * by length and first letter, so that no name is put into lower case.
 */
import type { Refusal } from './contract.ts'
import { COLON, CR, HTAB, LF, SP, TOKEN, VALUE, reads } from './characters.ts'
import { BAD_HEADER } from './refusals.ts'

/** What the fields of one message hold. Of fields that may come only once: the first, and how many there were. */
export interface FieldFacts {
  readonly fields: string[]
  /** Where each line begins, and the empty one. */
  readonly lines: number[]
  /** See MessageHead. */
  plain: boolean
  host: string | null
  hosts: number
  length: string | null
  lengths: number
  coding: string | null
  codings: number
  /** All of their values, joined with `, ` (RFC 9110 5.3). */
  connection: string | null
  upgrade: string | null
  expect: string | null
  requestId: string | null
}

export const noFacts = (): FieldFacts => ({
  fields: [],
  lines: [],
  plain: true,
  host: null,
  hosts: 0,
  length: null,
  lengths: 0,
  coding: null,
  codings: 0,
  connection: null,
  upgrade: null,
  expect: null,
  requestId: null,
})

/**
 * Reads the field lines from `at` to the empty line that ends at `end`. Faults are found from left to right and by the
 * bytes up to them alone: HeadReader relies on it.
 */
export function readFields(text: string, at: number, end: number, facts: FieldFacts): Refusal | null {
  const { fields, lines } = facts
  while (at < end) {
    const start = at
    lines.push(start)
    // Behind the text there is no code (NaN), which is in no class.
    while (TOKEN[text.charCodeAt(at)] === 1) at++
    const nameEnd = at
    if (nameEnd === start) {
      return at + 2 === end && text.charCodeAt(at) === CR && text.charCodeAt(at + 1) === LF ? null : BAD_HEADER
    }
    // RFC 9112 5.1: no white space between name and colon.
    if (text.charCodeAt(at++) !== COLON) return BAD_HEADER
    let code = text.charCodeAt(at)
    while (code === SP || code === HTAB) code = text.charCodeAt(++at)
    const valueStart = at
    if (valueStart !== nameEnd + 2 || text.charCodeAt(nameEnd + 1) !== SP) facts.plain = false
    while (VALUE[code] === 1) code = text.charCodeAt(++at)
    if (code !== CR || text.charCodeAt(at + 1) !== LF) return BAD_HEADER
    let valueEnd = at
    while (valueEnd > valueStart && isSpace(text.charCodeAt(valueEnd - 1))) valueEnd--
    if (valueEnd < at) facts.plain = false
    const value = text.slice(valueStart, valueEnd)
    fields.push(text.slice(start, nameEnd), value)
    note(text, start, nameEnd - start, value, facts, valueEnd < at ? text.slice(valueStart, at) : value)
    at += 2
  }
  return BAD_HEADER
}

const isSpace = (code: number): boolean => code === SP || code === HTAB

/**
 * @param exact the value with the white space behind it: llhttp and others take a tab for a part of a length or a coding, and
 * what they refuse must not pass here
 */
function note(text: string, name: number, length: number, value: string, facts: FieldFacts, exact: string): void {
  switch (length) {
    case 4:
      if (reads(text, name, 'host') && facts.hosts++ === 0) facts.host = value
      return
    case 6:
      if (reads(text, name, 'expect')) facts.expect = joined(facts.expect, value)
      return
    case 7:
      if (reads(text, name, 'upgrade')) facts.upgrade = joined(facts.upgrade, value)
      return
    case 10:
      if (reads(text, name, 'connection')) facts.connection = joined(facts.connection, value)
      return
    case 12:
      if (reads(text, name, 'x-request-id')) facts.requestId ??= value
      return
    case 14:
      if (reads(text, name, 'content-length') && facts.lengths++ === 0) facts.length = withTabs(value, exact)
      return
    case 17:
      if (reads(text, name, 'transfer-encoding') && facts.codings++ === 0) facts.coding = withTabs(value, exact)
      return
  }
}

const withTabs = (value: string, exact: string): string => (exact.includes('\t', value.length) ? exact : value)

const joined = (before: string | null, value: string): string => (before === null ? value : `${before}, ${value}`)

/** What Connection lists (RFC 9110 7.6.1). */
export interface ConnectionFacts {
  readonly close: boolean
  readonly keepAlive: boolean
  readonly options: ReadonlySet<string> | null
}

/** They say where a message ends and for whom it is: Connection cannot take them away. */
const UNTOUCHABLE: ReadonlySet<string> = new Set(['host', 'content-length', 'transfer-encoding'])
const NOTHING: ConnectionFacts = { close: false, keepAlive: false, options: null }
const CLOSE: ConnectionFacts = { close: true, keepAlive: false, options: null }
const KEEP_ALIVE: ConnectionFacts = { close: false, keepAlive: true, options: null }

export function readConnection(value: string | null): ConnectionFacts {
  if (value === null) return NOTHING
  if (value.length === 5 && reads(value, 0, 'close')) return CLOSE
  if (value.length === 10 && reads(value, 0, 'keep-alive')) return KEEP_ALIVE
  let [close, keepAlive] = [false, false]
  let options: Set<string> | null = null
  for (const option of listed(value)) {
    if (option === 'close') close = true
    else if (option === 'keep-alive') keepAlive = true
    else if (!UNTOUCHABLE.has(option)) options = (options ?? new Set()).add(option)
  }
  return { close, keepAlive, options }
}

/** Elements of a list (RFC 9110 5.6.1), in lower case, empty ones left out. */
export function listed(value: string): readonly string[] {
  // Not trim(): it takes U+00A0 for a space, which is a byte of a name here.
  const elements = value.split(',').map(element => lowerAscii(element.replace(/^[ \t]+|[ \t]+$/g, '')))
  return elements.filter(element => element !== '')
}

/** Letters of ASCII alone: other characters stand for bytes. */
export const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, letters => letters.toLowerCase())

/** RFC 9112 9.3; a sender of HTTP/1.0 that lists both means the careful one. */
export const persists = (minor: 0 | 1, { close, keepAlive }: ConnectionFacts): boolean =>
  !close && (minor === 1 || keepAlive)
