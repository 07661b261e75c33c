/**
 * Who is at the other end of a connection that just came. From the balancers that are named each one begins with a header of the PROXY
 * protocol, and without a good one it is closed: who only guesses whether one comes believes whoever writes one. From everybody else none is read.
 */
import type { Socket } from 'node:net'
import { plainAddress } from '../exchange/peer.ts'
import { readProxyHeader, type Source } from './proxy-header.ts'

export interface ArrivalsParts {
  /** Whose connections begin with a header. */
  readonly balancers: { has(address: string): boolean }
  /** For the header, in milliseconds; 0: no limit. */
  readonly timeout: number
  /** Connections that wait for theirs: the oldest is given up for a new one; 0: no limit. */
  readonly most: number
  /** It was malformed, or none. */
  readonly refused: () => void
}

const NOTHING = Buffer.alloc(0)
const ignore = (): void => undefined

export class Arrivals {
  readonly #parts: ArrivalsParts
  /** In the order in which they came. */
  readonly #waiting = new Set<Socket>()

  constructor(parts: ArrivalsParts) {
    this.#parts = parts
  }

  /** @param next called once, now or when its header is there; not if it is closed before */
  open(socket: Socket, next: (source: Source) => void): void {
    const own: Source = { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 }
    if (own.address === '') {
      // Reset before it was taken (balancers look whether a port is open in this way): what it sent has no sender any more.
      socket.on('error', ignore)
      socket.destroy()
    } else if (this.#parts.balancers.has(own.address)) this.#await(socket, own, next)
    else next(own)
  }

  /** Ends what still waits. */
  end(): void {
    for (const socket of this.#waiting) socket.destroy()
  }

  #await(socket: Socket, own: Source, next: (source: Source) => void): void {
    const { timeout, most, refused } = this.#parts
    let read: Buffer = NOTHING
    const timer = timeout === 0 ? null : setTimeout(() => socket.destroy(), timeout)
    const over = (): void => {
      if (timer !== null) clearTimeout(timer)
      this.#waiting.delete(socket)
      socket.off('data', onData)
      socket.off('end', onEnd)
      socket.off('close', over)
    }
    // Balancers look whether a port is open: who says nothing has done nothing wrong.
    const onEnd = (): void => void socket.destroy()
    const onData = (chunk: Buffer): void => {
      read = read.length === 0 ? chunk : Buffer.concat([read, chunk])
      const header = readProxyHeader(read)
      if (header.state === 'more') return
      over()
      if (header.state === 'invalid') {
        refused()
        socket.destroy()
        return
      }
      socket.off('error', ignore)
      const rest = read.subarray(header.bytes)
      if (rest.length > 0) socket.unshift(rest)
      next(header.source ?? own)
    }
    socket.on('error', ignore)
    socket.on('data', onData)
    socket.on('end', onEnd)
    socket.on('close', over)
    this.#waiting.add(socket)
    if (most === 0 || this.#waiting.size <= most) return
    const [oldest] = this.#waiting
    oldest?.destroy()
  }
}
