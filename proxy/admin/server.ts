/** The admin server: probes, metrics, and what the table says, for people and tests. No key material, no way to change anything. */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export interface AdminParts {
  readonly metrics: Registry
  /** Null: ready. Else why not. */
  readonly notReady: () => string | null
  /** Plain data for /table. */
  readonly table: () => object
}

export function createAdminServer({ metrics, notReady, table }: AdminParts): FastifyInstance {
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
  app.get('/table', () => table())
  return app
}
