/**
 * Writes to the handle of a TLS connection. It encrypts at once, says that it is done a moment later, and aborts the process where it
 * is written to before that (src/crypto/crypto_tls.cc, TLSWrap::DoWrite: `CHECK(!current_write_)`): what comes meanwhile waits here.
 */
import type { Socket } from 'node:net'
import type { SocketWriter } from './contract.ts'
import { asBuffers, failWrite, goesOn, handleOf, lengthOf, writeTo } from './handle.ts'
import type { Handle, StreamWrap, WritesLater } from './handle.ts'

export class TlsWriter implements SocketWriter, WritesLater {
  readonly #socket: Socket
  readonly #wrap: StreamWrap
  readonly #onDrain: () => void
  readonly #most: number
  /** A write is under way. */
  #isBusy = false
  readonly #waiting: (string | Buffer)[] = []
  /** Of both. */
  #unsent = 0
  #blocked = false
  /** What is to happen when everything is out. */
  #ending: 'no' | 'end' | 'close' = 'no'

  constructor(socket: Socket, wrap: StreamWrap, onDrain: () => void) {
    this.#socket = socket
    this.#wrap = wrap
    this.#onDrain = onDrain
    this.#most = socket.writableHighWaterMark
  }

  get unsent(): number {
    return this.#unsent
  }

  get blocked(): boolean {
    return this.#blocked
  }

  write(data: string | Buffer): boolean {
    return this.writeAll([data])
  }

  writeAll(pieces: readonly (string | Buffer)[]): boolean {
    const handle = this.#socket.writable && this.#ending === 'no' ? handleOf(this.#socket) : null
    if (handle === null) return false
    this.#unsent += lengthOf(pieces)
    this.#blocked ||= this.#unsent >= this.#most
    if (this.#isBusy) this.#waiting.push(...pieces)
    else this.#send(handle, pieces)
    return !this.#blocked && !this.#socket.destroyed
  }

  end(): void {
    if (!this.#isBusy) this.#socket.end()
    else if (this.#ending === 'no') this.#ending = 'end'
  }

  endAndClose(): void {
    if (this.#isBusy) this.#ending = 'close'
    else this.#socket.destroySoon()
  }

  #send(handle: Handle, pieces: readonly (string | Buffer)[]): void {
    const request = new this.#wrap.WriteWrap()
    const bytes = lengthOf(pieces)
    const [first = ''] = pieces
    const data = pieces.length === 1 ? first : asBuffers(pieces)
    goesOn(request, this, bytes, data)
    this.#isBusy = true
    const isOne = typeof data === 'string' || Buffer.isBuffer(data)
    const error = isOne ? writeTo(handle, request, data) : handle.writev(request, data, true)
    if (error !== 0) failWrite(this.#socket, error)
    else if (this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 0) this.done(bytes, 0)
  }

  done(bytes: number, error: number): void {
    this.#isBusy = false
    this.#unsent -= bytes
    if (this.#socket.destroyed) return
    if (error < 0) {
      failWrite(this.#socket, error)
      return
    }
    if (this.#waiting.length > 0) {
      const handle = handleOf(this.#socket)
      if (handle !== null) this.#send(handle, this.#waiting.splice(0))
      return
    }
    const wasBlocked = this.#blocked
    this.#blocked = false
    if (this.#ending === 'end') this.#socket.end()
    else if (this.#ending === 'close') this.#socket.destroySoon()
    else if (wasBlocked) this.#onDrain()
  }
}
