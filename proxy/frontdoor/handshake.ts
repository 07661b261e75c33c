/**
 * One TLS connection from its first byte to the end of its handshake, and what its end says of the host's certificate.
 * Thousands of them stay open and idle: what the handshake needed is let go of when it is over.
 */
import type { Socket } from 'node:net'
import { TLSSocket, type SecureContext } from 'node:tls'
import type { Source } from '../arrival/proxy-header.ts'
import type { Peer, PeerTls } from '../exchange/peer.ts'
import { readClientHello, type ClientHello } from './client-hello.ts'
import type { LoopLag } from './loop-lag.ts'
import { verdictOf, type TlsEnding } from './certificate-evidence.ts'

export type Hello = Extract<ClientHello, { readonly state: 'hello' }>

/** Whoever opens the door. No method may throw, but `choose`. */
export interface HandshakeOwner {
  readonly lag: LoopLag
  /** For the ClientHello, and again for the rest of the handshake, in milliseconds. */
  readonly handshakeTimeout: number
  /** Lag of our own event loop during a handshake from which on its failure says nothing of the certificate, in milliseconds. */
  readonly handshakeLag: number
  /** What is spoken, as ALPN names it (RFC 7301), the preferred one first. */
  readonly protocols: readonly string[]
  /** It goes for reasons of ours. */
  readonly ending: boolean
  /** The certificates to show, and how the host is counted. Throws if OpenSSL refuses them. */
  choose(hello: Hello): SecureContext
  countedHost(serverName: string): string | null
  /** What came is no ClientHello. */
  unreadable(): void
  secured(tls: TLSSocket, peer: Peer, host: string | null, admitted: boolean): void
  /** No handshake is under way on it any more. Called once. */
  left(handshake: Handshake): void
  /** @param tls what was agreed on; null: the handshake was not finished */
  ended(verdict: 'failure' | 'slow' | 'nothing', host: string | null, tls: PeerTls | null): void
}

const HANDSHAKE = 22
/** Segments of a ClientHello: at 16 KiB it has a dozen on any honest path. */
const MOST_PIECES = 256
const TOO_MANY_PIECES = { state: 'invalid', reason: 'the ClientHello comes in too many pieces' } as const
/** Bytes. */
const GIVEN_BACK = 1_000
const NOTHING = Buffer.alloc(0)
/** A fatal alert, decode_error (RFC 8446 6.2), in a record of its own. */
const DECODE_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 50])
/** As nginx: whoever speaks HTTP here gets to know what is wrong. */
const PLAIN_TEXT = '400 Bad Request: a plain HTTP request was sent to the HTTPS port\n'
const PLAIN_ON_TLS =
  'HTTP/1.1 400 Bad Request\r\nServer: sluice\r\nContent-Type: text/plain; charset=utf-8\r\n' +
  `Content-Length: ${PLAIN_TEXT.length}\r\nConnection: close\r\n\r\n${PLAIN_TEXT}`

/** Versions and protocols that we do not speak: whatever the certificate is, the answer is the same. */
const NOTHING_IN_COMMON: ReadonlySet<string> = new Set([
  ...['ERR_SSL_UNSUPPORTED_PROTOCOL', 'ERR_SSL_NO_APPLICATION_PROTOCOL'],
])
const HTTP_1 = ['http/1.1']
const ignore = (): void => undefined

export class Handshake {
  readonly socket: Socket
  /** Of the client, IPv4 without prefix. */
  readonly address: string
  readonly #port: number
  /** False: its client has too many connections, and is to be told so. */
  readonly admitted: boolean
  readonly #owner: HandshakeOwner
  /** Of our lag, before the client said anything. */
  readonly #mark: number
  #timer: NodeJS.Timeout | null = null
  #bytes: Buffer = NOTHING
  #pieces = 0
  #host: string | null = null
  /** Until the end of the handshake nothing of ours ends it but its time, and the owner's end. */
  #by: TlsEnding['by'] = 'left'
  /** Since the handshake's end it is the client's turn, however late we are. */
  #lag: number | null = null
  /** What was agreed on: the peer's, so that it costs nothing more. */
  #agreed: PeerTls | null = null
  #left = false

