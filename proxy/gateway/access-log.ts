/** One JSON line per request. Authorization, cookies and query strings' owners are never looked at: only what is listed here is written. */
import { pino } from 'pino'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Exchange } from './exchange.ts'

export interface Outcome {
  /** As counted: 499 for a client that went. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface AccessLog {
  write(exchange: Exchange, outcome: Outcome): void
  /** Writes what is buffered, waiting for it. */
  flush(): void
}

/**
 * Atomic on a pipe (PIPE_BUF on Linux is 4096): lines of several workers never mix. A longer line may.
 */
const MAX_WRITE = 4096

/** @param to `off`, `stdout`, or a file to append to */
export function openAccessLog(to: string): AccessLog {
  if (to === 'off') return { write: () => undefined, flush: () => undefined }
  const destination = pino.destination({
    dest: to === 'stdout' ? 1 : to,
    sync: false,
    maxWrite: MAX_WRITE,
    append: true,
  })
  // A closed or full output must not end the worker: the line is lost.
  destination.on('error', () => undefined)
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' }, destination)
  return {
    write: (exchange, outcome) => log.info(accessEntry(exchange, outcome)),
    flush: () => {
      try {
        destination.flushSync()
      } catch {
        // Not open yet, or gone: there is nobody to tell.
      }
    },
  }
}

/** The fields of a line, documented in docs/proxy.md. */
export function accessEntry(exchange: Exchange, { status, bytesIn, bytesOut }: Outcome): Record<string, unknown> {
  const { route, decision, failure } = exchange
  const object = route ? parseObjectKey(route.object) : null
  const query = exchange.rawTarget.indexOf('?')
  return {
    type: 'access',
    request_id: exchange.id,
    client: exchange.forwarded.client,
    method: exchange.method,
    host: exchange.target.host,
    path: query === -1 ? exchange.rawTarget : exchange.rawTarget.slice(0, query),
    status,
    duration_ms: Math.round(exchange.milliseconds * 1000) / 1000,
    bytes_in: bytesIn,
    bytes_out: bytesOut,
    namespace: object?.namespace ?? null,
    ingress: object?.name ?? null,
    revision: route?.revision ?? null,
    service: decision.kind === 'forward' ? decision.service : null,
    endpoint: exchange.endpoint,
    attempts: exchange.attempts,
    protocol: `HTTP/${exchange.httpVersion}`,
    tls: exchange.tlsVersion,
    failure: failure ?? (decision.kind === 'answer' ? decision.cause : null),
  }
}
