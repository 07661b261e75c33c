/** Paths as they are compared: RFC 3986 6.2.2 normalisation, for matching only; what is forwarded is the original target. */

export type NormalisedPath =
  | {
      readonly ok: true
      readonly path: string
      /**
       * How a less careful server could read the same bytes (encoded slashes decoded, backslashes turned, path
       * parameters of dot segments dropped); null where there is no second reading. A request whose two readings lead
       * to different routes is refused: one of them is a way around the other.
       */
      readonly alternate: string | null
    }
  | { readonly ok: false; readonly reason: string }

/** Nothing in it needs a second look: the common case costs one test. */
const PLAIN = /^(?!.*(?:\/\/|\/\.))\/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/
const UNRESERVED = /^[A-Za-z0-9\-._~]$/
const ENCODED_SEPARATOR = /%2f|%5c|\\|\/\.{1,2};/i

/** @param raw path of a request target without its query, one character per byte (as Node's parser gives it) */
export function normalisePath(raw: string): NormalisedPath {
  if (PLAIN.test(raw)) return { ok: true, path: raw, alternate: null }
  if (!raw.startsWith('/')) return { ok: false, reason: 'the path does not start with a slash' }
  if (/[\u0000-\u0020\u007f#]/.test(raw)) return { ok: false, reason: 'the path holds a character that is not allowed' }
  if (/%(?![0-9a-f]{2})/i.test(raw)) return { ok: false, reason: 'the path holds a bad percent-encoding' }
  if (/%00/.test(raw)) return { ok: false, reason: 'the path holds an encoded NUL' }
  const path = resolveDots(decodeUnreserved(raw))
  if (path === null) return { ok: false, reason: 'the path leaves the root' }
  if (!ENCODED_SEPARATOR.test(path)) return { ok: true, path, alternate: null }
  const alternate = resolveDots(
    path
      .replace(/%2f|%5c|\\/gi, '/')
      .split('/')
      .map(segment => (/^\.{1,2};/.test(segment) ? segment.slice(0, segment.indexOf(';')) : segment))
      .join('/'),
  )
  if (alternate === null) return { ok: false, reason: 'the path leaves the root when decoded' }
  return { ok: true, path, alternate }
}

/** The path of an Ingress in the form that normalisePath gives to requests. Dot segments above the root stop at the root. */
export function normaliseRoutePath(path: string): string {
  const ascii = path.toWellFormed().replace(/[^\u0021-\u007e]+/g, text => encodeURIComponent(text))
  return resolveDots(decodeUnreserved(ascii)) ?? '/'
}

/** Percent-encodings of unreserved characters decoded, all others in upper case, other bytes encoded. */
function decodeUnreserved(path: string): string {
  return path
    .replace(/[\u0080-\uffff]/g, byte => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replace(/%([0-9a-f]{2})/gi, (encoded, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return UNRESERVED.test(char) ? char : encoded.toUpperCase()
    })
}

/** Dot segments removed and runs of slashes merged (as nginx does by default); null: above the root. */
function resolveDots(path: string): string | null {
  const segments = path.split('/')
  const kept: string[] = []
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue
    if (segment !== '..') kept.push(segment)
    else if (kept.pop() === undefined) return null
  }
  const last = segments.at(-1)
  const open = last === '' || last === '.' || last === '..'
  return `/${kept.join('/')}${open && kept.length > 0 ? '/' : ''}`
}
