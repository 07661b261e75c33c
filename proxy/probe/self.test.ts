import type { RequestListener, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from '@jest/globals'
import { endpoints, fragment, host, path, upsert } from '../table/testing/fixtures.ts'
import {
  Ends,
  ask,
  accessLines,
  deadAddress,
  eventually,
  site,
  startBackend,
  startPlane,
  startRawBackend,
  summed,
  temporaryFile,
  type Environment,
  type Rig,
} from '../workers/testing/harness.ts'
import type { ProbeAnswer, ProbeRequest } from './self.ts'

const ends = new Ends()
afterEach(() => ends.all())

const OBJECT = 'Ingress/ns/a.example'
const PROBE: ProbeRequest = {
  ...{ method: 'GET', scheme: 'http', host: 'a.example', path: '/health?deep=1', headers: [], timeoutMs: 2_000 },
}

async function inFrontOf(listener: RequestListener, env: Environment = {}): Promise<Rig> {
  const rig = await startPlane(ends, env)
  for (const update of site('a.example', [await startBackend(ends, listener)])) rig.apply(update)
  return rig
}

/** A byte at a time. */
function inPieces(response: ServerResponse, text: string): void {
  for (const byte of Buffer.from(text)) response.write(Buffer.of(byte))
  response.end()
}

function endless(response: ServerResponse, text: string): void {
  const timer = setInterval(() => response.write(text.padEnd(30_000)), 5)
  response.on('close', () => clearInterval(timer))
}

const told = (answer: ProbeAnswer): unknown => [answer.status, answer.error, answer.object]

describe('a probe', () => {
  it('reaches the backend as a request of a client does, and can be told from one', async () => {
    const seen: Readonly<Record<string, unknown>>[] = []
    const rig = await inFrontOf(({ method, url, headers }, response) => {
      seen.push({ method, url, ...headers })
      response.end('fine')
    })
    expect(told(await rig.plane.probe({ ...PROBE, headers: [['X-Tenant', 'one']] }))).toEqual([200, null, OBJECT])
    await ask(rig.http, { path: '/health?deep=1' })
    const [probe = {}, client = {}] = seen
    expect(probe).toMatchObject({ method: 'GET', url: '/health?deep=1', host: 'a.example', 'x-tenant': 'one' })
    expect(probe['user-agent']).toBe('sluice-probe')
    const own = (name: string): boolean => !['x-tenant', 'user-agent', 'x-request-id', 'connection'].includes(name)
    expect(Object.keys(probe).filter(own).sort()).toEqual(Object.keys(client).filter(own).sort())
  })

  it('of https passes for one that came over TLS', async () => {
    const seen: unknown[] = []
    const rig = await inFrontOf(({ headers }, response) => {
      seen.push([headers['x-forwarded-proto'], headers['x-forwarded-port']])
      response.end()
    })
    await rig.plane.probe(PROBE)
    await rig.plane.probe({ ...PROBE, scheme: 'https' })
    expect(seen).toEqual([
      ['http', '80'],
      ['https', '443'],
    ])
  })

  it('is in no count of clients, and in no log', async () => {
    const file = temporaryFile(ends)
    const rig = await inFrontOf((_request, response) => response.writeHead(500).end(), { ACCESS_LOG: file })
    for (let i = 0; i < 3; i++) expect((await rig.plane.probe(PROBE)).status).toBe(500)
    expect(await rig.plane.probe({ ...PROBE, host: 'nobody.example' })).toMatchObject({ status: 404, object: null })
    expect(rig.plane.recorder.flush()).toBeNull()
    await ask(rig.http, { path: '/client' })
    await eventually(() => summed(rig.totals()).requests === 1)
    expect(summed(rig.totals()).status).toEqual([0, 0, 0, 0, 1])
    rig.plane.flushLog()
    const lines = await accessLines(file)
    expect(lines.map(line => JSON.stringify(line).includes('/client'))).toEqual([true])
  })

  it('says what the table sends elsewhere', async () => {
    const rig = await inFrontOf((_request, response) => response.end())
    rig.apply(upsert(fragment('other', [host('a.example', path('Prefix /health', 'ns/other:80'))])))
    expect(told(await rig.plane.probe(PROBE))).toEqual([503, null, 'Ingress/ns/other'])
    expect((await rig.plane.probe({ ...PROBE, path: '/' })).object).toBe('Ingress/ns/a.example')
    rig.apply(endpoints({ 'ns/other:80': [await startBackend(ends, (_request, response) => response.end())] }))
    expect(told(await rig.plane.probe(PROBE))).toEqual([200, null, 'Ingress/ns/other'])
  })

  it('gets 502 where nobody listens, and an error where the answer breaks off or does not end', async () => {
    const rig = await startPlane(ends)
    for (const update of site('a.example', [await deadAddress()])) rig.apply(update)
    expect(told(await rig.plane.probe(PROBE))).toEqual([502, null, OBJECT])
    const short = await startRawBackend(ends, socket => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'))
    })
    for (const update of site('a.example', [short])) rig.apply(update)
    expect(await rig.plane.probe(PROBE)).toMatchObject({ status: 200, error: 'the answer broke off' })
    const slow = await startBackend(ends, (_request, response) => response.writeHead(200).write('…'))
    for (const update of site('a.example', [slow])) rig.apply(update)
    expect(told(await rig.plane.probe({ ...PROBE, timeoutMs: 300 }))).toEqual([
      200,
      'no complete answer within 0.3 s',
      OBJECT,
    ])
  })

  it('does not wait for the end of an answer that has none', async () => {
    const rig = await inFrontOf((_request, response) => {
      const timer = setInterval(() => response.write('x'.repeat(30_000)), 5)
      response.on('close', () => clearInterval(timer))
    })
    expect(told(await rig.plane.probe(PROBE))).toEqual([200, null, OBJECT])
  })

  describe('with a text that the body has to hold', () => {
    const other = (status: number): string => `status ${status}, and the body has not the text that is expected`
    const probe = { ...PROBE, body: 'Größe: 1' }

    it.each<[string, RequestListener, number, string | null]>([
      ['passes with it', (_, response) => response.end('{"Größe: 1"}'), 200, null],
      ['fails with another', (_, response) => response.end('{"Groesse: 1"}'), 200, other(200)],
      ['fails with none', (_, response) => response.end(), 200, other(200)],
      ['leaves its status to who asks', (_, response) => response.writeHead(404).end('nothing'), 404, other(404)],
      ['does not care how it is cut', (_, response) => inPieces(response, 'xGröße: 1x'), 200, null],
      ['finds it at the end of 64 KiB', (_, response) => response.end(`${'x'.repeat(65_526)}Größe: 1`), 200, null],
      ['looks no further', (_, response) => response.end(`${'x'.repeat(65_527)}Größe: 1`), 200, other(200)],
      ['does not wait for the end of one without', (_, response) => endless(response, 'Größe: 1'), 200, null],
      ['nor for a text that does not come', (_, response) => endless(response, 'Größe: 2'), 200, other(200)],
    ])('%s', async (_, listener, status, error) => {
      const rig = await inFrontOf(listener)
      expect(told(await rig.plane.probe(probe))).toEqual([status, error, OBJECT])
    })

    it('says that an answer broke off, not that its text is missing', async () => {
      const rig = await startPlane(ends)
      const short = await startRawBackend(ends, socket => {
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'))
      })
      for (const update of site('a.example', [short])) rig.apply(update)
      expect(await rig.plane.probe(probe)).toMatchObject({ status: 200, error: 'the answer broke off' })
    })
  })

  it('is answered where clients get 503 for want of room', async () => {
    let held = 0
    const rig = await inFrontOf(
      ({ headers }, response) => {
        if (headers['user-agent'] === 'sluice-probe') response.end()
        else held++
      },
      { MAX_REQUESTS: '1' },
    )
    const busy = ask(rig.http, {}).catch(() => undefined)
    await eventually(() => held === 1)
    expect((await ask(rig.http, {})).status).toBe(503)
    // Nor for want of room among themselves.
    const answers = await Promise.all([PROBE, PROBE, PROBE].map(probe => rig.plane.probe(probe)))
    expect(answers.map(told)).toEqual([PROBE, PROBE, PROBE].map(() => [200, null, OBJECT]))
    rig.plane.connections.destroyAll()
    await busy
  })

  it('of HEAD reads a head', async () => {
    const rig = await inFrontOf(({ method }, response) => response.end(method))
    expect(told(await rig.plane.probe({ ...PROBE, method: 'HEAD' }))).toEqual([200, null, OBJECT])
  })
})
