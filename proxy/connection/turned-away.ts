/** Connections that are not taken: they get an answer, and are closed. */
import type { Socket } from 'node:net'

/**
 * So many wait at once for their client to read the answer and go, for so many milliseconds: one that is closed over a
 * request that is on its way is reset, and some systems throw away what they have received then. Beyond, they are reset:
 * what is turned away for want of something must not take it up nevertheless.
 */
const MOST_WAITING = 256
const WAIT_MS = 1_000

export class TurnedAway {
  #waiting = 0

  get waiting(): number {
    return this.#waiting
  }

  /** @param answer with Connection: close */
  answer(socket: Socket, answer: string): void {
    socket.on('error', () => undefined)
    socket.end(answer, 'latin1')
    if (this.#waiting >= MOST_WAITING) {
      socket.destroySoon()
      return
    }
    this.#waiting++
    const timer = setTimeout(() => socket.destroy(), WAIT_MS)
    socket.once('close', () => {
      clearTimeout(timer)
      this.#waiting--
    })
    socket.once('end', () => socket.destroySoon())
    socket.resume()
  }
}
