import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'
import { HttpLoad } from './http-load.ts'
import type { LoadRecord } from './record.ts'
import type { Target } from './targets.ts'
import { TlsLoad, requestOnce } from './tls-load.ts'
import type { Refuses } from './tls-load.ts'

const host = 'shop.example.test'
const servers: (Server | TlsServer)[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
  }
})

async function listen(server: Server | TlsServer, ordinal = 0): Promise<Target> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { ordinal, address: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

const bounds = { path: '/', host, timeoutMs: 2_000, maxMs: 60_000, maxRequests: 1_000_000 }

/** Resolves when `count` records are there. */
function collector(count: number): {
  readonly records: LoadRecord[]
  readonly full: Promise<void>
  readonly onRecord: (r: LoadRecord) => void
} {
  const { promise, resolve } = Promise.withResolvers<void>()
  const records: LoadRecord[] = []
  const onRecord = (record: LoadRecord): void => {
    if (records.push(record) === count) resolve()
  }
  return { records, full: promise, onRecord }
}

describe('HTTP load', () => {
  it('goes to all targets in turn on kept-alive connections, with the host asked for', async () => {
    const hosts = new Set<string | undefined>()
    const make = (version: string): Server =>
      createServer((request, response) => {
        hosts.add(request.headers.host)
        response.setHeader('x-echo-version', version).end('hello')
      })
    const targets = [await listen(make('v1'), 0), await listen(make('v2'), 1)]
    const { records, full, onRecord } = collector(40)
    const load = new HttpLoad({ ...bounds, targets, perSecond: 400, connectionsPerTarget: 2, onRecord })
    await full
    await load.stop()
    expect([...hosts]).toEqual([host])
    const of = (ordinal: number): LoadRecord[] => records.filter(r => r.ordinal === ordinal)
    expect(Math.abs(of(0).length - of(1).length)).toBeLessThanOrEqual(1)
    expect(new Set(of(1).map(r => `${r.version ?? ''} ${r.status ?? ''} ${r.error ?? ''}`))).toEqual(
      new Set(['v2 200 ']),
    )
    expect(load.connections.map(c => c.closedByPeer)).toEqual([0, 0])
    expect(load.connections.every(c => c.opened <= 2)).toBe(true)
    expect(records.filter(r => r.connection === 'reused').length).toBeGreaterThanOrEqual(records.length - 4)
  })

  it('stops by itself after so many requests', async () => {
    const target = await listen(createServer((_request, response) => response.end()))
    const { records, full, onRecord } = collector(7)
    const load = new HttpLoad({
      ...bounds,
      targets: [target],
      perSecond: 1_000,
      maxRequests: 7,
      connectionsPerTarget: 1,
      onRecord,
    })
    await full
    await new Promise(resolve => setTimeout(resolve, 50))
    await load.stop()
    expect(records).toHaveLength(7)
    expect(load.sent).toBe(7)
  })

  it('records what failed and why, and who closed the connection', async () => {
    const target = await listen(
      createServer((request, response) => {
        if (request.url === '/') request.socket.destroy()
        else response.end()
      }),
    )
    const { records, full, onRecord } = collector(3)
    const load = new HttpLoad({
      ...bounds,
      targets: [target],
      perSecond: 100,
      maxRequests: 3,
      connectionsPerTarget: 1,
      onRecord,
    })
    await full
    const closed = load.connections[0]!.closedByPeer
    await load.stop()
    expect(records.map(r => r.error)).toEqual(['ECONNRESET', 'ECONNRESET', 'ECONNRESET'])
    expect(closed).toBe(3)
  })

  it('knows which connections ended as they said, and after how many requests', async () => {
    const server = createServer((_request, response) => response.end())
    server.maxRequestsPerSocket = 3
    const target = await listen(server)
    const { full, onRecord } = collector(7)
    const asked = { perSecond: 100, maxRequests: 7, connectionsPerTarget: 1 }
    const load = new HttpLoad({ ...bounds, ...asked, targets: [target], onRecord })
    await full
    expect(load.connections).toEqual([{ opened: 3, closedByPeer: 0, ended: [3, 3] }])
    await load.stop()
  })

  it('a request without an answer in time is a failure of its own kind, and not counted as closed by the peer', async () => {
    const target = await listen(createServer(() => undefined))
    const { records, full, onRecord } = collector(1)
    const options = {
      ...bounds,
      timeoutMs: 50,
      targets: [target],
      perSecond: 100,
      maxRequests: 1,
      connectionsPerTarget: 1,
    }
    const load = new HttpLoad({ ...options, onRecord })
    await full
    expect(load.connections).toEqual([{ opened: 1, closedByPeer: 0, ended: [] }])
    await load.stop()
    expect(records[0]).toMatchObject({ error: 'TIMEOUT', status: null })
  })

  it('refuses to send anything elsewhere', () => {
    const targets = [{ ordinal: 0, address: '192.0.2.1', port: 80 }]
    expect(
      () => new HttpLoad({ ...bounds, targets, perSecond: 1, connectionsPerTarget: 1, onRecord: () => undefined }),
    ).toThrow('192.0.2.1')
  })
})

describe('TLS clients', () => {
  let trusted: Authority
  let good: Leaf
  let untrusted: Leaf
  beforeAll(async () => {
    trusted = await Authority.root('trusted')
    good = await trusted.issue({ hosts: [host] })
    untrusted = await (await Authority.root('other')).issue({ hosts: [host] })
  })

  /** Starts a server; `saw` lists handshakes, alerts (the code of the error) and requests. */
  async function serve(leaf: Leaf): Promise<{ readonly target: Target; readonly saw: string[] }> {
    const saw: string[] = []
    const server = createTls({ cert: leaf.chain, key: leaf.privateKey }, (_request, response) => {
      saw.push('request')
      response.setHeader('x-echo-version', 'v1').end('hello')
    })
    server.on('secureConnection', (socket: TLSSocket) => saw.push(`handshake ${socket.getProtocol() ?? ''}`))
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => saw.push(error.code ?? 'error'))
    return { target: await listen(server), saw }
  }

  const once = (target: Target, style: Refuses): Promise<LoadRecord> =>
    requestOnce({ ...bounds, ca: trusted.pem }, target, style)

  it.each(['reset', 'close', 'alert'] as const)('%s: sends its request if the certificate is good', async style => {
    const { target, saw } = await serve(good)
    expect(await once(target, style)).toMatchObject({ status: 200, version: 'v1', error: null, issuer: 'trusted' })
    expect(saw).toEqual([style === 'alert' ? 'handshake TLSv1.2' : 'handshake TLSv1.3', 'request'])
  })

  it.each(['reset', 'close'] as const)(
    '%s: no request and no alert to a certificate of an unknown authority',
    async style => {
      const { target, saw } = await serve(untrusted)
      expect(await once(target, style)).toMatchObject({
        status: null,
        error: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
        issuer: 'other',
      })
      await new Promise(resolve => setTimeout(resolve, 50))
      expect(saw.filter(what => what === 'request' || what.includes('ALERT'))).toEqual([])
    },
  )

  it('alert: says unknown CA in the middle of the handshake', async () => {
    const { target, saw } = await serve(untrusted)
    expect(await once(target, 'alert')).toMatchObject({ status: null, error: 'CERT_UNTRUSTED' })
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(saw).toEqual(['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'])
  })

  it('alert: refuses what is expired or for another host, accepts a chain', async () => {
    const expired = await serve(await trusted.issueExpired({ hosts: [host] }))
    expect((await once(expired.target, 'alert')).error).toBe('CERT_EXPIRED')
    const elsewhere = await serve(await trusted.issue({ hosts: ['else.example.test'] }))
    expect((await once(elsewhere.target, 'alert')).error).toBe('CERT_WRONG_HOST')
    const chained = await serve(await (await trusted.intermediate('between')).issue({ hosts: [host], keyType: 'RSA' }))
    expect((await once(chained.target, 'alert')).status).toBe(200)
  })

  it('a load meets all styles, opens a connection per request and stops by itself', async () => {
    const { target, saw } = await serve(untrusted)
    const { records, full, onRecord } = collector(16)
    const load = new TlsLoad({
      ...bounds,
      ca: trusted.pem,
      targets: [target],
      perSecond: 200,
      maxRequests: 16,
      onRecord,
    })
    await full
    await load.stop()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(records.map(r => r.error).filter(error => error === 'CERT_UNTRUSTED')).toHaveLength(2)
    expect(records.every(r => r.error !== null && r.status === null)).toBe(true)
    expect(saw.filter(what => what.includes('ALERT'))).toHaveLength(2)
    expect(saw).not.toContain('request')
  })

  it('nobody there: the error of the connection', async () => {
    const { target } = await serve(good)
    servers.splice(0)[0]!.close()
    expect((await once(target, 'reset')).error).toBe('ECONNREFUSED')
  })
})
