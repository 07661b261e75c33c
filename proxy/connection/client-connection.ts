/**
 * One client's connection from its first byte to its last: who owns its socket, its state, its deadlines and what goes
 * out on it. Whoever carries a request takes the connection (ExchangeCarrier) and gives it back with the end of its answer.
 * One request is under way at a time; what the client sent behind it stays unread (RFC 9112 9.3.2: order of answers).
 */
import type { Socket } from 'node:net'
import { BodyReader } from '../http1/body-reader.ts'
import { CHUNKED, UNTIL_CLOSE, type Fields, type RequestHead, type Refusal } from '../http1/contract.ts'
import { RequestHeadReader } from '../http1/head-reader.ts'
import { Pieces } from '../http1/pieces.ts'
import { chunkHead, lastChunk, responseHeadText, CHUNK_END, LAST_CHUNK } from '../http1/write.ts'
import type { SocketIo, SocketReader, SocketWriter } from '../io/contract.ts'
import type { Peer } from '../exchange/peer.ts'
import type {
  ClientSide,
  ClientTunnel,
  ConnectionState,
  ExchangeCarrier,
  GoneReason,
  OpenConnection,
  TunnelEnd,
} from './contract.ts'
import { takenByKernel } from './taken-by-kernel.ts'

/** Milliseconds, all of them; 0 switches one off. */
export interface ConnectionLimits {
  /** For a whole head, from its first byte (or from the connection's beginning). */
  readonly headers: number
  /** For a whole request with its body. */
  readonly request: number
  readonly keepAlive: number
  /** Between two pieces of a body that the client sends, or of an answer that it takes. */
  readonly bodyIdle: number
  /** How long what a client still sends after its answer is thrown away: in all, and between two pieces. */
  readonly linger: number
  readonly lingerIdle: number
  readonly tunnelIdle: number
  /** The same of a tunnel of which one side sends no more. */
  readonly tunnelHalfClosed: number
  /** Bytes. */
  readonly maxHeadBytes: number
  readonly maxLineBytes: number
  /** Requests on one connection. */
  readonly maxRequests: number
  /** Of a connection: it is closed with the next answer. */
  readonly maxAge: number
}

export interface ConnectionOwner {
  readonly limits: ConnectionLimits
  readonly io: SocketIo
  /** A request is there: carry it, or answer it. Its connection is `busy`. @param now performance.now() */
  handle(connection: ClientConnection, head: RequestHead, now: number): ExchangeCarrier
  /** What came is no HTTP request: answered here already, to be counted. */
  refused(connection: ClientConnection, refusal: Pick<Refusal, 'status' | 'code' | 'reason'>): string | null
  /** No more requests: answers say Connection: close. */
  readonly draining: boolean
  /** A handler of ours threw: it ends this connection, never the worker. */
  defect(error: unknown): void
  changed(connection: ClientConnection, from: ConnectionState): void
  closed(connection: ClientConnection): void
}

/** Bytes behind a request that are read before the socket is paused: while it flows its end is seen at once. */
const MOST_AHEAD = 65_536
/** Pieces of answers up to this size are copied behind their head: one write instead of two. */
const SMALL_PIECE = 16_384
const EMPTY = Buffer.alloc(0)

type Framing = 'none' | 'length' | 'chunked' | 'close'

export class ClientConnection implements OpenConnection, ClientSide, ClientTunnel {
  readonly socket: Socket
  readonly peer: Peer
  readonly openedAt = performance.now()
  readonly greatestStatus = 999
  /** Requests that came on it, this one included. */
  requests = 0
  /** When it became idle, for "the oldest idle one goes first". */
  idleSince = this.openedAt
  readonly #owner: ConnectionOwner
  readonly #in: SocketReader
  readonly #out: SocketWriter
  readonly #heads: RequestHeadReader
  readonly #body: BodyReader
  readonly #pieces = new Pieces()
  #state: ConnectionState = 'idle'
  #carrier: ExchangeCarrier | null = null
  #tunnel: TunnelEnd | null = null
  #head: RequestHead | null = null
  /** Bytes that were read and belong to nobody yet. */
  #ahead: Buffer = EMPTY
  /** The client sends no more. */
  #ended = false
  #paused = false
  #bodyPaused = false
  #continueOwed = false
  /** performance.now() at which the state has lasted too long; Infinity: it may last. */
  #deadline: number
  /** The same for the whole of a request, or of a linger. */
  #finalDeadline = Infinity
  #answering: Framing | null = null
  /** Bytes of the answer's length that are still owed. */
  #owed = 0
  #closeAfter = false
  /** Head that waits for the first piece of its body. */
  #pendingHead: string | null = null
  #wrote = 0
  /** What the kernel had taken at the last look: a client that takes nothing is told by it. */
  #taken: number | null = 0
  #stuckSince = 0
  /** A head is being read, or an exchange begun, further up the stack. */
  #reading = false
  /** How long nothing may go through the tunnel. */
  #tunnelLimit = 0

