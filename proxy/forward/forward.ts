/**
 * Carries one request to a backend and its answer to the client, over a connection of either that is lent to it. What is
 * sent, tried again, counted and answered is decided here; who owns sockets, time and endpoints stands elsewhere.
 *
 * `gathering` (a small body is read first: slow clients occupy no backend, and it can be sent again) → `leasing` →
 * `waiting` (for the head of the answer) → `answering` → `over`; or `tunnel` after an accepted Upgrade.
 */
import { STATUS_CODES } from 'node:http'
import type { ClientSide, ClientTunnel, ExchangeCarrier, GoneReason } from '../connection/contract.ts'
import { DataPlaneError } from '../errors.ts'
import { answerFor, errorAnswer, type ErrorAnswer } from '../exchange/error-answer.ts'
import { countTunnel, finish, type Exchange, type ExchangeContext } from '../exchange/exchange.ts'
import type { HttpDate } from '../exchange/http-date.ts'
import { requestLines, responseLines, type OwnLines } from '../exchange/headers.ts'
import { BodyReader } from '../http1/body-reader.ts'
import { CHUNKED, type ResponseHead } from '../http1/contract.ts'
import { ResponseHeadReader } from '../http1/head-reader.ts'
import { Gathered, Pieces } from '../http1/pieces.ts'
import { CHUNK_END, LAST_CHUNK, chunkHead, fieldLines, requestHeadText, responseHeadText } from '../http1/write.ts'
import type { Affinity, Stays } from './affinity.ts'
import { mayTryNext, repeatable, type BreakKind, type RetrySettings } from './retry.ts'
import type { Balancing, RouteSettingsOf } from './route-settings.ts'
import { withQuery, type Marks } from '../table/marks.ts'
import { FrameReader, goingAway, goingAwayMasked } from './websocket.ts'
import type {
  BackendReader,
  Balance,
  Cluster,
  ConnectLimits,
  Lease,
  LeaseRequest,
  LeaseResult,
  LeaseWaiter,
} from '../upstream/contract.ts'

/** Milliseconds and bytes. */
export interface ForwardSettings extends RetrySettings {
  /** From the last byte of the request to the head of the answer; 0: no limit. */
  readonly headersTimeout: number
  /** Between two pieces of the answer's body; 0: no limit. */
  readonly bodyTimeout: number
  /** For the backend to take more of a request; 0: no limit. */
  readonly sendTimeout: number
  /** For anything to pass through a tunnel; null: as all tunnels. */
  readonly tunnelTimeout: number | null
  /** Of a request's body. */
  readonly maxBody: number
  /** Of an answer's head. */
  readonly maxResponseHeadBytes: number
  /** A body up to this size is read before an endpoint is chosen (ingress-nginx buffers all of it). */
  readonly bufferedBody: number
  /** A chunked body, whose size nobody knows, is waited for so long at most. */
  readonly bufferTime: number
  /** A body is not waited for: what came with its head is sent, and the rest as it comes. */
  readonly streamed: boolean
  /** What may be said to connections that are opened for it; null: as for all (UpstreamSettings). */
  readonly connecting: ConnectLimits | null
  /** Null: the less busy of two endpoints. */
  readonly balancing: Balancing | null
  /** Sessions stay with an endpoint; null: there are none. */
  readonly affinity: Affinity | null
  /** Names with `_` reach backends (enable-underscores-in-headers). */
  readonly underscores: boolean
  /** Added to every request. */
  readonly own: OwnLines
}

export interface ForwardContext extends ExchangeContext {
  /** What no Ingress sets otherwise. */
  readonly forward: ForwardSettings
  readonly routes: RouteSettingsOf
  readonly onDefect: (error: unknown) => void
}

/** Interim answers that one request may bring; more of them are an attack or a defect. */
const MOST_INTERIM = 100

type Phase = 'gathering' | 'leasing' | 'waiting' | 'answering' | 'tunnel' | 'over'

