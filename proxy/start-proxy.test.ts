import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { BroadcastChannel, Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { ObservedProbe } from '../protocol/messages.ts'
import { Authority } from '../e2e/pki/pki.ts'
import { dataPlaneConfig } from './config.ts'
import { startProxy, type RunningProxy } from './start-proxy.ts'
import { certificate, certificates, endpoints, fragment, host, path, tls, upsert } from './table/testing/fixtures.ts'
import { smallWriter } from './table/testing/one-thread.ts'
import { keptOf, readerOf } from './table/testing/stored.ts'
import { ownSecrets } from './frontdoor/ticket-keys.ts'
import type { ProbeSource } from './probe/prober.ts'
import type { CounterSource } from './report/counter-source.ts'
import type { StreamHandle } from './stream/contract.ts'
import type { TableSink, TicketSink } from './table/update.ts'
import {
  Ends,
  RawClient,
  TEST_ENVIRONMENT,
  accessLines,
  ask,
  deadAddress,
  eventually,
  startBackend,
  temporaryFile,
  type Environment,
} from './workers/testing/harness.ts'
import { resourceLimits } from './workers/heap.ts'

/** Of worker.ts; hangs when it is told to over the channel. */
const HANGING = 'workers/testing/hanging-worker.ts'
const HANG_CHANNEL = 'sluice-test-hang'
/** The same, and fills its heap. */
const HUNGRY = 'workers/testing/hungry-worker.ts'
const EAT_CHANNEL = 'sluice-test-eat'

const ends = new Ends()
afterEach(() => ends.all())

interface Running extends RunningProxy {
  readonly sink: TableSink
  readonly tickets: TicketSink
  readonly counters: CounterSource
  readonly probes: ProbeSource
  /** The threads, those that were replaced too. */
  readonly threads: readonly Worker[]
  readonly logged: readonly string[]
  readonly streamClosed: () => boolean
}

/**
 * A proxy with worker threads as in a pod; jest's own module system stays out of them.
 * @param scripts what the first threads run, where that is not worker.ts
 */
async function start(env: Environment = {}, threads: Worker[] = [], scripts: readonly string[] = []): Promise<Running> {
  const logged: string[] = []
  const log = (_fields: object, message: string): number => logged.push(message)
  let parts: Pick<Running, 'sink' | 'tickets' | 'counters' | 'probes'> | null = null
  let closed = false
  const stream: StreamHandle = {
    status: () => ({
      ...{ stateHash: 'hash', source: 'stream', checksums: { ingress: 'i', secret: null } },
      ...{ connected: true, refusals: 0, diskError: null, diskRefused: 0 },
    }),
    close: () => {
      closed = true
      return Promise.resolve()
    },
  }
  const running = await startProxy({
    config: dataPlaneConfig({ ...TEST_ENVIRONMENT, WORKERS: '2', ...env }),
    version: '1.2.3',
    log: { info: log, warn: log, error: log },
    spawn: setup => {
      const script = scripts[threads.length] ?? 'worker.ts'
      const thread = new Worker(join(__dirname, script), {
        ...{ workerData: setup, execArgv: [], env: {} },
        resourceLimits: resourceLimits(setup.config),
      })
      threads.push(thread)
      return thread
    },
    startStream: given => {
      parts = given
      return stream
    },
  })
  ends.add(() => running.shutdown())
  const { sink, tickets, counters, probes } = parts as unknown as NonNullable<typeof parts>
  return {
    get ports() {
      return running.ports
    },
    shutdown: () => running.shutdown(),
    ...{ sink, tickets, counters, probes, threads, logged, streamClosed: () => closed },
  }
}

async function freePort(): Promise<number> {
  return Number((await deadAddress()).split(':')[1])
}

async function admin(proxy: RunningProxy, target: string): Promise<string> {
  const { status, body } = await ask(proxy.ports.admin, { path: target })
  return `${status} ${body}`
}

/** Host a.example, with TLS by `ca`, and a wildcard. */
async function configure(proxy: Running, ca: Authority): Promise<void> {
  const address = await startBackend(ends, (request, response) => {
    response.writeHead(Number(/[0-9]{3}/.exec(request.url ?? '')?.[0] ?? 200)).end()
  })
  const leaf = await ca.issue({ hosts: ['a.example'] })
  await proxy.sink.apply(certificates([certificate('s', 'ECDSA', leaf)]))
  await proxy.sink.apply(endpoints({ 'ns/web:80': [address] }))
  const paths = [path('Prefix /'), path('Prefix /none', 'ns/none:80')]
  await proxy.sink.apply(
    upsert(
      fragment('web', [host('a.example', ...paths), host('*.b.example', ...paths)], { tls: [tls('s', 'a.example')] }),
    ),
  )
}

const SWITCHED = 'HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'
const STATUS_LINE = /^(sluice_[a-z_]+(?:\{[^}]*\})?) (\S+)$/gm

