/** A TCP relay on loopback that can be shut: to who connects through it the API server is away, to others it is not. */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { reset } from '../../protocol/testing/reset.ts'

export class Gate {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #open = true

  private constructor(server: Server) {
    this.#server = server
  }

  /** To `https://127.0.0.1:port`. TLS goes through untouched. */
  static async to(address: string): Promise<Gate> {
    const port = Number(new URL(address).port)
    const server = createServer()
    const gate = new Gate(server)
    server.on('connection', socket => gate.#relay(socket, port))
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return gate
  }

  get address(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  open(): void {
    this.#open = true
  }

  /** Resets every connection, and all that come, until it is opened again. */
  shut(): void {
    this.#open = false
    for (const socket of this.#sockets) reset(socket)
  }

  async close(): Promise<void> {
    this.shut()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #relay(near: Socket, port: number): void {
    if (!this.#open) {
      reset(near)
      return
    }
    const far = connect(port, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => reset(other))
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }
}
