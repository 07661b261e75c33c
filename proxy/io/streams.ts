/** Bytes through the streams of Node: any Duplex will do. */
import type { Socket } from 'node:net'
import type { SocketIo, SocketReader, SocketWriter } from './contract.ts'

class StreamWriter implements SocketWriter {
  readonly #socket: Socket

  constructor(socket: Socket, onDrain: () => void) {
    this.#socket = socket
    socket.on('drain', onDrain)
  }

  get unsent(): number {
    return this.#socket.writableLength
  }

  get blocked(): boolean {
    return this.#socket.writableNeedDrain
  }

  write(data: string | Buffer): boolean {
    return typeof data === 'string' ? this.#socket.write(data, 'latin1') : this.#socket.write(data)
  }

  writeAll(pieces: readonly (string | Buffer)[]): boolean {
    let more = true
    this.#socket.cork()
    for (const piece of pieces) more = this.write(piece)
    this.#socket.uncork()
    return more
  }

  end(): void {
    this.#socket.end()
  }

  endAndClose(): void {
    this.#socket.destroySoon()
  }
}

class StreamReader implements SocketReader {
  readonly #socket: Socket

  constructor(socket: Socket, onData: (chunk: Buffer) => void) {
    this.#socket = socket
    socket.on('data', onData)
  }

  lends(): boolean {
    return false
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}

export const STREAMS: SocketIo = {
  writer: (socket, onDrain) => new StreamWriter(socket, onDrain),
  reader: (socket, onData) => new StreamReader(socket, onData),
}
