/** Header rules, the same for every transport. Raw lists: [name, value, name, value …], names as they were sent. */
import type { Fields, RequestHead, ResponseHead } from '../http1/contract.ts'

export interface Forwarded {
  /** Address of the client. */
  readonly client: string
  /** Host header to forward; null: none was sent. */
  readonly authority: string | null
  /** Host and port as the client's client named them, X-Forwarded-Host. */
  readonly host: string
  readonly scheme: string
  /** The port that clients connect to, in front of the pod. */
  readonly port: string
  readonly requestId: string
  /** X-Forwarded-Prefix of a trusted proxy; null: none. */
  readonly prefix: string | null
  /** How many fleets like this one the request came through, this one included. */
  readonly hops: number
  /** Max-Forwards of an OPTIONS as it goes on; null: it has none. */
  readonly maxForwards: number | null
}

/** Counts how often a request went through a fleet: a Service that points back at it would multiply without end. */
export const HOPS_HEADER = 'X-Sluice-Hops'

const SANE_ID = /^[A-Za-z0-9._:+/=-]{1,128}$/
const AT_X = 1
const DROP = 2

/**
 * RFC 9110 7.6.1: for one connection only, whether Connection lists them or not. `trailer` and `expect`: of requests
 * (Expect is ours to answer, and what Trailer announces is not passed on). `forwarded`, `proxy` (httpoxy) and what
 * begins with `x-` below: what a client must not be able to claim.
 */
const REQUEST_NAMES: ReadonlyMap<string, number> = new Map([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'].map(
    n => [n, DROP] as const,
  ),
  ...['expect', 'trailer', 'host', 'forwarded', 'proxy'].map(n => [n, DROP] as const),
])
const X_CLAIM = /^x-(?:forwarded-.*|original-forwarded-for|real-ip|scheme|request-id|sluice-hops)$/
const RESPONSE_NAMES: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'],
])
/** Lengths of the names in REQUEST_NAMES: most names need no lower case and no lookup. */
const REQUEST_LENGTHS = lengths(REQUEST_NAMES.keys())
const RESPONSE_LENGTHS = lengths([...RESPONSE_NAMES, 'server', 'date', 'trailer', 'content-length'])

function lengths(names: Iterable<string>): Uint8Array {
  const out = new Uint8Array(256)
  for (const name of names) out[name.length] = AT_X
  return out
}

/**
 * Fields for the backend. Host stays as the client wrote it.
 * @param underscores names with `_` pass (nginx drops them)
 * @param own what is added to every request
 */
export function requestFields(head: RequestHead, forwarded: Forwarded, underscores: boolean, own: Fields): string[] {
  const { fields, connectionOptions } = head
  const out: string[] = []
  const { client, authority, host, scheme, port, requestId, prefix, hops } = forwarded
  if (authority !== null) out.push('Host', authority)
  let original: string | null = null
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    const value = fields[i + 1] ?? ''
    const first = name.charCodeAt(0) | 0x20
    if (first === X) {
      const lower = name.toLowerCase()
      if (lower === 'x-forwarded-for') original = original === null ? value : `${original}, ${value}`
      if (X_CLAIM.test(lower)) continue
    } else if (first === S && name.length > 11 && name.slice(0, 11).toLowerCase() === 'ssl-client-') continue
    if (REQUEST_LENGTHS[name.length] === AT_X && REQUEST_NAMES.has(name.toLowerCase())) continue
    if (connectionOptions !== null && connectionOptions.has(name.toLowerCase())) continue
    // To CGI, WSGI and the like `X_Real_IP` reads as X-Real-IP: nginx drops such names, and so do we.
    if (name.includes('_') && (!underscores || claims(name))) continue
    out.push(name, value)
  }
  out.push('X-Request-ID', requestId, 'X-Real-IP', client, 'X-Forwarded-For', client)
  out.push('X-Forwarded-Host', host, 'X-Forwarded-Port', port, 'X-Forwarded-Proto', scheme)
  out.push('X-Forwarded-Scheme', scheme, 'X-Scheme', scheme)
  if (original !== null) out.push('X-Original-Forwarded-For', original)
  if (prefix !== null) out.push('X-Forwarded-Prefix', prefix)
  out.push(HOPS_HEADER, String(hops))
  for (const text of own) out.push(text)
  if (forwarded.maxForwards !== null) replaceMaxForwards(out, forwarded.maxForwards)
  return out
}

/** What is added to requests that came in HTTP/1.0 and in HTTP/1.1. */
export type OwnFields = readonly [minor0: Fields, minor1: Fields]

/**
 * RFC 9110 7.6.3, behind what others wrote: a list may stand in several fields.
 * @param pseudonym what we call ourselves there; null: no Via, which is the default (docs/adr/0014)
 */
export function viaFields(pseudonym: string | null): OwnFields {
  if (pseudonym === null) return [[], []]
  return [
    ['Via', `1.0 ${pseudonym}`],
    ['Via', `1.1 ${pseudonym}`],
  ]
}

/** More hops than any path has. */
const MOST_FORWARDS = 255

/** Max-Forwards (RFC 9110 7.6.2); null: there is none, or it is no number and thus nobody's to change. */
export function hopsLeft(fields: Fields): number | null {
  const text = fieldValue(fields, 'max-forwards')
  return text !== null && /^[0-9]+$/.test(text) ? Math.min(Number(text), MOST_FORWARDS + 1) : null
}

function replaceMaxForwards(fields: string[], left: number): void {
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    if (fields[i]?.toLowerCase() === 'max-forwards') fields.splice(i, 2)
  }
  fields.push('Max-Forwards', String(left))
}

const X = 0x78
const S = 0x73

function claims(name: string): boolean {
  const lower = name.toLowerCase().replaceAll('_', '-')
  return X_CLAIM.test(lower) || REQUEST_NAMES.has(lower) || lower.startsWith('ssl-client-')
}

export interface ResponseFields {
  /** Without framing and Connection: those are the transport's. */
  readonly fields: string[]
  readonly hasDate: boolean
  readonly hasServer: boolean
}

/**
 * Fields for the client. Names keep their case and order, repeated ones stay apart.
 * @param length Content-Length stays (not where there is no body that it could describe: RFC 9110 8.6)
 * @param trailers Trailer stays: they can be sent
 */
export function responseFields(head: ResponseHead, length: boolean, trailers: boolean): ResponseFields {
  const { fields, connectionOptions } = head
  const out: string[] = []
  let hasDate = false
  let hasServer = false
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (RESPONSE_LENGTHS[name.length] === AT_X) {
      const lower = name.toLowerCase()
      if (RESPONSE_NAMES.has(lower)) continue
      if (lower === 'date') hasDate = true
      else if (lower === 'server') hasServer = true
      else if (lower === 'trailer' && !trailers) continue
      else if (lower === 'content-length' && !length) continue
    }
    if (connectionOptions !== null && connectionOptions.has(name.toLowerCase())) continue
    out.push(name, fields[i + 1] ?? '')
  }
  return { fields: out, hasDate, hasServer }
}

/** First value of a field; null: there is none. @param name lower case */
export function fieldValue(fields: Fields, name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) {
    const candidate = fields[i] ?? ''
    if (candidate.length === name.length && candidate.toLowerCase() === name) return fields[i + 1] ?? ''
  }
  return null
}

/** The client's own request id if it is harmless in logs and headers. */
export function saneRequestId(sent: string | null): string | null {
  return sent !== null && SANE_ID.test(sent) ? sent : null
}
