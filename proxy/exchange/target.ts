/** Which host and path a request is for: Host header and request target, read as RFC 9112 3.2 says. */
import { normalisePath } from '../table/path-readings.ts'

export type Target =
  | {
      readonly ok: true
      /** Lower case, without port and trailing dot; IPv6 in brackets; empty if none was named. */
      readonly host: string
      /** The Host header to forward: what the client wrote. Null: it sent none (HTTP/1.0). */
      readonly authority: string | null
      /** As it goes to the backend: origin form, the original bytes; `*` for a server as a whole (RFC 9112 3.2.4). */
      readonly forward: string
      readonly path: string
      readonly alternates: readonly string[]
    }
  | { readonly ok: false; readonly reason: string; readonly host: string }

const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9\-._~!$&'()*+,;=%]*)(?::[0-9]{0,5})?$/i
const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)$/i

/** What nearly every client writes: read already. */
const PLAIN_HOST = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/

/** Host of a Host header or authority; null: it is malformed. */
function parseHost(authority: string): string | null {
  if (PLAIN_HOST.test(authority)) return authority
  const host = AUTHORITY.exec(authority)?.[1]
  if (host === undefined) return null
  return (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase()
}

/**
 * @param method decides what an absolute target without a path means
 * @param target request target as sent
 * @param sent value of the only Host field; null: there is none (HTTP/1.0)
 */
export function parseTarget(method: string, target: string, sent: string | null): Target {
  const host = sent === null ? '' : parseHost(sent)
  if (host === null) return { ok: false, reason: 'malformed Host header', host: '' }
  if (target.startsWith('/')) return originForm(target, host, sent)
  const absolute = ABSOLUTE.exec(target)
  if (!absolute) return { ok: false, reason: 'request target is neither a path nor an absolute URL', host }
  // RFC 9112 3.2.2: the host of an absolute target wins, and a proxy rewrites the Host header to it.
  const authority = absolute[1] ?? ''
  const named = parseHost(authority)
  if (named === null || named === '') return { ok: false, reason: 'malformed host in the request target', host }
  const rest = absolute[2] ?? ''
  if (rest === '' && method === 'OPTIONS') {
    // RFC 9112 3.2.4: the last proxy says `*`, whoever wrote the URI meant the server and not its path `/`.
    const root = originForm('/', named, authority)
    return root.ok ? { ...root, forward: '*' } : root
  }
  return originForm(rest.startsWith('/') ? rest : `/${rest}`, named, authority)
}

function originForm(forward: string, host: string, authority: string | null): Target {
  const query = forward.indexOf('?')
  const path = normalisePath(query === -1 ? forward : forward.slice(0, query))
  // A raw NUL, space or '#' in the query would be cut or read differently by backends; Node's parser refuses most of them.
  if (!path.ok) return { ok: false, reason: path.reason, host }
  if (query !== -1 && /[\u0000-\u0020\u007f#]/.test(forward.slice(query))) {
    return { ok: false, reason: 'the query holds a character that is not allowed', host }
  }
  return { ok: true, host, authority, forward, path: path.path, alternates: path.alternates }
}
