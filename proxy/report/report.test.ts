import { describe, expect, it } from '@jest/globals'
import type { Route } from '../table/contract.ts'
import { OPEN } from '../table/policy.ts'
import { TALLY_WIDTH } from '../upstream/endpoint-counters.ts'
import { ReportCounts } from './aggregate.ts'
import type { CountsDelta, RequestCounts, RowName } from './counts.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { Recorder, type FinishedRequest } from './recorder.ts'
import { readRow } from './columns.ts'
import { UpstreamTotals } from './upstream-totals.ts'
import { TotalCounts } from './totals.ts'

const SESSION = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', resumed: false }

const route = (more: Partial<Route> = {}): Route => ({
  ...{ host: 'a.example', type: 'Prefix', path: '/', cluster: null, policy: OPEN, split: null, id: 0 },
  ...{ object: 'Ingress/ns/web', revision: 'r1', governed: true, ...more },
})

const finished = (more: Partial<FinishedRequest> = {}): FinishedRequest => ({
  ...{
    host: 'a.example',
    route: route(),
    status: 200,
    notFound: false,
    upstreamError: false,
    internal: false,
    closed: false,
  },
  ...{ milliseconds: 3, connectMs: null, firstByteMs: 2, attempts: 1, requestBytes: 50, responseBytes: 5_000, ...more },
})

/** What was handed over, row by row. */
function rowsOf(delta: CountsDelta | null): readonly (RequestCounts & RowName)[] {
  const { names = [], figures = new Float64Array() } = delta?.requests ?? {}
  return names.map((name, i) => ({ ...name, ...readRow(figures, i) }))
}

function reportCounts(revision = 'r1', reports = true): ReportCounts {
  return new ReportCounts({ flush: () => Promise.resolve(), reports: () => reports, revision: () => revision })
}

describe('Recorder', () => {
  it('hands over differences, and null where there is none', () => {
    const recorder = new Recorder()
    expect(recorder.flush()).toBeNull()
    recorder.request(finished())
    recorder.request(finished({ status: 499 }))
    expect(rowsOf(recorder.flush())).toMatchObject([{ requests: 2, status: [0, 1, 0, 1, 0] }])
    expect(recorder.flush()).toBeNull()
    recorder.connectFailure()
    expect(recorder.flush()).toMatchObject({ requests: { names: [] }, tls: [], connectFailures: 1 })
  })

  it('keeps hosts, objects and revisions apart', () => {
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ host: 'b.example' }))
    recorder.request(finished({ host: null, route: null, status: 404, notFound: true }))
    recorder.request(finished({ route: route({ revision: 'r2' }) }))
    recorder.request(finished({ route: route({ object: 'Ingress/ns/other' }) }))
    expect(rowsOf(recorder.flush())).toHaveLength(5)
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
    expect(rowsOf(recorder.flush())[0]?.status.indexOf(1)).toBe(index)
  })
})

