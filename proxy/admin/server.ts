/** The admin server: probes, metrics, and what the table says, for people and tests. No key material, no way to change anything. */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export interface AdminParts {
  readonly metrics: Registry
  /** Null: ready. Else why not. */
  readonly notReady: () => string | null
  /** Null: the process works. Else why only a new one would. */
  readonly broken: () => string | null
  /** Plain data for /table. */
  readonly table: () => object
}

export function createAdminServer({ metrics, notReady, broken, table }: AdminParts): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true })
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()))
  const probe = (path: string, wrong: () => string | null): unknown =>
    app.get(path, (_request, reply) => {
      const reason = wrong()
      return reply
        .code(reason === null ? 200 : 503)
        .type('text/plain')
        .send(`${reason ?? 'ok'}\n`)
    })
  probe('/healthz', broken)
  probe('/readyz', notReady)
  app.get('/table', () => table())
  return app
}
