/** The echo backend: an HTTP server that says what it saw. For the demo and the tests; nobody runs it for real. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { answer, seen } from './answers.ts'
import type { EchoConfig } from './config.ts'

export class EchoServer {
  readonly #config: EchoConfig
  readonly #server: Server
  readonly #sockets = new WebSocketServer({
    noServer: true,
    // The first one offered, as a server does that knows them all.
    handleProtocols: offered => [...offered][0] ?? false,
  })
  #draining = false

  constructor(config: EchoConfig) {
    this.#config = config
    // Proxies pool connections: one that the backend closes while a request is on its way would fail that request.
    this.#server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
      if (this.#draining) response.setHeader('connection', 'close')
      if (request.url === '/healthz') {
        response.writeHead(this.#draining ? 503 : 200).end(this.#draining ? 'draining\n' : 'ok\n')
        return
      }
      answer(request, response, config).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined)
      })
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket, head) => this.#upgrade(request, socket, head))
  }

  /** Returns the port. */
  async listen(host?: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#config.port, host, resolve)
    })
    return (this.#server.address() as AddressInfo).port
  }

  /** Not ready at once, new requests until the drain time is over, those under way to their end. */
  async close(): Promise<void> {
    this.#draining = true
    await sleep(this.#config.drainMs)
    for (const client of this.#sockets.clients) client.close(1001, 'server ends')
    // Connections whose last request is still under way become idle later.
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50)
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
    clearInterval(idle)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    if (this.#config.status !== 200) {
      socket.end(`HTTP/1.1 ${this.#config.status} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    this.#sockets.handleUpgrade(request, socket, head, client => {
      client.on('error', () => client.terminate())
      client.send(JSON.stringify(seen(request, this.#config)))
      client.on('message', (data, isBinary) => client.send(data, { binary: isBinary }))
    })
  }
}
