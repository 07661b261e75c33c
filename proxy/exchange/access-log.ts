/** One JSON line per request. Authorization, cookies and query strings' owners are never looked at: only what is listed here is written. */
import { pino } from 'pino'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { LineSink } from '../log/lines.ts'
import { countedStatus, type AccessLog, type Exchange } from './exchange.ts'
import { fieldValue } from './headers.ts'
import { traceIdOf } from './trace-context.ts'

/** @param lines where they go; null: nowhere */
export function openAccessLog(lines: LineSink | null): AccessLog {
  if (lines === null) return { write: () => undefined, flush: () => undefined }
  const options = { base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' }
  const log = pino(options, { write: text => lines.line(text) })
  return {
    write: exchange => log.info(accessEntry(exchange)),
    flush: () => lines.flush(),
  }
}

/** The fields of a line, documented in docs/proxy.md. */
function accessEntry(exchange: Exchange): Record<string, unknown> {
  const { decision, failure, head, peer, endpoints } = exchange
  const object = decision.route ? parseObjectKey(decision.route.object) : null
  const query = head.target.indexOf('?')
  return {
    type: 'access',
    request_id: exchange.id,
    trace_id: traceIdOf(head.fields),
    client: exchange.forwarded.client,
    method: head.method,
    host: exchange.target.host,
    path: query === -1 ? head.target : head.target.slice(0, query),
    status: countedStatus(exchange),
    duration_ms: milliseconds(performance.now() - exchange.startedAt),
    bytes_in: head.bytes + exchange.bodyBytesIn,
    bytes_out: exchange.headBytesOut + exchange.bodyBytesOut,
    body_bytes_in: exchange.bodyBytesIn,
    body_bytes_out: exchange.bodyBytesOut,
    user_agent: fieldValue(head.fields, 'user-agent'),
    referer: fieldValue(head.fields, 'referer'),
    namespace: object?.namespace ?? null,
    ingress: object?.name ?? null,
    revision: decision.route?.revision ?? null,
    canary: decision.kind === 'forward' ? decision.canary?.by : undefined,
    service: decision.kind === 'forward' ? decision.cluster.service : null,
    endpoint: endpoints.at(-1) ?? null,
    endpoints: endpoints.length > 1 ? endpoints : undefined,
    attempts: endpoints.length,
    upstream_status: exchange.upstreamStatus === 0 ? null : exchange.upstreamStatus,
    upstream_connect_ms: milliseconds(exchange.connectMs),
    upstream_first_byte_ms: milliseconds(exchange.firstByteMs),
    protocol: head.http2 ? 'HTTP/2.0' : `HTTP/1.${head.minor}`,
    connection_request: exchange.number,
    tls: peer.tls?.version ?? null,
    tls_cipher: peer.tls?.cipher ?? null,
    tls_resumed: peer.tls?.resumed ?? null,
    failure: failure ?? (decision.kind === 'answer' ? decision.cause : null),
  }
}

function milliseconds(value: number): number
function milliseconds(value: number | null): number | null
function milliseconds(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1000) / 1000
}
