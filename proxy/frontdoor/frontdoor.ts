/**
 * The TLS front door: reads the ClientHello first, chooses the certificates by its server name, and hands the decrypted
 * connection on. Node's SNICallback can serve no dual certificates (ANCHORS 8). It owns its timeouts and its sockets.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Source } from '../arrival/proxy-header.ts'
import { clientOf } from '../connection/per-client-limit.ts'
import type { Peer } from '../exchange/peer.ts'
import type { Recorder } from '../report/recorder.ts'
import type { TableReader } from '../table/contract.ts'
import type { Contexts } from './contexts.ts'
import { Handshake, type HandshakeOwner } from './handshake.ts'
import { HandshakesByClient } from './handshakes-by-client.ts'
import { LoopLag } from './loop-lag.ts'

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
  /** What is spoken behind TLS, as ALPN names it (RFC 7301), the preferred one first. */
  readonly protocols: readonly string[]
  /** Says who is at the other end of a connection, when it is known. */
  readonly arrive: (socket: Socket, next: (source: Source) => void) => void
  /** Counts a connection of its client. @returns false: the client has as many as it may have */
  readonly admit: (socket: Socket, address: string) => boolean
  /** Takes the decrypted connection. */
  readonly onConnection: (socket: TLSSocket, peer: Peer, admitted: boolean) => void
}

/** Clients that have too many connections get their handshake to be told so: so many at once, and no more. */
const MOST_TURNED_AWAY = 32

export class FrontDoor {
  readonly server: Server
  readonly #parts: FrontDoorParts
  /** Connections before the end of their handshake. */
  readonly #handshakes = new HandshakesByClient<Handshake>()
  /** Of these, those that were not admitted. */
  #turnedAway = 0
  readonly #lag = new LoopLag()
  readonly #owner: HandshakeOwner
  #ending = false

  constructor(parts: FrontDoorParts) {
    this.#parts = parts
    this.#lag.start()
    this.#owner = this.#ownerOf(parts)
    this.server = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true },
      socket => parts.arrive(socket, source => this.#open(socket, source)),
    )
  }

  /** Ends what is still in its handshake. */
  end(): void {
    this.#ending = true
    this.#lag.end()
    for (const { socket } of this.#handshakes) socket.destroy()
  }

  #open(socket: Socket, source: Source): void {
    const { maxHandshakes, recorder, admit } = this.#parts
    const { address } = source
    const admitted = admit(socket, address)
    if (!admitted) {
      if (this.#turnedAway >= MOST_TURNED_AWAY) {
        socket.on('error', () => undefined)
        recorder.refusedConnection('client-connections')
        socket.destroy()
        return
      }
      this.#turnedAway++
    }
    if (maxHandshakes > 0 && this.#handshakes.size >= maxHandshakes) {
      recorder.refusedConnection('handshakes')
      this.#handshakes.leastDeserving()?.giveUp()
    }
    const handshake = new Handshake(socket, source, admitted, this.#owner)
    this.#handshakes.add(clientOf(address), handshake)
  }

  #ownerOf({
    table,
    contexts,
    recorder,
    handshakeTimeout,
    handshakeLag,
    protocols,
    onConnection,
  }: FrontDoorParts): HandshakeOwner {
    const ending = (): boolean => this.#ending
    return {
      lag: this.#lag,
      handshakeTimeout,
      handshakeLag,
      protocols,
      get ending() {
        return ending()
      },
      choose: ({ serverName, ticketName }) => contexts.get(table.certificates(serverName ?? ''), ticketName),
      countedHost: serverName => table.tlsHost(serverName),
      unreadable: () => recorder.refusedConnection('client-hello'),
      secured: (tls, peer, host, admitted) => {
        if (peer.tls !== null) recorder.tlsHandshake(host, peer.tls)
        onConnection(tls, peer, admitted)
      },
      left: handshake => {
        this.#handshakes.remove(clientOf(handshake.address), handshake)
        if (!handshake.admitted) this.#turnedAway--
      },
      ended: (verdict, host, tls) => {
        if (verdict === 'failure') recorder.tlsFailure(host, tls)
        if (verdict === 'slow') recorder.refusedConnection('handshake-lag')
      },
    }
  }
}
