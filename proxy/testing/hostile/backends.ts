/** Backends that behave as the path of a request tells them, and note what a right proxy must never make them see. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { startBackend, type Ends } from '../../workers/testing/harness.ts'
import { reset } from '../../../protocol/testing/reset.ts'

/** How a backend treats a request. The last five are for Upgrade; other requests there are answered at once. */
export type Behaviour =
  | 'fast'
  | 'slow'
  | 'chunked'
  | 'interim'
  | 'until-close'
  | 'early'
  | 'early-close'
  | 'silent'
  | 'cut'
  | 'cut-chunked'
  | 'reset'
  | 'garbage'
  | 'accept'
  | 'accept-slow'
  | 'refuse'
  | 'refuse-slow'
  | 'hang-up'

/** `/behaviour/units/token`; a token is `c<connection>r<request>`, and a body is its token again and again. */
export function target(behaviour: Behaviour, units: number, token: string): string {
  return `/${behaviour}/${units}/${token}`
}

const TARGET = /^\/([a-z-]+)\/([0-9]+)\/(c([0-9]+)r[0-9]+)$/
export const TOKEN_FIELD = 'X-Token'
/** Bytes of the body that the client means to send; -1: this body must never end in good order. */
export const BODY_FIELD = 'X-Body'

export function answerBody(token: string, units: number): string {
  return `${token};`.repeat(units)
}

/** What the backend of a tunnel says first; after that it repeats what it hears. */
export function tunnelGreeting(token: string): string {
  return `${token}|`
}

/** No HTTP library knows it. */
export const UNKNOWN_METHOD = 'FROBNICATE'

interface ParseError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
}

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

interface Running {
  readonly token: string
  /** The backend said its last byte of it. */
  answered: boolean
  /** The proxy took it back. */
  gone: boolean
}

/** Seen at all backends together. */
export class Notes {
  readonly faults: string[] = []
  /** Open, with what was asked last on them. */
  readonly sockets = new Map<Socket, string>()
  /** Sockets ever opened. */
  opened = 0
  /** Most requests of all clients under way at once. */
  most = 0
  #now = 0
  readonly #running = new Map<string, Running>()
  readonly #once = new Set<string>()
  readonly #seen = new Set<string>()

  socket(socket: Socket): void {
    this.opened++
    this.sockets.set(socket, 'nothing was asked')
    socket.once('close', () => this.sockets.delete(socket))
  }

  /** A request with this token came to a backend. */
  saw(token: string): boolean {
    return this.#seen.has(token)
  }

  begin(method: string, token: string, connection: string): Running {
    this.#seen.add(token)
    const before = this.#running.get(connection)
    if (before && !before.answered && !before.gone) this.#overlap(before, token)
    if (!SAFE.has(method)) {
      if (this.#once.has(token)) this.faults.push(`${method} ${token} was sent more than once`)
      this.#once.add(token)
    }
    const running: Running = { token, answered: false, gone: false }
    this.#running.set(connection, running)
    this.most = Math.max(this.most, ++this.#now)
    return running
  }

  end(running: Running, how: 'answered' | 'gone'): void {
    if (running.answered || running.gone) return
    running[how] = true
    this.#now--
  }

  /** A connection that the proxy gave up may be seen to close after the next request was seen to come. */
  #overlap(before: Running, token: string): void {
    const timer = setTimeout(() => {
      if (!before.gone) this.faults.push(`${token} began before ${before.token} had ended`)
    }, 100)
    timer.unref()
  }
}

export function startHostileBackend(ends: Ends, notes: Notes): Promise<string> {
  return startBackend(
    ends,
    (request, response) => answer(request, response, notes),
    server => prepare(server, notes),
  )
}

function prepare(server: Server, notes: Notes): void {
  // Before any proxy's idle limit of these tests: that a reused connection may be stale has tests of its own.
  server.keepAliveTimeout = 0
  server.on('connection', (socket: Socket) => notes.socket(socket))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => tunnel(request, socket, head, notes))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => answer(request, response, notes))
  server.on('clientError', (error: ParseError, socket: Duplex) => {
    // A method of which this backend's parser never heard is right all the same.
    const unknown = error.rawPacket?.toString('latin1').startsWith(`${UNKNOWN_METHOD} `) === true
    // The proxy may give up in the middle of a request; it may not send one that cannot be read.
    if (!unknown && error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE') {
      notes.faults.push(`a backend got what is not HTTP: ${error.code} ${error.message}`)
    }
    socket.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', () => socket.destroy())
  })
}

interface Asked {
  readonly behaviour: Behaviour
  readonly units: number
  readonly token: string
  readonly connection: string
}

