import { describe, expect, it } from '@jest/globals'
import type { Route } from '../table/contract.ts'
import { OPEN } from '../table/policy.ts'
import { ReportCounts, TotalCounts } from './aggregate.ts'
import { createMetrics } from './metrics.ts'
import { Recorder, type FinishedRequest } from './recorder.ts'

const route = (more: Partial<Route> = {}): Route => ({
  ...{ host: 'a.example', type: 'Prefix', path: '/', cluster: null, policy: OPEN, id: 0 },
  ...{ object: 'Ingress/ns/web', revision: 'r1', governed: true, ...more },
})

const finished = (more: Partial<FinishedRequest> = {}): FinishedRequest => ({
  ...{ host: 'a.example', route: route(), status: 200, notFound: false, upstreamError: false },
  ...{ milliseconds: 3, requestBytes: 50, responseBytes: 5_000, ...more },
})

function reportCounts(revision = 'r1', reports = true): ReportCounts {
  return new ReportCounts({ flush: () => Promise.resolve(), reports: () => reports, revision: () => revision })
}

describe('Recorder', () => {
  it('hands over differences, and null where there is none', () => {
    const recorder = new Recorder()
    expect(recorder.flush()).toBeNull()
    recorder.request(finished())
    recorder.request(finished({ status: 499 }))
    expect(recorder.flush()?.requests).toMatchObject([{ requests: 2, status: [0, 1, 0, 1, 0] }])
    expect(recorder.flush()).toBeNull()
    recorder.connectFailure()
    expect(recorder.flush()).toEqual({ requests: [], tls: [], connectFailures: 1 })
  })

  it('keeps hosts, objects and revisions apart', () => {
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ host: 'b.example' }))
    recorder.request(finished({ host: null, route: null, status: 404, notFound: true }))
    recorder.request(finished({ route: route({ revision: 'r2' }) }))
    recorder.request(finished({ route: route({ object: 'Ingress/ns/other' }) }))
    expect(recorder.flush()?.requests).toHaveLength(5)
  })

  it.each([
    [101, 0],
    [200, 1],
    [299, 1],
    [304, 2],
    [404, 3],
    [499, 3],
    [500, 4],
    [999, 4],
  ])('counts %d in class %d', (status, index) => {
    const recorder = new Recorder()
    recorder.request(finished({ status }))
    expect(recorder.flush()?.requests[0]?.status.indexOf(1)).toBe(index)
  })
})

describe('ReportCounts', () => {
  it('adds up what several workers counted, once', async () => {
    const counts = reportCounts()
    for (const requests of [3, 4]) {
      const recorder = new Recorder()
      for (let i = 0; i < requests; i++) recorder.request(finished({ milliseconds: i }))
      recorder.tlsHandshake('a.example')
      recorder.tlsFailure('a.example')
      counts.add(recorder.flush()!)
    }
    const { hosts, objects } = await counts.take()
    expect(hosts['a.example']).toMatchObject({ requests: 7, status: [0, 7, 0, 0, 0], tlsHandshakes: 2, tlsFailures: 2 })
    expect(hosts['a.example']?.latency.slice(0, 3)).toEqual([4, 2, 1])
    expect(objects).toEqual({ 'Ingress/ns/web': { revision: 'r1', requests: 7, status: [0, 7, 0, 0, 0] } })
    expect(await counts.take()).toEqual({ hosts: {}, objects: {} })
  })

  it('tells of the revision that is served now, and of the last one for an object that is gone', async () => {
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ route: route({ revision: 'r2' }), status: 500 }))
    const delta = recorder.flush()!
    for (const [served, expected] of [
      ['r1', [0, 1, 0, 0, 0]],
      ['r2', [0, 0, 0, 0, 1]],
      ['', [0, 0, 0, 0, 1]],
    ] as const) {
      const counts = reportCounts(served)
      counts.add(delta)
      expect((await counts.take()).objects['Ingress/ns/web']?.status).toEqual(expected)
    }
  })

  it('leaves out hosts that nobody watches and objects that are not governed', async () => {
    const recorder = new Recorder()
    recorder.request(finished({ route: route({ governed: false }) }))
    recorder.tlsFailure('a.example')
    recorder.tlsFailure(null)
    const counts = reportCounts('r1', false)
    counts.add(recorder.flush()!)
    expect(await counts.take()).toEqual({ hosts: {}, objects: {} })
  })
})

describe('metrics', () => {
  it('end the series of hosts and Ingresses that are gone, and keep unknown hosts in one', async () => {
    const known = new Set(['a.example', 'Ingress/ns/web'])
    const totals = new TotalCounts((host, object) => known.has(host) && (object === null || known.has(object)))
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ host: null, route: null, status: 404, notFound: true }))
    recorder.tlsFailure('a.example')
    recorder.tlsFailure(null)
    totals.add(recorder.flush()!)
    const registry = createMetrics({
      ...{ totals, version: '1', workers: () => ({ listening: 1, crashes: 0 }), appliedAt: () => null },
      ...{ table: () => ({ ingresses: 0, hosts: 0, certificates: 0, services: 0 }) },
      stream: () => ({ stateHash: '', source: 'none', connected: true, refusals: 2, diskError: null }),
    })
    const hosts = async (): Promise<string[]> => {
      const text = await registry.metrics()
      return [...new Set([...text.matchAll(/^sluice_.*host="([^"]*)"/gm)].map(match => match[1] ?? ''))].sort()
    }
    expect(await hosts()).toEqual(['a.example', 'other'])
    expect(await registry.metrics()).toContain('sluice_tls_failures_total{host="other"} 1')
    known.delete('Ingress/ns/web')
    expect(await registry.metrics()).not.toContain('ingress="ns/web"')
    known.delete('a.example')
    expect(await hosts()).toEqual(['other'])
    expect(await registry.metrics()).toMatch(/^sluice_table_age_seconds nan$/im)
  })

  it('write histograms as Prometheus reads them: buckets that only grow, in seconds', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    for (const milliseconds of [0.5, 1, 30, 60_000]) recorder.request(finished({ milliseconds }))
    totals.add(recorder.flush()!)
    const registry = createMetrics({
      ...{ totals, version: '1', workers: () => ({ listening: 1, crashes: 0 }), appliedAt: () => Date.now() },
      ...{ table: () => ({ ingresses: 0, hosts: 0, certificates: 0, services: 0 }) },
      stream: () => ({ stateHash: '', source: 'none', connected: true, refusals: 2, diskError: null }),
    })
    const text = await registry.metrics()
    expect(text).toContain('\nsluice_stream_connected 1\n')
    expect(text).toContain('\nsluice_updates_refused 2\n')
    expect(text).toContain('\nsluice_disk_copy_failed 0\n')
    expect(text).toContain('# TYPE sluice_request_duration_seconds histogram')
    const bucket = (le: string): RegExp =>
      new RegExp(`sluice_request_duration_seconds_bucket\\{[^}]*host="a.example"[^}]*le="${le}"[^}]*\\} (\\d+)`)
    const counts = ['0.001', '0.025', '0.05', '30', '\\+Inf'].map(le => Number(bucket(le).exec(text)?.[1]))
    expect(counts).toEqual([2, 2, 3, 3, 4])
    expect(text).toMatch(/sluice_request_duration_seconds_sum\{[^}]*\} 60\.0315\n/)
  })
})
