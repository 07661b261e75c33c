/**
 * Bytes past the streams of Node: writes go to the handle of a socket at once, and reads come from it into one buffer of
 * the worker. The socket stays what it is: how it opens, ends, fails and closes is Node's matter. No other file reads from
 * a handle or writes to it; what is used of it is private to Node (lib/net.js, lib/internal/stream_base_commons.js, src/stream_base.cc),
 * which is why it is off unless asked for, and tried out before it is used (self-test.ts).
 */
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { STREAMS } from './streams.ts'
import type { SocketIo, SocketReader, SocketWriter } from './contract.ts'

/** Of a write that the kernel did not take at once; holds its bytes until it did. */
interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null
  writer: DirectWriter | null
  bytes: number
  held: unknown
}

/** Returns 0, or the number of an error. Whether it is done stands in `state`. */
interface Handle {
  reading: boolean
  onread: (this: Handle, chunk: unknown) => unknown
  useUserBuffer(buffer: Buffer): void
  readStart(): number
  readStop(): number
  writeLatin1String(request: WriteRequest, text: string): number
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  writev(request: WriteRequest, pieces: readonly Buffer[], allBuffers: true): number
}

/** What Node says of the last call: `state[READ]` bytes or an error, `state[ASYNC]` whether a write goes on. */
interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

const READ_SIZE = 65_536

/** What `_handle` may be: that of a TLS socket has the same methods, and is left to Node. */
interface WithHandle {
  readonly _handle?: Partial<Handle> | null
  readonly encrypted?: boolean
}

/** The handle of a socket that is connected by TCP; null: it has none (any more), or is of another kind. */
function handleOf(socket: Socket): Handle | null {
  const { _handle: handle, encrypted } = socket as WithHandle
  return encrypted !== true && typeof handle?.writeLatin1String === 'function' ? (handle as Handle) : null
}

class DirectWriter implements SocketWriter {
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
    if (handle === null) return false
    const request = this.#request
    const text = typeof data === 'string'
    const error = text ? handle.writeLatin1String(request, data) : handle.writeBuffer(request, data)
    return this.#written(error, data.length, data)
  }

  writeAll(pieces: readonly (string | Buffer)[]): boolean {
    const handle = this.#handle()
    if (handle === null) return false
    const buffers = pieces.map(piece => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece))
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0)
    return this.#written(handle.writev(this.#request, buffers, true), bytes, buffers)
  }

  /** Null: it takes no more. */
  #handle(): Handle | null {
    return this.#socket.writable ? handleOf(this.#socket) : null
  }

  #written(error: number, bytes: number, held: unknown): boolean {
    if (error !== 0) {
      this.#fail(error)
      return false
    }
    if (this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 0) return !this.#blocked
    const request = this.#request
    this.#request = new this.#wrap.WriteWrap()
    request.oncomplete = completed
    request.writer = this
    request.bytes = bytes
    request.held = held
    this.#unsent += bytes
    this.#blocked ||= this.#unsent >= this.#most
    return !this.#blocked
  }

  done(bytes: number, error: number): void {
    this.#unsent -= bytes
    if (this.#socket.destroyed) return
    if (error < 0) {
      this.#fail(error)
      return
    }
    if (this.#unsent > 0 || !this.#blocked) return
    this.#blocked = false
    this.#onDrain()
  }

  #fail(error: number): void {
    const code = getSystemErrorName(error)
    this.#socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno: error, syscall: 'write' }))
  }
}

function completed(this: WriteRequest, status: number): void {
  this.held = null
  this.writer?.done(this.bytes, status)
}

class DirectReader implements SocketReader {
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

/** @throws Error if this Node has not what is needed */
export function directIo(): SocketIo {
  const wrap = streamWrap()
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE)
  return {
    writer: (socket, onDrain) =>
      handleOf(socket) === null ? STREAMS.writer(socket, onDrain) : new DirectWriter(socket, wrap, onDrain),
    reader: (socket, onData) => {
      const handle = handleOf(socket)
      return handle === null ? STREAMS.reader(socket, onData) : new DirectReader(socket, handle, wrap, buffer, onData)
    },
  }
}

function streamWrap(): StreamWrap {
  const node = process as unknown as { readonly binding?: (name: string) => Partial<StreamWrap> }
  const { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = node.binding?.('stream_wrap') ?? {}
  if (
    typeof WriteWrap !== 'function' ||
    !ArrayBuffer.isView(streamBaseState) ||
    kReadBytesOrError === undefined ||
    kLastWriteWasAsync === undefined
  ) {
    throw new Error('this Node has no stream_wrap as it is needed')
  }
  return { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync }
}
