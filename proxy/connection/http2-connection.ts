/**
 * One client's connection of HTTP/2 from the end of its handshake to its last byte: its streams, its time, its end, and what
 * a client may ask for without using it. Frames are Node's matter (nghttp2), which has the socket's handle to itself.
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { DataPlaneError, errorCode } from '../errors.ts'
import type { Peer } from '../exchange/peer.ts'
import type { Refusal, RequestHead } from '../http1/contract.ts'
import { Floods, type FloodLimits, type FloodReason } from '../http2/floods.ts'
import { http2RequestHead } from '../http2/request-head.ts'
import type { ConnectionLimits } from './client-connection.ts'
import type { ClientSide, ConnectionState, ExchangeCarrier, OpenConnection } from './contract.ts'
import { Http2Stream, type StreamOwner } from './http2-stream.ts'

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FLAG_END_STREAM, NGHTTP2_INTERNAL_ERROR } = constants

export interface Http2Limits {
  /** Requests under way on one connection; beyond, the client hears REFUSED_STREAM (nginx: http2_max_concurrent_streams). */
  readonly maxStreams: number
  readonly floods: FloodLimits
}

export interface Http2Owner {
  readonly limits: ConnectionLimits
  readonly http2: Http2Limits
  /** A request is there: carry it, or answer it. @param now performance.now() */
  handle(client: ClientSide, head: RequestHead, now: number): ExchangeCarrier
  /** What came is no request: answered here, and counted. */
  refusedStream(client: ClientSide, refusal: Refusal): void
  /** No more requests: connections end in good order. */
  readonly draining: boolean
  defect(error: unknown): void
  /** Requests under way on connections that have one already: so many more, or fewer. */
  besides(change: 1 | -1): void
  changed(connection: OpenConnection, from: ConnectionState): void
  closed(connection: OpenConnection): void
  /** The connection was ended for what its client did. */
  ended(reason: FloodReason | 'protocol'): void
}

/** A limit of requests or age is kept where nothing is under way; at this many times it is kept in any case. */
const PATIENCE = 2
/** Fields of one head: each takes more memory than its bytes. */
const MOST_FIELDS = 500
/** What the list of fields counts for each field beside its bytes (RFC 9113 6.5.2). */
const FIELD_BYTES = 32
/** Of bodies that nobody read yet, on all streams: sixteen that wait for their backends do not hold up the others. */
const WINDOW = 1_048_576
/** MB that nghttp2 may hold for one connection; beyond, new streams are refused. */
const MOST_MEMORY = 32

export class Http2Connection implements OpenConnection, StreamOwner {
  readonly peer: Peer
  readonly openedAt = performance.now()
  requests = 0
  idleSince = this.openedAt
  readonly #socket: Socket
  readonly #session: ServerHttp2Session
  readonly #owner: Http2Owner
  readonly #floods: Floods
  readonly #streams = new Set<Http2Stream>()
  #state: ConnectionState = 'idle'
  /** It said that it takes no more requests. */
  #leaving = false
  /** Its end is a matter of this turn of the event loop. */
  #ending = false
  /** performance.now() at which the state has lasted too long. */
  #deadline: number

