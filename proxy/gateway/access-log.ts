/** One JSON line per request. Authorization, cookies and query strings' owners are never looked at: only what is listed here is written. */
import { pino } from 'pino'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { LineSink } from '../log/lines.ts'
import type { Exchange } from './exchange.ts'

export interface Outcome {
  /** As counted: 499 for a client that went. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface AccessLog {
  write(exchange: Exchange, outcome: Outcome): void
  /** Hands on what is buffered. */
  flush(): void
}

/** @param lines where they go; null: nowhere */
export function openAccessLog(lines: LineSink | null): AccessLog {
  if (lines === null) return { write: () => undefined, flush: () => undefined }
  const options = { base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' }
  const log = pino(options, { write: text => lines.line(text) })
  return {
    write: (exchange, outcome) => log.info(accessEntry(exchange, outcome)),
    flush: () => lines.flush(),
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
