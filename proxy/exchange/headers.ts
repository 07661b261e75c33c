/** Header rules, the same for every transport. Raw lists: [name, value, name, value …], names as they were sent. */
import { reads } from '../http1/characters.ts'
import type { Fields, RequestHead, ResponseHead } from '../http1/contract.ts'
import { fieldLines, keptLines, ownLine } from '../http1/write.ts'
import type { HeadMarks } from '../table/marks.ts'

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
/** What a client must not be able to claim, beside `forwarded` and `proxy` (httpoxy) below. */
const X_CLAIM = /^x-(?:forwarded-.*|original-forwarded-for|real-ip|scheme|request-id|sluice-hops)$/

/** RFC 9110 7.6.1: for one connection only, whether Connection lists them or not. */
function isOfConnection(name: string): boolean {
  switch (name.length) {
    case 2:
      return reads(name, 0, 'te')
    case 7:
      return reads(name, 0, 'upgrade')
    case 10:
      return reads(name, 0, 'connection') || reads(name, 0, 'keep-alive')
    case 16:
      return reads(name, 0, 'proxy-connection')
    case 17:
      return reads(name, 0, 'transfer-encoding')
    default:
      return false
  }
}

/**
 * Written anew or not at all: Expect is ours to answer, what Trailer announces is not passed on, and Host is written as
 * the target says.
 */
function isReplaced(name: string): boolean {
  switch (name.length) {
    case 4:
      return reads(name, 0, 'host')
    case 5:
      return reads(name, 0, 'proxy')
    case 6:
      return reads(name, 0, 'expect')
    case 7:
      return reads(name, 0, 'trailer')
    case 9:
      return reads(name, 0, 'forwarded')
    default:
      return isOfConnection(name)
  }
}

/**
 * Field lines for the backend, Host first: as the client wrote it.
 * @param address of the backend: HTTP/1.1 wants a Host, and a client of HTTP/1.0 may have named none (RFC 9112 3.2)
 * @param underscores names with `_` pass (nginx drops them)
 * @param marks of the canary that it goes to; null: nothing is added
 */
export function requestLines(
  head: RequestHead,
  forwarded: Forwarded,
  address: string,
  underscores: boolean,
  clientLines: ClientLines,
  marks: HeadMarks | null = null,
): string {
  const { fields, connectionOptions } = head
  const { authority, host, requestId, prefix, hops, maxForwards } = forwarded
  const left: number[] = []
  let original: string | null = null
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (name.length === 15 && reads(name, 0, 'x-forwarded-for')) {
      const value = fields[i + 1] ?? ''
      original = original === null ? value : `${original}, ${value}`
      left.push(i / 2)
    } else if (
      isReplaced(name) ||
      isClaim(name, underscores) ||
      (connectionOptions !== null && connectionOptions.has(name.toLowerCase())) ||
      (maxForwards !== null && name.toLowerCase() === 'max-forwards') ||
      (marks !== null && isAppendedTo(marks, name))
    ) {
      left.push(i / 2)
    }
  }
  let lines = ownLine('Host', authority ?? address) + keptLines(head, left)
  lines += ownLine('X-Request-ID', requestId) + clientLines.of(forwarded)
  // Nearly always what was written, and looked at, as Host.
  lines += host === authority ? `X-Forwarded-Host: ${host}\r\n` : ownLine('X-Forwarded-Host', host)
  if (original !== null) lines += ownLine('X-Original-Forwarded-For', original)
  if (prefix !== null) lines += ownLine('X-Forwarded-Prefix', prefix)
  lines += `${HOPS_HEADER}: ${hops}\r\n`
  if (maxForwards !== null) lines += `Max-Forwards: ${maxForwards}\r\n`
  return marks === null ? lines : lines + markLines(marks, fields)
}

function isAppendedTo({ appended }: HeadMarks, name: string): boolean {
  return appended.length > 0 && appended.some(({ lower }) => lower === name.toLowerCase())
}

/** The fields that are added, and those that something is appended to, with all that was there (TENGINE.md 3.16). */
function markLines({ added, appended }: HeadMarks, fields: Fields): string {
  let lines = added
  for (const { name, lower, value } of appended) {
    const before = fieldValues(fields, lower)
    lines += ownLine(name, before === null ? value : `${before},${value}`)
  }
  return lines
}

/** All values of a field, joined; null: there is none. @param name lower case */
function fieldValues(fields: Fields, name: string): string | null {
  let all: string | null = null
  for (let i = 0; i < fields.length; i += 2) {
    const candidate = fields[i] ?? ''
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue
    const value = fields[i + 1] ?? ''
    all = all === null ? value : `${all}, ${value}`
  }
  return all
}

