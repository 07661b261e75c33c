/** Parts of a request that an Ingress may name, as nginx's variables have them. */
import type { Fields } from '../http1/contract.ts'

/** What is asked of a request. */
export interface Asked {
  readonly fields: Fields
  /** What stands behind the `?` as it was sent; empty: nothing. */
  readonly query: string
}

/** Null: the request has none. */
export type Read = (asked: Asked) => string | null

/** By the name in lower case. */
export const READS = { header: readField, cookie: readCookie, query: readArgument } as const

/**
 * As $http_<name> of nginx: one that is sent twice is one value, joined, and `_` in the annotation stands for `-`.
 * @param written lower case
 */
function readField(written: string): Read {
  const name = written.replaceAll('_', '-')
  return ({ fields }) => {
    let found: string | null = null
    for (let i = 0; i < fields.length; i += 2) {
      const candidate = fields[i] ?? ''
      if (candidate.length !== name.length || !isNamed(candidate, 0, name)) continue
      const value = fields[i + 1] ?? ''
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }
}

/** As $cookie_<name> of nginx: the first one of that name. @param name lower case */
function readCookie(name: string): Read {
  return ({ fields }) => {
    for (let i = 0; i < fields.length; i += 2) {
      const field = fields[i] ?? ''
      if (field.length !== 6 || !isNamed(field, 0, 'cookie')) continue
      const found = readPair(fields[i + 1] ?? '', name, ';')
      if (found !== null) return found.trim()
    }
    return null
  }
}

/** As $arg_<name> of nginx: the first one of that name, as it was sent. @param name lower case */
function readArgument(name: string): Read {
  return ({ query }) => (query === '' ? null : readPair(query, name, '&'))
}

/** `name=value` of a list; blanks before the name are none of it. */
function readPair(text: string, name: string, separator: string): string | null {
  for (let at = 0; at < text.length;) {
    while (text.charCodeAt(at) === SPACE) at++
    const next = text.indexOf(separator, at)
    const end = next === -1 ? text.length : next
    const equals = at + name.length
    if (equals < end && text.charCodeAt(equals) === EQUALS && isNamed(text, at, name))
      return text.slice(equals + 1, end)
    at = end + 1
  }
  return null
}

/** In any case: only letters of ASCII have two. @param name lower case */
function isNamed(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = text.charCodeAt(at + i)
    if ((code >= UPPER_A && code <= UPPER_Z ? code + 32 : code) !== name.charCodeAt(i)) return false
  }
  return true
}

const UPPER_A = 65
const UPPER_Z = 90
const SPACE = 32
const EQUALS = 61
