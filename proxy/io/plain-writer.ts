/** Writes to the handle of a TCP connection at once; what the kernel does not take waits in libuv, in order. */
import type { Socket } from 'node:net'
import type { SocketWriter } from './contract.ts'
import { asBuffers, failWrite, goesOn, handleOf, lengthOf, writeTo } from './handle.ts'
import type { Handle, StreamWrap, WriteRequest, WritesLater } from './handle.ts'

export class PlainWriter implements SocketWriter, WritesLater {
  readonly #socket: Socket
  readonly #wrap: StreamWrap
  readonly #onDrain: () => void
  readonly #most: number
  /** For the next write: one that the kernel takes at once leaves it as it was. */
  #request: WriteRequest
  #unsent = 0
  #blocked = false

  constructor(socket: Socket, wrap: StreamWrap, onDrain: () => void) {
    this.#socket = socket
    this.#wrap = wrap
    this.#onDrain = onDrain
    this.#most = socket.writableHighWaterMark
    this.#request = new wrap.WriteWrap()
  }

  get unsent(): number {
    return this.#unsent
  }

  get blocked(): boolean {
    return this.#blocked
  }

  write(data: string | Buffer): boolean {
    const handle = this.#handle()
    return handle !== null && this.#written(writeTo(handle, this.#request, data), data.length, data)
  }

  writeAll(pieces: readonly (string | Buffer)[]): boolean {
    const handle = this.#handle()
    if (handle === null) return false
    const buffers = asBuffers(pieces)
    return this.#written(handle.writev(this.#request, buffers, true), lengthOf(buffers), buffers)
  }

  /** What waits in libuv goes before the end. */
  end(): void {
    this.#socket.end()
  }

  endAndClose(): void {
    this.#socket.destroySoon()
  }

  /** Null: it takes no more. */
  #handle(): Handle | null {
    return this.#socket.writable ? handleOf(this.#socket) : null
  }

  #written(error: number, bytes: number, held: unknown): boolean {
    if (error !== 0) {
      failWrite(this.#socket, error)
      return false
    }
    if (this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 0) return !this.#blocked
    goesOn(this.#request, this, bytes, held)
    this.#request = new this.#wrap.WriteWrap()
    this.#unsent += bytes
    this.#blocked ||= this.#unsent >= this.#most
    return !this.#blocked
  }

  done(bytes: number, error: number): void {
    this.#unsent -= bytes
    if (this.#socket.destroyed) return
    if (error < 0) {
      failWrite(this.#socket, error)
      return
    }
    if (this.#unsent > 0 || !this.#blocked) return
    this.#blocked = false
    // Behind an end nobody waits to write.
    if (this.#socket.writable) this.#onDrain()
  }
}
