/** The open client connections of a worker. Nobody else closes them all: servers forget sockets they were handed (ANCHORS 11). */
import type { Duplex } from 'node:stream'

interface State {
  /** Requests and tunnels that are not finished. */
  busy: number
}

export class Connections {
  readonly #open = new Map<Duplex, State>()
  /** At least one byte of a request came. */
  readonly #used = new WeakSet<Duplex>()
  #onIdle: (() => void) | null = null
  #draining = false

  get size(): number {
    return this.#open.size
  }

  add(socket: Duplex): void {
    if (this.#open.has(socket)) return
    this.#open.set(socket, { busy: 0 })
    socket.once('close', () => {
      this.#open.delete(socket)
      if (this.#open.size === 0) this.#onIdle?.()
    })
  }

  used(socket: Duplex): void {
    this.#used.add(socket)
  }

  wasUsed(socket: Duplex): boolean {
    return this.#used.has(socket)
  }

  begin(socket: Duplex): void {
    this.#used.add(socket)
    const state = this.#open.get(socket)
    if (state) state.busy++
  }

  end(socket: Duplex): void {
    const state = this.#open.get(socket)
    if (!state) return
    state.busy--
    if (this.#draining && state.busy === 0) socket.end()
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
