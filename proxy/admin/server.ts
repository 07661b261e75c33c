/** The admin server: probes, metrics, and what the table says, for people and tests. No key material, no way to change anything. */
import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Metrics } from '../report/metrics.ts'

export interface AdminParts {
  readonly metrics: Metrics
  /** Null: ready. Else why not. */
  readonly notReady: () => string | null
  /** Null: the process works. Else why only a new one would. */
  readonly broken: () => string | null
  /** Plain data for /table. */
  readonly table: () => object
}

/** A scrape that takes longer, in milliseconds, is cut: a scraper that reads nothing keeps all others away. */
const SCRAPE_MS = 30_000

export function createAdminServer({ metrics, notReady, broken, table }: AdminParts): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true })
  let scraping = false
  app.get('/metrics', (_request, reply) => {
    // Scrapers that come before the last one is served would add up.
    if (scraping) return reply.code(503).header('retry-after', '1').type('text/plain').send('a scrape is under way\n')
    scraping = true
    const text = Readable.from(metrics.portions(), { objectMode: false })
    const timer = setTimeout(() => text.destroy(), SCRAPE_MS).unref()
    text.once('close', () => {
      clearTimeout(timer)
      scraping = false
    })
    return reply.type(metrics.contentType).send(text)
  })
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
