/** Messages as they go out. What would change where they end is thrown out here once more, whoever let it in. */
import { DataPlaneError } from '../errors.ts'
import { SP, TOKEN, isControl } from './characters.ts'
import type { Fields } from './contract.ts'

/** Behind the data of each chunk (RFC 9112 7.1). */
export const CHUNK_END = '\r\n'
/** The end of a chunked body without trailers. */
export const LAST_CHUNK = '0\r\n\r\n'

/** In latin1, with the empty line. The version is ours: HTTP/1.1. Throws SLUICE_MESSAGE_UNSAFE, as all here do. */
export function requestHeadText(method: string, target: string, fields: Fields): string {
  if (!isToken(method)) throw unsafe('the method')
  if (!isTarget(target)) throw unsafe('the request target')
  return `${method} ${target} HTTP/1.1\r\n${fieldLines(fields)}\r\n`
}

export function responseHeadText(status: number, reason: string, fields: Fields): string {
  if (!Number.isInteger(status) || status < 100 || status > 999) throw unsafe('the status')
  if (!isValue(reason)) throw unsafe('the reason')
  return `HTTP/1.1 ${status} ${reason}\r\n${fieldLines(fields)}\r\n`
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

function fieldLines(fields: Fields): string {
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
