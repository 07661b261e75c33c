/** What comes in: connections become ClientConnections, requests become exchanges that are answered or carried. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { ClientConnection, type ConnectionLimits, type ConnectionOwner } from '../connection/client-connection.ts'
import { Connections } from '../connection/connections.ts'
import type { ClientSide, ConnectionState, ExchangeCarrier, OpenConnection } from '../connection/contract.ts'
import { Http2Connection, type Http2Limits, type Http2Owner } from '../connection/http2-connection.ts'
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
  readonly http2: Http2Limits
}

/** Carries what was answered already: nothing that still comes is its matter. */
const ANSWERED: ExchangeCarrier = {
  ...{ onBody: () => undefined, onBodyEnd: () => undefined, onBodyRefused: () => undefined },
  ...{ onBodyTimeout: () => undefined, onDrain: () => undefined, onGone: () => undefined, onTick: () => undefined },
  onMemoryShort: () => undefined,
}

/** Settings of ours (RFC 9113 3.4), none, and GOAWAY: no request was taken, ENHANCE_YOUR_CALM (7). In latin1. */
const HTTP2_TURNED_AWAY = '\0\0\0\x04\0\0\0\0\0' + '\0\0\x08\x07\0\0\0\0\0' + '\0\0\0\0' + '\0\0\0\x0b'

export class Gateway implements ConnectionOwner, Http2Owner {
  readonly connections: Connections
  readonly limits: ConnectionLimits
  readonly io: SocketIo
  readonly http2: Http2Limits
  readonly #parts: GatewayParts
  readonly #turnedAway = new TurnedAway()
  readonly #admission: GatewayLimits
  #draining = false

  constructor(parts: GatewayParts) {
    this.#parts = parts
    this.limits = parts.limits
    this.io = parts.io
    this.http2 = parts.http2
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
    const { recorder, date } = this.#parts.context
    if (!admitted) {
      recorder.refusedConnection('client-connections')
      this.#turnedAway.answer(socket, plainAnswer(429, 'too many connections of this client', date.text()))
    } else if (this.#hasRoom()) this.connections.add(new ClientConnection(socket, peer, this))
    else this.#turnedAway.answer(socket, plainAnswer(503, 'too many connections', date.text()))
  }

  /** The same of one that speaks HTTP/2, and was admitted. */
  acceptHttp2(socket: Socket, peer: Peer): void {
    if (this.#hasRoom()) this.connections.add(new Http2Connection(socket, peer, this))
    else this.#turnedAway.answer(socket, HTTP2_TURNED_AWAY)
  }

  /** Makes room for one more connection where it can be done; counts what it comes to. */
  #hasRoom(): boolean {
    const { maxConnections, context } = this.#parts
    if (maxConnections === 0 || this.connections.size < maxConnections) return true
    if (!this.connections.closeOldestIdle()) {
      context.recorder.refusedConnection('connections')
      return false
    }
    context.recorder.shedConnections('connections', 1)
    return true
  }

  /** To be called several times a second. */
  relieve(reading: MemoryReading): void {
    const { closeIdle, maxRequests } = this.#admission.relieve(reading, this.connections.counts)
    if (maxRequests !== Infinity) this.connections.saveMemory()
    if (closeIdle > 0) this.#parts.context.recorder.shedConnections('memory', this.connections.closeIdle(closeIdle))
  }

  handle(client: ClientSide, head: RequestHead, now: number): ExchangeCarrier {
    const { context, transport } = this.#parts
    const lack = this.connections.busy > this.#admission.maxRequests ? this.#admission.lack() : null
    const exchange = begin(head, client.peer, context, client.requests, lack, now)
    const { decision } = exchange
    if (decision.kind === 'forward') return transport.handle(client, exchange, decision.cluster)
    if (isLack(decision.cause)) context.recorder.shedRequest(decision.cause)
    // What a client sends behind a refused Upgrade could be meant for the other protocol.
    const close = decision.cause === 'bad-request' || decision.cause === 'memory' || wantedUpgrade(exchange) !== null
    answerClient(client, exchange, decision, close, context.date)
    exchange.headBytesOut = client.written - exchange.bodyBytesOut
    finish(exchange, context)
    return ANSWERED
  }

  refused(
    _connection: ClientConnection,
    { status, code, reason }: Pick<Refusal, 'status' | 'code' | 'reason'>,
  ): string {
    const text = plainAnswer(status, reason, this.#parts.context.date.text())
    this.#countRefused(status, code, text.length)
    return text
  }

  refusedStream(client: ClientSide, { status, code, reason }: Refusal): void {
    const { fields, body } = errorAnswer(status, reason, null)
    const lines = fieldLines([...fields, 'Date', this.#parts.context.date.text(), 'Server', 'sluice'])
    client.answerWhole(status, STATUS_CODES[status] ?? '', lines, body, true, performance.now())
    this.#countRefused(status, code, client.written)
  }

  #countRefused(status: number, code: string, responseBytes: number): void {
    const { recorder } = this.#parts.context
    recorder.refusedRequest(code)
    recorder.request({
      ...{ host: null, route: null, status, notFound: false, upstreamError: false, internal: false, closed: false },
      ...{ milliseconds: 0, connectMs: null, firstByteMs: null, attempts: 0 },
      ...{ requestBytes: 0, responseBytes },
    })
  }

  defect(error: unknown): void {
    this.#parts.context.onDefect(error)
  }

  ended(reason: string): void {
    this.#parts.context.recorder.endedHttp2(reason)
  }

  besides(change: 1 | -1): void {
    this.connections.besides(change)
  }

  changed(connection: OpenConnection, from: ConnectionState): void {
    this.connections.changed(connection, from)
  }

  closed(connection: OpenConnection): void {
    this.connections.remove(connection)
  }
}

/** To what could not be read as a request, or to nobody in particular. */
function plainAnswer(status: number, reason: string, date: string): string {
  const { fields, body } = errorAnswer(status, reason, null)
  const all = [...fields, 'Date', date, 'Server', 'sluice', 'Connection', 'close']
  return responseHeadText(status, STATUS_CODES[status] ?? '', fieldLines(all)) + body
}
