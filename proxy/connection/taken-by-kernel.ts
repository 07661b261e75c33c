/**
 * How much of what was written the kernel took. Streams tell of whole writes only, and one write may be megabytes: a slow
 * client takes it for minutes, and nothing public shows that it does. Node's own socket timeout looks at the same place
 * (lib/net.js, Socket.prototype._onTimeout: `writeQueueSize`).
 */
import type { Socket } from 'node:net'

interface Handle {
  /** Handed to libuv. */
  readonly bytesWritten?: unknown
  /** Of these, what waits in libuv. */
  readonly writeQueueSize?: unknown
  /** Of a TLS handle: the one below it, which takes the encrypted bytes. */
  readonly _parent?: Handle | null
}

/** Bytes, encrypted ones for TLS: they grow with every one that goes out. Null: the socket is closed. */
export function takenByKernel(socket: Socket): number | null {
  const handle = (socket as { readonly _handle?: Handle | null })._handle
  const lowest = handle?._parent ?? handle
  if (!lowest) return null
  const { bytesWritten, writeQueueSize } = lowest
  // No handle of libuv: whole writes are all that can be seen.
  if (typeof bytesWritten !== 'number' || typeof writeQueueSize !== 'number') {
    return socket.bytesWritten - socket.writableLength
  }
  return bytesWritten - writeQueueSize
}
