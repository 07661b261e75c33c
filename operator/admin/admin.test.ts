import { afterEach, describe, expect, it } from '@jest/globals'
import type { FastifyInstance } from 'fastify'
import { createMetrics } from './metrics.ts'
import type { MetricSources, Metrics } from './metrics.ts'
import { createAdminServer } from './server.ts'

const QUEUE = { queued: 2, active: 1, delayed: 5, failing: 3, errors: 9 }
const sources = (change: Partial<MetricSources> = {}): MetricSources => ({
  leading: () => true,
  synced: () => false,
  objects: () => ({ Ingress: 7, Secret: 2 }),
  gates: () => ({ Ingress: true, Secret: false }),
  problems: () => 4,
  governed: () => 5,
  gone: () => 0,
  supersededAgain: () => 9,
  unknownFields: () => ({ 'spec.mode': 3 }),
  unreadable: () => 0,
  locked: () => 0,
  stale: () => 0,
  open: () => ({ Pending: 1, Progressing: 2 }),
  streams: () => 6,
  certificateEnds: () => [{ secret: 'Secret/shop/tls', notAfter: 1_800_000_000_000 }],
  queues: () => ({ objects: QUEUE }),
  events: () => ({ sent: 8, dropped: 1 }),
  ...change,
})
const lines = async ({ registry }: Metrics): Promise<readonly string[]> =>
  (await registry.metrics()).split('\n').filter(line => line.startsWith('sluice_operator_'))

describe('metrics', () => {
  it('are what the sources say at the moment they are asked', async () => {
    expect(await lines(createMetrics(sources()))).toEqual(
      expect.arrayContaining([
        'sluice_operator_leading 1',
        'sluice_operator_synced 0',
        'sluice_operator_objects{kind="Ingress"} 7',
        'sluice_operator_checksum_consistent{kind="Secret"} 0',
        'sluice_operator_problem_objects 4',
        'sluice_operator_governed_objects 5',
        'sluice_operator_unknown_field_objects{field="spec.mode"} 3',
        'sluice_operator_superseded_again_objects 9',
        'sluice_operator_rollouts{phase="Progressing"} 2',
        'sluice_operator_streams 6',
        'sluice_operator_certificate_not_after_seconds{namespace="shop",secret="tls"} 1800000000',
        'sluice_operator_queue_depth{queue="objects"} 3',
        'sluice_operator_queue_failing{queue="objects"} 3',
        'sluice_operator_events{outcome="dropped"} 1',
      ]),
    )
  })

  it('forget a label that is not there any more', async () => {
    let open: Readonly<Record<string, number>> = { Pending: 1 }
    const metrics = createMetrics(sources({ open: () => open }))
    expect(await lines(metrics)).toContain('sluice_operator_rollouts{phase="Pending"} 1')
    open = { Paused: 1 }
    const after = await lines(metrics)
    expect(after).toContain('sluice_operator_rollouts{phase="Paused"} 1')
    expect(after.join()).not.toContain('Pending')
  })

  it('count how rollouts end, from zero, and what failed', async () => {
    const metrics = createMetrics(sources())
    expect(await lines(metrics)).toContain('sluice_operator_rollouts_ended_total{phase="RolledBack"} 0')
    metrics.rolloutEnded('RolledBack')
    metrics.watchFailed('Ingress', 'denied')
    metrics.reportReceived()
    expect(await lines(metrics)).toEqual(
      expect.arrayContaining([
        'sluice_operator_rollouts_ended_total{phase="RolledBack"} 1',
        'sluice_operator_watch_failures_total{kind="Ingress",reason="denied"} 1',
        'sluice_operator_reports_total 1',
      ]),
    )
  })

  it('of two operators in one process have nothing in common', async () => {
    const [one, two] = [createMetrics(sources()), createMetrics(sources())]
    one.reportReceived()
    expect(await lines(two)).toContain('sluice_operator_reports_total 0')
  })
})

describe('the admin server', () => {
  let app: FastifyInstance | null = null
  afterEach(() => app?.close())

  /** Starts it; what it answers to a path. */
  async function serve(notReady: () => string | null): Promise<(path: string, method?: string) => Promise<Response>> {
    app = createAdminServer({
      metrics: createMetrics(sources()).registry,
      notReady,
      state: () => ({ leading: true }),
    })
    const address = await app.listen({ host: '127.0.0.1', port: 0 })
    return (path, method = 'GET') => fetch(`${address}${path}`, { method })
  }

  it('lives from its start, and is ready when it is', async () => {
    let reason: string | null = 'not everything is read yet'
    const ask = await serve(() => reason)
    const get = async (path: string): Promise<readonly [number, string]> => {
      const answer = await ask(path)
      return [answer.status, await answer.text()]
    }
    expect(await get('/healthz')).toEqual([200, 'ok\n'])
    expect(await get('/readyz')).toEqual([503, 'not everything is read yet\n'])
    reason = null
    expect(await get('/readyz')).toEqual([200, 'ok\n'])
  })

  it('shows metrics as Prometheus reads them, and its state', async () => {
    const ask = await serve(() => null)
    const metrics = await ask('/metrics')
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    expect(await metrics.text()).toContain('sluice_operator_leading 1')
    expect(await (await ask('/state')).json()).toEqual({ leading: true })
  })

  it('changes nothing, whatever one sends', async () => {
    const ask = await serve(() => null)
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
      for (const path of ['/state', '/metrics', '/healthz', '/']) expect((await ask(path, method)).status).toBe(404)
  })
})