  constructor(socket: Socket, { address, port }: Source, admitted: boolean, owner: HandshakeOwner) {
    this.socket = socket
    this.address = address
    this.#port = port
    this.admitted = admitted
    this.#owner = owner
    this.#mark = owner.lag.mark()
    socket.on('error', ignore)
    socket.on('data', this.#onHello)
    socket.on('end', this.#onRawEnd)
    socket.on('close', this.#onRawClose)
    this.#limit(this.#mark, this.#onHelloLate)
  }

  /** Ends it for another one. */
  giveUp(): void {
    this.#by = 'ours'
    this.#over()
    this.socket.destroy()
  }

  /** A connection that ends before a ClientHello is no TLS failure: health checks do that. */
  readonly #onHelloLate = (): void => {
    this.socket.destroy()
  }

  /** Before its end nothing was asked that could be answered. */
  readonly #onRawEnd = (): void => {
    this.socket.destroy()
  }

  readonly #onRawClose = (): void => this.#over()

  readonly #onHello = (chunk: Buffer): void => {
    const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    // Each piece is a look from the beginning: who sends a few bytes at a time makes them dear.
    const hello = ++this.#pieces > MOST_PIECES ? TOO_MANY_PIECES : readClientHello(bytes)
    if (hello.state === 'more') {
      this.#bytes = bytes
      return
    }
    const { socket } = this
    this.#bytes = NOTHING
    socket.off('data', this.#onHello)
    socket.pause()
    this.#stopTimer()
    if (hello.state === 'invalid') {
      this.#owner.unreadable()
      socket.end(bytes[0] === HANDSHAKE ? DECODE_ERROR : PLAIN_ON_TLS)
      socket.destroySoon()
      return
    }
    giveBack(socket, bytes)
    this.#shake(hello)
  }

  #shake(hello: Hello): void {
    const { socket } = this
    const serverName = hello.serverName ?? ''
    this.#host = this.#owner.countedHost(serverName)
    let tls: TLSSocket
    try {
      const secureContext = this.#owner.choose(hello)
      // Who is not to be served is told so in HTTP/1.1, which everybody reads.
      const ALPNProtocols = this.admitted ? [...this.#owner.protocols] : HTTP_1
      tls = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols })
    } catch {
      // A certificate that OpenSSL refuses: the operator checks them, so this is rare, and it is a failure of the host.
      this.#owner.ended('failure', this.#host, null)
      socket.destroy()
      return
    }
    this.#limit(this.#owner.lag.since(0), () => {
      this.#by = 'timeout'
      tls.destroy()
    })
    // What the client does after we closed is no answer to the certificate any more; unless it says so.
    tls.on('error', (error: NodeJS.ErrnoException) => {
      if (NOTHING_IN_COMMON.has(error.code ?? '')) this.#by = 'ours'
      else if (error.code?.startsWith('ERR_SSL_') === true) this.#by = 'alert'
      else this.#clientLeft(tls)
    })
    tls.on('end', () => {
      this.#clientLeft(tls)
      // In the middle of the handshake there is nothing to be said to whoever says nothing any more.
      if (this.#lag === null) tls.destroy()
    })
    tls.once('secure', () => {
      this.#over()
      this.#by = 'ours'
      this.#lag = this.#owner.lag.since(this.#mark)
      const peer = this.#peer(tls, serverName)
      this.#agreed = peer.tls
      // What fails from now on Node keeps to itself (lib/internal/tls/wrap.js, onerror): the connection would stay until a time limit.
      tls.on('_tlsError', (error: Error) => tls.destroy(error))
      this.#owner.secured(tls, peer, this.#host, this.admitted)
    })
    tls.on('close', () => this.#closed(tls))
  }

  #clientLeft(tls: TLSSocket): void {
    if (this.#by === 'ours' && !tls.writableEnded) this.#by = 'left'
  }

  #closed(tls: TLSSocket): void {
    this.#over()
    const { lag, handshakeLag, ending } = this.#owner
    const secured = this.#lag !== null
    const verdict = verdictOf(
      {
        secured,
        resumed: this.#agreed?.resumed === true,
        // Over HTTP/2 we speak first.
        spoken: tls.bytesRead > 0 || (tls.alpnProtocol !== 'h2' && tls.bytesWritten > 0),
        by: !secured && ending ? 'ours' : this.#by,
        lag: this.#lag ?? lag.since(this.#mark),
      },
      handshakeLag,
    )
    this.#owner.ended(verdict, this.#host, this.#agreed)
  }

  /** The handshake is over, or there is nobody left for one. */
  #over(): void {
    this.#stopTimer()
    this.#bytes = NOTHING
    this.socket.off('end', this.#onRawEnd)
    this.socket.off('close', this.#onRawClose)
    if (this.#left) return
    this.#left = true
    this.#owner.left(this)
  }

  #peer(tls: TLSSocket, serverName: string): Peer {
    return {
      address: this.address,
      port: this.#port,
      tls: {
        version: tls.getProtocol() ?? '',
        cipher: tls.getCipher().name,
        serverName: serverName === '' ? null : serverName,
        resumed: tls.isSessionReused(),
      },
    }
  }

  /**
   * Calls when the time for a step is over. After a lag of ours in this step what the client sent may lie unread: it gets
   * the time again, once.
   * @param mark of the step's beginning
   */
  #limit(mark: number, over: () => void): void {
    const { lag, handshakeTimeout, handshakeLag } = this.#owner
    this.#timer = setTimeout(() => {
      if (lag.since(mark) < handshakeLag) over()
      else this.#timer = setTimeout(over, handshakeTimeout)
    }, handshakeTimeout)
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}

/**
 * For OpenSSL to read, in pieces smaller than the first buffer (1 KiB) that Node gives a TLS connection: what fills it gets
 * another of 16 KiB, which an idle connection keeps. Nearly every ClientHello is larger since ML-KEM.
 * findings/tls-idle-connection-buffers.sh
 */
function giveBack(socket: Socket, bytes: Buffer): void {
  for (let end = bytes.length; end > 0; end -= GIVEN_BACK) {
    socket.unshift(bytes.subarray(Math.max(0, end - GIVEN_BACK), end))
  }
}
