/** The admin server: probes, metrics, and what the table says, for people and tests. No key material, no way to change anything. */
import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Metrics } from '../report/metrics.ts'
import type { Question } from '../workers/explain.ts'
import { hostName } from './host-name.ts'
import { routeQuestion } from './route-question.ts'

export interface AdminParts {
  readonly metrics: Metrics
  /** Null: ready. Else why not. */
  readonly notReady: () => string | null
  /** Null: the process works. Else why only a new one would. */
  readonly broken: () => string | null
  /** Where a request would go: plain data for /route, or why that cannot be said. */
  readonly explain: (question: Question) => Promise<Answer>
  /** All there is of a host, by its name in lower case: plain data for /hosts, or why there is none. */
  readonly host: (name: string) => Promise<Answer>
  /** Plain data for /table. */
  readonly table: () => object
}

export type Answer =
  { readonly status: 200; readonly explanation: object } | { readonly status: 400 | 404 | 503; readonly error: string }

/** For people, who ask with curl. */
function tell(reply: FastifyReply, answer: Answer): FastifyReply {
  const body = answer.status === 200 ? answer.explanation : { error: answer.error }
  return reply
    .code(answer.status)
    .type('application/json')
    .send(`${JSON.stringify(body, null, 2)}\n`)
}

/** Of a host, three times what DNS allows: each character may come with a percent sign. */
const LONGEST_NAME = 3 * 255

/** A scrape that takes longer, in milliseconds, is cut: a scraper that reads nothing keeps all others away. */
const SCRAPE_MS = 30_000

export function createAdminServer({ metrics, notReady, broken, explain, host, table }: AdminParts): FastifyInstance {
  const app = Fastify({ logger: false, forceCloseConnections: true, routerOptions: { maxParamLength: LONGEST_NAME } })
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
  app.get('/route', async (request, reply) => {
    const question = routeQuestion(new URL(request.raw.url ?? '', 'http://proxy').searchParams)
    return tell(reply, 'error' in question ? { status: 400, ...question } : await explain(question))
  })
  app.get<{ Params: { readonly host: string } }>('/hosts/:host', async (request, reply) => {
    const name = hostName(request.params.host)
    if (name !== null) return tell(reply, await host(name))
    return tell(reply, { status: 400, error: 'this is no name of a host: use /hosts/shop.example or /hosts/*.example' })
  })
  return app
}