  constructor(socket: Socket, peer: Peer, owner: ConnectionOwner) {
    this.socket = socket
    this.peer = peer
    this.#owner = owner
    const { limits } = owner
    this.#heads = new RequestHeadReader({ head: limits.maxHeadBytes, line: limits.maxLineBytes })
    this.#body = new BodyReader(0, limits.maxHeadBytes)
    this.#deadline = after(limits.headers, this.openedAt)
    this.#in = owner.io.reader(socket, chunk => this.#arrived(chunk))
    this.#out = owner.io.writer(socket, () => this.#guard(() => this.#drained()))
    socket.on('end', () => this.#guard(() => this.#end()))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#guard(() => this.#close()))
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** An answer to the request under way began. */
  get answered(): boolean {
    return this.#answering !== null
  }

  /** Bytes written since the request came. */
  get written(): number {
    return this.#wrote
  }

  /** The client takes no more right now. */
  get blocked(): boolean {
    return this.#out.blocked
  }

  get upgradable(): ClientTunnel {
    return this
  }

  // ------------------------------------------------------------------------------------------------ reading

  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** A defect or an attack ends one connection. */
  #failed(error: unknown): void {
    this.#owner.defect(error)
    const carrier = this.#carrier
    this.#carrier = null
    if (this.#state === 'busy') this.#enter('closed')
    this.socket.destroy()
    carrier?.onGone('internal')
  }

  /** As `#guard`, without a closure for each read. */
  #arrived(chunk: Buffer): void {
    try {
      this.#data(chunk)
    } catch (error) {
      this.#failed(error)
    }
  }

  #data(chunk: Buffer): void {
    switch (this.#state) {
      case 'tunnel':
        this.#deadline = after(this.#tunnelLimit, performance.now())
        this.#tunnel?.onData(this.#owned(chunk))
        return
      case 'closing':
        // Thrown away: a connection that is closed over unread bytes is reset, and the answer may be lost with it.
        this.#deadline = after(this.#owner.limits.lingerIdle, performance.now())
        return
      case 'closed':
        return
      default:
        this.#take(chunk)
    }
  }

  #take(chunk: Buffer): void {
    if (this.#ahead.length > 0 || this.#bodyPaused || this.#reading) {
      this.#keep(chunk)
      return
    }
    this.#reading = true
    try {
      let rest = chunk
      while (rest.length > 0) {
        if (this.#wantsHead()) rest = this.#readHead(rest)
        else if (this.#wantsBody()) rest = this.#readBody(this.#owned(rest))
        else {
          if (this.#state !== 'closed' && this.#state !== 'closing') this.#keep(rest)
          break
        }
      }
    } finally {
      this.#reading = false
    }
    // It may have been paused and wanted again while it was read.
    this.#flow()
  }

  /** What outlives this read must not be overwritten by the next one. */
  #owned(bytes: Buffer): Buffer {
    return this.#in.lends(bytes) ? Buffer.from(bytes) : bytes
  }

  /** A client that takes no answers gets no more of them begun. */
  #wantsHead(): boolean {
    return (this.#state === 'idle' || this.#state === 'head') && !this.#out.blocked
  }

  #wantsBody(): boolean {
    return (this.#state === 'busy' || this.#state === 'discarding') && !this.#body.ended && !this.#bodyPaused
  }

  #flow(): void {
    if (!this.#bodyPaused && this.#ahead.length < MOST_AHEAD) this.#unpause()
  }

  #keep(bytes: Buffer): void {
    this.#ahead = this.#ahead.length === 0 ? this.#owned(bytes) : Buffer.concat([this.#ahead, bytes])
    if (this.#ahead.length >= MOST_AHEAD || this.#bodyPaused) this.#pause()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#in.pause()
  }

  #unpause(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#in.resume()
  }

