/**
 * Paths in the one form in which they are compared (RFC 3986 6.2.2): the operator brings those of Ingresses into it,
 * the proxy those of requests. For comparing only: what is forwarded is the request's own target.
 */

/** Nothing in it needs a second look: the common case costs one test. */
const PLAIN = /^(?!.*\/(?:\/|\.{1,2}(?:\/|$)))\/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/
const UNRESERVED = /^[A-Za-z0-9\-._~]$/

/** The path of an Ingress. Idempotent. Dot segments above the root stop at the root. */
export function normaliseRoutePath(path: string): string {
  if (PLAIN.test(path)) return path
  const ascii = path.toWellFormed().replace(/[^\u0021-\u007e]+/g, text => encodeURIComponent(text))
  // A percent sign that encodes nothing is itself: beside what is decoded behind it, it could become an encoding.
  const encoded = ascii.replace(/%(?![0-9a-f]{2})/gi, '%25')
  return resolveDots(normaliseEncoding(encoded), true) ?? '/'
}

/** Percent-encodings of unreserved characters decoded, all others in upper case, bytes that are no visible ASCII encoded. */
export function normaliseEncoding(path: string): string {
  return path
    .replace(/[^\u0021-\u007e]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
    .replace(/%([0-9a-f]{2})/gi, (encoded, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return UNRESERVED.test(char) ? char : encoded.toUpperCase()
    })
}

/**
 * Dot segments removed and runs of slashes merged (as nginx does by default).
 * @returns null: above the root, unless that is to be ignored
 */
export function resolveDots(path: string, stopAtRoot = false): string | null {
  const segments = path.split('/')
  const kept: string[] = []
  for (const segment of segments) {
    if (segment === '' || segment === '.') continue
    if (segment !== '..') kept.push(segment)
    else if (kept.pop() === undefined && !stopAtRoot) return null
  }
  const last = segments.at(-1)
  const open = last === '' || last === '.' || last === '..'
  return `/${kept.join('/')}${open && kept.length > 0 ? '/' : ''}`
}
