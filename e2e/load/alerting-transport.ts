/**
 * The bytes under a TLS 1.2 client that refuses as OpenSSL's own verification does: in the middle of the handshake,
 * with an alert. Node verifies after the handshake and sends none, so this looks at the certificates on their way.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { alertRecord } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import { certificatesIn } from './server-flight.ts'

export class AlertingTransport extends Duplex {
  readonly #socket: Socket
  readonly #judge: (chain: readonly Buffer[]) => Refusal | null
  readonly #refused: (refusal: Refusal) => void
  /** Null once the certificates were judged: from then on bytes just pass. */
  #first: Buffer | null = Buffer.alloc(0)
  #silent = false

  constructor(
    socket: Socket,
    judge: (chain: readonly Buffer[]) => Refusal | null,
    refused: (refusal: Refusal) => void,
  ) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#judge = judge
    this.#refused = refused
    socket.on('data', (chunk: Buffer) => this.#received(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', error => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  #received(chunk: Buffer): void {
    if (this.#first === null) {
      if (!this.#silent) this.push(chunk)
      return
    }
    this.#first = Buffer.concat([this.#first, chunk])
    const found = certificatesIn(this.#first)
    if (found === 'more') return
    const bytes = this.#first
    this.#first = null
    const refusal = found === 'none' ? null : this.#judge(found)
    if (refusal === null) {
      this.push(bytes)
      return
    }
    this.#silent = true
    this.#socket.end(alertRecord(refusal.alert))
    this.#refused(refusal)
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#silent || this.#socket.destroyed) done()
    else this.#socket.write(chunk, done)
  }

  override _final(done: () => void): void {
    if (!this.#silent) this.#socket.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#silent) this.#socket.destroy()
    done(error)
  }
}