export class Forward implements ExchangeCarrier, BackendReader, LeaseWaiter {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #context: ForwardContext
  readonly #settings: ForwardSettings
  readonly #cluster: Cluster
  readonly #balance: Balance | null
  readonly #key: number
  /** Where its session stays; null: sessions do not. */
  readonly #stays: Stays | null
  readonly #upgrade: string | null
  /** Of the canary that the request goes to; null: nothing is added to it (nearly always). */
  readonly #marks: Marks | null
  #phase: Phase = 'gathering'
  #started = false
  #lease: Lease | null = null
  #cancelLease: (() => void) | null = null
  /** All of the body so far is kept, to be sent again; else it streams. */
  #keeps = true
  /** What is kept of it; null: nothing came. */
  #gathered: Gathered | null = null
  /** All of the client's body was read. */
  #bodyRead = false
  /** All of the request was handed to the backend's socket. */
  #requestSent = false
  #streamed = false
  readonly #heads: ResponseHeadReader
  #answerBody: BodyReader | null = null
  #answerHead: ResponseHead | null = null
  #interims = 0
  /** Some byte of an answer came on this lease. */
  #answered = false
  #excluded: Set<string> | null = null
  #tries = 0
  /** Endpoints that were connected to or sent to, each try. */
  #asked = 0
  #freshTried = false
  /** Since it is one. */
  #tunnel: ClientTunnel | null = null
  /** Of a WebSocket. */
  #frames: { readonly out: FrameReader; readonly in: FrameReader } | null = null
  /** A tunnel that ends because this process goes: `waiting` for the end of a frame of the backend, then `left`. */
  #leaving: 'no' | 'waiting' | 'left' = 'no'
  #tunnelBytesOut = 0
  #tunnelBytesIn = 0
  /** performance.now() when waiting has lasted too long. */
  #deadline = Infinity
  #answerPieces: Pieces | null = null

  constructor(client: ClientSide, exchange: Exchange, cluster: Cluster, context: ForwardContext) {
    this.#client = client
    this.#exchange = exchange
    this.#context = context
    this.#cluster = cluster
    this.#upgrade = wantedUpgrade(exchange)
    const { decision } = exchange
    const forwarded = decision.kind === 'forward' ? decision : null
    this.#marks = forwarded?.canary?.marks ?? null
    this.#settings = forwarded === null ? context.forward : context.routes.of(forwarded.policy)
    const canary = forwarded?.canary ?? null
    // A canary's endpoints are chosen as the canary says.
    const { balancing } = canary === null ? this.#settings : context.routes.of(canary.route.policy)
    const affinity = canary?.sticky === false ? null : this.#settings.affinity
    this.#stays = affinity === null ? null : affinity.staysOf(exchange, cluster)
    this.#balance = this.#stays === null ? (balancing?.balance ?? null) : this.#stays.balance
    this.#key = this.#stays === null ? (balancing?.keyOf?.(exchange) ?? 0) : this.#stays.key
    this.#heads = new ResponseHeadReader(context.forward.maxResponseHeadBytes)
  }