async function metrics(proxy: RunningProxy): Promise<ReadonlyMap<string, number>> {
  const text = await admin(proxy, '/metrics')
  return new Map([...text.matchAll(STATUS_LINE)].map(([, name = '', value]) => [name, Number(value)] as const))
}

describe('a proxy with worker threads', () => {
  it('is ready when it has a table, says why while it is not, and serves what it was given', async () => {
    const proxy = await start()
    expect(await admin(proxy, '/healthz')).toBe('200 ok\n')
    expect(await admin(proxy, '/readyz')).toBe('503 no table yet\n')
    expect(proxy.ports.http).toBe(0)
    await configure(proxy, await Authority.root('test'))
    expect(await admin(proxy, '/readyz')).toBe('200 ok\n')
    expect((await ask(proxy.ports.http, {})).status).toBe(200)
    const table = JSON.parse((await ask(proxy.ports.admin, { path: '/table' })).body) as object
    expect(table).toMatchObject({
      ...{ stateHash: 'hash', source: 'stream', ingresses: 1, hosts: 2, certificates: 1, services: 1 },
      workers: { wanted: 2, listening: 2, serving: 2, crashes: 0, stalls: 0, outOfMemory: 0 },
      revisions: { 'Ingress/ns/web': 'r1', 'Secret/ns/s': 'r1' },
    })
    expect(JSON.stringify(table)).not.toContain('PRIVATE')
  }, 15_000)

  it.each([
    ['streams', true, 'streams', []],
    ['direct', true, 'direct', []],
    ['direct', false, 'streams', ['SOCKET_IO=direct is not used: this Node has no stream_wrap as it is needed']],
  ] as const)(
    'SOCKET_IO=%s, it works: %j: takes %s',
    async (asked, works, taken, warnings) => {
      const node = process as unknown as { binding: () => unknown }
      const binding = works ? null : jest.spyOn(node, 'binding').mockReturnValue({})
      const proxy = await start({ SOCKET_IO: asked })
      binding?.mockRestore()
      await configure(proxy, await Authority.root('test'))
      expect((await ask(proxy.ports.http, {})).status).toBe(200)
      expect((await metrics(proxy)).get(`sluice_socket_io_info{socket_io="${taken}"}`)).toBe(1)
      expect(proxy.logged.filter(line => line.includes('SOCKET_IO'))).toEqual(warnings)
    },
    15_000,
  )

  it('serves a table that was stored, is told that it is wrong, serves nothing, and then what comes', async () => {
    const proxy = await start()
    const address = await startBackend(ends, (_request, response) => response.end('stored'))
    const writer = smallWriter()
    writer.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))])), 0)
    await proxy.sink.restore(readerOf(keptOf(writer), { endpoints: [['ns/web:80', [address]]] }))
    expect(await admin(proxy, '/readyz')).toBe('200 ok\n')
    const { http } = proxy.ports
    expect((await ask(http, {})).body).toBe('stored')
    // As while it is proven: all of it is read, and changes go on.
    const objects = proxy.sink.objects()
    expect([...objects.entries()]).toHaveLength(1)
    await proxy.sink.apply(upsert(fragment('more', [host('b.example', path('Prefix /'))])))
    objects.close()
    expect((await ask(http, { headers: { host: 'b.example' } })).body).toBe('stored')

    await proxy.sink.withdraw()
    expect(await admin(proxy, '/readyz')).toBe('503 no table yet\n')
    await expect(ask(http, {})).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const seen = await metrics(proxy)
    expect([seen.get('sluice_worker_crashes_total'), seen.get('sluice_table_ingresses')]).toEqual([0, 0])
    await configure(proxy, await Authority.root('test'))
    expect((await ask(proxy.ports.http, { path: '/201' })).status).toBe(201)
    expect(proxy.ports.http).toBe(http)
  }, 30_000)

  it('probes itself by its workers, and counts that apart from what clients get', async () => {
    const proxy = await start()
    const probe: Omit<ObservedProbe, 'path'> = {
      ...{ object: 'Ingress/ns/web', id: 'p', method: 'GET', scheme: 'http', host: 'a.example', headers: [] },
      ...{ expect: [[200, 299]], timeoutMs: 1_000, intervalMs: 100 },
    }
    // Before the first table nobody could say anything.
    proxy.probes.observe([{ ...probe, path: '/' }])
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(proxy.probes.take()).toEqual({})
    await configure(proxy, await Authority.root('test'))
    proxy.probes.observe([
      { ...probe, path: '/' },
      { ...probe, id: 'q', path: '/500' },
    ])
    let seen = await metrics(proxy)
    const counted = (result: string): number => seen.get(`sluice_probes_total{result="${result}"}`) ?? 0
    while (counted('ok') < 3 || counted('failed') < 3) seen = await metrics(proxy)
    expect(proxy.probes.take()).toMatchObject({
      'Ingress/ns/web': { revision: 'r1', probes: { p: { failed: 0, status: 200 }, q: { ok: 0, status: 500 } } },
    })
    expect([...seen.keys()].filter(name => name.startsWith('sluice_requests_total'))).toEqual([])
    expect(await proxy.counters.take()).toEqual({ hosts: {}, objects: {} })
  }, 15_000)

  it('says where a request goes, with what all workers see of the endpoints', async () => {
    const proxy = await start()
    expect(await admin(proxy, '/route?host=a.example')).toBe('503 {\n  "error": "no table yet"\n}\n')
    await configure(proxy, await Authority.root('test'))
    const { status, body } = await ask(proxy.ports.admin, { path: '/route?host=a.example&path=/x' })
    expect([status, JSON.parse(body)]).toEqual([
      200,
      expect.objectContaining({
        answer: { kind: 'forward' },
        host: { matched: 'a.example', by: 'exact' },
        route: expect.objectContaining({ ingress: 'ns/web', service: 'ns/web:80' }),
        endpoints: [expect.objectContaining({ restsIn: 0, share: 1 })],
        workers: { asked: 2, answered: 2, agree: true },
      }),
    ])
    expect(await admin(proxy, '/route?host=a.example&path=/%25zz')).toBe(
      '400 {\n  "error": "the request would be answered 400: the path holds a bad percent-encoding"\n}\n',
    )
  }, 15_000)

  it('tells all there is of one host, and of none that nobody knows', async () => {
    const proxy = await start()
    const told = async (name: string): Promise<readonly [number, Readonly<Record<string, unknown>>]> => {
      const { status, body } = await ask(proxy.ports.admin, { path: `/hosts/${name}` })
      expect(body).not.toContain('PRIVATE')
      return [status, JSON.parse(body) as Readonly<Record<string, unknown>>]
    }
    expect(await told('a.example')).toEqual([503, { error: 'no table yet' }])
    await configure(proxy, await Authority.root('test'))
    await proxy.sink.apply(endpoints({ 'ns/none:80': [await deadAddress()] }))
    for (const target of ['/', '/', '/404', '/none']) await ask(proxy.ports.http, { path: target })
    await ask(proxy.ports.http, { host: 'x.b.example' })
    const route = { type: 'Prefix', ingress: 'ns/web', revision: 'r1', governed: true, closed: null, canaries: [] }
    const endpoint = { address: expect.stringMatching(/^127\.0\.0\.1:/), restsIn: 0, share: 1, open: 0 }
    const routes = [
      { ...route, path: '/none', service: 'ns/none:80' },
      { ...route, path: '/', service: 'ns/web:80' },
    ]
    expect(await told('A.example.')).toEqual([
      200,
      expect.objectContaining({
        ...{ host: 'a.example', asked: 'a.example', by: 'exact', moreRoutes: 0 },
        routes: expect.arrayContaining(routes),
        services: expect.arrayContaining([
          { service: 'ns/web:80', endpoints: [expect.objectContaining(endpoint)] },
          // A worker that could not connect lets it rest.
          { service: 'ns/none:80', endpoints: [expect.objectContaining({ ...endpoint, restsIn: 1 })] },
        ]),
        certificate: {
          ...{ serverName: 'a.example', from: 'Ingress' },
          certificates: [expect.objectContaining({ secret: 'ns/s', names: 'DNS:a.example' })],
        },
        workers: { asked: 2, answered: 2, agree: true },
        figures: {
          sinceStart: expect.objectContaining({ requests: 4, successRate: 0.75, upstreamErrors: 1 }),
          lastMinute: null,
          ingresses: [expect.objectContaining({ ingress: 'ns/web', codes: { 200: 2, 404: 1, 502: 1 } })],
          tls: [],
        },
      }),
    ])
    for (const [name, by] of [
      ['x.b.example', 'wildcard'],
      ['*.b.example', 'exact'],
    ]) {
      const figures = expect.objectContaining({ sinceStart: expect.objectContaining({ requests: 1 }) })
      const [status, body] = await told(name!)
      expect([status, body]).toEqual([200, expect.objectContaining({ host: '*.b.example', by, figures })])
      expect(body['routes']).toHaveLength(2)
    }
    const hint = expect.stringContaining('/route?host=b.example')
    expect(await told('b.example')).toEqual([404, { error: hint }])
  }, 20_000)

  it('ends a worker whose heap is full, and only that one', async () => {
    const proxy = await start({ WORKER_HEAP: '64' }, [], [HUNGRY])
    await configure(proxy, await Authority.root('test'))
    const channel = new BroadcastChannel(EAT_CHANNEL)
    ends.add(() => channel.close())
    channel.postMessage('eat')
    await eventually(() => proxy.threads.length === 3, 30_000)
    expect(proxy.logged).toContain('the heap of worker 0 is full: more than WORKER_HEAP=64 allows')
    const all = await metrics(proxy)
    expect(all.get('sluice_worker_out_of_memory_total')).toBe(1)
    expect(all.get('sluice_worker_crashes_total')).toBe(1)
    expect(all.get('sluice_worker_stalls_total')).toBe(0)
    // The other one serves, and so does the new one when it has the table.
    await proxy.sink.apply(endpoints({}, ['ns/gone:80']))
    for (let i = 0; i < 10; i++) expect((await ask(proxy.ports.http, {})).status).toBe(200)
  }, 60_000)

  it('counts every request once, over all workers, in reports and in metrics', async () => {
    const proxy = await start()
    await configure(proxy, await Authority.root('test'))
    const agents = Array.from({ length: 12 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    ends.add(() => agents.forEach(agent => agent.destroy()))
    const asked = [
      ...Array.from({ length: 200 }, () => ({ path: '/' })),
      ...Array.from({ length: 30 }, () => ({ path: '/404' })),
      ...Array.from({ length: 20 }, () => ({ path: '/none' })),
      ...Array.from({ length: 10 }, () => ({ host: 'x.b.example', path: '/500' })),
      ...Array.from({ length: 15 }, (_, n) => ({ host: `unknown${n}.test` })),
    ]
    await Promise.all(asked.map((a, i) => ask(proxy.ports.http, { ...a, agent: agents[i % 12]! })))
    const { hosts, objects } = await proxy.counters.take()
    expect(Object.keys(hosts).sort()).toEqual(['*.b.example', 'a.example'])
    expect(hosts['a.example']).toMatchObject({
      requests: 250,
      status: [0, 200, 0, 30, 20],
      upstreamErrors: 20,
      notFound: 0,
    })
    expect(hosts['*.b.example']).toMatchObject({ requests: 10, status: [0, 0, 0, 0, 10], upstreamErrors: 0 })
    expect(hosts['a.example']?.latency.reduce((a, b) => a + b)).toBe(250)
    const web = { revision: 'r1', requests: 260, status: [0, 200, 0, 30, 30], closed: 0 }
    expect(objects).toEqual({ 'Ingress/ns/web': web })
    expect(await proxy.counters.take()).toEqual({ hosts: {}, objects: {} })

    const all = await metrics(proxy)
    const a = 'host="a.example",ingress="ns/web"'
    expect(all.get(`sluice_requests_total{${a},status="2xx"}`)).toBe(200)
    expect(all.get(`sluice_requests_total{${a},status="4xx"}`)).toBe(30)
    expect(all.get(`sluice_requests_total{${a},status="5xx"}`)).toBe(20)
    expect(all.get('sluice_requests_total{host="*.b.example",ingress="ns/web",status="5xx"}')).toBe(10)
    expect(all.get('sluice_requests_total{host="other",ingress="",status="4xx"}')).toBe(15)
    expect(all.get('sluice_not_found_total{host="other",ingress=""}')).toBe(15)
    expect(all.get(`sluice_upstream_errors_total{${a}}`)).toBe(20)
    expect(all.get('sluice_service_requests_total{service="ns/web:80"}')).toBe(240)
    expect(all.get('sluice_service_requests_total{service="ns/none:80"}')).toBeUndefined()
    const endpoint = [...all].filter(([name]) => name.startsWith('sluice_endpoint_requests_total{service="ns/web:80"'))
    expect(endpoint.map(([, value]) => value)).toEqual([240])
    expect(all.get(`sluice_request_duration_seconds_bucket{${a},le="+Inf"}`)).toBe(250)
    for (const name of ['request_duration_seconds', 'request_size_bytes', 'response_size_bytes']) {
      expect([name, all.get(`sluice_${name}_count{${a}}`)]).toEqual([name, 250])
      expect(all.get(`sluice_${name}_sum{${a}}`)).toBeGreaterThan(0)
    }
    expect(all.get('sluice_workers')).toBe(2)
    expect(all.get('sluice_table_ingresses')).toBe(1)
    expect(all.get('sluice_table_info{state_hash="hash",source="stream"}')).toBe(1)
    expect(all.get('sluice_worker_crashes_total')).toBe(0)
    expect([...all.keys()].filter(name => /unknown/.test(name))).toEqual([])
  }, 15_000)

  it('tells of each host by code, time, tries and TLS session, and of each worker what is open', async () => {
    const ca = await Authority.root('test')
    const proxy = await start()
    await configure(proxy, ca)
    let met = 0
    const backends = [1, 2].map(() =>
      startBackend(
        ends,
        ({ url, socket }, response) => {
          if (met++ === 0) socket.destroy()
          else response.writeHead(Number(url?.slice(1))).end('x'.repeat(1_000))
        },
        server => server.on('upgrade', (_, socket) => socket.write(SWITCHED)),
      ),
    )
    await proxy.sink.apply(endpoints({ 'ns/other:80': await Promise.all(backends) }))
    const rules = ['*.c.example'].map(name => host(name, path('Prefix /', 'ns/other:80')))
    await proxy.sink.apply(upsert(fragment('wild', rules)))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    ends.add(() => agent.destroy())
    const codes = [200, 200, 201, 304, 404, 418, 503]
    // Each under a name of its own, that only the wildcard knows.
    for (const [i, code] of codes.entries()) {
      expect((await ask(proxy.ports.http, { agent, host: `x${i}.c.example`, path: `/${code}` })).status).toBe(code)
    }
    const options = { host: '127.0.0.1', port: proxy.ports.https, servername: 'a.example', ca: ca.pem }
    const old = connect({ ...options, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })
    await once(old, 'secureConnect')
    old.destroy()
    const first = connect(options)
    first.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    const [session] = (await once(first.resume(), 'session')) as [Buffer]
    const resumed = connect({ ...options, session })
    ends.add(() => [first, resumed].forEach(socket => socket.destroy()))
    await once(resumed, 'secureConnect')
    expect(resumed.isSessionReused()).toBe(true)
    const refusing = connect({ ...options, ca: [] })
    await once(refusing, 'error')
    const tunnel = new RawClient(proxy.ports.http)
    ends.add(() => tunnel.socket.destroy())
    tunnel.send('GET / HTTP/1.1\r\nHost: x.c.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    await tunnel.until(/ 101 /)

    const c = 'host="*.c.example",ingress="ns/wild"'
    const a = 'host="a.example",version='
    const tls13 = `${a}"TLSv1.3",cipher="${resumed.getCipher().name}",resumed=`
    const expected: readonly (readonly [string, number])[] = [
      ...[101, 201, 304, 404, 418, 503].map(code => [`sluice_responses_total{${c},code="${code}"}`, 1] as const),
      [`sluice_responses_total{${c},code="200"}`, 2],
      [`sluice_requests_total{${c},status="4xx"}`, 2],
      [`sluice_retries_total{${c}}`, 1],
      [`sluice_upstream_first_byte_seconds_count{${c}}`, 8],
      [`sluice_upstream_first_byte_seconds_bucket{${c},le="+Inf"}`, 8],
      [`sluice_request_duration_seconds_count{${c}}`, 8],
      [`sluice_response_size_bytes_count{${c}}`, 8],
      [`sluice_tls_handshakes_total{${a}"TLSv1.2",cipher="ECDHE-ECDSA-AES128-GCM-SHA256",resumed="false"}`, 1],
      [`sluice_tls_handshakes_total{${tls13}"true"}`, 1],
      [`sluice_tls_failures_total{${a}"TLSv1.2",cipher="ECDHE-ECDSA-AES128-GCM-SHA256",resumed="false"}`, 1],
    ]
    // Counts come with the next flush, and what is open with the next beat.
    const sumOf = (all: ReadonlyMap<string, number>, start: string): number =>
      [...all].filter(([name]) => name.startsWith(start)).reduce((sum, [, value]) => sum + value, 0)
    const wrong = (all: ReadonlyMap<string, number>): readonly (readonly unknown[])[] => [
      ...expected.filter(([name, value]) => all.get(name) !== value).map(([name]) => [name, all.get(name)]),
      ...(sumOf(all, 'sluice_tunnels_open') === 1 ? [] : [['tunnels', sumOf(all, 'sluice_tunnels_open')]]),
      ...(sumOf(all, `sluice_tls_failures_total{${a}`) === 2 ? [] : [['failures']]),
    ]
    let all = await metrics(proxy)
    const end = performance.now() + 10_000
    while (wrong(all).length > 0 && performance.now() < end) {
      await sleep(50)
      all = await metrics(proxy)
    }
    expect(wrong(all)).toEqual([])
    const connects = all.get(`sluice_upstream_connect_seconds_count{${c}}`) ?? 0
    expect([connects > 0, connects <= 3]).toEqual([true, true])
    // That of the agent, the tunnel's, and two over TLS.
    const over = (protocol: string): number =>
      [0, 1].reduce(
        (sum, n) => sum + (all.get(`sluice_connections_open{worker="${n}",protocol="${protocol}"}`) ?? 0),
        0,
      )
    expect([over('http'), over('https')]).toEqual([2, 2])
    expect(sumOf(all, 'sluice_requests_in_flight')).toBe(0)
    expect([...all.keys()].filter(name => /x\d?\.c\.example/.test(name))).toEqual([])
  }, 20_000)

  it('replaces a worker that ends under load while the others serve', async () => {
    const proxy = await start()
    await configure(proxy, await Authority.root('test'))
    let running = true
    let answered = 0
    let broken = 0
    const load = Array.from({ length: 6 }, async () => {
      // A connection per request: those in the dead worker's hands are lost, and only those.
      while (running) {
        await ask(proxy.ports.http, {}).then(
          ({ status }) => (status === 200 ? answered++ : broken++),
          () => broken++,
        )
      }
    })
    await eventually(() => answered > 50)
    await proxy.threads[0]!.terminate()
    const before = answered
    expect(await admin(proxy, '/readyz')).toBe('200 ok\n')
    await eventually(() => answered > before + 50)
    await eventually(() => proxy.threads.length === 3)
    await proxy.sink.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))], { revision: 'r2' })))
    running = false
    await Promise.all(load)
    expect(broken).toBeLessThanOrEqual(12)
    expect(proxy.logged).toContain('a worker ended; its connections are lost')
    const all = await metrics(proxy)
    expect(all.get('sluice_worker_crashes_total')).toBe(1)
    expect(all.get('sluice_workers')).toBe(2)
    expect((await ask(proxy.ports.http, {})).status).toBe(200)
  }, 20_000)

  it('loses no count of a worker that crashes by a defect', async () => {
    const proxy = await start({ WORKERS: '1' })
    await configure(proxy, await Authority.root('test'))
    for (let i = 0; i < 20; i++) await ask(proxy.ports.http, {})
    // A message that the worker does not know is a defect like any other.
    proxy.threads[0]!.postMessage({ type: 'nonsense' })
    await eventually(() => proxy.threads.length === 2)
    await proxy.sink.apply(endpoints({}))
    for (let i = 0; i < 5; i++) await ask(proxy.ports.http, {})
    const { hosts } = await proxy.counters.take()
    expect(hosts['a.example']?.requests).toBe(25)
  }, 15_000)

  it('drains: not ready, the stream ends after the traffic, workers end', async () => {
    const proxy = await start({ DRAIN_DELAY: '100ms' })
    const address = await startBackend(ends, (_request, response) => setTimeout(() => response.end('late'), 400))
    await proxy.sink.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))])))
    await proxy.sink.apply(endpoints({ 'ns/web:80': [address] }))
    const slow = ask(proxy.ports.http, {})
    await new Promise(resolve => setTimeout(resolve, 50))
    const ended = proxy.shutdown()
    expect(await admin(proxy, '/readyz')).toBe('503 draining\n')
    const late = await slow
    expect([late.status, late.body, late.headers.connection]).toEqual([200, 'late', 'close'])
    expect(proxy.streamClosed()).toBe(false)
    await ended
    expect(proxy.streamClosed()).toBe(true)
    expect(proxy.shutdown()).toBe(ended)
    await expect(admin(proxy, '/healthz')).rejects.toThrow('ECONNREFUSED')
    expect(proxy.threads.map(thread => thread.threadId)).toEqual([-1, -1])
  }, 15_000)

  it('cuts what is still open when the time to drain is over', async () => {
    const proxy = await start({ DRAIN_TIMEOUT: '300ms' })
    const address = await startBackend(ends, (_request, response) => response.write('begun'))
    await proxy.sink.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))])))
    await proxy.sink.apply(endpoints({ 'ns/web:80': [address] }))
    const client = new RawClient(proxy.ports.http)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await client.until(/begun/)
    await proxy.shutdown()
    await client.ended()
    expect(client.received).toMatch(/begun\r\n$/)
  }, 15_000)

  it('does not start on an admin port that is taken, and leaves nothing behind', async () => {
    const taken = await startBackend(ends, (_request, response) => response.end())
    const port = taken.split(':')[1] ?? ''
    const threads: Worker[] = []
    await expect(start({ ADMIN_PORT: port }, threads)).rejects.toThrow('EADDRINUSE')
    expect(threads).toEqual([])
  }, 15_000)

  it('ends at once, and accepts nothing more, when it is told to before its first table', async () => {
    const proxy = await start({ DRAIN_DELAY: '1h', HTTP_PORT: String(await freePort()) })
    await expect(ask(proxy.ports.http, {})).rejects.toThrow('ECONNREFUSED')
    const ended = proxy.shutdown()
    await proxy.sink.apply(endpoints({}))
    await expect(ask(proxy.ports.http, {})).rejects.toThrow('ECONNREFUSED')
    await ended
    expect(proxy.streamClosed()).toBe(true)
    expect(proxy.threads.map(thread => thread.threadId)).toEqual([-1, -1])
  }, 15_000)

  it('is not ready while its port is taken, and serves when it is free', async () => {
    const holder = new Ends()
    const port = (await startBackend(holder, (_request, response) => response.end())).split(':')[1] ?? ''
    ends.add(() => holder.all())
    const proxy = await start({ WORKERS: '1', HTTP_PORT: port })
    await proxy.sink.apply(endpoints({}))
    expect(await admin(proxy, '/readyz')).toBe('503 no worker listens\n')
    expect(proxy.logged.join()).toContain('EADDRINUSE')
    await holder.all()
    let ready = ''
    for (let i = 0; i < 300 && ready !== '200 ok\n'; i++) {
      await new Promise(resolve => setTimeout(resolve, 20))
      ready = await admin(proxy, '/readyz')
    }
    expect(ready).toBe('200 ok\n')
    expect((await ask(Number(port), {})).status).toBe(404)
  }, 20_000)

  it('replaces a worker that hangs, and the others serve meanwhile', async () => {
    const proxy = await start({ WORKER_STALL_TIMEOUT: '6s' }, [], [HANGING])
    await configure(proxy, await Authority.root('test'))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    ends.add(() => agent.destroy())
    // A connection of the bystander: the kernel gives connections to both.
    let bystander = false
    const channel = new BroadcastChannel(HANG_CHANNEL)
    ends.add(() => channel.close())
    channel.postMessage('hang')
    await new Promise(resolve => setTimeout(resolve, 300))
    for (let i = 0; i < 20 && !bystander; i++) {
      bystander = await Promise.race([
        ask(proxy.ports.http, { agent }).then(({ status }) => status === 200),
        new Promise<boolean>(resolve => setTimeout(() => resolve(false), 200)),
      ])
      if (!bystander) agent.destroy()
    }
    expect(bystander).toBe(true)
    const update = proxy.sink.apply(endpoints({}, ['ns/gone:80']))
    await new Promise(resolve => setTimeout(resolve, 2_200))
    let all = await metrics(proxy)
    const [lag, other] = [0, 1].map(n => all.get(`sluice_worker_event_loop_lag_seconds{worker="${n}"}`) ?? 0)
    expect(lag).toBeGreaterThan(1)
    expect(other).toBeLessThan(lag ?? 0)
    expect(all.get('sluice_worker_heap_bytes{worker="1"}')).toBeGreaterThan(1e6)
    // The update is confirmed when somebody else does the work of the one that hung.
    await update
    expect(proxy.logged).toContain('worker 0 hangs: it is ended and replaced')
    await eventually(() => proxy.threads.length === 3)
    await proxy.sink.apply(endpoints({}))
    all = await metrics(proxy)
    expect(all.get('sluice_worker_stalls_total')).toBe(1)
    expect(all.get('sluice_worker_crashes_total')).toBe(0)
    expect(all.get('sluice_workers')).toBe(2)
    expect(await admin(proxy, '/readyz')).toBe('200 ok\n')
    for (let i = 0; i < 10; i++) expect((await ask(proxy.ports.http, {})).status).toBe(200)
  }, 30_000)

  it('is not ready while its only worker hangs', async () => {
    const proxy = await start({ WORKERS: '1', WORKER_STALL_TIMEOUT: '0' }, [], [HANGING])
    await proxy.sink.apply(endpoints({}))
    expect(await admin(proxy, '/readyz')).toBe('200 ok\n')
    const channel = new BroadcastChannel(HANG_CHANNEL)
    ends.add(() => channel.close())
    channel.postMessage('hang')
    await new Promise(resolve => setTimeout(resolve, 3_800))
    expect(await admin(proxy, '/readyz')).toBe('503 no worker gives a sign of life\n')
    expect(proxy.threads).toHaveLength(1)
    expect(await admin(proxy, '/healthz')).toBe('200 ok\n')
  }, 30_000)

  it('writes one line of JSON for each request, without secrets and without the query', async () => {
    const log = temporaryFile(ends)
    const proxy = await start({ ACCESS_LOG: log })
    await configure(proxy, await Authority.root('test'))
    await ask(proxy.ports.http, {
      ...{ method: 'POST', path: '/x?token=secret', body: 'four' },
      headers: { authorization: 'Bearer secret', cookie: 'secret', 'x-request-id': 'id-1' },
    })
    await ask(proxy.ports.http, { host: 'b.test' })
    await ask(proxy.ports.http, { path: '/none' })
    const lines = await accessLines(log, 3)
    const [first, ...others] = ['id-1', null].flatMap(id =>
      lines.filter(l => (l['request_id'] === 'id-1') === (id !== null)),
    )
    expect(first).toEqual({
      ...{ level: 30, time: expect.any(String), type: 'access', request_id: 'id-1', trace_id: null },
      client: '127.0.0.1',
      ...{ method: 'POST', host: 'a.example', path: '/x', status: 200, duration_ms: expect.any(Number) },
      ...{ bytes_in: expect.any(Number), bytes_out: expect.any(Number), namespace: 'ns', ingress: 'web' },
      ...{ revision: 'r1', service: 'ns/web:80', endpoint: expect.stringMatching(/^127\.0\.0\.1:/), attempts: 1 },
      ...{ protocol: 'HTTP/1.1', tls: null, tls_cipher: null, tls_resumed: null, failure: null },
      ...{ body_bytes_in: 4, body_bytes_out: expect.any(Number), user_agent: null, referer: null },
      ...{ upstream_status: 200, upstream_connect_ms: expect.any(Number), connection_request: 1 },
      upstream_first_byte_ms: expect.any(Number),
    })
    expect(JSON.stringify(lines)).not.toContain('secret')
    expect(others.map(l => [l['status'], l['ingress'], l['failure'], l['service']]).sort()).toEqual([
      [404, null, 'no-route', null],
      [503, 'web', 'no-endpoint', null],
    ])
  }, 15_000)

  it('serves on while nobody reads its access log, and counts the lines that it drops', async () => {
    const log = temporaryFile(ends)
    execFileSync('mkfifo', [log])
    const reader = openSync(log, constants.O_RDWR | constants.O_NONBLOCK)
    ends.add(() => closeSync(reader))
    const proxy = await start({ WORKERS: '1', ACCESS_LOG: log, ACCESS_LOG_BUFFER: '65536' })
    await configure(proxy, await Authority.root('test'))
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    ends.add(() => agent.destroy())
    const asked = Array.from({ length: 600 }, () => ask(proxy.ports.http, { agent }))
    expect((await Promise.all(asked)).every(({ status }) => status === 200)).toBe(true)
    await new Promise(resolve => setTimeout(resolve, 200))
    const dropped = (await metrics(proxy)).get('sluice_access_log_dropped_total') ?? 0
    expect(dropped).toBeGreaterThan(100)
    // What is in the pipe, and what waited for it.
    let text = ''
    const buffer = Buffer.alloc(65_536)
    await eventually(() => {
      try {
        text += buffer.toString('utf8', 0, readSync(reader, buffer))
      } catch {
        // Nothing there.
      }
      return text.endsWith('\n') && text.split('\n').length - 1 === 600 - dropped
    })
    for (const line of text.trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ type: 'access' })
  }, 20_000)

  it('resumes a TLS session at another worker', async () => {
    const ca = await Authority.root('test')
    const proxy = await start({ WORKERS: '3' })
    await configure(proxy, ca)
    const options = { host: '127.0.0.1', port: proxy.ports.https, servername: 'a.example', ca: ca.pem }
    const first = connect(options)
    ends.add(() => first.destroy())
    first.resume()
    const [session] = (await once(first, 'session')) as [Buffer]
    for (let i = 0; i < 12; i++) {
      const next = connect({ ...options, session })
      await once(next, 'secureConnect')
      expect(next.isSessionReused()).toBe(true)
      next.destroy()
    }
  }, 15_000)

  it('resumes a TLS session at another pod, and at a worker that came later, once it knows the secret of the fleet', async () => {
    const ca = await Authority.root('test')
    const leaf = await ca.issue({ hosts: ['a.example'] })
    const secret = Buffer.alloc(32, 's')
    const pods: Running[] = []
    const threads: Worker[] = []
    for (const own of [[], threads]) {
      const pod = await start({ WORKERS: '1' }, own)
      await pod.sink.apply(certificates([certificate('s', 'ECDSA', leaf)]))
      await pod.sink.apply(upsert(fragment('web', [host('a.example')], { tls: [tls('s', 'a.example')] })))
      pods.push(pod)
    }
    const [one, two] = pods as [Running, Running]
    /** Fails with what the pod says of itself: whether it was the one that answered, and of what. */
    const secured = async (pod: Running, session?: Buffer): Promise<TLSSocket> => {
      const { https } = pod.ports
      const given = { host: '127.0.0.1', port: https, servername: 'a.example', ca: ca.pem }
      const before = await admin(pod, '/metrics')
      const socket = connect(session === undefined ? given : { ...given, session })
      ends.add(() => socket.destroy())
      try {
        await once(socket, 'secureConnect')
        return socket
      } catch (cause) {
        // Counts come with the next flush.
        await sleep(1_000)
        const counted = [before, await admin(pod, '/metrics')].map(text => text.match(/^sluice_tls.*$/gm)?.join(' '))
        const ports = pods.map(({ ports: { https: own } }) => own)
        const route = await admin(pod, '/route?host=a.example&path=/')
        throw new Error([`port ${https} of ${ports.join(' ')}`, ...pod.logged, ...counted, route].join('\n'), { cause })
      }
    }
    const sessionOf = async (pod: Running): Promise<Buffer> => {
      const socket = await secured(pod)
      const session = once(socket, 'session') as Promise<[Buffer]>
      socket.resume()
      return (await session)[0]
    }
    const resumes = async (pod: Running, session: Buffer): Promise<boolean> => {
      const socket = await secured(pod, session)
      const reused = socket.isSessionReused()
      socket.destroy()
      return reused
    }
    expect(await resumes(two, await sessionOf(one))).toBe(false)
    expect(await admin(two, '/metrics')).toContain('sluice_tls_tickets_of_fleet 0')
    for (const pod of pods) pod.tickets.setTicketSecrets(ownSecrets(secret))
    // Updates reach workers in order: whoever has this one has the secret.
    for (const pod of pods) await pod.sink.apply(endpoints({ 'ns/none:80': ['127.0.0.1:1'] }))
    const session = await sessionOf(one)
    expect(await resumes(two, session)).toBe(true)
    expect(await admin(two, '/metrics')).toContain('sluice_tls_tickets_of_fleet 1')
    await threads[0]?.terminate()
    await eventually(() => threads.length === 2)
    await two.sink.apply(endpoints({ 'ns/none:80': ['127.0.0.1:2'] }))
    expect(await resumes(two, session)).toBe(true)
    const said = JSON.stringify([one.logged, two.logged, await admin(two, '/table'), await admin(two, '/metrics')])
    expect(said).not.toContain(secret.toString('base64'))
    expect(said).not.toContain(secret.toString('hex'))
  }, 20_000)
})