  /** What was kept is read now, as far as it may be. */
  #resume(): void {
    if (this.#reading) return
    const ahead = this.#ahead
    this.#ahead = EMPTY
    if (ahead.length > 0) this.#take(ahead)
    this.#flow()
    if (this.#ended && this.#ahead.length === 0) this.#endSeen()
  }

  #readHead(bytes: Buffer): Buffer {
    const result = this.#heads.read(bytes)
    if (result.state === 'more') {
      if (this.#state === 'idle' && this.#heads.started) {
        this.#enter('head')
        // A connection's first head has had its time since the beginning.
        if (this.requests > 0) this.#deadline = after(this.#owner.limits.headers, performance.now())
      }
      return EMPTY
    }
    if (result.state === 'refused') {
      this.#refuse(result.refusal)
      return EMPTY
    }
    this.#begin(result.head)
    return result.rest
  }

  #refuse(refusal: Pick<Refusal, 'status' | 'code' | 'reason'>): void {
    this.#head = null
    const text = this.#owner.refused(this, refusal)
    if (text === null) {
      this.socket.destroy()
      return
    }
    this.#write(text)
    this.#startClosing()
  }

  #begin(head: RequestHead): void {
    const { limits } = this.#owner
    const now = performance.now()
    this.requests++
    this.#head = head
    this.#body.reset(head.bodyLength)
    this.#continueOwed = head.expectsContinue && head.bodyLength !== 0
    this.#closeAfter =
      !head.keepAlive ||
      (limits.maxRequests > 0 && this.requests >= limits.maxRequests) ||
      (limits.maxAge > 0 && now - this.openedAt >= limits.maxAge)
    this.#answering = null
    this.#wrote = 0
    this.#stuckSince = 0
    this.#deadline = Infinity
    this.#finalDeadline = head.bodyLength === 0 ? Infinity : after(limits.request, now)
    // Nobody reads the body before somebody asks for it.
    this.#bodyPaused = head.bodyLength !== 0
    this.#enter('busy')
    const carrier = this.#owner.handle(this, head, now)
    // It may have been answered already.
    if (this.#state === 'busy') this.#carrier = carrier
  }

  #readBody(bytes: Buffer): Buffer {
    const discarding = this.#state === 'discarding'
    const { limits } = this.#owner
    this.#deadline = after(discarding ? limits.lingerIdle : limits.bodyIdle, performance.now())
    const result = this.#body.read(bytes, this.#pieces.add)
    const piece = this.#pieces.take()
    if (piece !== null && this.#state === 'busy') this.#carrier?.onBody(piece)
    if (result.state === 'refused') {
      this.#bodyPaused = true
      // The message has no end that we know: nothing behind it can be a request.
      this.#closeAfter = true
      if (discarding) this.#startClosing()
      else this.#carrier?.onBodyRefused(result.refusal)
      return EMPTY
    }
    if (result.state === 'more') return EMPTY
    // Paused in the middle of its last piece: there is nothing left to be paused.
    this.#bodyPaused = false
    this.#finalDeadline = Infinity
    if (this.#state === 'discarding') {
      this.#next(performance.now())
      return result.rest
    }
    this.#deadline = Infinity
    if (this.#state === 'busy') this.#carrier?.onBodyEnd()
    return result.rest
  }

  /** The carrier wants the body: from now on it comes, piece by piece. Says 100 Continue where the client waits for it. */
  readBody(): void {
    if (this.#state !== 'busy' || this.#body.ended) return
    if (this.#continueOwed) {
      this.#continueOwed = false
      if (this.#answering === null) this.#write('HTTP/1.1 100 Continue\r\n\r\n')
    }
    this.#bodyPaused = false
    this.#deadline = after(this.#owner.limits.bodyIdle, performance.now())
    this.#resume()
  }

  pauseBody(): void {
    if (this.#body.ended || this.#bodyPaused) return
    this.#bodyPaused = true
    // A client that we do not read is not late.
    this.#deadline = Infinity
    this.#pause()
  }

  #end(): void {
    this.#ended = true
    if (this.#state === 'tunnel') {
      this.#halfClose()
      this.#tunnel?.onEnd()
    } else if (this.#ahead.length === 0 || this.#state === 'busy') this.#endSeen()
  }

  /** The client's side is closed, and all that it sent was read (or a request is under way). */
  #endSeen(): void {
    switch (this.#state) {
      case 'busy':
        // As nginx and Node: a client that closes its side gave the request up. Half-closed ones cannot be told from gone ones.
        this.#gone('client-gone')
        return
      case 'closed':
      case 'tunnel':
        return
      case 'closing':
        this.#out.endAndClose()
        return
      case 'head':
        this.#refuse({ status: 400, code: 'incomplete', reason: 'the request ends in the middle of its head' })
        return
      default:
        this.#startClosing()
    }
  }

  #gone(reason: GoneReason): void {
    const carrier = this.#carrier
    this.#carrier = null
    this.#enter('closed')
    this.socket.destroy()
    carrier?.onGone(reason)
  }

  #close(): void {
    if (this.#state === 'closed') {
      this.#owner.closed(this)
      return
    }
    const carrier = this.#carrier
    const tunnel = this.#tunnel
    this.#carrier = null
    this.#tunnel = null
    this.#enter('closed')
    this.#owner.closed(this)
    carrier?.onGone('client-gone')
    tunnel?.onClose()
  }

  // ------------------------------------------------------------------------------------------------ writing

  #write(data: string | Buffer): boolean {
    this.#wrote += data.length
    return this.#out.write(data)
  }

  #writeAll(pieces: readonly (string | Buffer)[]): boolean {
    for (const { length } of pieces) this.#wrote += length
    return this.#out.writeAll(pieces)
  }

  /** An interim answer; dropped where the client cannot take one (HTTP/1.0). */
  interim(status: number, reason: string, lines: string): void {
    if (this.#state !== 'busy' || this.#answering !== null || this.#head?.minor !== 1) return
    this.#write(responseHeadText(status, reason, lines))
  }

  /**
   * Begins the answer. Framing and Connection are added here.
   * @param lines of fields (http1/write.ts), without Connection, Transfer-Encoding; Content-Length only if it is true
   * @param bodyLength of what will be written: a length, CHUNKED or UNTIL_CLOSE (both: until `end`)
   * @param close the connection ends with it, whatever the client wants
   */
  answer(status: number, reason: string, lines: string, bodyLength: number, close: boolean): void {
    if (this.#state !== 'busy' || this.#answering !== null) throw new TypeError('there is no request to answer')
    const minor = this.#head?.minor ?? 1
    if (close || this.#owner.draining || this.#continueOwed) this.#closeAfter = true
    let framing: Framing = bodyLength === 0 ? 'none' : 'length'
    if (bodyLength === CHUNKED || bodyLength === UNTIL_CLOSE) framing = minor === 1 ? 'chunked' : 'close'
    if (framing === 'close') this.#closeAfter = true
    const coding = framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : ''
    const connection = this.#closeAfter ? 'Connection: close\r\n' : 'Connection: keep-alive\r\n'
    this.#pendingHead = responseHeadText(status, reason, lines + coding + connection)
    this.#answering = framing
    this.#owed = framing === 'length' ? bodyLength : 0
  }

  /**
   * Begins and ends an answer whose body is there, all of it.
   * @param body in latin1: one character per byte @param now performance.now()
   */
  answerWhole(status: number, reason: string, lines: string, body: string, close: boolean, now: number): void {
    this.answer(status, reason, lines, body.length, close)
    this.#owed = 0
    this.#pendingHead = (this.#pendingHead ?? '') + body
    this.end([], now)
  }

  /** A piece of the answer's body. @returns false: wait for onDrain */
  body(piece: Buffer): boolean {
    if (this.#state !== 'busy') return true
    if (this.#answering === 'length') this.#owed -= piece.length
    const before = this.#pendingHead
    this.#pendingHead = null
    if (this.#answering === 'chunked') {
      const prefix = (before ?? '') + chunkHead(piece.length)
      if (piece.length <= SMALL_PIECE) return this.#write(joined(prefix, piece, CHUNK_END))
      return this.#writeAll([prefix, piece, CHUNK_END])
    }
    if (before === null) return this.#write(piece)
    if (piece.length <= SMALL_PIECE) return this.#write(joined(before, piece, ''))
    return this.#writeAll([before, piece])
  }

  /** Lets the head go that still waits for a piece of its body: an event stream may have none for a long time. */
  flush(): void {
    if (this.#pendingHead === null || this.#state !== 'busy') return
    const head = this.#pendingHead
    this.#pendingHead = null
    this.#write(head)
  }

  /** Takes an answer back of which not one byte is out. @returns false: some are */
  retract(): boolean {
    if (this.#state !== 'busy' || this.#pendingHead === null) return false
    this.#pendingHead = null
    this.#answering = null
    this.#owed = 0
    return true
  }

  /**
   * The answer is complete. The connection goes on with the next request, or ends in good order.
   * @param now performance.now(), if it is known
   */
  end(trailers: Fields, now = performance.now()): void {
    if (this.#state !== 'busy') return
    if (this.#owed > 0) {
      this.cut()
      return
    }
    const head = this.#pendingHead ?? ''
    this.#pendingHead = null
    const last = this.#answering === 'chunked' ? (trailers.length === 0 ? LAST_CHUNK : lastChunk(trailers)) : ''
    if (head !== '' || last !== '') this.#write(head + last)
    this.#carrier = null
    if (this.#closeAfter) {
      this.#startClosing()
      return
    }
    if (this.#body.ended) {
      this.#next(now)
      this.#goOn()
      return
    }
    const { limits } = this.#owner
    this.#enter('discarding')
    this.#bodyPaused = false
    this.#deadline = after(limits.lingerIdle, now)
    this.#finalDeadline = after(limits.linger, now)
    this.#goOn()
  }

  /**
   * Reads on what lies there: not from within the end of an answer, because a client that pipelines thousands must not
   * build a stack or keep the loop for itself, and what fails in the next request is no matter of the one before.
   */
  #goOn(): void {
    if (this.#reading || (this.#ahead.length === 0 && !this.#paused && !this.#ended)) return
    setImmediate(() => this.#guard(() => this.#resume()))
  }

  /** The rest of the answer does not come: cut, so that what the client has is not taken for the whole. */
  cut(): void {
    if (this.#state === 'closed') return
    this.#carrier = null
    this.#enter('closed')
    // Where the body ends with its connection, a FIN would say that this is all of it (RFC 9112 8).
    const whole = this.#answering !== 'close' || this.peer.tls !== null
    // Node loses the handle of a socket that is reset while its end is on the way.
    if (whole || this.socket.writableEnded) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  /**
   * Answer and tunnel: from now on bytes go through as they are. Returns what the client sent already.
   * @param idle milliseconds in which nothing passes, 0: no limit; null: as all tunnels
   */
  tunnel(head: string, end: TunnelEnd, idle: number | null): Buffer {
    this.#write(head)
    this.#carrier = null
    this.#tunnel = end
    this.#head = null
    this.#finalDeadline = Infinity
    this.#tunnelLimit = idle ?? this.#owner.limits.tunnelIdle
    this.#deadline = after(this.#tunnelLimit, performance.now())
    this.#enter('tunnel')
    const ahead = this.#ahead
    this.#ahead = EMPTY
    this.#unpause()
    if (this.#ended) queueMicrotask(() => this.#guard(() => this.#end()))
    return ahead
  }

  /** For tunnels. @returns false: wait for onDrain */
  pass(chunk: Buffer): boolean {
    this.#deadline = after(this.#tunnelLimit, performance.now())
    return this.#write(chunk)
  }

  /** For tunnels: reads no more until `resumeTunnel`. */
  pauseTunnel(): void {
    this.#pause()
  }

  resumeTunnel(): void {
    this.#unpause()
  }

  /** For tunnels: what was passed still goes out. */
  closeTunnel(): void {
    this.#out.endAndClose()
  }

  /** For tunnels: the other side sends no more. */
  endPassing(): void {
    this.#out.end()
    this.#halfClose()
  }

  /** The end that is missing may never come: who reads an end and means to go says so soon. */
  #halfClose(): void {
    this.#tunnelLimit = shorter(this.#tunnelLimit, this.#owner.limits.tunnelHalfClosed)
    this.#deadline = after(this.#tunnelLimit, performance.now())
  }

  /** A tunnel ends in good order, because this process goes: not later than a connection whose last answer is out. */
  leave(): void {
    const { linger, lingerIdle } = this.#owner.limits
    const now = performance.now()
    this.#tunnelLimit = shorter(this.#tunnelLimit, lingerIdle)
    this.#deadline = after(this.#tunnelLimit, now)
    this.#finalDeadline = after(linger, now)
    this.#guard(() => this.#tunnel?.onLeave())
  }

  #next(now: number): void {
    this.#head = null
    this.#answering = null
    this.#finalDeadline = Infinity
    if (this.#owner.draining || this.#closeAfter) {
      this.#startClosing()
      return
    }
    this.idleSince = now
    this.#deadline = after(this.#owner.limits.keepAlive, now)
    this.#enter('idle')
  }

  /** Our side is closed; what the client still sends is thrown away until it goes or the time is over. */
  #startClosing(): void {
    if (this.#state === 'closed' || this.#state === 'closing') return
    this.#out.end()
    this.#enterClosing()
    this.#ahead = EMPTY
    this.#bodyPaused = false
    this.#unpause()
    if (this.#ended) this.#out.endAndClose()
  }

  #enterClosing(): void {
    const now = performance.now()
    this.#carrier = null
    this.#enter('closing')
    this.#deadline = after(this.#owner.limits.lingerIdle, now)
    this.#finalDeadline = after(this.#owner.limits.linger, now)
  }

  #enter(state: ConnectionState): void {
    const from = this.#state
    this.#state = state
    if (from !== state) this.#owner.changed(this, from)
  }

  // ------------------------------------------------------------------------------------------------ time

  /** Looked at now and then. @param now performance.now() */
  tick(now: number): void {
    this.#guard(() => {
      if (this.#state === 'busy') this.#carrier?.onTick(now)
      this.#stuck(now)
      if (now < this.#deadline && now < this.#finalDeadline) return
      this.#late()
    })
  }

  /**
   * A client that takes nothing of what was written gives it up; one that takes it slowly does not. A backend that keeps
   * us waiting is another matter.
   */
  #stuck(now: number): void {
    const limit = this.#state === 'tunnel' ? this.#tunnelLimit : this.#owner.limits.bodyIdle
    if (limit === 0 || this.#out.unsent === 0) {
      this.#stuckSince = 0
      return
    }
    const taken = takenByKernel(this.socket)
    if (taken !== this.#taken) {
      this.#taken = taken
      this.#stuckSince = 0
      return
    }
    if (this.#stuckSince === 0) this.#stuckSince = now
    else if (now - this.#stuckSince >= limit) {
      if (this.#state === 'busy') this.#gone('client-timeout')
      else this.socket.destroy()
    }
  }

  #late(): void {
    const late = { status: 408, code: 'late', reason: 'the request took too long' } as const
    switch (this.#state) {
      case 'head':
        this.#refuse({ ...late, status: 408 as 400 })
        return
      case 'busy': {
        this.#deadline = Infinity
        this.#finalDeadline = Infinity
        this.#closeAfter = true
        // Whoever carries it answers, or cuts what it began.
        this.#carrier?.onBodyTimeout()
        return
      }
      case 'idle':
      case 'discarding':
      case 'closing':
      case 'tunnel':
        // It takes its time for the answer, which has a limit of its own (#stuck): the rest begins with its end.
        if (this.#out.unsent > 0) this.#again()
        else this.socket.destroy()
        return
      case 'closed':
        return
    }
  }

  #again(): void {
    const { keepAlive, linger, lingerIdle } = this.#owner.limits
    const now = performance.now()
    const waiting = this.#state === 'idle' ? keepAlive : this.#state === 'tunnel' ? this.#tunnelLimit : lingerIdle
    this.#deadline = after(waiting, now)
    if (this.#state === 'closing' || this.#state === 'discarding') this.#finalDeadline = after(linger, now)
  }

  /** Memory is short. */
  saveMemory(): void {
    if (this.#state === 'busy') this.#guard(() => this.#carrier?.onMemoryShort())
  }

  /** Makes room for another one: nothing is under way on it. */
  drop(): void {
    this.socket.destroy()
  }

  /** Ends it in good order: at once if nothing is under way, else with the answer. */
  close(): void {
    this.#closeAfter = true
    if (this.#state === 'idle' || this.#state === 'discarding') this.#startClosing()
  }

  #drained(): void {
    if (this.#state === 'busy') this.#carrier?.onDrain()
    else if (this.#state === 'tunnel') this.#tunnel?.onDrain()
    else if (this.#state === 'idle' || this.#state === 'head') this.#resume()
  }
}

function after(milliseconds: number, now: number): number {
  return milliseconds === 0 ? Infinity : now + milliseconds
}

/** Of two limits, of which 0 is none. */
function shorter(a: number, b: number): number {
  return a === 0 || b === 0 ? Math.max(a, b) : Math.min(a, b)
}

function joined(before: string, piece: Buffer, behind: string): Buffer {
  const out = Buffer.allocUnsafe(before.length + piece.length + behind.length)
  out.write(before, 0, 'latin1')
  piece.copy(out, before.length)
  if (behind !== '') out.write(behind, before.length + piece.length, 'latin1')
  return out
}
