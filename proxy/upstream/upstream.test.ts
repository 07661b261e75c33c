import { afterEach, describe, expect, it } from '@jest/globals'
import type { Socket } from 'node:net'
import { endpoints, remove } from '../table/fixtures.ts'
import {
  Ends,
  ask,
  bodyOf,
  deadAddress,
  eventually,
  site,
  startBackend,
  startPlane,
  startRawBackend,
  summed,
  type Rig,
} from '../workers/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function inFrontOf(...addresses: readonly string[]): Promise<Rig> {
  const rig = await startPlane(ends)
  for (const update of site('a.example', addresses)) rig.plane.apply(update)
  return rig
}

interface Backend {
  readonly address: string
  readonly hits: string[]
  readonly connections: Set<Socket>
}

async function backend(status = 200): Promise<Backend> {
  const hits: string[] = []
  const connections = new Set<Socket>()
  const address = await startBackend(ends, (request, response) => {
    connections.add(request.socket)
    void bodyOf(request).then(body => {
      hits.push(body)
      response.writeHead(status).end()
    })
  })
  return { address, hits, connections }
}

describe('endpoints of a Service', () => {
  it('take turns', async () => {
    const backends = [await backend(), await backend(), await backend()]
    const rig = await inFrontOf(...backends.map(b => b.address))
    for (let i = 0; i < 9; i++) await ask(rig.http, {})
    expect(backends.map(b => b.hits.length)).toEqual([3, 3, 3])
  })

  it('are passed over while nobody listens there, also for a POST, which arrives once and whole', async () => {
    const alive = await backend()
    const rig = await inFrontOf(await deadAddress(), alive.address, await deadAddress())
    for (let i = 0; i < 6; i++) {
      expect((await ask(rig.http, { method: 'POST', body: `body ${i}` })).status).toBe(200)
    }
    expect(alive.hits).toEqual([0, 1, 2, 3, 4, 5].map(i => `body ${i}`))
    expect(rig.totals().connectFailures).toBeGreaterThan(0)
    expect(summed(rig.totals())).toMatchObject({ requests: 6, status: [0, 6, 0, 0, 0], upstreamErrors: 0 })
  })

  it('that all refuse give 502', async () => {
    const rig = await inFrontOf(await deadAddress(), await deadAddress())
    expect(await ask(rig.http, {})).toMatchObject({ status: 502 })
    expect(rig.totals().connectFailures).toBe(2)
    expect(summed(rig.totals()).upstreamErrors).toBe(1)
  })

  it.each([500, 502, 503, 504])('that answer %d are not asked again', async status => {
    const backends = [await backend(status), await backend(status)]
    const rig = await inFrontOf(...backends.map(b => b.address))
    expect((await ask(rig.http, {})).status).toBe(status)
    expect(backends.flatMap(b => b.hits)).toHaveLength(1)
    expect(summed(rig.totals())).toMatchObject({ status: [0, 0, 0, 0, 1], upstreamErrors: 0 })
  })

  it.each(['GET', 'POST'])('that break in the middle of a %s are not asked again', async method => {
    let hits = 0
    const breaking = (socket: Socket): void => {
      socket.once('data', () => {
        hits++
        socket.destroy()
      })
    }
    const rig = await inFrontOf(await startRawBackend(ends, breaking), await startRawBackend(ends, breaking))
    expect((await ask(rig.http, { method, ...(method === 'POST' ? { body: 'x' } : {}) })).status).toBe(502)
    expect(hits).toBe(1)
  })

  it('keep their connections open for the next request', async () => {
    const one = await backend()
    const rig = await inFrontOf(one.address)
    for (let i = 0; i < 20; i++) await ask(rig.http, { method: 'POST', body: 'x' })
    expect(one.connections.size).toBe(1)
  })

  it('that are gone get no request any more, finish what they have, and lose their connections', async () => {
    let answer: (() => void) | null = null
    const sockets = new Set<Socket>()
    const old = await startBackend(ends, (request, response) => {
      sockets.add(request.socket)
      if (request.url === '/slow') answer = () => response.end('old')
      else response.end('old')
    })
    const young = await startBackend(ends, (_request, response) => response.end('young'))
    const rig = await inFrontOf(old)
    await ask(rig.http, {})
    const slow = ask(rig.http, { path: '/slow' })
    await eventually(() => answer !== null)
    rig.plane.apply(endpoints({ 'ns/a.example:80': [young] }))
    expect((await ask(rig.http, {})).body).toBe('young')
    rig.plane.apply(remove('a.example'))
    expect((await ask(rig.http, {})).status).toBe(404)
    answer!()
    expect((await slow).body).toBe('old')
    await eventually(() => [...sockets].every(socket => socket.closed))
  })

  it('come back after they were gone', async () => {
    const one = await backend()
    const rig = await inFrontOf(one.address)
    for (let i = 0; i < 5; i++) {
      expect((await ask(rig.http, {})).status).toBe(200)
      rig.plane.apply(endpoints({ 'ns/a.example:80': [] }))
      expect((await ask(rig.http, {})).status).toBe(503)
      rig.plane.apply(endpoints({ 'ns/a.example:80': [one.address] }))
    }
    expect(one.hits).toHaveLength(5)
  })

  it('may be IPv6', async () => {
    const { createServer } = await import('node:http')
    const server = createServer((request, response) => response.end(request.headers.host)).listen(0, '::1')
    ends.add(() => server.close())
    const listens = await new Promise<boolean>(resolve => {
      server.once('listening', () => resolve(true)).once('error', () => resolve(false))
    })
    // Without IPv6 on the machine the address must at least be refused as what it is.
    const at = server.address()
    const port = typeof at === 'object' && at !== null ? at.port : 1
    const rig = await inFrontOf(`[::1]:${port}`)
    expect((await ask(rig.http, {})).status).toBe(listens ? 200 : 502)
  })
})
