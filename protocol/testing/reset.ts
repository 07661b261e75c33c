import type { Socket } from 'node:net'

/**
 * Breaks a connection by a reset where Node can do that. While a shutdown is pending it cannot: the handle would be lost for
 * good (seen with Node 26.9.0). There the connection is destroyed.
 * @param outer the TLS socket over it, whose shutdown is one of the socket below
 */
export function reset(socket: Socket, outer: Socket = socket): void {
  if (socket.destroyed) return
  if (outer.destroyed || shuttingDown(outer) || shuttingDown(socket)) socket.destroy()
  else socket.resetAndDestroy()
}

function shuttingDown({ writableEnded, writableFinished }: Socket): boolean {
  return writableEnded && !writableFinished
}
