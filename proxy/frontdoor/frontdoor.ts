/**
 * The TLS front door: reads the ClientHello first, chooses the certificates by its server name, and hands the decrypted
 * connection on. Node's SNICallback can serve no dual certificates (ANCHORS 8). It owns its timeouts and its sockets.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { plainAddress, type Peer } from '../exchange/peer.ts'
import type { Recorder } from '../report/recorder.ts'
import type { TableReader } from '../table/contract.ts'
import { readClientHello, type ClientHello } from './client-hello.ts'
import type { Contexts } from './contexts.ts'
import { LoopLag } from './lag.ts'
import { verdictOf, type TlsEnding } from './verdict.ts'

export interface FrontDoorParts {
  readonly table: TableReader
  readonly contexts: Contexts
  readonly recorder: Recorder
  /** For the ClientHello, and again for the rest of the handshake, in milliseconds. */
  readonly handshakeTimeout: number
  /** Lag of our own event loop during a handshake from which on its failure says nothing of the certificate, in milliseconds. */
  readonly handshakeLag: number
  /** Handshakes under way; 0: no limit. */
  readonly maxHandshakes: number
  /** Takes the decrypted connection. */
  readonly onConnection: (socket: TLSSocket, peer: Peer) => void
}

type Hello = Extract<ClientHello, { readonly state: 'hello' }>

const HANDSHAKE = 22
/** Segments of a ClientHello: at 16 KiB it has a dozen on any honest path. */
const MOST_PIECES = 256
const TOO_MANY_PIECES = { state: 'invalid', reason: 'the ClientHello comes in too many pieces' } as const
/** Bytes. */
const GIVEN_BACK = 1_000
/** A fatal alert, decode_error (RFC 8446 6.2), in a record of its own. */
const DECODE_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 50])
/** As nginx: whoever speaks HTTP here gets to know what is wrong. */
const PLAIN_TEXT = '400 Bad Request: a plain HTTP request was sent to the HTTPS port\n'
const PLAIN_ON_TLS =
  'HTTP/1.1 400 Bad Request\r\nServer: sluice\r\nContent-Type: text/plain; charset=utf-8\r\n' +
  `Content-Length: ${PLAIN_TEXT.length}\r\nConnection: close\r\n\r\n${PLAIN_TEXT}`

export class FrontDoor {
  readonly server: Server
  readonly #parts: FrontDoorParts
  /** Connections before the end of their handshake. */
  readonly #opening = new Set<Socket>()
  readonly #lag = new LoopLag()
  #ending = false

  constructor(parts: FrontDoorParts) {
    this.#parts = parts
    this.#lag.start()
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true },
      socket => this.#peek(socket),
    )
  }

  /** Ends what is still in its handshake. */
  end(): void {
    this.#ending = true
    this.#lag.end()
    for (const socket of this.#opening) socket.destroy()
  }

  /** A connection that ends before a ClientHello is no TLS failure: health checks do that. */
  #peek(socket: Socket): void {
    const { maxHandshakes, recorder } = this.#parts
    socket.on('error', () => undefined)
    if (maxHandshakes > 0 && this.#opening.size >= maxHandshakes) {
      recorder.refusedConnection('handshakes')
      socket.destroy()
      return
    }
    this.#opening.add(socket)
    // Before its end nothing was asked that could be answered.
    socket.once('end', () => {
      if (this.#opening.has(socket)) socket.destroy()
    })
    socket.once('close', () => this.#opening.delete(socket))
    const mark = this.#lag.mark()
    const cancel = this.#limit(mark, () => socket.destroy())
    socket.once('close', cancel)
    let bytes: Buffer = Buffer.alloc(0)
    let pieces = 0
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      // Each piece is a look from the beginning: who sends a few bytes at a time makes them dear.
      const hello = ++pieces > MOST_PIECES ? TOO_MANY_PIECES : readClientHello(bytes)
      if (hello.state === 'more') return
      socket.off('data', onData)
      socket.pause()
      cancel()
      if (hello.state === 'invalid') {
        recorder.refusedConnection('client-hello')
        socket.end(bytes[0] === HANDSHAKE ? DECODE_ERROR : PLAIN_ON_TLS)
        socket.destroySoon()
        return
      }
      giveBack(socket, bytes)
      this.#handshake(socket, hello, mark)
    }
    socket.on('data', onData)
  }

  /** @param mark of the lag before it said anything */
  #handshake(socket: Socket, hello: Hello, mark: number): void {
    const { table, contexts, recorder, onConnection } = this.#parts
    const serverName = hello.serverName ?? ''
    const host = table.tlsHost(serverName)
    let tls: TLSSocket
    try {
      const secureContext = contexts.get(table.certificates(serverName), hello.ticketName)
      tls = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
    } catch {
      // A certificate that OpenSSL refuses: the operator checks them, so this is rare, and it is a failure of the host.
      recorder.tlsFailure(host)
      socket.destroy()
      return
    }
    // Until the end of the handshake nothing of ours ends it but its time, and `end`.
    let by: TlsEnding['by'] = 'left'
    /** Since then it is the client's turn, however late we are. */
    let lag: number | null = null
    let resumed = false
    const cancel = this.#limit(mark, () => {
      by = 'timeout'
      tls.destroy()
    })
    // What the client does after we closed is no answer to the certificate any more; unless it says so.
    tls.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('ERR_SSL_') === true) by = 'alert'
      else if (by === 'ours' && !tls.writableEnded) by = 'left'
    })
    tls.once('end', () => {
      if (by === 'ours' && !tls.writableEnded) by = 'left'
    })
    tls.once('secure', () => {
      cancel()
      this.#opening.delete(socket)
      by = 'ours'
      lag = this.#lag.since(mark)
      resumed = tls.isSessionReused()
      recorder.tlsHandshake(host)
      onConnection(tls, peerOf(socket, tls, serverName))
    })
    tls.once('close', () => {
      cancel()
      const secured = lag !== null
      const verdict = verdictOf(
        {
          ...{ secured, resumed, spoken: tls.bytesRead + tls.bytesWritten > 0 },
          by: !secured && this.#ending ? 'ours' : by,
          lag: lag ?? this.#lag.since(mark),
        },
        this.#parts.handshakeLag,
      )
      if (verdict === 'failure') recorder.tlsFailure(host)
      if (verdict === 'slow') recorder.refusedConnection('handshake-lag')
    })
  }

  /**
   * Calls when the time for a handshake is over. After a lag of ours what the client sent may lie unread: it gets the
   * time again, once.
   * @returns takes it back
   */
  #limit(mark: number, over: () => void): () => void {
    const { handshakeTimeout, handshakeLag } = this.#parts
    let timer = setTimeout(() => {
      if (this.#lag.since(mark) < handshakeLag) over()
      else timer = setTimeout(over, handshakeTimeout)
    }, handshakeTimeout)
    return () => clearTimeout(timer)
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

function peerOf(socket: Socket, tls: TLSSocket, serverName: string): Peer {
  return {
    address: plainAddress(socket.remoteAddress),
    port: socket.remotePort ?? 0,
    tls: {
      version: tls.getProtocol() ?? '',
      cipher: tls.getCipher().name,
      serverName: serverName === '' ? null : serverName,
      resumed: tls.isSessionReused(),
    },
  }
}
