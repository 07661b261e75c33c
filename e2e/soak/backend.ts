/** What stands behind the proxy: many addresses that come and go, as pods do. It says in each answer which of them it is, and what it was asked. */
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { answerOf } from './truth.ts'

/** A pod that ends does so when its last requests have been answered. */
const GRACE_MS = 5_000

export interface Sent {
  readonly host: string
  readonly target: string
  /** Method, and digest of the body. */
  readonly sent: string
  /** Characters, head and body. */
  readonly length: number
}

/** @param request as it came, one character per byte. Null: not all of it is there yet */
export function parseRequest(request: string): Sent | null {
  const end = request.indexOf('\r\n\r\n')
  if (end < 0) return null
  const head = request.slice(0, end + 2)
  const [, method = '', target = ''] = /^(\S+) (\S+)/.exec(head) ?? []
  const host = /\r\nhost: *([^\r]*)\r/i.exec(head)?.[1] ?? ''
  const body = Number(/\r\ncontent-length: *([0-9]+)\r/i.exec(head)?.[1] ?? 0)
  const length = end + 4 + body
  if (request.length < length) return null
  return { host, target, sent: sentOf(method, request.slice(end + 4, length)), length }
}

/** @param body one character per byte */
export function sentOf(method: string, body: string): string {
  return body === '' ? method : `${method} ${hash('sha1', Buffer.from(body, 'latin1'))}`
}

interface Endpoint {
  readonly server: Server
  readonly sockets: Set<Socket>
}

export class Backend {
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #lies = new Set<string>()
  /** Connections that were still open at an address that had gone for a while. */
  kept = 0

  get connections(): number {
    return [...this.#endpoints.values()].reduce((sum, { sockets }) => sum + sockets.size, 0)
  }

  /** @param ip of the loopback. @returns `ip:port` */
  async open(ip: string): Promise<string> {
    const sockets = new Set<Socket>()
    const server = createServer(socket => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      this.#serve(socket, `${ip}:${(server.address() as AddressInfo | null)?.port ?? 0}`)
    })
    server.listen(0, ip)
    await once(server, 'listening')
    const address = `${ip}:${(server.address() as AddressInfo).port}`
    this.#endpoints.set(address, { server, sockets })
    return address
  }

  /** It takes no new connection, and ends those that it has after a while. */
  retire(address: string): void {
    const endpoint = this.#endpoints.get(address)
    if (endpoint === undefined) return
    endpoint.server.close()
    setTimeout(() => {
      this.kept += endpoint.sockets.size
      for (const socket of endpoint.sockets) socket.destroy()
      this.#endpoints.delete(address)
    }, GRACE_MS)
  }

  /** From now on what it answers of this host is wrong: for who has to see that this is noticed. */
  lie(host: string): void {
    this.#lies.add(host)
  }

  #serve(socket: Socket, address: string): void {
    let received = ''
    socket.setNoDelay(true)
    // What becomes of the request is the clients' matter.
    socket.on('error', () => undefined)
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk
      for (let sent = parseRequest(received); sent !== null; sent = parseRequest(received)) {
        received = received.slice(sent.length)
        const host = this.#lies.has(sent.host) ? `not ${sent.host}` : sent.host
        const body = answerOf(address, { ...sent, host })
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1')
      }
    })
  }
}