describe('ReportCounts', () => {
  it('adds up what several workers counted, once', async () => {
    const counts = reportCounts()
    for (const requests of [3, 4]) {
      const recorder = new Recorder()
      for (let i = 0; i < requests; i++) recorder.request(finished({ milliseconds: i }))
      recorder.tlsHandshake('a.example', SESSION)
      recorder.tlsFailure('a.example', null)
      counts.add(recorder.flush()!)
    }
    const { hosts, objects } = await counts.take()
    expect(hosts['a.example']).toMatchObject({ requests: 7, status: [0, 7, 0, 0, 0], tlsHandshakes: 2, tlsFailures: 2 })
    expect(hosts['a.example']?.latency.slice(0, 3)).toEqual([4, 2, 1])
    const web = { revision: 'r1', requests: 7, status: [0, 7, 0, 0, 0], closed: 0 }
    expect(objects).toEqual({ 'Ingress/ns/web': web })
    expect(await counts.take()).toEqual({ hosts: {}, objects: {} })
  })

  it('says nothing of our own faults, which are evidence of nothing', async () => {
    const counts = reportCounts()
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ status: 502, upstreamError: true }))
    for (const status of [500, 503]) recorder.request(finished({ status, internal: true, milliseconds: 9_000 }))
    counts.add(recorder.flush()!)
    const { hosts, objects } = await counts.take()
    expect(hosts['a.example']).toMatchObject({ requests: 2, status: [0, 1, 0, 0, 1], upstreamErrors: 1 })
    expect(hosts['a.example']?.latency.reduce((sum, count) => sum + count, 0)).toBe(2)
    const web = { revision: 'r1', requests: 2, status: [0, 1, 0, 0, 1], closed: 0 }
    expect(objects).toEqual({ 'Ingress/ns/web': web })
  })

  it('keeps answers of closed paths apart: no request, no failure, no latency of a backend', async () => {
    const counts = reportCounts()
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ status: 503, upstreamError: true }))
    for (let i = 0; i < 3; i++) recorder.request(finished({ status: 503, closed: true }))
    recorder.request(finished({ host: 'shut.example', status: 503, closed: true }))
    counts.add(recorder.flush()!)
    const { hosts, objects } = await counts.take()
    expect(hosts['a.example']).toMatchObject({ requests: 2, status: [0, 1, 0, 0, 1], upstreamErrors: 1, closed: 3 })
    expect(hosts['a.example']?.latency.reduce((sum, count) => sum + count, 0)).toBe(2)
    expect(hosts['shut.example']).toMatchObject({ requests: 0, status: [0, 0, 0, 0, 0], closed: 1 })
    const web = { revision: 'r1', requests: 2, status: [0, 1, 0, 0, 1], closed: 4 }
    expect(objects).toEqual({ 'Ingress/ns/web': web })
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
    recorder.tlsFailure('a.example', null)
    recorder.tlsFailure(null, null)
    const counts = reportCounts('r1', false)
    counts.add(recorder.flush()!)
    expect(await counts.take()).toEqual({ hosts: {}, objects: {} })
  })
})

function metricsOf(
  totals: TotalCounts,
  appliedAt: number | null = null,
  upstream = new UpstreamTotals(() => true),
  tableBroken: string | null = null,
): Metrics {
  return createMetrics({
    ...{
      totals,
      upstream,
      version: '1',
      socketIo: 'direct',
      workers: () => ({ serving: 1, crashes: 0, stalls: 2, outOfMemory: 4, heapLimitBytes: 256 }),
      appliedAt: () => appliedAt,
      tableBroken: () => tableBroken,
    },
    ...{ table: () => ({ ingresses: 0, hosts: 0, certificates: 0, services: 0, memoryBytes: 0 }) },
    logDropped: () => ({ access: 7, own: 1 }),
    workerStates: () => [
      { number: 3, lagSeconds: 0.5, heapBytes: 1_024, open: { http: 5, https: 6, requests: 2, tunnels: 1 } },
    ],
    ticketsOfFleet: () => true,
    probes: () => ({ ok: 5, failed: 2 }),
    stream: () => ({ stateHash: '', source: 'none', connected: true, refusals: 2, diskError: null, diskRefused: 1 }),
  })
}

async function textOf(metrics: Metrics): Promise<string> {
  return (await portionsOf(metrics)).join('')
}

async function portionsOf(metrics: Metrics): Promise<readonly string[]> {
  const portions: string[] = []
  for await (const portion of metrics.portions()) portions.push(portion)
  return portions
}

/** One request for each of the hosts, answered by an Ingress of its own. */
function visit(totals: TotalCounts, hosts: readonly string[], times = 1): void {
  const recorder = new Recorder()
  for (const host of hosts) {
    for (let i = 0; i < times; i++) recorder.request(finished({ host, route: route({ object: `Ingress/ns/${host}` }) }))
  }
  totals.add(recorder.flush()!)
}