  /** @param socket on which nothing was read or written yet, since its handshake */
  constructor(socket: Socket, peer: Peer, owner: Http2Owner) {
    const { limits, http2 } = owner
    this.#socket = socket
    this.peer = peer
    this.#owner = owner
    this.#floods = new Floods(http2.floods, this.openedAt)
    this.#deadline = after(limits.headers, this.openedAt)
    // Node waits for an event of its own servers, or clients, on a socket that says so (lib/internal/http2/core.js, Http2Session).
    Object.assign(socket, { secureConnecting: false })
    this.#session = performServerHandshake(socket, {
      maxHeaderListPairs: MOST_FIELDS,
      maxSessionMemory: MOST_MEMORY,
      // What a backend sends twice goes on as it came, as in HTTP/1.
      strictSingleValueFields: false,
      settings: {
        maxConcurrentStreams: http2.maxStreams,
        maxHeaderListSize: limits.maxHeadBytes + FIELD_BYTES * MOST_FIELDS,
        enablePush: false,
      },
    })
    this.#session.setLocalWindowSize(WINDOW)
    this.#endLater()
    this.#session.on('stream', (stream, _headers, flags, raw) => this.#begin(stream, flags, raw))
    this.#session.on('ping', () => this.#count('pings'))
    this.#session.on('remoteSettings', () => this.#count('settings'))
    this.#session.on('error', error => this.#failed(error))
    // As with HTTP/1: a client that closes its side gave up what is under way.
    socket.on('end', () => this.drop())
    socket.on('close', () => this.#closed())
  }

  /**
   * Whoever ends the session, Node itself among them, does so when all that one read brought was looked at: within it that is not safe.
   * Nobody calls `session.destroy` past this.
   */
  #endLater(): void {
    const end = this.#session.destroy.bind(this.#session)
    this.#session.destroy = (...how): void => {
      if (this.#ending) return
      this.#ending = true
      setImmediate(() => end(...how))
    }
  }

  get state(): ConnectionState {
    return this.#state
  }

  get limits(): ConnectionLimits {
    return this.#owner.limits
  }

  // ------------------------------------------------------------------------------------------------ streams

  #begin(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    if (this.#state === 'closed' || this.#ending) {
      stream.on('error', () => undefined)
      return
    }
    const now = performance.now()
    const { limits } = this.#owner
    this.requests++
    const client = new Http2Stream(stream, this.requests, this)
    this.#add(client)
    try {
      const head = http2RequestHead(raw, (flags & NGHTTP2_FLAG_END_STREAM) !== 0, {
        head: limits.maxHeadBytes,
        line: limits.maxLineBytes,
      })
      if ('code' in head) {
        this.#owner.refusedStream(client, head)
        this.#count('refused')
      } else {
        this.#floods.request(head.bytes)
        client.begin(head, now)
      }
    } catch (error) {
      this.#owner.defect(error)
      stream.close(NGHTTP2_INTERNAL_ERROR)
    }
    if (this.#owner.draining || this.#isOld(now, PATIENCE)) this.close()
  }

  #add(stream: Http2Stream): void {
    this.#streams.add(stream)
    if (this.#streams.size > 1) this.#owner.besides(1)
    else if (this.#state === 'idle' || this.#state === 'closing') {
      this.#deadline = Infinity
      this.#enter('busy')
    }
  }

  handle(stream: Http2Stream, head: RequestHead, now: number): ExchangeCarrier {
    return this.#owner.handle(stream, head, now)
  }

  moved(bytes: number): void {
    this.#floods.used(bytes)
  }

  defect(error: unknown): void {
    this.#owner.defect(error)
  }

  closed(stream: Http2Stream, reset: boolean): void {
    if (!this.#streams.delete(stream)) return
    if (this.#streams.size > 0) this.#owner.besides(-1)
    else if (this.#state === 'busy') this.#rest(performance.now())
    if (reset) this.#count('resets')
  }

  /** Nothing is under way. */
  #rest(now: number): void {
    const { limits } = this.#owner
    this.idleSince = now
    if (this.#leaving) {
      this.#enter('closing')
      this.#deadline = after(limits.lingerIdle, now)
      return
    }
    this.#enter('idle')
    this.#deadline = after(limits.keepAlive, now)
    if (this.#owner.draining || this.#isOld(now, 1)) this.close()
  }

  #isOld(now: number, times: number): boolean {
    const { maxRequests, maxAge } = this.#owner.limits
    return (
      (maxRequests > 0 && this.requests >= times * maxRequests) || (maxAge > 0 && now - this.openedAt >= times * maxAge)
    )
  }

  #enter(state: ConnectionState): void {
    const from = this.#state
    this.#state = state
    if (from !== state) this.#owner.changed(this, from)
  }

  // ------------------------------------------------------------------------------------------------ the end

  #count(kind: Exclude<FloodReason, 'overhead'>): void {
    if (this.#floods.count(kind, performance.now())) this.#calm(kind)
  }

  #calm(reason: FloodReason): void {
    if (this.#state === 'closed' || this.#ending) return
    this.#owner.ended(reason)
    const error = new DataPlaneError('SLUICE_HTTP2_FLOOD', `the client is ended for its ${reason}`)
    this.#session.destroy(error, NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #failed(error: unknown): void {
    // Of nghttp2 and of Node's own limits; what a socket says of its end is none of the client's doing.
    const code = errorCode(error)
    if (code === 'ERR_HTTP2_ERROR' || code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES') this.#owner.ended('protocol')
  }

  #closed(): void {
    if (this.#state === 'closed') return
    for (const stream of [...this.#streams]) stream.abandon()
    this.#enter('closed')
    this.#owner.closed(this)
  }

  tick(now: number): void {
    for (const stream of this.#streams) stream.tick(now)
    if (this.#floods.isOverhead(this.#socket.bytesRead)) this.#calm('overhead')
    if (now < this.#deadline) return
    if (this.#state === 'idle') this.close()
    else this.drop()
  }

  saveMemory(): void {
    for (const stream of this.#streams) stream.saveMemory()
  }

  /**
   * GOAWAY with the last request that was taken (RFC 9113 6.8): what the client sent meanwhile it may send elsewhere. Node
   * closes the connection when the last stream is.
   */
  close(): void {
    if (this.#leaving || this.#state === 'closed') return
    this.#leaving = true
    if (this.#state === 'idle') this.#rest(performance.now())
    this.#session.close()
  }

  /** It is no tunnel, ever. */
  leave(): void {
    this.close()
  }

  drop(): void {
    this.#session.destroy()
    this.#socket.destroy()
  }
}

function after(milliseconds: number, now: number): number {
  return milliseconds === 0 ? Infinity : now + milliseconds
}
