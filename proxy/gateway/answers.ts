/** Answers of our own: short plain text with the request's id, never a stack or an address. */
import { STATUS_CODES } from 'node:http'
import { errorCode } from '../errors.ts'
import type { Failure } from './exchange.ts'

export interface Answer {
  readonly status: number
  readonly failure: Failure
  readonly reason: string
}

export function answerText(status: number, reason: string, requestId: string): string {
  return `${status} ${STATUS_CODES[status] ?? ''}: ${reason}\nrequest id: ${requestId}\n`
}

/** What a failed attempt to forward becomes. */
export function answerFor(error: unknown): Answer {
  switch (errorCode(error)) {
    case 'SLUICE_CLIENT_GONE':
      return { status: 499, failure: 'client-gone', reason: 'the client went away' }
    case 'SLUICE_CLIENT_TIMEOUT':
      return { status: 408, failure: 'client-timeout', reason: 'the request body took too long' }
    case 'SLUICE_CLIENT_MALFORMED':
      return { status: 400, failure: 'client-malformed', reason: 'the request body is malformed' }
    case 'SLUICE_CONNECT_FAILED':
      return { status: 502, failure: 'connect', reason: 'no backend accepted the connection' }
    case 'SLUICE_NO_ENDPOINT':
      return { status: 503, failure: 'connect', reason: 'no backend is available' }
    case 'SLUICE_CONNECT_TIMEOUT':
      return { status: 504, failure: 'connect', reason: 'no backend accepted the connection in time' }
    case 'UND_ERR_HEADERS_TIMEOUT':
      return { status: 504, failure: 'upstream-timeout', reason: 'the backend did not answer in time' }
    default:
      return { status: 502, failure: 'upstream', reason: 'the backend gave no valid answer' }
  }
}
