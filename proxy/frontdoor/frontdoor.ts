/**
 * The TLS front door: reads the ClientHello first, chooses the certificates by its server name, and hands the decrypted
 * connection on. Node's SNICallback can serve no dual certificates (ANCHORS 8). It owns its timeouts and its sockets.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { plainAddress, type Peer } from '../exchange/peer.ts'
import type { Recorder } from '../report/recorder.ts'
import type { TableReader } from '../table/contract.ts'
import { readClientHello } from './client-hello.ts'
import type { Contexts } from './contexts.ts'

export interface FrontDoorParts {
  readonly table: TableReader
  readonly contexts: Contexts
  readonly recorder: Recorder
  /** For the ClientHello, and again for the rest of the handshake, in milliseconds. */
  readonly handshakeTimeout: number
  /** Handshakes under way; 0: no limit. */
  readonly maxHandshakes: number
  /** Takes the decrypted connection. */
  readonly onConnection: (socket: TLSSocket, peer: Peer) => void
}

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
  #ending = false

  constructor(parts: FrontDoorParts) {
    this.#parts = parts
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true },
      socket => this.#peek(socket),
    )
  }

  destroyOpening(): void {
    this.#ending = true
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
    const timer = setTimeout(() => socket.destroy(), this.#parts.handshakeTimeout)
    socket.once('close', () => clearTimeout(timer))
    let bytes: Buffer = Buffer.alloc(0)
    let pieces = 0
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      // Each piece is a look from the beginning: who sends a few bytes at a time makes them dear.
      const hello = ++pieces > MOST_PIECES ? TOO_MANY_PIECES : readClientHello(bytes)
      if (hello.state === 'more') return
      socket.off('data', onData)
      socket.pause()
      clearTimeout(timer)
      if (hello.state === 'invalid') {
        recorder.refusedConnection('client-hello')
        socket.end(bytes[0] === HANDSHAKE ? DECODE_ERROR : PLAIN_ON_TLS)
        socket.destroySoon()
        return
      }
      giveBack(socket, bytes)
      this.#handshake(socket, hello.serverName ?? '')
    }
    socket.on('data', onData)
  }

  #handshake(socket: Socket, serverName: string): void {
    const { table, contexts, recorder, handshakeTimeout, onConnection } = this.#parts
    const host = table.tlsHost(serverName)
    let tls: TLSSocket
    try {
      const secureContext = contexts.get(table.certificates(serverName))
      tls = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
    } catch {
      // A certificate that OpenSSL refuses: the operator checks them, so this is rare, and it is a failure of the host.
      recorder.tlsFailure(host)
      socket.destroy()
      return
    }
    const watch = { secured: false, byClient: false }
    const timer = setTimeout(() => tls.destroy(), handshakeTimeout)
    tls.on('error', () => (watch.byClient = true))
    tls.once('end', () => (watch.byClient = true))
    tls.once('secure', () => {
      clearTimeout(timer)
      this.#opening.delete(socket)
      watch.secured = true
      recorder.tlsHandshake(host)
      onConnection(tls, peerOf(socket, tls, serverName))
    })
    tls.once('close', () => {
      clearTimeout(timer)
      // Clients refuse a certificate by an alert or, after the handshake, by going without a word (DESIGN).
      // One that was turned away with an answer had a reason to go.
      const refused = watch.secured ? watch.byClient && tls.bytesRead + tls.bytesWritten === 0 : !this.#ending
      if (refused) recorder.tlsFailure(host)
    })
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
