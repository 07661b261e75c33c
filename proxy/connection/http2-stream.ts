/**
 * One stream of HTTP/2: a request, its answer, and their time. What it is to whoever carries the request is what a connection
 * of HTTP/1 is. Frames, windows and the order of bytes are Node's matter (nghttp2).
 */
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Peer } from '../exchange/peer.ts'
import { CHUNKED, type Fields, type RequestHead } from '../http1/contract.ts'
import { WRONG_LENGTH } from '../http2/refusals.ts'
import { asRecord, http2ResponseFields } from '../http2/response-fields.ts'
import type { ConnectionLimits } from './client-connection.ts'
import type { ClientSide, ExchangeCarrier, GoneReason } from './contract.ts'

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

/** The connection that it is one of. */
export interface StreamOwner {
  readonly peer: Peer
  readonly limits: Pick<ConnectionLimits, 'request' | 'bodyIdle'>
  /** A request is there: carry it, or answer it. @param now performance.now() */
  handle(stream: Http2Stream, head: RequestHead, now: number): ExchangeCarrier
  /** Bytes of bodies went through it. */
  moved(bytes: number): void
  /** A handler of ours threw: it ends this stream, never the worker. */
  defect(error: unknown): void
  /** Nothing more comes or goes. @param reset the client took it back before its answer was out */
  closed(stream: Http2Stream, reset: boolean): void
}

/** `open`: as long as `end` says. */
type Framing = 'none' | 'length' | 'open'

export class Http2Stream implements ClientSide {
  readonly peer: Peer
  readonly requests: number
  /** Node and nghttp2 know none above it (RFC 9110 15). */
  readonly greatestStatus = 599
  readonly upgradable = null
  readonly #stream: ServerHttp2Stream
  readonly #owner: StreamOwner
  #carrier: ExchangeCarrier | null = null
  /** Its answer is complete, or there will be none: nothing of it is a carrier's matter any more. */
  #over = false
  #closed = false
  /** The client took it back, or went, before its answer was out. */
  #reset = false
  #isHead = false
  #reading = false
  #bodyLength = 0
  #bodyBytes = 0
  #bodyEnded = true
  #continueOwed = false
  #answering: Framing | null = null
  /** Bytes of the answer's length that are still owed. */
  #owed = 0
  /** Head that waits for the first piece of its body. */
  #pendingHead: string[] | null = null
  /** The stream ended with the head: no byte of a body may follow. */
  #bodiless = false
  #trailers: Fields = []
  #waitsForTrailers = false
  #wrote = 0
  /** performance.now() at which the next piece of the body is late; Infinity: nobody waits for one. */
  #deadline = Infinity
  /** The same for the whole request. */
  #finalDeadline = Infinity
  /** What waited to be sent at the last look: a client that takes nothing is told by it. */
  #waiting = 0
  #stuckSince = 0