  /** To be called once; a request whose client went meanwhile is not begun. @param now performance.now(), if it is known */
  start(now = performance.now()): void {
    if (this.#phase !== 'gathering' || this.#started) return
    this.#started = true
    const { bodyLength } = this.#exchange.head
    const { bufferedBody, bufferTime, maxBody, streamed } = this.#settings
    if (bodyLength > maxBody) {
      this.#bodyTooBig()
    } else if (bodyLength === 0) {
      this.#bodyRead = true
      // A handshake is not sent again: it gets a connection that no idle timeout can have closed.
      this.#choose(this.#upgrade !== null, null, now)
    } else if (bodyLength > bufferedBody) {
      this.#keeps = false
      this.#choose(false, null, now)
    } else {
      if (bodyLength === CHUNKED) this.#deadline = now + bufferTime
      this.#client.readBody()
      // What came with the head is read before a microtask's turn.
      if (streamed) queueMicrotask(() => this.#guard(() => this.#stopGathering()))
    }
  }

  // ------------------------------------------------------------------------------------------------ the client's body

  onBody(piece: Buffer): void {
    this.#exchange.bodyBytesIn += piece.length
    // One whose length is known was looked at before.
    if (this.#exchange.bodyBytesIn > this.#settings.maxBody) {
      this.#bodyTooBig()
      return
    }
    // While it leases: on its way already when the body was paused.
    if (this.#keeps && (this.#phase === 'gathering' || this.#phase === 'leasing')) {
      this.#gathered ??= new Gathered()
      this.#gathered.add(piece)
      const { bufferedBody } = this.#settings
      if (this.#phase === 'gathering' && this.#gathered.length > bufferedBody) this.#stopGathering()
      return
    }
    this.#sendPiece(piece)
  }

  onBodyEnd(): void {
    this.#bodyRead = true
    if (this.#phase === 'gathering') {
      this.#choose()
      return
    }
    if (this.#streamed) this.#endRequest()
  }

  onBodyRefused(): void {
    this.#fail(answerFor(new DataPlaneError('SLUICE_CLIENT_MALFORMED', 'the body is malformed')), true)
  }

  onBodyTimeout(): void {
    this.#fail(answerFor(new DataPlaneError('SLUICE_CLIENT_TIMEOUT', 'the body took too long')), true)
  }

  #bodyTooBig(): void {
    const { maxBody } = this.#settings
    this.#fail(answerFor(new DataPlaneError('SLUICE_BODY_TOO_BIG', `a body of more than ${maxBody} bytes`)), true)
  }

  #stopGathering(): void {
    if (this.#phase !== 'gathering') return
    this.#client.pauseBody()
    this.#choose()
  }

  #sendPiece(piece: Buffer): void {
    const connection = this.#lease?.connection
    if (connection?.socket.writable !== true) return
    const chunked = this.#exchange.head.bodyLength === CHUNKED
    const more = chunked
      ? connection.out.writeAll([chunkHead(piece.length), piece, CHUNK_END])
      : connection.out.write(piece)
    const { sendTimeout, bodyTimeout } = this.#settings
    const now = performance.now()
    // An answer that began early goes on for as long as the client has something to say.
    if (this.#phase === 'answering') this.#deadline = bodyTimeout === 0 ? Infinity : now + bodyTimeout
    if (more) return
    this.#client.pauseBody()
    // A backend that takes nothing more (nginx: proxy_send_timeout).
    if (this.#phase === 'waiting' && sendTimeout > 0) this.#deadline = now + sendTimeout
  }

  #endRequest(): void {
    const connection = this.#lease?.connection
    if (this.#exchange.head.bodyLength === CHUNKED && connection?.socket.writable === true) {
      connection.out.write(LAST_CHUNK)
    }
    this.#sent()
  }

  #sent(now = performance.now()): void {
    this.#requestSent = true
    if (this.#phase !== 'waiting') return
    const { headersTimeout } = this.#settings
    this.#deadline = headersTimeout === 0 ? Infinity : now + headersTimeout
  }

  // ------------------------------------------------------------------------------------------------ the lease

  #choose(fresh = false, on: string | null = null, now = performance.now()): void {
    this.#phase = 'leasing'
    this.#deadline = Infinity
    this.#tries++
    const unrepeatable = !this.#repeatable()
    const { connecting, maxTries } = this.#settings
    const attempts = connecting === null ? 0 : Math.max(1, maxTries - this.#asked)
    const request: LeaseRequest = {
      exclude: this.#excluded,
      fresh,
      unrepeatable,
      // Once: who failed there goes elsewhere.
      on: on ?? (this.#excluded === null ? (this.#stays?.on ?? null) : null),
      attempts,
      connecting,
      balance: this.#balance,
      key: this.#key,
    }
    const cancel = this.#cluster.lease(request, this, now)
    // The waiter may have been called already.
    if ((this.#phase as Phase) === 'leasing') this.#cancelLease = cancel
  }

  trying(address: string): void {
    this.#asked++
    this.#exchange.endpoints.push(address)
  }

  leased(lease: Lease): void {
    this.#cancelLease = null
    if (this.#phase !== 'leasing') {
      lease.done('close')
      return
    }
    this.#lease = lease
    this.#answered = false
    if (!lease.reused) this.#exchange.connectMs = lease.connectMs
    lease.connection.reader = this
    this.#phase = 'waiting'
    try {
      this.#sendHead(lease)
    } catch (error) {
      this.defect(error)
    }
  }

  failed(error: Error): void {
    this.#cancelLease = null
    if (this.#phase === 'leasing') this.#guard(() => this.#fail(answerFor(error)))
  }

  #sendHead(lease: Lease): void {
    const { head, forwarded, target } = this.#exchange
    const { underscores, own } = this.#settings
    if (!target.ok) throw new TypeError('a request without a target cannot be forwarded')
    const marks = this.#marks
    const { clientLines } = this.#context
    let lines = requestLines(head, forwarded, lease.address, underscores, clientLines, marks?.request ?? null)
    lines += own[head.http2 ? 2 : head.minor]
    if (this.#upgrade !== null) lines += fieldLines(['Connection', 'Upgrade', 'Upgrade', this.#upgrade])
    const whole = this.#keeps && this.#bodyRead
    if (head.bodyLength === CHUNKED) {
      // Its size is known now: not every backend takes chunks.
      if (whole) lines += `Content-Length: ${this.#gathered?.length ?? 0}\r\n`
      else lines += 'Transfer-Encoding: chunked\r\n'
    }
    const text = requestHeadText(
      head.method,
      marks === null ? target.forward : withQuery(target.forward, marks.query),
      lines,
    )
    const { out } = lease.connection
    this.#heads.requestMethod = head.method
    if (whole) {
      const body = this.#gathered?.bytes ?? null
      out.write(body === null ? text : Buffer.concat([Buffer.from(text, 'latin1'), body]))
      this.#sent(lease.at)
      return
    }
    // From here on the body streams, and cannot be sent again.
    const begun = this.#gathered?.bytes ?? null
    this.#keeps = false
    this.#gathered = null
    this.#streamed = true
    out.write(text)
    if (begun !== null) this.#sendPiece(begun)
    if (this.#bodyRead) this.#endRequest()
    else this.#client.readBody()
  }

  /** The backend broke the exchange, or kept it waiting for too long. */
  #broken(error: DataPlaneError, kind: BreakKind = 'onError'): void {
    const lease = this.#lease
    if (this.#phase === 'answering') {
      this.#release('failed')
      if (this.#client.retract()) {
        this.#fail(answerFor(error), true)
        return
      }
      this.#exchange.failure ??= 'upstream-aborted'
      this.#cut()
      return
    }
    if (lease === null || this.#phase !== 'waiting') return
    const { reused, address } = lease
    const again = !this.#answered && this.#interims === 0 && this.#repeatable()
    if (reused && !this.#answered && error.code === 'SLUICE_UPSTREAM_BROKEN') {
      // The race of an idle timeout: the backend closed the connection while the request was on its way. What cannot be
      // sent again was not exposed to it (LeaseRequest.unrepeatable): there it is an error of the backend like any other.
      this.#release(this.#repeatable() ? 'stale' : 'failed')
      if (again && !this.#freshTried) {
        this.#freshTried = true
        this.#tries--
        this.#asked--
        this.#choose(true, address)
        return
      }
      this.#fail(answerFor(error))
      return
    }
    this.#release('failed')
    this.#excluded = (this.#excluded ?? new Set()).add(address)
    if (again && this.#settings[kind] && this.#mayTryNext(this.#excluded.size)) {
      this.#choose()
      return
    }
    this.#fail(answerFor(error))
  }

  /** @param failed endpoints of which none is asked again */
  #mayTryNext(failed: number): boolean {
    const tries = this.#settings.connecting === null ? this.#tries : this.#asked
    return mayTryNext(this.#settings, tries, failed, this.#exchange.startedAt, this.#cluster)
  }

  /** An answer that the Ingress would rather have from another endpoint. @returns false: it is the answer */
  #passedOver(status: number): boolean {
    const lease = this.#lease
    if (lease === null || this.#settings.onStatus?.has(status) !== true || !this.#repeatable()) return false
    const excluded = this.#excluded ?? new Set()
    if (excluded.has(lease.address) || !this.#mayTryNext(excluded.size + 1)) return false
    this.#excluded = excluded.add(lease.address)
    // It answered, which is all that its health is about.
    this.#release('close')
    this.#choose()
    return true
  }

  #repeatable(): boolean {
    const { unsafe } = this.#settings
    return repeatable(this.#exchange.head.method, this.#keeps && this.#bodyRead, this.#upgrade !== null, unsafe)
  }

  #release(result: LeaseResult, now?: number): void {
    const lease = this.#lease
    this.#lease = null
    if (lease === null) return
    lease.connection.reader = null
    lease.done(result, now)
  }

  // ------------------------------------------------------------------------------------------------ the answer

  onData(chunk: Buffer): void {
    try {
      this.#data(chunk)
    } catch (error) {
      this.defect(error)
    }
  }

  /** What fails here ends this exchange, never the worker. */
  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.defect(error)
    }
  }

  #data(chunk: Buffer): void {
    if (this.#phase === 'waiting') this.#awaited(chunk)
    else this.#more(Buffer.from(chunk))
  }

  /** Some of a head, or heads and more. */
  #awaited(chunk: Buffer): void {
    this.#answered = true
    let rest = chunk
    while (this.#phase === 'waiting') {
      const result = this.#heads.read(rest)
      if (result.state === 'more') return
      if (result.state === 'refused') {
        const code = result.refusal.status === 431 ? 'SLUICE_UPSTREAM_HEAD_TOO_BIG' : 'SLUICE_UPSTREAM_BROKEN'
        const reason = `the backend's answer cannot be read: ${result.refusal.reason}`
        this.#broken(new DataPlaneError(code, reason), 'onInvalid')
        return
      }
      rest = result.rest
      if (this.#settings.onStatus !== null && this.#passedOver(result.head.status)) return
      if (isWhole(result.head, rest)) {
        if (!this.#tooGreat(result.head)) this.#answerWhole(result.head)
        return
      }
      this.#takeHead(result.head, rest.length === 0)
      if (rest.length === 0) return
    }
    this.#more(Buffer.from(rest))
  }

  /** @param rest what came behind the head of an answer; no view: it may wait for the client */
  #more(rest: Buffer): void {
    if (this.#phase === 'tunnel') {
      if (this.#leaving === 'no') this.#passOut(rest)
      else this.#passLast(rest)
      return
    }
    if (this.#phase !== 'answering') return
    this.#answerPieces ??= new Pieces()
    const result = this.#answerBody?.read(rest, this.#answerPieces.add)
    const piece = this.#answerPieces.take()
    if (piece !== null) this.#relayPiece(piece)
    if ((this.#phase as Phase) !== 'answering') return
    if (result?.state === 'refused') {
      this.#broken(new DataPlaneError('SLUICE_UPSTREAM_BROKEN', result.refusal.reason))
    } else if (result?.state === 'end') this.#endAnswer(result.rest.length === 0)
    else {
      const { bodyTimeout } = this.#settings
      this.#deadline = bodyTimeout === 0 ? Infinity : performance.now() + bodyTimeout
    }
  }

  /** @param alone nothing came behind it */
  #takeHead(head: ResponseHead, alone: boolean): void {
    const { status } = head
    if (status === 101) {
      const { upgradable } = this.#client
      if (this.#upgrade !== null && head.upgrade !== null && upgradable !== null) this.#openTunnel(head, upgradable)
      else {
        const reason = 'the backend switched protocols unasked'
        this.#broken(new DataPlaneError('SLUICE_UPSTREAM_BROKEN', reason), 'onInvalid')
      }
      return
    }
    if (status < 200) {
      // 100 is ours to say, and may come unasked (RFC 9110 15.2).
      if (++this.#interims > MOST_INTERIM) {
        this.#broken(new DataPlaneError('SLUICE_UPSTREAM_BROKEN', 'the backend sends interim answers without end'))
      } else if (status > 101) this.#client.interim(status, head.reason, responseLines(head, false, false).lines)
      return
    }
    if (this.#tooGreat(head)) return
    this.#beginAnswer(head)
    if (this.#phase === 'answering' && this.#answerBody?.ended === true) this.#endAnswer(alone)
    else if (alone) this.#client.flush()
  }

  /** A status above 599 is none (RFC 9110 15), but HTTP/1.1 has clients and backends that know what to do with it. */
  #tooGreat({ status }: ResponseHead): boolean {
    if (status <= this.#client.greatestStatus) return false
    this.#broken(new DataPlaneError('SLUICE_UPSTREAM_BROKEN', `the backend answered with a status of ${status}`))
    return true
  }

  #beginAnswer(head: ResponseHead): void {
    const now = performance.now()
    const { method } = this.#exchange.head
    const { status, reason, bodyLength } = head
    const lines = this.#answerLines(head)
    this.#noteHead(status, now)
    this.#answerHead = head
    this.#answerBody = new BodyReader(bodyLength, this.#settings.maxResponseHeadBytes)
    const { bodyTimeout } = this.#settings
    this.#deadline = bodyTimeout === 0 ? Infinity : now + bodyTimeout
    this.#client.answer(status, reason, lines, method === 'HEAD' ? 0 : bodyLength, this.#closesClient)
  }

  /** An answer of which all came at once: most are small. */
  #answerWhole(head: ResponseHead): void {
    const now = performance.now()
    const lines = this.#answerLines(head)
    const body = head.text.slice(head.bytes)
    this.#noteHead(head.status, now)
    this.#exchange.bodyBytesOut = body.length
    this.#client.answerWhole(head.status, head.reason, lines, body, this.#closesClient, now)
    this.#phase = 'over'
    this.#release(this.#requestSent && head.keepAlive ? 'reusable' : 'close', now)
    this.#finish(now)
  }

  #answerLines(head: ResponseHead): string {
    const { status, bodyLength } = head
    const bodiless = status === 204 || status === 304
    const trailers = bodyLength === CHUNKED && this.#exchange.head.minor === 1
    const { lines, hasDate, hasServer } = responseLines(head, !bodiless, trailers, this.#marks?.response ?? null)
    const date = hasDate ? '' : `Date: ${this.#context.date.text()}\r\n`
    return lines + date + (hasServer ? '' : 'Server: sluice\r\n') + this.#sessionLine()
  }

  /** Empty: nothing is set, nearly always. */
  #sessionLine(): string {
    const { decision } = this.#exchange
    const lease = this.#lease
    if (this.#stays === null || lease === null || decision.kind !== 'forward') return ''
    const { affinity } = this.#settings
    return affinity?.line(this.#stays, this.#exchange, decision.route, this.#cluster, lease.address) ?? ''
  }

  #noteHead(status: number, now: number): void {
    const exchange = this.#exchange
    exchange.upstreamStatus = status
    exchange.firstByteMs = now - exchange.startedAt
    exchange.status = status
    this.#phase = 'answering'
    this.#gathered = null
  }

  /** What a client sends behind a refused Upgrade could be meant for the other protocol. */
  get #closesClient(): boolean {
    return this.#upgrade !== null
  }

  #relayPiece(piece: Buffer): void {
    if (this.#phase !== 'answering') return
    const more = this.#client.body(piece)
    this.#exchange.bodyBytesOut += piece.length
    if (!more) this.#lease?.connection.socket.pause()
  }

  /** @param clean nothing came behind the answer */
  #endAnswer(clean: boolean): void {
    const reusable = clean && this.#requestSent && this.#answerHead?.keepAlive === true
    const trailers = this.#answerBody?.trailers ?? []
    const socket = this.#lease?.connection.socket
    if (socket?.isPaused() === true) socket.resume()
    this.#phase = 'over'
    this.#release(reusable ? 'reusable' : 'close')
    this.#client.end(trailers)
    this.#finish()
  }

  onDrain(): void {
    // Of the client, or of the backend: whoever can take more again.
    const connection = this.#lease?.connection
    if (connection === undefined) return
    const { socket, out } = connection
    if (socket.isPaused() && !this.#client.blocked) {
      socket.resume()
      const { bodyTimeout } = this.#settings
      // It was us who kept it waiting until now.
      if (this.#phase === 'answering' && bodyTimeout > 0) this.#deadline = performance.now() + bodyTimeout
    }
    if (this.#phase === 'tunnel') {
      if (!out.blocked) this.#tunnel?.resumeTunnel()
    } else if (this.#streamed && !this.#bodyRead && !out.blocked) {
      if (this.#phase === 'waiting') this.#deadline = Infinity
      this.#client.readBody()
    }
  }

  onEnd(): void {
    this.#guard(() => {
      if (this.#phase === 'tunnel') this.#tunnel?.endPassing()
      else this.#backendEnded(null)
    })
  }

  onClose(error: Error | null = null): void {
    this.#guard(() => {
      if (this.#phase === 'tunnel') this.#closeTunnel()
      else this.#backendEnded(error)
    })
  }

  #backendEnded(error: Error | null): void {
    // A reset cuts a body that would end with its connection: nobody knows whether it was all.
    if (this.#phase === 'answering' && error === null && this.#answerBody?.finish() === true) {
      this.#endAnswer(false)
      return
    }
    const cause = error === null ? {} : { cause: error }
    this.#broken(new DataPlaneError('SLUICE_UPSTREAM_BROKEN', 'the backend closed the connection', cause))
  }

  onTick(now: number): void {
    if (now < this.#deadline) return
    this.#deadline = Infinity
    switch (this.#phase) {
      case 'gathering':
        this.#stopGathering()
        return
      case 'waiting':
        this.#broken(new DataPlaneError('SLUICE_UPSTREAM_TIMEOUT', 'the backend did not answer in time'), 'onTimeout')
        return
      case 'answering':
        // A client that takes nothing keeps the backend waiting, not the other way round.
        if (this.#client.blocked) {
          this.#deadline = now + this.#settings.bodyTimeout
          return
        }
        this.#broken(new DataPlaneError('SLUICE_UPSTREAM_TIMEOUT', 'the backend sent nothing for too long'))
        return
    }
  }

  /**
   * Bodies that are gathered for slow clients go on to their backend; those that were sent are not sent again. An answer is
   * never kept: its backend waits for the client.
   */
  onMemoryShort(): void {
    if (this.#gathered === null) return
    if (this.#phase === 'gathering') this.#stopGathering()
    else if (this.#phase === 'waiting') {
      this.#keeps = false
      this.#gathered = null
    }
  }

  // ------------------------------------------------------------------------------------------------ the end

  /** Something of ours threw. */
  defect(error: unknown): void {
    this.#context.onDefect(error)
    if (this.#phase === 'over') return
    this.#exchange.failure = 'internal'
    try {
      this.#fail(answerFor(error), true)
    } catch {
      // What failed fails here, too: the client gets nothing, and it is not counted. The log has the defect.
      this.#client.cut()
    }
  }

  onGone(reason: GoneReason): void {
    if (this.#phase === 'over') return
    this.#exchange.failure ??= reason
    this.#abandon()
    this.#finish()
  }

  /** Answers for a backend that could not; cuts the connection if its answer had begun. */
  #fail({ status, failure, reason }: ErrorAnswer, close = false): void {
    if (this.#phase === 'over') return
    const exchange = this.#exchange
    exchange.failure ??= failure
    this.#abandon()
    if (this.#client.answered) {
      this.#cut()
      return
    }
    answerClient(this.#client, exchange, { status, reason }, close || this.#upgrade !== null, this.#context.date)
    this.#finish()
  }

  #abandon(): void {
    this.#phase = 'over'
    const cancel = this.#cancelLease
    this.#cancelLease = null
    cancel?.()
    this.#release('close')
  }

  #cut(): void {
    this.#phase = 'over'
    this.#client.cut()
    this.#finish()
  }

  #finish(now = performance.now()): void {
    const exchange = this.#exchange
    exchange.headBytesOut = Math.max(0, this.#client.written - exchange.bodyBytesOut)
    finish(exchange, this.#context, now)
  }

  // ------------------------------------------------------------------------------------------------ tunnels

  #openTunnel(head: ResponseHead, client: ClientTunnel): void {
    const exchange = this.#exchange
    const { lines } = responseLines(head, false, false, this.#marks?.response ?? null)
    const upgrade = fieldLines(['Connection', 'Upgrade', 'Upgrade', head.upgrade ?? ''])
    this.#phase = 'tunnel'
    this.#deadline = Infinity
    exchange.status = 101
    exchange.upstreamStatus = 101
    exchange.firstByteMs = performance.now() - exchange.startedAt
    if (head.upgrade?.toLowerCase() === 'websocket') this.#frames = { out: new FrameReader(), in: new FrameReader() }
    this.#tunnel = client
    const early = client.tunnel(
      responseHeadText(101, head.reason, lines + this.#sessionLine() + upgrade),
      {
        onData: chunk => this.#tunnelData(chunk),
        onDrain: () => this.onDrain(),
        onEnd: () => this.#lease?.connection.out.end(),
        onClose: () => this.#closeTunnel(),
        onLeave: () => this.#leave(),
      },
      this.#settings.tunnelTimeout,
    )
    exchange.headBytesOut = this.#client.written
    countTunnel(exchange, this.#context)
    if (early.length > 0) this.#tunnelData(early)
  }

  #passOut(chunk: Buffer): void {
    this.#frames?.out.pass(chunk)
    this.#write(chunk)
  }

  #write(chunk: Buffer): void {
    const more = this.#tunnel?.pass(chunk) ?? true
    this.#tunnelBytesOut += chunk.length
    if (!more) this.#lease?.connection.socket.pause()
  }

  /** The rest of a frame, and nothing behind it. */
  #passLast(chunk: Buffer): void {
    if (this.#leaving === 'left' || this.#frames === null) return
    const end = this.#frames.out.toEnd(chunk, 0)
    this.#write(end === -1 ? chunk : chunk.subarray(0, end))
    if (end !== -1) this.#sayGoodbye(this.#frames)
  }

  #leave(): void {
    if (this.#phase !== 'tunnel' || this.#leaving !== 'no') return
    // What it speaks we do not know, and so nothing to say in it.
    if (this.#frames === null) this.#tunnel?.closeTunnel()
    else if (this.#frames.out.between) this.#sayGoodbye(this.#frames)
    else this.#leaving = 'waiting'
  }

  /** RFC 6455 7.1: a Close frame to both, the end behind it, and what they still say is thrown away until they end, too. */
  #sayGoodbye(frames: { readonly out: FrameReader; readonly in: FrameReader }): void {
    this.#leaving = 'left'
    if (!frames.out.closed) this.#write(goingAway())
    this.#tunnel?.endPassing()
    const connection = this.#lease?.connection
    if (connection?.socket.writable === true) {
      if (frames.in.between && !frames.in.closed) connection.out.write(goingAwayMasked())
      connection.out.end()
    }
    if (connection?.socket.isPaused() === true) connection.socket.resume()
    this.#tunnel?.resumeTunnel()
  }

  #tunnelData(chunk: Buffer): void {
    const connection = this.#lease?.connection
    if (connection?.socket.writable !== true) return
    this.#frames?.in.pass(chunk)
    this.#tunnelBytesIn += chunk.length
    if (!connection.out.write(chunk)) this.#tunnel?.pauseTunnel()
  }

  /** Either side is gone: the other one gets what was on its way. */
  #closeTunnel(): void {
    if (this.#phase !== 'tunnel') return
    this.#phase = 'over'
    this.#release('close')
    this.#tunnel?.closeTunnel()
    const exchange = this.#exchange
    exchange.bodyBytesIn = this.#tunnelBytesIn
    exchange.bodyBytesOut = this.#tunnelBytesOut
    this.#context.accessLog.write(exchange)
  }
}

/** An answer of our own. */
export function answerClient(
  client: ClientSide,
  exchange: Exchange,
  { status, reason }: Pick<ErrorAnswer, 'status' | 'reason'>,
  close: boolean,
  date: HttpDate,
): void {
  const { fields, body } = errorAnswer(status, reason, exchange.id)
  const bytes = Buffer.from(exchange.head.method === 'HEAD' ? '' : body, 'latin1')
  exchange.status = status
  exchange.bodyBytesOut = bytes.length
  const lines = fieldLines([...fields, 'Date', date.text(), 'Server', 'sluice'])
  client.answer(status, STATUS_CODES[status] ?? '', lines, bytes.length, close)
  if (bytes.length > 0) client.body(bytes)
  client.end([])
}

/** All of an answer is there, and as one text with its head. */
function isWhole({ status, bodyLength, bytes, text }: ResponseHead, rest: Buffer): boolean {
  return status >= 200 && bodyLength === rest.length && text.length === bytes + bodyLength
}

/**
 * The protocol to ask the backend for; null: the request goes on as an ordinary one. Any method may upgrade (RFC 9110
 * 7.8), without a body. Never to h2c: a backend that accepts it would take further requests on a connection that we no
 * longer read, past every route.
 */
export function wantedUpgrade({ head }: Exchange): string | null {
  const { upgrade, bodyLength, minor } = head
  if (upgrade === null || upgrade === '' || bodyLength !== 0 || minor !== 1) return null
  return /(?:^|[\s,])h2c?(?:$|[\s,/])/i.test(upgrade) ? null : upgrade
}