const hostsNamed = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `host-${i}.example.com`)

/** Requests by host and Ingress. */
function requestsOf(totals: TotalCounts): Readonly<Record<string, number>> {
  return Object.fromEntries(totals.series().map(s => [`${s.host} ${s.ingress}`.trim(), s.counts.requests]))
}

describe('metrics', () => {
  it('end the series of hosts and Ingresses that are gone, and keep unknown hosts in one', async () => {
    const known = new Set(['a.example', 'Ingress/ns/web'])
    const totals = new TotalCounts((host, object) => known.has(host) && (object === null || known.has(object)))
    const recorder = new Recorder()
    recorder.request(finished())
    recorder.request(finished({ host: null, route: null, status: 404, notFound: true }))
    recorder.tlsFailure('a.example', null)
    recorder.tlsFailure(null, null)
    totals.add(recorder.flush()!)
    const metrics = metricsOf(totals)
    const hosts = async (): Promise<string[]> => {
      const text = await textOf(metrics)
      return [...new Set([...text.matchAll(/^sluice_.*host="([^"]*)"/gm)].map(match => match[1] ?? ''))].sort()
    }
    expect(await hosts()).toEqual(['a.example', 'other'])
    expect(await textOf(metrics)).toContain(
      'sluice_tls_failures_total{host="other",version="none",cipher="none",resumed="false"} 1',
    )
    known.delete('Ingress/ns/web')
    expect(await textOf(metrics)).not.toContain('ingress="ns/web"')
    known.delete('a.example')
    expect(await hosts()).toEqual(['other'])
    expect(await textOf(metrics)).toMatch(/^sluice_table_age_seconds nan$/im)
    expect(await textOf(metrics)).toMatch(/^sluice_table_broken 0$/m)
    const broken = metricsOf(new TotalCounts(() => true), null, undefined, 'no more memory')
    expect(await textOf(broken)).toMatch(/^sluice_table_broken 1$/m)
  })

  it('tell what was refused, what was let go of to make room, and what was our own fault', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    recorder.refusedConnection('client-connections')
    recorder.shedConnections('memory', 16)
    recorder.shedConnections('memory', 0)
    recorder.shedRequest('memory')
    recorder.failure('body-too-big')
    recorder.failure('upstream-timeout')
    recorder.failure('body-too-big')
    recorder.defect()
    recorder.carried('relay')
    recorder.carried('full')
    recorder.carried('relay')
    recorder.request(finished({ status: 500, internal: true }))
    recorder.request(finished({ status: 503, closed: true }))
    totals.add(recorder.flush()!)
    const text = await textOf(metricsOf(totals))
    for (const line of [
      'sluice_defects_total 1',
      'sluice_requests_by_path_total{path="relay"} 2',
      'sluice_requests_by_path_total{path="full"} 1',
      'sluice_internal_errors_total{host="a.example",ingress="ns/web"} 1',
      'sluice_closed_total{host="a.example",ingress="ns/web"} 1',
      'sluice_requests_total{host="a.example",ingress="ns/web",status="5xx"} 2',
      'sluice_connections_refused_total{reason="client-connections"} 1',
      'sluice_connections_shed_total{reason="memory"} 16',
      'sluice_requests_shed_total{reason="memory"} 1',
      'sluice_request_failures_total{reason="body-too-big"} 2',
      'sluice_request_failures_total{reason="upstream-timeout"} 1',
    ])
      expect(text).toContain(`\n${line}\n`)
  })

  it('write histograms as Prometheus reads them: buckets that only grow, in seconds', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    for (const milliseconds of [0.5, 1, 30, 60_000]) recorder.request(finished({ milliseconds }))
    totals.add(recorder.flush()!)
    const text = await textOf(metricsOf(totals, Date.now()))
    expect(text).toContain('\nsluice_stream_connected 1\n')
    expect(text).toContain('\nsluice_socket_io_info{socket_io="direct"} 1\n')
    expect(text).toContain('\nsluice_updates_refused 2\n')
    expect(text).toContain('\nsluice_disk_copy_failed 0\n')
    expect(text).toContain('\nsluice_disk_copies_refused_total 1\n')
    expect(text).toContain('\nsluice_worker_stalls_total 2\n')
    expect(text).toContain('\nsluice_worker_out_of_memory_total 4\n')
    expect(text).toContain('\nsluice_worker_heap_limit_bytes 256\n')
    expect(text).toContain('\nsluice_access_log_dropped_total 7\n')
    expect(text).toContain('\nsluice_log_dropped_total 1\n')
    expect(text).toContain('\nsluice_probes_total{result="ok"} 5\nsluice_probes_total{result="failed"} 2\n')
    expect(text).toContain('\nsluice_worker_event_loop_lag_seconds{worker="3"} 0.5\n')
    expect(text).toContain('\nsluice_worker_heap_bytes{worker="3"} 1024\n')
    expect(text).toContain('\nsluice_connections_open{worker="3",protocol="http"} 5\n')
    expect(text).toContain('\nsluice_connections_open{worker="3",protocol="https"} 6\n')
    expect(text).toContain('\nsluice_requests_in_flight{worker="3"} 2\n')
    expect(text).toContain('\nsluice_tunnels_open{worker="3"} 1\n')
    expect(text).toContain('# TYPE sluice_request_duration_seconds histogram')
    const bucket = (le: string): RegExp =>
      new RegExp(`sluice_request_duration_seconds_bucket\\{[^}]*host="a.example"[^}]*le="${le}"[^}]*\\} (\\d+)`)
    const counts = ['0.001', '0.025', '0.05', '30', '\\+Inf'].map(le => Number(bucket(le).exec(text)?.[1]))
    expect(counts).toEqual([2, 2, 3, 3, 4])
    expect(text).toMatch(/sluice_request_duration_seconds_sum\{[^}]*\} 60\.0315\n/)
    expect(text).toContain('# TYPE sluice_response_size_bytes summary')
    expect(text).toContain('sluice_response_size_bytes_sum{host="a.example",ingress="ns/web"} 20000\n')
    expect(text).toContain('sluice_response_size_bytes_count{host="a.example",ingress="ns/web"} 4\n')
  })

  it('tell codes by themselves, and beyond thirty by their class', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    for (const status of [200, 204, 204, 299, 418, 499, 599]) recorder.request(finished({ status }))
    totals.add(recorder.flush()!)
    const text = await textOf(metricsOf(totals))
    const codes = [...text.matchAll(/^sluice_responses_total\{.*code="(.*)"\} (\d+)$/gm)]
    expect(codes.map(([, code, count]) => `${code} ${count}`)).toEqual([
      ...['200 1', '204 2', '299 1', '418 1', '499 1', '599 1'],
    ])
    for (let status = 400; status < 460; status++) recorder.request(finished({ status }))
    totals.add(recorder.flush()!)
    const more = (await textOf(metricsOf(totals))).match(/^sluice_responses_total\{.*code="\d+"\}/gm)
    expect(more).toHaveLength(31)
    expect(await textOf(metricsOf(totals))).toMatch(/^sluice_responses_total\{.*code="4xx"\} 34$/m)
  })

  it('tell when a backend was connected to, when it answered, and how often it was tried anew', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    recorder.request(finished({ connectMs: 3, firstByteMs: 40, attempts: 3 }))
    recorder.request(finished({ connectMs: null, firstByteMs: null, attempts: 1 }))
    recorder.request(finished({ connectMs: null, firstByteMs: null, attempts: 0 }))
    recorder.request(finished({ host: 'b.example', firstByteMs: null }))
    totals.add(recorder.flush()!)
    const text = await textOf(metricsOf(totals))
    const at = 'host="a.example",ingress="ns/web"'
    for (const line of [
      `sluice_upstream_connect_seconds_bucket{${at},le="0.001"} 0`,
      `sluice_upstream_connect_seconds_bucket{${at},le="0.003"} 1`,
      `sluice_upstream_connect_seconds_sum{${at}} 0.003`,
      `sluice_upstream_first_byte_seconds_bucket{${at},le="0.03"} 0`,
      `sluice_upstream_first_byte_seconds_bucket{${at},le="0.1"} 1`,
      `sluice_upstream_first_byte_seconds_sum{${at}} 0.04`,
      `sluice_upstream_first_byte_seconds_count{${at}} 1`,
      `sluice_retries_total{${at}} 2`,
    ])
      expect(text).toContain(`\n${line}\n`)
    // Nothing was observed there.
    expect(text).not.toMatch(/sluice_upstream_\w+\{host="b\.example"/)
  })

  it('tell of TLS by what was agreed on; beyond eight of a host the cipher is one', async () => {
    const totals = new TotalCounts(() => true)
    const recorder = new Recorder()
    for (let i = 0; i < 20; i++) recorder.tlsHandshake('a.example', { ...SESSION, cipher: `C${i}` })
    recorder.tlsFailure('a.example', { ...SESSION, cipher: 'C19', resumed: true })
    recorder.tlsHandshake('b.example', { ...SESSION, cipher: 'C19' })
    totals.add(recorder.flush()!)
    const text = await textOf(metricsOf(totals))
    expect(text.match(/^sluice_tls_handshakes_total\{host="a\.example".*$/gm)).toHaveLength(9)
    for (const line of [
      'sluice_tls_handshakes_total{host="a.example",version="TLSv1.3",cipher="C7",resumed="false"} 1',
      'sluice_tls_handshakes_total{host="a.example",version="TLSv1.3",cipher="other",resumed="false"} 12',
      'sluice_tls_failures_total{host="a.example",version="TLSv1.3",cipher="other",resumed="true"} 1',
      'sluice_tls_handshakes_total{host="b.example",version="TLSv1.3",cipher="C19",resumed="false"} 1',
    ])
      expect(text).toContain(`\n${line}\n`)
  })

  it('tell of Services and endpoints what there is to tell', async () => {
    const upstream = new UpstreamTotals(() => true)
    const figures = new Float64Array(2 * TALLY_WIDTH)
    for (let i = 0; i < 2 * TALLY_WIDTH; i++) figures[i] = i + 1
    const names = [null, '10.0.0.1:80'].map(endpoint => ({ service: 'ns/web:80', endpoint }))
    upstream.add(0, { names, figures })
    const text = await textOf(metricsOf(new TotalCounts(() => true), null, upstream))
    const lines = text.split('\n').filter(line => /^sluice_(service|endpoint)_/.test(line))
    expect(lines).toEqual([
      'sluice_service_requests_total{service="ns/web:80"} 1',
      'sluice_service_failures_total{service="ns/web:80"} 2',
      'sluice_service_connects_total{service="ns/web:80"} 3',
      'sluice_service_connect_failures_total{service="ns/web:80"} 4',
      'sluice_service_in_flight{service="ns/web:80"} 7',
      'sluice_service_retries_total{service="ns/web:80"} 5',
      ...['requests_total 9', 'failures_total 10', 'connects_total 11', 'connect_failures_total 12', 'in_flight 15']
        .concat(['rests_total 14', 'idle_connections 16'])
        .map(line => `sluice_endpoint_${line.replace(' ', '{service="ns/web:80",endpoint="10.0.0.1:80"} ')}`),
    ])
    expect(text).toContain('# TYPE sluice_endpoint_idle_connections gauge\n')
    expect(text).toContain('# TYPE sluice_endpoint_rests_total counter\n')
  })

  it('are lines of the text format, each family in one piece', async () => {
    const totals = new TotalCounts(() => true)
    visit(totals, ['a.example', 'b"\\.example'])
    const text = await textOf(metricsOf(totals))
    expect(text).toContain('{host="b\\"\\\\.example",')
    const line = /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="([^"\\\n]|\\.)*"(,\w+="([^"\\\n]|\\.)*")*\})? (\S+))$/
    expect(
      text
        .trimEnd()
        .split('\n')
        .filter(l => l !== '' && !line.test(l)),
    ).toEqual([])
    const families = [...text.matchAll(/^# TYPE (\w+)/gm)].map(match => match[1])
    expect(new Set(families).size).toBe(families.length)
  })

  it('of 20 000 hosts are below 2 MB, and written in small portions', async () => {
    const totals = new TotalCounts(() => true)
    visit(totals, hostsNamed(20_000))
    const portions = await portionsOf(metricsOf(totals))
    expect(portions.join('').length).toBeLessThan(2_000_000)
    expect(Math.max(...portions.slice(1).map(portion => portion.length))).toBeLessThan(100_000)
  })

  it('are written in small portions even where every one of 20 000 hosts is wanted, and the loop turns between two', async () => {
    const totals = new TotalCounts(() => true, { hosts: 20_000 })
    visit(totals, hostsNamed(20_000))
    let turns = 0
    const turn = (): void => {
      turns++
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    const portions = await portionsOf(metricsOf(totals))
    clearImmediate(next)
    expect(Math.max(...portions.map(portion => portion.length))).toBeLessThan(100_000)
    expect(portions.length).toBeGreaterThan(1_000)
    expect(turns).toBeGreaterThanOrEqual(portions.length - 1)
  }, 30_000)
})

