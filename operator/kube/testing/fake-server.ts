/** An HTTP server on loopback that misbehaves as an API server seldom does, but does. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { reset } from '../../../protocol/testing/reset.ts'

export interface FakeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid: string
    readonly resourceVersion: string
    readonly managedFields?: readonly unknown[]
  }
  readonly data?: Readonly<Record<string, string>>
}

export class FakeWatch {
  readonly url: URL
  readonly #response: ServerResponse
  closed = false

  constructor(url: URL, response: ServerResponse) {
    this.url = url
    this.#response = response
    response.on('close', () => (this.closed = true))
  }

  event(type: string, object: unknown): void {
    this.raw(`${JSON.stringify({ type, object })}\n`)
  }

  raw(text: string | Uint8Array): void {
    this.#response.write(text)
  }

  end(): void {
    this.#response.end()
  }

  /** The connection breaks as when a process dies. */
  reset(): void {
    if (this.#response.socket) reset(this.#response.socket)
  }
}

type Answerer = (url: URL, response: ServerResponse, request: IncomingMessage) => void

export class FakeServer {
  readonly objects = new Map<string, FakeObject>()
  readonly watches: FakeWatch[] = []
  readonly lists: URL[] = []
  readonly sockets = new Set<Socket>()
  /** Answers to the next requests of a kind, one each; then the server behaves. */
  readonly nextLists: Answerer[] = []
  readonly nextWatches: Answerer[] = []
  readonly nextOthers: Answerer[] = []
  resourceVersion = 100
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<FakeServer> {
    const server = createServer()
    const fake = new FakeServer(server)
    server.on('request', (request, response) => fake.#request(request, response))
    server.on('connection', socket => {
      fake.sockets.add(socket)
      socket.on('close', () => fake.sockets.delete(socket))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  config(token = 'secret-token'): KubeConfig {
    const config = new KubeConfig()
    config.loadFromClusterAndUser(
      { name: 'fake', server: this.address, skipTLSVerify: true },
      { name: 'tester', token },
    )
    return config
  }

  get openWatches(): readonly FakeWatch[] {
    return this.watches.filter(w => !w.closed)
  }

  put(name: string, data: Readonly<Record<string, string>> = {}, uid = `uid-${name}`): FakeObject {
    const object: FakeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name,
        namespace: 'ns',
        uid,
        resourceVersion: String(++this.resourceVersion),
        managedFields: [{ manager: 'kubectl' }],
      },
      data,
    }
    this.objects.set(name, object)
    return object
  }

  drop(name: string): FakeObject {
    const object = this.objects.get(name)
    if (object === undefined) throw new Error(`no object ${name}`)
    this.objects.delete(name)
    const resourceVersion = String(++this.resourceVersion)
    return { ...object, metadata: { ...object.metadata, resourceVersion } }
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.address)
    const isWatch = url.searchParams.get('watch') === 'true'
    const isList = request.method === 'GET' && url.pathname.endsWith('/configmaps')
    if (isWatch) {
      const answer = this.nextWatches.shift()
      if (answer !== undefined) {
        answer(url, response, request)
        return
      }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      this.watches.push(new FakeWatch(url, response))
      return
    }
    if (isList) {
      this.lists.push(url)
      const answer = this.nextLists.shift()
      if (answer !== undefined) {
        answer(url, response, request)
        return
      }
      this.#list(url, response)
      return
    }
    const answer = this.nextOthers.shift()
    if (answer !== undefined) {
      answer(url, response, request)
      return
    }
    sendStatus(response, 404, 'NotFound', 'not found')
  }

  #list(url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? '0')
    const start = Number(url.searchParams.get('continue') ?? '0')
    const all = [...this.objects.values()]
    const items = limit > 0 ? all.slice(start, start + limit) : all
    const next = limit > 0 && start + limit < all.length ? String(start + limit) : ''
    sendJson(response, 200, {
      kind: 'ConfigMapList',
      metadata: { resourceVersion: String(this.resourceVersion), continue: next },
      items,
    })
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

export function sendStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendJson(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }, headers)
}
