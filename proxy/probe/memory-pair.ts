/**
 * Two ends of a connection that never leaves the process. The proxy's end has what a socket has that the gateway uses;
 * nothing of the kernel, no address, no limit of file descriptors.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

class MemoryEnd extends Duplex {
  /** proxy/connection/taken-by-kernel.ts: there is a connection, and no kernel that could take anything. */
  readonly _handle: object = {}
  bytesWritten = 0
  #other: MemoryEnd | null = null
  /** Goes on with the write that the other end had no room for. */
  #resume: (() => void) | null = null

  constructor() {
    super({ allowHalfOpen: true, decodeStrings: true })
  }

  static pair(): readonly [MemoryEnd, MemoryEnd] {
    const [one, other] = [new MemoryEnd(), new MemoryEnd()]
    one.#other = other
    other.#other = one
    return [one, other]
  }

  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  resetAndDestroy(): this {
    return this.destroy()
  }

  override _read(): void {
    this.#other?.goOn()
  }

  /** The other end takes more, or nothing any more. */
  goOn(): void {
    const resume = this.#resume
    this.#resume = null
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytesWritten += chunk.length
    const other = this.#other
    // As a kernel does it: what nobody will read any more is taken all the same.
    if (other === null || other.destroyed || other.push(chunk)) done()
    else this.#resume = done
  }

  override _final(done: () => void): void {
    const other = this.#other
    if (other !== null && !other.destroyed) other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.#other
    const finished = this.writableFinished
    other?.goOn()
    // An end that was not said is no end of an answer.
    if (other !== null && !other.destroyed && !finished) {
      process.nextTick(() => other.destroy(Object.assign(new Error('the connection was cut'), { code: 'ECONNRESET' })))
    }
    done(error)
  }
}

/** @returns the end of whoever asks, and that of the proxy */
export function memoryPair(): { readonly client: Duplex; readonly server: Socket } {
  const [client, server] = MemoryEnd.pair()
  // What else a socket has the gateway does not touch; memory-pair.test.ts and self.test.ts would show it.
  return { client, server: server as unknown as Socket }
}
