/**
 * What is private to Node: the handle below a socket, and how it is written to (lib/net.js, lib/internal/stream_base_commons.js,
 * src/stream_base.cc, src/crypto/crypto_tls.cc). No file outside of this folder calls a handle. That it works is tried out before it
 * is used (self-test.ts).
 */
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'

/** Of a write that is not done at once; holds its bytes until it is. */
export interface WriteRequest {
  oncomplete: ((this: WriteRequest, status: number) => void) | null
  writer: WritesLater | null
  bytes: number
  held: unknown
}

/** Told when a write is done that was not done at once. */
export interface WritesLater {
  /** @param error 0, or the number of an error */
  done(bytes: number, error: number): void
}

/** Returns 0, or the number of an error. Whether it is done stands in `StreamWrap.streamBaseState`. */
export interface Handle {
  reading: boolean
  onread: (this: Handle, chunk: unknown) => unknown
  useUserBuffer(buffer: Buffer): void
  readStart(): number
  readStop(): number
  writeLatin1String(request: WriteRequest, text: string): number
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  writev(request: WriteRequest, pieces: readonly Buffer[], allBuffers: true): number
}

/** What Node says of the last call: `state[kReadBytesOrError]` bytes or an error, `state[kLastWriteWasAsync]` whether a write goes on. */
export interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
}

/** The handle of a socket that is connected by TCP, or by TLS above it; null: it has none (any more), or is of another kind. */
export function handleOf(socket: Socket): Handle | null {
  const { _handle: handle } = socket as { readonly _handle?: Partial<Handle> | null }
  return typeof handle?.writeLatin1String === 'function' ? (handle as Handle) : null
}

export function isTls(socket: Socket): boolean {
  return (socket as { readonly encrypted?: boolean }).encrypted === true
}

/** @returns as Handle */
export function writeTo(handle: Handle, request: WriteRequest, data: string | Buffer): number {
  return typeof data === 'string' ? handle.writeLatin1String(request, data) : handle.writeBuffer(request, data)
}

/** For `Handle.writev`, and to be held until it is done. */
export function asBuffers(pieces: readonly (string | Buffer)[]): readonly Buffer[] {
  return pieces.map(piece => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece))
}

export function lengthOf(pieces: readonly (string | Buffer)[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0)
}

/** Of a write that is not done at once. @param held what it reads from */
export function goesOn(request: WriteRequest, writer: WritesLater, bytes: number, held: unknown): void {
  request.oncomplete = completed
  request.writer = writer
  request.bytes = bytes
  request.held = held
}

function completed(this: WriteRequest, status: number): void {
  this.held = null
  this.writer?.done(this.bytes, status)
}

/** As Node says it. @param error the number of one */
export function failWrite(socket: Socket, error: number): void {
  const code = getSystemErrorName(error)
  socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno: error, syscall: 'write' }))
}

/** @throws Error if this Node has not what is needed */
export function streamWrap(): StreamWrap {
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
