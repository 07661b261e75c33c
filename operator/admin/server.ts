/** Probes and metrics. No way to change anything, nothing secret. */
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export interface AdminParts {
  readonly metrics: Registry
  /** Null: ready. Else why not. */
  readonly notReady: () => string | null
  /** Plain data for /state. */
  readonly state: () => object
}

export function createAdminServer({ metrics, notReady, state }: AdminParts): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true })
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
  app.get('/healthz', (_request, reply) => reply.type('text/plain').send('ok\n'))
  app.get('/readyz', (_request, reply) => {
    const reason = notReady()
    return reply
      .code(reason === null ? 200 : 503)
      .type('text/plain')
      .send(`${reason ?? 'ok'}\n`)
  })
  app.get('/state', () => state())
  return app
}
