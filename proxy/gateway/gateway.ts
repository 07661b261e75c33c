/**
 * The HTTP side of a worker: one http.Server under Fastify, for plain and for decrypted connections.
 * Fastify and reply-from carry the request; what is decided, written and counted is ours (docs/adr/0004).
 */
import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'
import { METHODS, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TableReader } from '../table/contract.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { DataPlaneError } from '../errors.ts'
import { answerFor, answerText } from './answers.ts'
import { Exchange, type PublicPorts } from './exchange.ts'
import { fail, follow, forward, mustClose, type Books, type Passage } from './passage.ts'
import { relayAnswer } from './relay-answer.ts'
import { handleUpgrade, mayUpgrade } from './upgrade.ts'

/** The client's side, all in milliseconds; 0 switches one off. */
export interface GatewayTimeouts {
  readonly headers: number
  readonly request: number
  readonly keepAlive: number
  /** Between two pieces of a request's body, or of an answer that it does not take. */
  readonly bodyIdle: number
}

export interface GatewayParts extends Books {
  readonly table: TableReader
  readonly upstream: Upstream
  readonly timeouts: GatewayTimeouts
  readonly publicPorts: PublicPorts
  readonly maxHeaderBytes: number
  readonly draining: () => boolean
}

/** Under this key the passage goes through reply-from, in the headers that it copies but does not read. */
const PASSAGE = Symbol('passage')
/** Fastify routes everything here: hosts and paths are our own table's matter. */
const ONLY_ROUTE = '/'
const UNUSED_ORIGIN = 'http://service.invalid'
const TEXT = 'text/plain; charset=utf-8'

type Callback = (error: unknown, answer?: { statusCode: number; headers: object; body: unknown }) => void

/** The server listens when its caller says so; decrypted sockets are handed to it by emit('connection'). */
export async function createGateway(parts: GatewayParts): Promise<Server> {
  const passages = new WeakMap<object, Passage>()
  /** The newest request of a connection. */
  const newest = new WeakMap<object, Passage>()
  const passageOf = (request: object): Passage => {
    const passage = passages.get(request)
    if (!passage) throw new TypeError('a request without its passage')
    return passage
  }

  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    // Whatever the client wrote must not reach Fastify's router or reply-from's URL handling (`/%E4`, `/a/..b`).
    rewriteUrl: () => ONLY_ROUTE,
    clientErrorHandler: (error, socket) => refuseMalformed(error, socket, parts, newest.get(socket) ?? null),
    serverFactory: route =>
      createHttpServer(parts, (request, response, expectsContinue) => {
        const before = newest.get(request.socket)
        // What follows a message that nobody can read is no request, whatever it looks like.
        if (before && mustClose(before)) return
        const exchange = new Exchange(request, parts.table, parts.publicPorts)
        const passage: Passage = { exchange, request, response, expectsContinue, answer: null, error: null }
        passages.set(request, passage)
        newest.set(request.socket, passage)
        follow(passage, parts, parts.timeouts.bodyIdle)
        if (parts.draining()) response.shouldKeepAlive = false
        route(request, response)
      }),
  })
  const methods = METHODS.filter(method => method !== 'CONNECT')
  // "No body": Fastify then neither parses nor judges it (content types, GET with a body); we stream it ourselves.
  for (const method of methods) app.addHttpMethod(method, { hasBody: false, overrideExisting: true })

  app.addHook('onRequest', async (request, reply) => {
    const passage = passageOf(request.raw)
    const { exchange } = passage
    const { decision } = exchange
    if (decision.kind === 'forward') return
    if (mustClose(passage)) reply.header('connection', 'close')
    await reply
      .code(decision.status)
      .type(TEXT)
      .send(answerText(decision.status, decision.reason, exchange.id))
  })
  app.setErrorHandler((error, request, reply) => {
    reply.hijack()
    fail(answerFor(error), passageOf(request.raw))
  })

  // What reply-from takes for an undici client.
  const transport = {
    request: (options: { headers: Record<symbol, Passage | undefined> }, callback: Callback): void => {
      const passage = options.headers[PASSAGE]
      if (!passage) throw new TypeError('a request without its passage')
      forward(passage, parts.upstream, parts.timeouts.bodyIdle).then(
        answer => {
          passage.answer = answer
          // The head goes past reply-from: it would fold repeated headers and refuse unusual status codes.
          callback(null, { statusCode: 200, headers: {}, body: answer.body })
        },
        (error: unknown) => {
          passage.error = error
          callback(error)
        },
      )
    },
  }
  await app.register(httpProxy, {
    upstream: '',
    routes: [ONLY_ROUTE],
    httpMethods: methods,
    proxyPayloads: false,
    internalRewriteLocationHeader: false,
    undici: transport as never,
    replyOptions: {
      getUpstream: () => UNUSED_ORIGIN,
      // Without it reply-from asks a backend that answers 503 ten times more (ANCHORS 9).
      retryDelay: () => null,
      rewriteRequestHeaders: request => ({ [PASSAGE]: passageOf(request.raw) }) as never,
      onResponse: (request, reply) => {
        reply.hijack()
        answerClient(passageOf(request.raw))
      },
      onError: reply => {
        reply.hijack()
        const passage = passageOf(reply.request.raw)
        fail(answerFor(passage.error), passage)
      },
    },
  })
  await app.ready()
  return app.server
}

