/** How a request's path is read, by us and by servers that are less careful. */
import { normaliseEncoding, resolveDots } from '../../protocol/normalise-path.ts'
import type { Route, TableReader } from './contract.ts'

export type NormalisedPath =
  | {
      readonly ok: true
      readonly path: string
      /** How others could read the same bytes; empty for nearly all paths. See `isAmbiguous`. */
      readonly alternates: readonly string[]
    }
  | { readonly ok: false; readonly reason: string }

/** Nothing in it needs a second look, and nobody reads it otherwise: the common case costs one test. */
const PLAIN = /^(?!.*\/(?:\/|\.{1,2}(?:\/|$)))\/[A-Za-z0-9\-._~!$&'()*+,=:@/]*$/
/** What a second reading can begin with. */
const UNSURE = /[;\\]|%(?:2f|5c|3b|25|3f|23)/i
/** Characters in all readings together: a long path with a bit of everything must not cost milliseconds. */
const MOST = 64 * 1024
const NONE: readonly string[] = []

/** @param raw path of a request target without its query, one character per byte (latin1, as HTTP/1 parsers give it) */
export function normalisePath(raw: string): NormalisedPath {
  if (PLAIN.test(raw)) return { ok: true, path: raw, alternates: NONE }
  if (!raw.startsWith('/')) return { ok: false, reason: 'the path does not start with a slash' }
  if (/[\u0000-\u0020\u007f#?]/.test(raw)) {
    return { ok: false, reason: 'the path holds a character that is not allowed' }
  }
  if (/%(?![0-9a-f]{2})/i.test(raw)) return { ok: false, reason: 'the path holds a bad percent-encoding' }
  if (raw.includes('%00')) return { ok: false, reason: 'the path holds an encoded NUL' }
  const path = read(raw)
  if (path === null) return { ok: false, reason: 'the path leaves the root' }
  if (!UNSURE.test(raw)) return { ok: true, path, alternates: NONE }
  const alternates = new Set<string>()
  const texts = carelessly(raw)
  if (texts === null) return { ok: false, reason: 'the path can be read in too many ways' }
  for (const text of texts) {
    const other = read(text)
    if (other === null) return { ok: false, reason: 'the path leaves the root when decoded' }
    if (other !== path) alternates.add(other)
  }
  return { ok: true, path, alternates: alternates.size === 0 ? NONE : [...alternates] }
}

/**
 * True where another reading of the path leads to another route, or to none: then one of the two is a way around the
 * other (around a path that is closed, for example), and the request is to be refused.
 * @param route what `path` led to
 */
export function isAmbiguous(
  table: TableReader,
  host: string,
  route: Route | null,
  alternates: readonly string[],
): boolean {
  for (const other of alternates) if (table.route(host, other)?.id !== route?.id) return true
  return false
}

function read(text: string): string | null {
  return resolveDots(normaliseEncoding(text))
}

/**
 * The same bytes as servers are known to read them, each habit with and without each other, from the bytes as sent
 * (a dot segment that we resolved would have eaten what somebody else decodes first):
 * - the path is handed on decoded and parsed anew by the next one (nginx's `proxy_pass http://next$uri`): what was
 *   encoded twice is a separator now, what was an encoded `?` or `#` ends the path, what was an encoded `;` begins parameters
 * - parameters are cut from every segment (servlet containers: RFC 3986 3.3 leaves them to the server), before the
 *   path is decoded or after
 * - encoded slashes are slashes (nginx, Go, most frameworks)
 * - backslashes are slashes, encoded or not (IIS, browsers)
 * - dot segments are resolved before all that, or only after it
 * Twice is where decoding ends: no known server does it three times.
 * @returns null: too many to look at
 */
function carelessly(raw: string): readonly string[] | null {
  let texts = [raw]
  const tooMany = (): boolean => texts.length * raw.length > MOST
  const also = (habit: RegExp, change: (text: string) => string): void => {
    if (!tooMany()) texts = texts.flatMap(text => (habit.test(text) ? [text, change(text)] : [text]))
  }
  // An encoded slash ends parameters that began before it, where it is decoded first.
  also(/%(?:25|3f|23|3b)|;.*%2f/is, text => decodeOnce(text).replace(/[?#].*$/s, ''))
  also(/\/(?:\.|%2e)/i, text => read(text) ?? text)
  also(/;/, cutParameters)
  also(/%2f/i, text => text.replace(/%2f/gi, '/'))
  also(/\\|%5c/i, text => text.replace(/\\|%5c/gi, '/'))
  also(/;|%3b/i, text => cutParameters(text.replace(/%3b/gi, ';')))
  return tooMany() ? null : texts
}

/** Only what a reader could take for more than itself; a percent sign that is left alone stays one. */
function decodeOnce(text: string): string {
  return text
    .replace(/%([0-9a-f]{2})/gi, (encoded, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return /[\w\-.~%/\\;?#]/.test(char) ? char : encoded
    })
    .replace(/%(?![0-9a-f]{2})/gi, '%25')
}

function cutParameters(text: string): string {
  return text.replace(/;[^/]*/g, '')
}
