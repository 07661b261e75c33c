/** One request and its answer, from its head to its last byte: what decides, counts and logs it. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { TableReader } from '../table/contract.ts'
import { decide, type Decision } from './decide.ts'
import { framingFault } from './framing.ts'
import { headerValues, saneRequestId, type Forwarded } from './headers.ts'
import { parseTarget, type Target } from './target.ts'

/** Why an answer is not what the backend said, or why it ended early. */
export type Failure =
  | 'client-gone'
  | 'client-timeout'
  | 'client-malformed'
  | 'connect'
  | 'upstream-timeout'
  | 'upstream'
  | 'upstream-aborted'

export interface PublicPorts {
  readonly http: number
  readonly https: number
}

export class Exchange {
  readonly startedAt = performance.now()
  readonly id: string
  readonly method: string
  /** As sent. */
  readonly rawTarget: string
  readonly target: Target
  readonly decision: Decision
  /** How it is counted: TableReader.requestHost at the time of the decision. */
  readonly countedHost: string | null
  readonly forwarded: Forwarded
  readonly tlsVersion: string | null
  readonly httpVersion: string
  readonly headBytes: number
  /** Body bytes read from the client so far. */
  bodyBytes = 0
  /** Endpoint tried last. */
  endpoint: string | null = null
  attempts = 0
  failure: Failure | null = null

  constructor(request: IncomingMessage, table: TableReader, ports: PublicPorts) {
    const { socket, rawHeaders } = request
    const secure = socket instanceof TLSSocket
    this.method = request.method ?? ''
    this.rawTarget = request.url ?? ''
    this.httpVersion = request.httpVersion
    this.tlsVersion = secure ? socket.getProtocol() : null
    this.target = parseTarget(this.rawTarget, headerValues(rawHeaders, 'host'), request.httpVersion === '1.1')
    this.decision = decide(this.target, table, framingFault(request))
    this.countedHost = table.requestHost(this.target.host)
    const sentId = request.headers['x-request-id']
    this.id = saneRequestId(typeof sentId === 'string' ? sentId : undefined) ?? randomUUID().replaceAll('-', '')
    this.forwarded = {
      client: clientAddress(socket.remoteAddress),
      authority: this.target.ok ? this.target.authority : null,
      scheme: secure ? 'https' : 'http',
      port: secure ? ports.https : ports.http,
      requestId: this.id,
    }
    // Method, target, version and line ends; each header with its colon, space and line end.
    let bytes = this.method.length + this.rawTarget.length + 14
    for (const text of rawHeaders) bytes += text.length + 2
    this.headBytes = bytes
  }

  get route() {
    return this.decision.route
  }

  get milliseconds(): number {
    return performance.now() - this.startedAt
  }
}

/** IPv4 addresses of a dual-stack socket come mapped into IPv6. */
export function clientAddress(remote: string | undefined): string {
  return remote?.startsWith('::ffff:') ? remote.slice(7) : (remote ?? '')
}
