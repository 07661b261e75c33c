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
import type { MemoryReading } from '../connection/memory-pressure.ts'
import { TurnedAway } from '../connection/turned-away.ts'
import { errorAnswer } from '../exchange/error-answer.ts'
import { begin, finish, isLack } from '../exchange/exchange.ts'
import type { Peer } from '../exchange/peer.ts'
import { answerClient, wantedUpgrade, type ForwardContext } from '../forward/forward.ts'
import type { Refusal, RequestHead } from '../http1/contract.ts'
import type { SocketIo } from '../io/contract.ts'
import { fieldLines, responseHeadText } from '../http1/write.ts'
import { GatewayLimits, type GatewayLimitSettings } from './limits.ts'
import type { Transport } from './transport.ts'

export interface GatewayParts extends GatewayLimitSettings {
  readonly context: ForwardContext
  readonly limits: ConnectionLimits
  /** Open connections of this worker; 0: no limit. */
  readonly maxConnections: number
  readonly transport: Transport
  readonly io: SocketIo
}

/** Carries what was answered already: nothing that still comes is its matter. */
const ANSWERED: ExchangeCarrier = {
  ...{ onBody: () => undefined, onBodyEnd: () => undefined, onBodyRefused: () => undefined },
  ...{ onBodyTimeout: () => undefined, onDrain: () => undefined, onGone: () => undefined, onTick: () => undefined },
  onMemoryShort: () => undefined,
}

export class Gateway implements ConnectionOwner {
  readonly connections: Connections
  readonly limits: ConnectionLimits
  readonly io: SocketIo
  readonly #parts: GatewayParts
  readonly #turnedAway = new TurnedAway()
  readonly #admission: GatewayLimits
  #draining = false

  constructor(parts: GatewayParts) {
    this.#parts = parts
    this.limits = parts.limits
    this.io = parts.io
    const { headers, request, keepAlive, bodyIdle, linger, lingerIdle, tunnelIdle, tunnelHalfClosed } = parts.limits
    const { headersTimeout, bodyTimeout, bufferTime } = parts.context.forward
    const times = [headers, request, keepAlive, bodyIdle, linger, lingerIdle, tunnelIdle, tunnelHalfClosed]
    const shortest = Math.min(...[...times, headersTimeout, bodyTimeout, bufferTime].filter(ms => ms > 0), 60_000)
    this.connections = new Connections(shortest)
    this.#admission = new GatewayLimits(parts, parts.context.trusted)
  }

  get draining(): boolean {
    return this.#draining
  }

  /** From now on answers ask their clients to reconnect elsewhere. */
  announceDrain(): void {
    this.#draining = true
  }

  /** Counts a connection of its client until its socket closes. @returns false: the client has as many as it may have */
  admit(socket: Socket, address: string): boolean {
    return this.#admission.admit(socket, address)
  }

  /**
   * Takes a connection that speaks HTTP, decrypted if need be.
   * @param admitted what `admit` said when it came
   */
  accept(socket: Socket, peer: Peer, admitted: boolean): void {
    const { maxConnections, context } = this.#parts
    const { recorder, date } = context
    if (!admitted) {
      recorder.refusedConnection('client-connections')
      this.#turnedAway.answer(socket, plainAnswer(429, 'too many connections of this client', date.text()))
      return
    }
    if (maxConnections > 0 && this.connections.size >= maxConnections) {
      if (!this.connections.closeOldestIdle()) {
        recorder.refusedConnection('connections')
        this.#turnedAway.answer(socket, plainAnswer(503, 'too many connections', date.text()))
        return
      }
      recorder.shedConnections('connections', 1)
    }
    this.connections.add(new ClientConnection(socket, peer, this))
  }

  /** To be called several times a second. */
  relieve(reading: MemoryReading): void {
    const { closeIdle, maxRequests } = this.#admission.relieve(reading, this.connections.counts)
    if (maxRequests !== Infinity) this.connections.saveMemory()
    if (closeIdle > 0) this.#parts.context.recorder.shedConnections('memory', this.connections.closeIdle(closeIdle))
  }

  handle(connection: ClientConnection, head: RequestHead, now: number): ExchangeCarrier {
    const { context, transport } = this.#parts
    const lack = this.connections.busy > this.#admission.maxRequests ? this.#admission.lack() : null
    const exchange = begin(head, connection.peer, context, connection.requests, lack, now)
    const { decision } = exchange
    if (decision.kind === 'forward') return transport.handle(connection, exchange, decision.cluster)
    if (isLack(decision.cause)) context.recorder.shedRequest(decision.cause)
    // What a client sends behind a refused Upgrade could be meant for the other protocol.
    const close = decision.cause === 'bad-request' || decision.cause === 'memory' || wantedUpgrade(exchange) !== null
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
      ...{ host: null, route: null, status, notFound: false, upstreamError: false, internal: false, closed: false },
      ...{ milliseconds: 0, connectMs: null, firstByteMs: null, attempts: 0 },
      ...{ requestBytes: 0, responseBytes: text.length },
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
  return responseHeadText(status, STATUS_CODES[status] ?? '', fieldLines(all)) + body
}
