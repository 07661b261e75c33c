/**
 * What those who carry requests see of a client, whatever it speaks: `ClientConnection` (HTTP/1) and `Http2Stream` are the
 * client's side of an exchange, `ClientConnection` and `Http2Connection` are open connections.
 */
import type { Peer } from '../exchange/peer.ts'
import type { Fields, Refusal } from '../http1/contract.ts'

/**
 * - `idle`: nothing of a request came · `head`: a part of its head · `busy`: a request is under way
 * - `discarding`: its answer is out, the rest of its body is thrown away
 * - `tunnel`: no HTTP any more · `closing`: the last answer is out, waiting for the client to go · `closed`
 */
export type ConnectionState = 'idle' | 'head' | 'busy' | 'discarding' | 'tunnel' | 'closing' | 'closed'

/** One of a worker's open connections, as whoever keeps the list of them sees it. No method may throw. */
export interface OpenConnection {
  readonly peer: Peer
  readonly state: ConnectionState
  readonly openedAt: number
  /** Requests that came on it. */
  readonly requests: number
  /** When it became idle, for "the oldest idle one goes first". */
  readonly idleSince: number
  /** Looked at now and then. @param now performance.now() */
  tick(now: number): void
  /** Memory is short. */
  saveMemory(): void
  /** Ends it in good order: at once if nothing is under way, else with the answers. */
  close(): void
  /** A tunnel ends in good order, because this process goes. */
  leave(): void
  /** Ends it now. */
  drop(): void
}

/** Why a connection ended while its request was under way. */
export type GoneReason = 'client-gone' | 'client-timeout' | 'internal'

/** Whoever carries the request that is under way. No method may throw. */
export interface ExchangeCarrier {
  /** A piece of the client's body. */
  onBody(piece: Buffer): void
  /** The client's body is complete. */
  onBodyEnd(): void
  /** The body cannot be read: answer 400 and close, if no answer began. */
  onBodyRefused(refusal: Refusal): void
  /** The client sent nothing of its body for too long: answer 408 and close, if no answer began. */
  onBodyTimeout(): void
  /** The client took what was written: write again. */
  onDrain(): void
  /** The connection is gone before the end of the answer. The last call. */
  onGone(reason: GoneReason): void
  /** Looked at now and then, for deadlines of its own. @param now performance.now() */
  onTick(now: number): void
  /** Memory is short: let go of what is kept for later. */
  onMemoryShort(): void
}

/** The client's side of one exchange. */
export interface ClientSide {
  readonly peer: Peer
  /** Requests that came on its connection, this one included. */
  readonly requests: number
  /** An answer to the request began. */
  readonly answered: boolean
  /** Bytes written since the request came. */
  readonly written: number
  /** The client takes no more right now. */
  readonly blocked: boolean
  /** No answer can have a status above it. */
  readonly greatestStatus: number
  /** What an Upgrade makes of it; null: what it speaks knows none. */
  readonly upgradable: ClientTunnel | null
  /** The carrier wants the body: from now on it comes, piece by piece. Says 100 Continue where the client waits for it. */
  readBody(): void
  pauseBody(): void
  /** An interim answer; dropped where the client cannot take one. */
  interim(status: number, reason: string, lines: string): void
  /**
   * Begins the answer. Framing and Connection are added here.
   * @param lines of fields (http1/write.ts), without Connection, Transfer-Encoding; Content-Length only if it is true
   * @param bodyLength of what will be written: a length, CHUNKED or UNTIL_CLOSE (both: until `end`)
   * @param close the connection ends with it, whatever the client wants, where it is the request's alone
   */
  answer(status: number, reason: string, lines: string, bodyLength: number, close: boolean): void
  /**
   * Begins and ends an answer whose body is there, all of it.
   * @param body in latin1: one character per byte @param now performance.now()
   */
  answerWhole(status: number, reason: string, lines: string, body: string, close: boolean, now: number): void
  /** A piece of the answer's body. @returns false: wait for onDrain */
  body(piece: Buffer): boolean
  /** Lets the head go that still waits for a piece of its body: an event stream may have none for a long time. */
  flush(): void
  /** Takes an answer back of which not one byte is out. @returns false: some are */
  retract(): boolean
  /** The answer is complete. @param now performance.now(), if it is known */
  end(trailers: Fields, now?: number): void
  /** The rest of the answer does not come: cut, so that what the client has is not taken for the whole. */
  cut(): void
}

/** A client's connection that bytes go through as they are. */
export interface ClientTunnel {
  /**
   * Answer and tunnel. Returns what the client sent already.
   * @param idle milliseconds in which nothing passes, 0: no limit; null: as all tunnels
   */
  tunnel(head: string, end: TunnelEnd, idle: number | null): Buffer
  /** @returns false: wait for onDrain */
  pass(chunk: Buffer): boolean
  /** Reads no more until `resumeTunnel`. */
  pauseTunnel(): void
  resumeTunnel(): void
  /** What was passed still goes out. */
  closeTunnel(): void
  /** The other side sends no more. */
  endPassing(): void
}

/** Takes the bytes of a tunnel. No method may throw. */
export interface TunnelEnd {
  onData(chunk: Buffer): void
  onDrain(): void
  /** The client sends no more. */
  onEnd(): void
  onClose(): void
  /** This process goes: say goodbye to both sides, and end. */
  onLeave(): void
}
