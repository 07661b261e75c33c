/** Answers of our own: short plain text with the request's id, never a stack or an address. All are made here. */
import { STATUS_CODES } from 'node:http'
import { errorCode } from '../errors.ts'

/** Why an answer is not what the backend said, or why it ended early. */
export type Failure =
  | 'client-gone'
  | 'client-timeout'
  | 'client-malformed'
  /** Its body is longer than the Ingress allows. */
  | 'body-too-big'
  | 'connect'
  | 'upstream-timeout'
  | 'upstream'
  | 'upstream-head-too-big'
  | 'upstream-aborted'
  /** A defect of ours, or our machine has no more of something: no evidence against any backend. */
  | 'internal'

export interface ErrorAnswer {
  readonly status: number
  readonly failure: Failure
  readonly reason: string
}

export interface WrittenAnswer {
  readonly status: number
  readonly fields: readonly string[]
  /** ASCII. */
  readonly body: string
}

const ALLOWED = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'
/** Seconds. Endpoints and connections come and go in about this time. */
const RETRY_AFTER = '1'

/** @param id of the request; null: it could not be read */
export function errorAnswer(status: number, reason: string, id: string | null): WrittenAnswer {
  if (status === 204) return { status, fields: ['Allow', ALLOWED], body: '' }
  const line = id === null ? '' : `request id: ${id}\n`
  const body = `${status} ${STATUS_CODES[status] ?? ''}: ${reason}\n${line}`
  const fields = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(body.length)]
  if (status === 405) fields.push('Allow', ALLOWED)
  if (status === 503 || status === 429) fields.push('Retry-After', RETRY_AFTER)
  return { status, fields, body }
}

/** What a failed attempt to forward becomes. */
export function answerFor(error: unknown): ErrorAnswer {
  switch (errorCode(error)) {
    case 'SLUICE_CLIENT_GONE':
      return { status: 499, failure: 'client-gone', reason: 'the client went away' }
    case 'SLUICE_CLIENT_TIMEOUT':
      return { status: 408, failure: 'client-timeout', reason: 'the request body took too long' }
    case 'SLUICE_CLIENT_MALFORMED':
      return { status: 400, failure: 'client-malformed', reason: 'the request body is malformed' }
    case 'SLUICE_BODY_TOO_BIG':
      return { status: 413, failure: 'body-too-big', reason: 'the request body is too big' }
    case 'SLUICE_CONNECT_FAILED':
      return { status: 502, failure: 'connect', reason: 'no backend accepted the connection' }
    case 'SLUICE_NO_ENDPOINT':
      return { status: 503, failure: 'connect', reason: 'no backend is available' }
    case 'SLUICE_ENDPOINTS_FULL':
      return { status: 503, failure: 'connect', reason: 'every backend has as many connections as it may have' }
    case 'SLUICE_CONNECT_TIMEOUT':
      return { status: 504, failure: 'connect', reason: 'no backend accepted the connection in time' }
    case 'SLUICE_UPSTREAM_TIMEOUT':
      return { status: 504, failure: 'upstream-timeout', reason: 'the backend did not answer in time' }
    case 'SLUICE_UPSTREAM_HEAD_TOO_BIG':
      return { status: 502, failure: 'upstream-head-too-big', reason: "the head of the backend's answer is too big" }
    case 'SLUICE_UPSTREAM_BROKEN':
      return { status: 502, failure: 'upstream', reason: 'the backend gave no valid answer' }
    default:
      return { status: 500, failure: 'internal', reason: 'the proxy failed' }
  }
}
