/**
 * Messages as they go out. What would change where they end is thrown out here once more, whoever let it in; but for lines
 * that were read as they are (`keptLines`): what the strict readers took has one meaning.
 */
import { DataPlaneError } from '../errors.ts'
import { SP, TOKEN, isControl } from './characters.ts'
import type { Fields, MessageHead } from './contract.ts'

/** Behind the data of each chunk (RFC 9112 7.1). */
export const CHUNK_END = '\r\n'
/** The end of a chunked body without trailers. */
export const LAST_CHUNK = '0\r\n\r\n'

/**
 * In latin1, with the empty line. The version is ours: HTTP/1.1. Throws SLUICE_MESSAGE_UNSAFE, as all here do.
 * @param lines of the functions below
 */
export function requestHeadText(method: string, target: string, lines: string): string {
  if (!isToken(method)) throw unsafe('the method')
  if (!isTarget(target)) throw unsafe('the request target')
  return `${method} ${target} HTTP/1.1\r\n${lines}\r\n`
}

/** @param lines of the functions below */
export function responseHeadText(status: number, reason: string, lines: string): string {
  if (!Number.isInteger(status) || status < 100 || status > 999) throw unsafe('the status')
  if (!isValue(reason)) throw unsafe('the reason')
  return `HTTP/1.1 ${status} ${reason}\r\n${lines}\r\n`
}

/**
 * The field lines of a head that was read, in their order: as they came, but for white space that says nothing.
 * @param left numbers of fields that are left out, ascending
 */
export function keptLines({ text, lines, fields, plain }: MessageHead, left: readonly number[]): string {
  let kept = ''
  if (!plain) {
    let next = 0
    for (let i = 0; 2 * i < fields.length; i++) {
      if (left[next] === i) next++
      else kept += `${fields[2 * i] ?? ''}: ${fields[2 * i + 1] ?? ''}\r\n`
    }
    return kept
  }
  let from = lines[0] ?? 0
  for (const i of left) {
    const line = lines[i] ?? 0
    if (line > from) kept += text.slice(from, line)
    from = lines[i + 1] ?? 0
  }
  return kept + text.slice(from, lines[fields.length / 2])
}

/** One line of ours. @param name a constant: it is not looked at */
export function ownLine(name: string, value: string): string {
  if (!isValue(value)) throw unsafe('the value of a header field')
  return `${name}: ${value}\r\n`
}

/** @param length of the chunk's data, at least 1: a chunk of no length would be the last one */
export function chunkHead(length: number): string {
  if (!Number.isSafeInteger(length) || length < 1) throw unsafe('the size of a chunk')
  return `${length.toString(16)}\r\n`
}

/** The end of a chunked body with trailers. */
export function lastChunk(trailers: Fields): string {
  return trailers.length === 0 ? LAST_CHUNK : `0\r\n${fieldLines(trailers)}\r\n`
}

/** Lines of any names and values. */
export function fieldLines(fields: Fields): string {
  let lines = ''
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1]
    if (!isToken(name)) throw unsafe('the name of a header field')
    if (value === undefined || !isValue(value)) throw unsafe('the value of a header field')
    lines += `${name}: ${value}\r\n`
  }
  return lines
}

function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (TOKEN[text.charCodeAt(i)] !== 1) return false
  return text.length > 0
}

/** Beyond latin1 a character would lose its upper byte on the way out, and what is left may be a line end. */
function isValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isControl(code) || code > 0xff) return false
  }
  return true
}

function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= SP || code === 0x7f || code > 0xff) return false
  }
  return text.length > 0
}

const unsafe = (what: string): DataPlaneError =>
  new DataPlaneError('SLUICE_MESSAGE_UNSAFE', `${what} cannot be written without changing the message`)
