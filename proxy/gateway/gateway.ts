/** What comes in: connections become ClientConnections, requests become exchanges that are answered or carried. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import {
  ClientConnection,
  type ConnectionLimits,
  type ConnectionOwner,
  type ConnectionState,
  type ExchangeCarrier,
} from '../connection/client-connection.ts'
import { Connections } from '../connection/connections.ts'
import { errorAnswer } from '../exchange/error-answer.ts'
import { begin, finish } from '../exchange/exchange.ts'
import type { Peer } from '../exchange/peer.ts'
import { answerClient, wantedUpgrade, type ForwardContext } from '../forward/forward.ts'
import type { Refusal, RequestHead } from '../http1/contract.ts'
import { responseHeadText } from '../http1/write.ts'
import type { Transport } from './transport.ts'

export interface GatewayParts {
  readonly context: ForwardContext
  readonly limits: ConnectionLimits
  /** Open connections of this worker; 0: no limit. */
  readonly maxConnections: number
  /** Requests under way in this worker; 0: no limit. */
  readonly maxRequests: number
  readonly transport: Transport
}

/** Carries what was answered already: nothing that still comes is its matter. */
const ANSWERED: ExchangeCarrier = {
  ...{ onBody: () => undefined, onBodyEnd: () => undefined, onBodyRefused: () => undefined },
  ...{ onBodyTimeout: () => undefined, onDrain: () => undefined, onGone: () => undefined, onTick: () => undefined },
}

export class Gateway implements ConnectionOwner {
  readonly connections: Connections
  readonly limits: ConnectionLimits
  readonly #parts: GatewayParts
  #draining = false

  constructor(parts: GatewayParts) {
    this.#parts = parts
    this.limits = parts.limits
    const { headers, request, keepAlive, bodyIdle, linger, lingerIdle, tunnelIdle, tunnelHalfClosed } = parts.limits
    const { headersTimeout, bodyTimeout, bufferTime } = parts.context.forward
    const times = [headers, request, keepAlive, bodyIdle, linger, lingerIdle, tunnelIdle, tunnelHalfClosed]
    const shortest = Math.min(...[...times, headersTimeout, bodyTimeout, bufferTime].filter(ms => ms > 0), 60_000)
    this.connections = new Connections(shortest)
  }

  get draining(): boolean {
    return this.#draining
  }

  /** From now on answers ask their clients to reconnect elsewhere. */
  announceDrain(): void {
    this.#draining = true
  }

  /** Takes a connection that speaks HTTP, decrypted if need be. */
  accept(socket: Socket, peer: Peer): void {
    const { maxConnections, context } = this.#parts
    if (maxConnections > 0 && this.connections.size >= maxConnections && !this.connections.closeOldestIdle()) {
      context.recorder.refusedConnection('connections')
      socket.on('error', () => undefined)
      socket.end(plainAnswer(503, 'too many connections', context.date.text()), 'latin1')
      socket.destroySoon()
      return
    }
    this.connections.add(new ClientConnection(socket, peer, this))
  }

  handle(connection: ClientConnection, head: RequestHead): ExchangeCarrier {
    const { context, maxRequests, transport } = this.#parts
    const busy = maxRequests > 0 && this.connections.busy > maxRequests
    const exchange = begin(head, connection.peer, context, connection.requests, busy)
    const { decision } = exchange
    if (decision.kind === 'forward') return transport.handle(connection, exchange, decision.cluster)
    // What a client sends behind a refused Upgrade could be meant for the other protocol.
    const close = decision.cause === 'bad-request' || wantedUpgrade(exchange) !== null
    answerClient(connection, exchange, decision, close, context.date)
    exchange.headBytesOut = connection.written - exchange.bodyBytesOut
    finish(exchange, context)
    return ANSWERED
  }

  refused(
    _connection: ClientConnection,
    { status, code, reason }: Pick<Refusal, 'status' | 'code' | 'reason'>,
  ): string {
    const { recorder, date } = this.#parts.context
    const text = plainAnswer(status, reason, date.text())
    recorder.refusedRequest(code)
    recorder.request({
      ...{ host: null, route: null, status, notFound: false, upstreamError: false, internal: false },
      ...{ milliseconds: 0, requestBytes: 0, responseBytes: text.length },
    })
    return text
  }

  defect(error: unknown): void {
    this.#parts.context.onDefect(error)
  }

  changed(connection: ClientConnection, from: ConnectionState): void {
    this.connections.changed(connection, from)
  }

  closed(connection: ClientConnection): void {
    this.connections.remove(connection)
  }
}

/** To what could not be read as a request, or to nobody in particular. */
function plainAnswer(status: number, reason: string, date: string): string {
  const { fields, body } = errorAnswer(status, reason, null)
  const all = [...fields, 'Date', date, 'Server', 'sluice', 'Connection', 'close']
  return responseHeadText(status, STATUS_CODES[status] ?? '', all) + body
}
