/** Reads from the handle of a socket into a buffer that all of a worker's connections share. */
import type { Socket } from 'node:net'
import type { SocketReader } from './contract.ts'
import { handleOf } from './handle.ts'
import type { Handle, StreamWrap } from './handle.ts'

export class DirectReader implements SocketReader {
  readonly #socket: Socket
  readonly #buffer: Buffer

  constructor(socket: Socket, handle: Handle, wrap: StreamWrap, buffer: Buffer, onData: (chunk: Buffer) => void) {
    this.#socket = socket
    this.#buffer = buffer
    const { onread: ofNode } = handle
    const { streamBaseState: state, kReadBytesOrError: READ } = wrap
    handle.useUserBuffer(buffer)
    handle.onread = chunk => {
      const length = state[READ] ?? 0
      // Ends and errors are Node's.
      if (length <= 0) return ofNode.call(handle, chunk)
      onData(buffer.subarray(0, length))
      return undefined
    }
  }

  lends(bytes: Buffer): boolean {
    return bytes.buffer === this.#buffer.buffer
  }

  pause(): void {
    const handle = handleOf(this.#socket)
    if (handle?.reading !== true) return
    handle.reading = false
    handle.readStop()
  }

  resume(): void {
    const handle = handleOf(this.#socket)
    if (handle === null || handle.reading) return
    handle.reading = true
    if (handle.readStart() !== 0) this.#socket.destroy()
  }
}
