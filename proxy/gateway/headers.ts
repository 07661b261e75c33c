/** Header rules, the same for requests, WebSockets and whatever transport comes later. Raw lists: [name, value, name, value …]. */

export interface Forwarded {
  readonly client: string
  readonly authority: string | null
  readonly scheme: 'http' | 'https'
  /** The port that clients connect to, in front of the pod. */
  readonly port: number
  readonly requestId: string
}

/** RFC 9110 7.6.1: for one connection only, whether Connection lists them or not. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])
/** Expect is ours to answer, and what Trailer announces is not passed on to backends. */
const REQUEST_ONLY: ReadonlySet<string> = new Set(['expect', 'trailer'])
/** What a client must not be able to claim; the underscore forms read the same to CGI-like backends. */
const CLAIMS =
  /^(?:x[-_]forwarded[-_].*|x[-_]original[-_]forwarded[-_]for|x[-_]real[-_]ip|x[-_]scheme|x[-_]request[-_]id|forwarded)$/
/** A Connection header may not take these away: they say where the message ends and for whom it is. */
const UNTOUCHABLE = new Set(['host', 'content-length'])
const SANE_ID = /^[A-Za-z0-9._:+/=-]{1,128}$/

/** Headers for the backend. Host stays as the client wrote it. */
export function requestHeaders(raw: readonly string[], forwarded: Forwarded): string[] {
  const dropped = listedInConnection(raw)
  const out: string[] = []
  let original: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const value = raw[i + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'x-forwarded-for') original = original === null ? value : `${original}, ${value}`
    if (
      lower === 'host' ||
      REQUEST_ONLY.has(lower) ||
      HOP_BY_HOP.has(lower) ||
      dropped.has(lower) ||
      CLAIMS.test(lower)
    ) {
      continue
    }
    out.push(name, value)
  }
  const { client, authority, scheme, port, requestId } = forwarded
  if (authority !== null) out.unshift('Host', authority)
  out.push(
    ...['X-Request-ID', requestId, 'X-Real-IP', client, 'X-Forwarded-For', client],
    ...['X-Forwarded-Host', authority ?? '', 'X-Forwarded-Port', String(port)],
    ...['X-Forwarded-Proto', scheme, 'X-Forwarded-Scheme', scheme, 'X-Scheme', scheme],
  )
  if (original !== null) out.push('X-Original-Forwarded-For', original)
  return out
}

/** Headers for the client. Names keep their case and order, repeated ones stay apart. */
export function responseHeaders(raw: readonly string[]): string[] {
  const dropped = listedInConnection(raw)
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    const lower = name.toLowerCase()
    if (!HOP_BY_HOP.has(lower) && !dropped.has(lower)) out.push(name, raw[i + 1] ?? '')
  }
  return out
}

/** All values of a header, in order. */
export function headerValues(raw: readonly string[], name: string): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i]?.toLowerCase() === name) out.push(raw[i + 1] ?? '')
  return out
}

/** Field names that Connection lists: they go with it. */
function listedInConnection(raw: readonly string[]): ReadonlySet<string> {
  const names = headerValues(raw, 'connection').flatMap(value => value.toLowerCase().split(','))
  return new Set(names.map(name => name.trim()).filter(name => name !== '' && !UNTOUCHABLE.has(name)))
}

/** The client's own request id if it is harmless in logs and headers. */
export function saneRequestId(sent: string | undefined): string | null {
  return sent !== undefined && SANE_ID.test(sent) ? sent : null
}
