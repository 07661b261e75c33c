/**
 * Bytes past the streams of Node: writes go to the handle of a socket at once, and reads come from it into one buffer of
 * the worker. The socket stays what it is: how it opens, ends, fails and closes is Node's matter.
 */
import type { SocketIo } from './contract.ts'
import { DirectReader } from './direct-reader.ts'
import { handleOf, isTls, streamWrap } from './handle.ts'
import { PlainWriter } from './plain-writer.ts'
import { STREAMS } from './streams.ts'
import { TlsWriter } from './tls-writer.ts'

const READ_SIZE = 65_536

/** @throws Error if this Node has not what is needed */
export function directIo(): SocketIo {
  const wrap = streamWrap()
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE)
  return {
    writer: (socket, onDrain) => {
      if (handleOf(socket) === null) return STREAMS.writer(socket, onDrain)
      return isTls(socket) ? new TlsWriter(socket, wrap, onDrain) : new PlainWriter(socket, wrap, onDrain)
    },
    reader: (socket, onData) => {
      const handle = handleOf(socket)
      // What a stream has read already comes first, and comes from it.
      if (handle === null || socket.readableLength > 0) return STREAMS.reader(socket, onData)
      return new DirectReader(socket, handle, wrap, buffer, onData)
    },
  }
}