describe('TotalCounts', () => {
  const MINUTE = 60_000

  it('names the first hosts until there are too many, and books every request once', () => {
    const totals = new TotalCounts(() => true, { hosts: 2 })
    visit(totals, ['a', 'b', 'c', 'd'])
    visit(totals, ['a', 'c'])
    expect(requestsOf(totals)).toEqual({ other: 3, 'a ns/a': 2, 'b ns/b': 1 })
    const recorder = new Recorder()
    recorder.tlsFailure('a', null)
    recorder.tlsFailure('c', null)
    totals.add(recorder.flush()!)
    expect(totals.tls()).toMatchObject([
      { host: 'other', handshakes: 0, failures: 1 },
      { host: 'a', handshakes: 0, failures: 1 },
    ])
  })

  it('tell of one host what was counted since the start, and in the last whole minute', () => {
    let now = 0
    const totals = new TotalCounts(host => host !== 'gone', { hosts: 2, now: () => now })
    const recorder = new Recorder()
    const count = (times: number, more: Partial<FinishedRequest> = {}): void => {
      for (let i = 0; i < times; i++) recorder.request(finished(more))
      totals.add(recorder.flush()!)
    }
    const requests = (): readonly unknown[] => {
      const { sinceStart, lastMinute, ingresses } = totals.figures('a.example')!
      const [first] = ingresses
      expect([first?.sinceStart, first?.lastMinute]).toEqual([sinceStart, lastMinute])
      return [sinceStart.requests, lastMinute?.requests]
    }
    count(30)
    count(30, { status: 503 })
    now = 20_000
    expect(totals.figures('a.example')).toMatchObject({
      sinceStart: { requests: 60, perSecond: 3, successRate: 0.5 },
      lastMinute: null,
      ingresses: [{ ingress: 'ns/web', codes: { 200: 30, 503: 30 } }],
      tls: [],
    })
    now = 61_000
    count(5)
    expect(requests()).toEqual([65, 60])
    now = 119_000
    expect(requests()).toEqual([65, 60])
    now = 120_000
    expect(requests()).toEqual([65, 5])
    // Nothing came, and nobody asked, for more than a minute.
    now = 250_000
    expect(requests()).toEqual([65, 0])
    count(1)
    now = 400_000
    expect(requests()).toEqual([66, 0])
    recorder.tlsHandshake('a.example', SESSION)
    totals.add(recorder.flush()!)
    expect(totals.figures('a.example')?.tls).toEqual([{ ...SESSION, resumed: 'false', handshakes: 1, failures: 0 }])
    for (const host of ['other', 'never', 'gone']) expect(totals.figures(host)).toBeNull()
  })

  it('lists none where none is wanted', () => {
    const totals = new TotalCounts(() => true, { hosts: 0 })
    visit(totals, ['a', 'b'])
    expect(requestsOf(totals)).toEqual({ other: 2 })
  })

  it('gives the place of a host to one that is busier for five minutes, and no series ever goes back', () => {
    let now = 0
    const totals = new TotalCounts(() => true, { hosts: 2, now: () => now })
    visit(totals, ['a', 'b'], 10)
    const seen = new Map<string, number>()
    for (let minute = 1; minute <= 8; minute++) {
      now += MINUTE
      visit(totals, ['c'], 100)
      visit(totals, ['a'], 50)
      visit(totals, ['b'], 10)
      for (const [series, requests] of Object.entries(requestsOf(totals))) {
        expect(requests).toBeGreaterThanOrEqual(seen.get(series) ?? 0)
        seen.set(series, requests)
      }
      expect(requestsOf(totals)).toHaveProperty(['a ns/a'])
      if (minute < 5) expect(requestsOf(totals)).toHaveProperty(['b ns/b'])
    }
    expect(requestsOf(totals)).toHaveProperty(['c ns/c'])
    expect(requestsOf(totals)).not.toHaveProperty(['b ns/b'])
    // What was counted for it before it had a place stays where it was.
    expect(seen.get('c ns/c')! + seen.get('other')! + seen.get('b ns/b')! + seen.get('a ns/a')!).toBe(
      20 + 8 * (100 + 50 + 10),
    )
  })

  it('lets two hosts that are alike not take turns', () => {
    let now = 0
    const totals = new TotalCounts(() => true, { hosts: 1, now: () => now })
    for (let minute = 1; minute <= 20; minute++) {
      visit(totals, ['a'], 10)
      visit(totals, ['b'], 15)
      now += MINUTE
    }
    expect(requestsOf(totals)).toEqual({ other: 300, 'a ns/a': 200 })
  })

  it('gives the place of a host that left the table, or went quiet, to another', () => {
    let now = 0
    const known = new Set(['a', 'b', 'c', 'd', 'e'])
    const totals = new TotalCounts(host => known.has(host), { hosts: 2, now: () => now })
    visit(totals, ['a', 'b', 'c'])
    known.delete('a')
    now += MINUTE
    visit(totals, ['d'], 3)
    expect(requestsOf(totals)).toHaveProperty(['b ns/b'])
    for (let minute = 1; minute <= 10; minute++) {
      visit(totals, ['c', 'd'], 3)
      now += MINUTE
    }
    visit(totals, ['c', 'd'])
    expect(Object.keys(requestsOf(totals)).sort()).toEqual(['c ns/c', 'd ns/d', 'other'])
  })

  it('sums up the Ingresses of a host that has too many', () => {
    const totals = new TotalCounts(() => true, { hosts: 2 })
    const recorder = new Recorder()
    for (let i = 0; i < 50; i++) recorder.request(finished({ route: route({ object: `Ingress/ns/web-${i}` }) }))
    recorder.request(finished({ host: 'b', route: route({ object: 'Ingress/ns/b' }) }))
    totals.add(recorder.flush()!)
    const requests = requestsOf(totals)
    expect(requests['a.example other']).toBe(46)
    expect(Object.keys(requests)).toHaveLength(6)
    expect(requests['b other']).toBe(1)
  })
})