/** What a backend is told of a client: the same for all requests of a connection, so it is put together once. */
export class ClientLines {
  readonly #known = new Map<string, Pick<Forwarded, 'scheme' | 'port'> & { readonly lines: string }>()

  of({ client, scheme, port }: Pick<Forwarded, 'client' | 'scheme' | 'port'>): string {
    const known = this.#known.get(client)
    if (known?.scheme === scheme && known.port === port) return known.lines
    const schemes = ownLine('X-Forwarded-Proto', scheme) + `X-Forwarded-Scheme: ${scheme}\r\nX-Scheme: ${scheme}\r\n`
    const clients = ownLine('X-Real-IP', client) + `X-Forwarded-For: ${client}\r\n`
    const lines = flat(clients + ownLine('X-Forwarded-Port', port) + schemes)
    if (this.#known.size >= MOST_CLIENTS) this.#known.clear()
    this.#known.set(client, { scheme, port, lines })
    return lines
  }
}

/** As one piece of memory: it is written with every request, and holds nothing of the head that an address was cut out of. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

/** Some 300 bytes each; those that still ask are soon known again. */
const MOST_CLIENTS = 4_096

/** To CGI, WSGI and the like `X_Real_IP` reads as X-Real-IP: nginx drops such names, and so do we. */
function isClaim(name: string, underscores: boolean): boolean {
  const first = name.charCodeAt(0) | 0x20
  if (first === X) {
    if (X_CLAIM.test(name.toLowerCase())) return true
  } else if (first === S && name.length > 11 && reads(name, 0, 'ssl-client-')) return true
  return name.includes('_') && (!underscores || claims(name))
}

/** Lines that are added to requests that came in HTTP/1.0, in HTTP/1.1 and in HTTP/2. */
export type OwnLines = readonly [minor0: string, minor1: string, http2: string]

/**
 * RFC 9110 7.6.3, behind what others wrote: a list may stand in several fields.
 * @param pseudonym what we call ourselves there; null: no Via, which is the default (docs/adr/0014)
 */
export function viaLines(pseudonym: string | null): OwnLines {
  const via = (version: string): string => (pseudonym === null ? '' : fieldLines(['Via', `${version} ${pseudonym}`]))
  return [via('1.0'), via('1.1'), via('2.0')]
}

/** More hops than any path has. */
const MOST_FORWARDS = 255

/** Max-Forwards (RFC 9110 7.6.2); null: there is none, or it is no number and thus nobody's to change. */
export function hopsLeft(fields: Fields): number | null {
  const text = fieldValue(fields, 'max-forwards')
  return text !== null && /^[0-9]+$/.test(text) ? Math.min(Number(text), MOST_FORWARDS + 1) : null
}

const X = 0x78
const S = 0x73

function claims(name: string): boolean {
  const plain = name.toLowerCase().replaceAll('_', '-')
  return X_CLAIM.test(plain) || isReplaced(plain) || plain.startsWith('ssl-client-')
}

export interface ResponseLines {
  /** Without framing and Connection: those are the transport's. */
  readonly lines: string
  readonly hasDate: boolean
  readonly hasServer: boolean
}

/**
 * Field lines for the client. Names keep their case and order, repeated ones stay apart.
 * @param length Content-Length stays (not where there is no body that it could describe: RFC 9110 8.6)
 * @param trailers Trailer stays: they can be sent
 * @param marks of the canary that it comes from; null: nothing is added
 */
export function responseLines(
  head: ResponseHead,
  length: boolean,
  trailers: boolean,
  marks: HeadMarks | null = null,
): ResponseLines {
  const { fields, connectionOptions } = head
  const left: number[] = []
  let hasDate = false
  let hasServer = false
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    hasDate ||= name.length === 4 && reads(name, 0, 'date')
    hasServer ||= name.length === 6 && reads(name, 0, 'server')
    if (
      isOfConnection(name) ||
      (!trailers && name.length === 7 && reads(name, 0, 'trailer')) ||
      (!length && name.length === 14 && reads(name, 0, 'content-length')) ||
      (connectionOptions !== null && connectionOptions.has(name.toLowerCase())) ||
      (marks !== null && isAppendedTo(marks, name))
    ) {
      left.push(i / 2)
    }
  }
  const kept = keptLines(head, left)
  return { lines: marks === null ? kept : kept + markLines(marks, fields), hasDate, hasServer }
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