  /** @param requests that came on its connection, this one included */
  constructor(stream: ServerHttp2Stream, requests: number, owner: StreamOwner) {
    this.#stream = stream
    this.requests = requests
    this.peer = owner.peer
    this.#owner = owner
    // What fails it says so by its end.
    stream.on('error', () => undefined)
    stream.on('aborted', () => this.#guard(() => this.#gone('client-gone')))
    stream.on('close', () => this.#guard(() => this.#close()))
    stream.on('drain', () => this.#guard(() => this.#carrier?.onDrain()))
  }

  get answered(): boolean {
    return this.#answering !== null
  }

  /** As in HTTP/1: what a head takes when it is packed is Node's secret. */
  get written(): number {
    return this.#wrote
  }

  get blocked(): boolean {
    return this.#stream.writableNeedDrain
  }

  /** @param now performance.now() */
  begin(head: RequestHead, now: number): void {
    const { limits } = this.#owner
    this.#isHead = head.method === 'HEAD'
    this.#bodyLength = head.bodyLength
    // Nothing may follow it all the same, where its length is 0: nghttp2 sees to that.
    this.#bodyEnded = head.bodyLength === 0
    if (this.#bodyEnded && !this.#stream.endAfterHeaders) this.#stream.resume()
    this.#continueOwed = head.expectsContinue && head.bodyLength !== 0
    if (!this.#bodyEnded) this.#finalDeadline = after(limits.request, now)
    const carrier = this.#owner.handle(this, head, now)
    // It may have been answered already.
    if (!this.#over) this.#carrier = carrier
  }

  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#owner.defect(error)
      const carrier = this.#carrier
      this.#finish()
      this.#stream.close(NGHTTP2_INTERNAL_ERROR)
      carrier?.onGone('internal')
    }
  }

  // ------------------------------------------------------------------------------------------------ reading

  readBody(): void {
    if (this.#over || this.#bodyEnded) return
    if (this.#continueOwed) {
      this.#continueOwed = false
      if (this.#answering === null && this.#writable) this.#stream.additionalHeaders({ ':status': 100 })
    }
    this.#deadline = after(this.#owner.limits.bodyIdle, performance.now())
    if (this.#reading) this.#stream.resume()
    else this.#read()
  }

  #read(): void {
    this.#reading = true
    this.#stream.on('data', (piece: Buffer) => this.#guard(() => this.#piece(piece)))
    this.#stream.on('end', () => this.#guard(() => this.#bodyEnd()))
  }

  pauseBody(): void {
    if (this.#bodyEnded || !this.#reading) return
    // A client that we do not read is not late.
    this.#deadline = Infinity
    this.#stream.pause()
  }

  #piece(piece: Buffer): void {
    this.#owner.moved(piece.length)
    if (this.#over || this.#bodyEnded) return
    this.#deadline = after(this.#owner.limits.bodyIdle, performance.now())
    this.#bodyBytes += piece.length
    if (this.#bodyLength !== CHUNKED && this.#bodyBytes > this.#bodyLength) this.#refuse()
    else this.#carrier?.onBody(piece)
  }

  #bodyEnd(): void {
    if (this.#over || this.#bodyEnded) return
    // Node ends what is read of a stream that was taken back without an error, too: that is no end of a body.
    if (this.#stream.closed || this.#stream.aborted) {
      this.#gone('client-gone')
      return
    }
    if (this.#bodyLength !== CHUNKED && this.#bodyBytes < this.#bodyLength) {
      this.#refuse()
      return
    }
    this.#bodyEnded = true
    this.#deadline = this.#finalDeadline = Infinity
    this.#carrier?.onBodyEnd()
  }

  #refuse(): void {
    this.#bodyEnded = true
    this.#deadline = this.#finalDeadline = Infinity
    this.#carrier?.onBodyRefused(WRONG_LENGTH)
  }

  // ------------------------------------------------------------------------------------------------ writing

  /** False: it is closed, and says so in a moment. */
  get #writable(): boolean {
    return !this.#stream.closed && !this.#stream.destroyed
  }

  interim(status: number, _reason: string, lines: string): void {
    if (this.#over || this.#answering !== null || !this.#writable) return
    this.#wrote += lines.length
    this.#stream.additionalHeaders({ ...asRecord(http2ResponseFields(status, lines)), ':status': status })
  }

  answer(status: number, _reason: string, lines: string, bodyLength: number): void {
    if (this.#over || this.#answering !== null) throw new TypeError('there is no request to answer')
    this.#answering = bodyLength === 0 ? 'none' : bodyLength > 0 ? 'length' : 'open'
    // RFC 9110 15.3.6: a 205 has no content, and Node lets none through.
    this.#bodiless = bodyLength === 0 || this.#isHead || status === 205
    this.#pendingHead = http2ResponseFields(status, status === 205 ? withoutLength(lines) : lines)
    this.#wrote += lines.length
    this.#owed = this.#bodiless ? 0 : Math.max(0, bodyLength)
  }

  answerWhole(status: number, reason: string, lines: string, body: string): void {
    this.answer(status, reason, lines, body.length)
    this.#owed = 0
    if (this.#bodiless || !this.#writable) {
      this.end([])
      return
    }
    this.#sendHead(true)
    this.#count(body.length)
    this.#stream.end(body, 'latin1')
    this.#answered()
  }

  body(piece: Buffer): boolean {
    if (this.#over || !this.#writable) return true
    if (this.#answering === 'length') this.#owed -= piece.length
    if (this.#bodiless) return true
    this.#sendHead()
    this.#count(piece.length)
    return this.#stream.write(piece)
  }

  flush(): void {
    if (this.#over || !this.#writable || this.#bodiless) return
    this.#sendHead()
  }

  /** @param whole all of its body is there */
  #sendHead(whole = false): void {
    const head = this.#pendingHead
    if (head === null) return
    this.#pendingHead = null
    // Node ends a stream that is closed in the middle of its body like one that is complete (END_STREAM), and resets it then:
    // only where trailers may follow does a client not take what it has for all of it.
    const waitForTrailers = !this.#bodiless && !whole
    if (waitForTrailers) this.#stream.on('wantTrailers', () => this.#guard(() => this.#sendTrailers()))
    this.#waitsForTrailers = waitForTrailers
    this.#stream.respond(head, { waitForTrailers, endStream: this.#bodiless })
  }

  /** Called by Node when all of the body went, and not before its end. */
  #sendTrailers(): void {
    if (!this.#writable) return
    this.#stream.sendTrailers(asRecord(this.#trailers))
    // Behind them, which go in a turn of their own.
    if (!this.#bodyEnded) setImmediate(() => this.#guard(() => this.#stopReading()))
  }

  #count(bytes: number): void {
    this.#wrote += bytes
    this.#owner.moved(bytes)
  }

  retract(): boolean {
    if (this.#over || this.#pendingHead === null) return false
    this.#pendingHead = null
    this.#answering = null
    this.#owed = 0
    return true
  }

  end(trailers: Fields): void {
    if (this.#over) return
    if (this.#owed > 0) {
      this.cut()
      return
    }
    this.#trailers = trailers
    if (this.#writable) {
      if (this.#pendingHead !== null && trailers.length === 0) this.#bodiless = true
      this.#sendHead()
      this.#stream.end()
    }
    this.#answered()
  }

  #answered(): void {
    this.#finish()
    if (!this.#bodyEnded && !this.#waitsForTrailers) this.#stopReading()
  }

  /** RFC 9113 8.1: an answer may be complete before its request, whose rest nobody wants then. */
  #stopReading(): void {
    if (this.#writable) this.#stream.close(NGHTTP2_NO_ERROR)
  }

  cut(): void {
    this.#finish()
    this.#stream.close(NGHTTP2_INTERNAL_ERROR)
  }

  #finish(): void {
    this.#over = true
    this.#carrier = null
    this.#pendingHead = null
    this.#deadline = this.#finalDeadline = Infinity
    // What lies there unread would keep it from its close.
    if (!this.#bodyEnded) this.#stream.resume()
  }

  // ------------------------------------------------------------------------------------------------ the end

  #gone(reason: GoneReason): void {
    if (this.#over) return
    this.#reset = true
    const carrier = this.#carrier
    this.#finish()
    carrier?.onGone(reason)
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#gone('client-gone')
    this.#owner.closed(this, this.#reset)
  }

  /** The whole connection is gone. */
  abandon(): void {
    this.#guard(() => this.#close())
  }

  /** @param now performance.now() */
  tick(now: number): void {
    this.#guard(() => {
      this.#carrier?.onTick(now)
      if (now >= this.#deadline || now >= this.#finalDeadline) {
        this.#deadline = this.#finalDeadline = Infinity
        // Whoever carries it answers, or cuts what it began.
        this.#carrier?.onBodyTimeout()
      }
      this.#stuck(now)
    })
  }

  /** A client that takes nothing of what was written gives it up. */
  #stuck(now: number): void {
    const waiting = this.#stream.bufferSize
    const limit = this.#owner.limits.bodyIdle
    if (limit === 0 || waiting === 0 || waiting !== this.#waiting) {
      this.#waiting = waiting
      this.#stuckSince = 0
    } else if (this.#stuckSince === 0) this.#stuckSince = now
    else if (now - this.#stuckSince >= limit) {
      this.#gone('client-timeout')
      this.#stream.close(NGHTTP2_CANCEL)
    }
  }

  saveMemory(): void {
    this.#guard(() => this.#carrier?.onMemoryShort())
  }
}

const withoutLength = (lines: string): string => lines.replace(/^content-length:.*\r\n/im, '')

function after(milliseconds: number, now: number): number {
  return milliseconds === 0 ? Infinity : now + milliseconds
}
