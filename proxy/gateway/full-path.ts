/**
 * The full path: a request goes through Fastify and the route of @fastify/http-proxy, where plugins can look at it and
 * change it, before it is forwarded. They see a request of the fewest fields; heads, bodies and answers are not theirs
 * (docs/adr/0010). No other file knows Fastify.
 */
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyInstance } from 'fastify'
import { createServer } from 'node:http'
import type { ClientSide, ExchangeCarrier } from '../connection/contract.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { Forward, type ForwardContext } from '../forward/forward.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Transport } from './transport.ts'

/** Fastify routes everything here: hosts and paths are our own table's matter, methods the gateway's. */
const ROUTE = '/'
/** Asked for, but never connected to. */
const UNUSED_ORIGIN = 'http://service.invalid'

/** What Fastify and its plugins read of Node's request: whatever else the client wrote does not reach them. */
class RoutedRequest {
  readonly method = 'GET'
  readonly url = ROUTE
  readonly httpVersionMajor = 1
  readonly complete = true
  readonly aborted = false
  readonly headers: Readonly<Record<string, string>> = NO_HEADERS
  readonly carrier: Forward

  constructor(carrier: Forward) {
    this.carrier = carrier
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})
/** Nothing is ever written to it: the answer goes out on the client's connection. */
const UNUSED_RESPONSE = Object.freeze({
  headersSent: false,
  writableEnded: false,
  destroyed: false,
  on: () => undefined,
  once: () => undefined,
  removeListener: () => undefined,
  setHeader: () => undefined,
})

const carrierOf = (request: { readonly raw: unknown }): Forward => (request.raw as RoutedRequest).carrier

export class FullPath implements Transport {
  readonly #app: FastifyInstance
  readonly #context: ForwardContext

  static async create(context: ForwardContext): Promise<FullPath> {
    const app = Fastify({
      logger: false,
      exposeHeadRoutes: false,
      // It never listens: connections are the gateway's.
      serverFactory: () => createServer(),
    })
    app.setErrorHandler((error, request, reply) => {
      reply.hijack()
      carrierOf(request).defect(error)
    })
    await app.register(httpProxy, {
      upstream: UNUSED_ORIGIN,
      routes: [ROUTE],
      httpMethods: ['GET'],
      proxyPayloads: false,
      disableRequestLogging: true,
      // The answer goes past reply-from: it would fold repeated headers, refuse unusual status codes, and choose a
      // connection of its own (docs/adr/0010).
      handler: (request, reply) => {
        // From here on Fastify hears of nothing any more, not of an error either.
        reply.hijack()
        const carrier = carrierOf(request)
        try {
          carrier.start()
        } catch (error) {
          carrier.defect(error)
        }
      },
    })
    await app.ready()
    return new FullPath(app, context)
  }

  private constructor(app: FastifyInstance, context: ForwardContext) {
    this.#app = app
    this.#context = context
  }

  handle(client: ClientSide, exchange: Exchange, cluster: Cluster): ExchangeCarrier {
    const carrier = new Forward(client, exchange, cluster, this.#context)
    this.#app.routing(new RoutedRequest(carrier) as never, UNUSED_RESPONSE as never)
    return carrier
  }

  async close(): Promise<void> {
    await this.#app.close()
  }
}