function createHttpServer(
  parts: GatewayParts,
  accept: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => void,
): Server {
  const { timeouts, connections } = parts
  const shortest = Math.min(...[timeouts.headers, timeouts.request, 60_000].filter(ms => ms > 0))
  const server = createServer({
    // Node refuses to start where the part may take longer than the whole.
    headersTimeout: timeouts.request > 0 ? Math.min(timeouts.headers, timeouts.request) : timeouts.headers,
    requestTimeout: timeouts.request,
    keepAliveTimeout: timeouts.keepAlive,
    connectionsCheckingInterval: Math.max(100, Math.min(shortest / 4, 10_000)),
    maxHeaderSize: parts.maxHeaderBytes,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    insecureHTTPParser: false,
    // Our own answer to it is counted and logged.
    requireHostHeader: false,
    shouldUpgradeCallback: mayUpgrade,
  })
  // By default Node drops the headers after the 2000th without a word. The size of the head is limited.
  server.maxHeadersCount = 0
  server.on('connection', socket => connections.add(socket))
  server.on('request', (request, response) => accept(request, response, false))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => accept(request, response, true))
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    accept(request, response, false),
  )
  server.on('upgrade', (request, _socket, head) => handleUpgrade(request, head, parts))
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined)
    refuse('405 Method Not Allowed', socket, parts)
  })
  return server
}

function answerClient(passage: Passage): void {
  const { exchange, answer, response } = passage
  if (!answer) return
  if (response.destroyed) {
    answer.body.on('error', () => undefined).destroy()
    return
  }
  try {
    relayAnswer(exchange, answer, response, mustClose(passage))
  } catch (error) {
    answer.body.on('error', () => undefined).destroy()
    fail(answerFor(error), passage)
  }
}

const MALFORMED: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/**
 * What is not HTTP gets a short answer and its connection closed.
 * @param newest the last request of the connection that could be read
 */
function refuseMalformed(
  error: Error & { readonly code?: string },
  socket: Duplex,
  parts: Books,
  newest: Passage | null,
): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy(error)
    return
  }
  const busy = parts.connections.busy(socket)
  if (busy > 0 && error.code === 'HPE_INVALID_EOF_STATE') {
    // The client went in the middle of its body: nobody waits for an answer.
    socket.destroy()
    return
  }
  // An answer of ours must not be taken for the one to an earlier request.
  if (busy > 0 && newest?.request.complete !== false) parts.connections.closeWhenIdle(socket)
  else if (busy > 1 || newest?.response.headersSent) socket.destroy(error)
  else if (busy === 1 && newest) {
    fail(answerFor(new DataPlaneError('SLUICE_CLIENT_MALFORMED', 'the body is malformed', { cause: error })), newest)
  } else refuse(MALFORMED[error.code ?? ''] ?? '400 Bad Request', socket, parts)
}

function refuse(status: string, socket: Duplex, { recorder }: Books): void {
  const text = `${status}\n`
  const head = `Connection: close\r\nContent-Type: ${TEXT}\r\nContent-Length: ${text.length}`
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n\r\n${text}`, () => socket.destroy())
  // A connection that was opened in advance and never used carries no request.
  if (socket instanceof Socket && socket.bytesRead === 0) return
  recorder.request({
    ...{ host: null, route: null, status: Number.parseInt(status), notFound: false, upstreamError: false },
    ...{ milliseconds: 0, requestBytes: 0, responseBytes: text.length },
  })
}
