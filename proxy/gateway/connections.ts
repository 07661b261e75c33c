/** The open client connections of a worker. Nobody else closes them all: servers forget sockets they were handed (ANCHORS 11). */
import type { Duplex } from 'node:stream'

interface State {
  /** Requests and tunnels that are not finished. */
  busy: number
  /** Nothing more is taken from it. */
  closing: boolean
}

export class Connections {
  readonly #open = new Map<Duplex, State>()
  #onIdle: (() => void) | null = null
  #draining = false

  get size(): number {
    return this.#open.size
  }

  add(socket: Duplex): void {
    if (this.#open.has(socket)) return
    this.#open.set(socket, { busy: 0, closing: false })
    socket.once('close', () => {
      this.#open.delete(socket)
      if (this.#open.size === 0) this.#onIdle?.()
    })
  }

  /** Requests and tunnels of this connection that are not finished. */
  busy(socket: Duplex): number {
    return this.#open.get(socket)?.busy ?? 0
  }

  begin(socket: Duplex): void {
    const state = this.#open.get(socket)
    if (state) state.busy++
  }

  end(socket: Duplex): void {
    const state = this.#open.get(socket)
    if (!state) return
    state.busy--
    if ((this.#draining || state.closing) && state.busy === 0) socket.end()
  }

  /** Ends the connection with the answers that are under way. */
  closeWhenIdle(socket: Duplex): void {
    const state = this.#open.get(socket)
    if (!state || state.busy === 0) socket.end()
    else state.closing = true
  }

  /** Closes idle connections now and the others when their request ends; resolves when none is open. */
  drain(): Promise<void> {
    this.#draining = true
    for (const [socket, { busy }] of this.#open) if (busy === 0) socket.destroy()
    if (this.#open.size === 0) return Promise.resolve()
    return new Promise(resolve => (this.#onIdle = resolve))
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy()
  }
}