function asked({ url = '', method = '', socket }: IncomingMessage, notes: Notes): Asked | null {
  if (notes.sockets.has(socket)) notes.sockets.set(socket, `${method} ${url}`)
  const [, behaviour = '', units = '', token = '', connection = ''] = TARGET.exec(url) ?? []
  if (token === '') {
    notes.faults.push(`a request that nobody sent: ${method} ${JSON.stringify(url)}`)
    return null
  }
  return { behaviour: behaviour as Behaviour, units: Number(units), token, connection }
}

function watchBody(request: IncomingMessage, token: string, notes: Notes, onEnd: () => void): void {
  let length = 0
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => (length += chunk.length))
  request.on('end', () => {
    const meant = Number(request.headers[BODY_FIELD.toLowerCase()] ?? 0)
    if (length !== meant) notes.faults.push(`the body of ${token} ended after ${length} bytes, not after ${meant}`)
    onEnd()
  })
}

function answer(request: IncomingMessage, response: ServerResponse, notes: Notes): void {
  const asks = asked(request, notes)
  if (!asks) {
    response.writeHead(500).end()
    return
  }
  const { behaviour, token } = asks
  const { socket } = request
  const running = notes.begin(request.method ?? '', token, asks.connection)
  response.on('error', () => undefined)
  response.on('close', () => notes.end(running, 'gone'))
  const early = behaviour === 'early' || behaviour === 'early-close'
  const respond = (): void => {
    if (!response.destroyed) say(asks, response, socket, () => notes.end(running, 'answered'))
  }
  if (early) respond()
  watchBody(request, token, notes, () => {
    if (early) return
    if (behaviour === 'slow') setTimeout(respond, 30)
    else respond()
  })
}

function say({ behaviour, token, units }: Asked, response: ServerResponse, socket: Socket, answered: () => void): void {
  const body = answerBody(token, units)
  const sized = { [TOKEN_FIELD]: token, 'Content-Length': body.length }
  const head = `HTTP/1.1 200 OK\r\n${TOKEN_FIELD}: ${token}\r\n`
  // Said before the last byte is out: from then on the proxy may know that it is over.
  const last = (act: () => void): void => {
    answered()
    act()
  }
  switch (behaviour) {
    case 'chunked': {
      response.writeHead(200, { [TOKEN_FIELD]: token })
      const half = answerBody(token, Math.floor(units / 2))
      response.write(half === '' ? body : half)
      setTimeout(() => last(() => response.end(half === '' ? '' : body.slice(half.length))), 5)
      return
    }
    case 'interim':
      response.writeEarlyHints({ link: '</a>; rel=preload' })
      last(() => response.writeHead(200, sized).end(body))
      return
    case 'until-close':
      last(() => socket.end(`${head}Connection: close\r\n\r\n${body}`))
      return
    case 'early-close':
      last(() => response.writeHead(200, { ...sized, Connection: 'close' }).end(body))
      return
    case 'silent':
      return
    case 'cut':
      last(() => socket.end(`${head}Content-Length: ${body.length + 1}\r\n\r\n${body}`))
      return
    case 'cut-chunked':
      last(() =>
        socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`, () =>
          socket.destroy(),
        ),
      )
      return
    case 'reset':
      last(() => reset(socket))
      return
    case 'garbage':
      last(() => socket.end('nonsense\r\n\r\n'))
      return
    default:
      last(() => response.writeHead(200, sized).end(body))
  }
}

function tunnel(request: IncomingMessage, socket: Duplex, head: Buffer, notes: Notes): void {
  socket.on('error', () => undefined)
  const asks = asked(request, notes)
  if (!asks) {
    socket.destroy()
    return
  }
  const { behaviour, token } = asks
  const running = notes.begin(request.method ?? '', token, asks.connection)
  socket.on('close', () => notes.end(running, 'gone'))
  // Nobody else ends a socket that was upgraded, and its end is seen only where it is read.
  socket.on('end', () => socket.end())
  const accept = (): void => {
    if (socket.destroyed) return
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade ?? ''}\r\n`,
    )
    socket.write(`${TOKEN_FIELD}: ${token}\r\n\r\n${tunnelGreeting(token)}`)
    if (head.length > 0) socket.write(head)
    socket.pipe(socket)
  }
  const refuse = (): void => {
    if (socket.destroyed) return
    notes.end(running, 'answered')
    const body = answerBody(token, asks.units)
    // Whatever comes behind a refused handshake is not this backend's business.
    socket.resume()
    socket.end(
      `HTTP/1.1 403 Forbidden\r\nConnection: close\r\n${TOKEN_FIELD}: ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
  }
  if (behaviour === 'accept') accept()
  else if (behaviour === 'accept-slow') setTimeout(accept, 30)
  else if (behaviour === 'refuse-slow') setTimeout(refuse, 30)
  else if (behaviour === 'hang-up') socket.destroy()
  else if (behaviour === 'silent') socket.resume()
  else refuse()
}
