/** What HTTP and ingress-nginx ask of a proxy, row by row: what backends see, what clients get, and how much of it. */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { MemoryReading } from '../connection/memory-pressure.ts'
import { describeOnAll } from '../workers/testing/ways.ts'
import {
  Ends,
  RawClient,
  ask,
  eventually,
  exchangeRaw,
  site,
  startBackend,
  startRawBackend,
  summed,
  type Rig,
} from '../workers/testing/harness.ts'
import { echoing, inFrontOf, type Echo } from './testing/in-front-of.ts'

const ends = new Ends()
afterEach(() => ends.all())

const seen = async (rig: Rig, headers: Record<string, string>): Promise<Echo> =>
  JSON.parse((await ask(rig.http, { headers })).body) as Echo

const get = (path = '/', ...more: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\n${['Host: a.example', ...more].join('\r\n')}\r\n\r\n`

describeOnAll('claims of a client', () => {
  const claims = {
    ...{ Proxy: 'http://proxy.invalid/', X_Auth_User: 'admin', Remote_Addr: '192.0.2.1' },
    ...{ 'ssl-client-verify': 'SUCCESS', 'Ssl-Client-Cert': 'x', X_Real_IP: '192.0.2.1' },
  }

  it('do not reach the backend (httpoxy; nginx: underscores_in_headers off; auth-tls)', async () => {
    const { headers } = await seen(await echoing(ends), { ...claims, 'x-fine': '1' })
    for (const name of Object.keys(claims)) expect(headers).not.toHaveProperty(name.toLowerCase())
    expect(headers).toMatchObject({ 'x-fine': '1' })
  })

  it('with underscores reach it where the setting says so, but for those that read as a header of ours', async () => {
    const { headers } = await seen(await echoing(ends, { UNDERSCORES_IN_HEADERS: 'true' }), claims)
    expect(headers).toMatchObject({ x_auth_user: 'admin', remote_addr: '192.0.2.1' })
    expect(headers).not.toHaveProperty('x_real_ip')
  })

  const forwarded = {
    ...{ 'x-forwarded-for': '192.0.2.7, 198.51.100.9, 127.0.0.5', 'x-forwarded-proto': 'https' },
    ...{ 'x-forwarded-host': 'outer.example', 'x-forwarded-port': '8443', 'x-forwarded-prefix': '/app' },
  }

  it('are believed from trusted addresses: the last one that is not trusted is the client', async () => {
    const rig = await echoing(ends, { TRUSTED_ADDRESSES: '127.0.0.0/8' })
    expect((await seen(rig, forwarded)).headers).toMatchObject({
      ...{ 'x-forwarded-for': '198.51.100.9', 'x-real-ip': '198.51.100.9', 'x-forwarded-proto': 'https' },
      ...{ 'x-forwarded-host': 'outer.example', 'x-forwarded-port': '8443', 'x-forwarded-prefix': '/app' },
    })
    expect((await seen(rig, { 'x-forwarded-for': 'unknown, "x"' })).headers).toMatchObject({
      ...{ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'a.example' },
    })
  })

  it('are replaced from everybody else', async () => {
    const { headers } = await seen(
      await echoing(ends, { TRUSTED_ADDRESSES: '203.0.113.0/24,2001:db8::/32' }),
      forwarded,
    )
    expect(headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' })
    expect(headers).not.toHaveProperty('x-forwarded-prefix')
  })
})

/** What a raw request came to: what its backend saw, or the answer where it saw nothing. */
async function echoOf(rig: Rig, text: string): Promise<Partial<Echo> & { readonly answer: string }> {
  const answer = await exchangeRaw(rig.http, text)
  const body = answer.split('\r\n\r\n')[1] ?? ''
  return { ...(body.startsWith('{') ? (JSON.parse(body) as Echo) : {}), answer }
}

describeOnAll('OPTIONS', () => {
  const options = (target: string, ...more: readonly string[]): string =>
    `OPTIONS ${target} HTTP/1.1\r\n${['Host: b.example', 'Connection: close', ...more].join('\r\n')}\r\n\r\n`

  it.each([
    ['http://a.example', '*'],
    ['http://A.example:80', '*'],
    ['http://a.example/', '/'],
    ['http://a.example?x', '/?x'],
  ])('of %s asks the backend for %s (RFC 9112 3.2.4)', async (target, forwarded) => {
    const rig = await echoing(ends)
    expect(await echoOf(rig, options(target))).toMatchObject({ method: 'OPTIONS', url: forwarded })
  })

  it('alone: without a path another method means /', async () => {
    const rig = await echoing(ends)
    const text = options('http://a.example').replace('OPTIONS', 'GET')
    expect(await echoOf(rig, text)).toMatchObject({ method: 'GET', url: '/' })
  })

  it.each([
    ['1', '0'],
    ['10', '9'],
    ['99999999999999999999999', '255'],
  ])('with Max-Forwards: %s goes on with %s (RFC 9110 7.6.2)', async (sent, forwarded) => {
    const rig = await echoing(ends)
    const { rawHeaders = [] } = await echoOf(
      rig,
      options('http://a.example/', `Max-Forwards: ${sent}`, 'max-forwards: 7'),
    )
    const at = rawHeaders.flatMap((text, i) => (text.toLowerCase() === 'max-forwards' ? [rawHeaders[i + 1]] : []))
    expect(at).toEqual([forwarded])
  })

  it('with Max-Forwards: 0 is answered here, by whoever would have been asked', async () => {
    const rig = await echoing(ends)
    const { answer } = await echoOf(rig, options('http://a.example/', 'Max-Forwards: 0'))
    expect(answer).toMatch(/^HTTP\/1\.1 204 No Content\r\nAllow: [A-Z, ]+\r\n(?![^]*content-)[^]*\r\n\r\n$/i)
    // Of nobody: an answer that no backend gave is no evidence for a revision.
    const series = rig.totals().series()
    expect(series.map(({ host, ingress, counts }) => [host, ingress, counts.requests])).toEqual([['other', '', 1]])
    expect((await echoOf(rig, options('/', 'Max-Forwards: 0'))).answer).toMatch(/^HTTP\/1\.1 404 /)
  })

  it.each([
    ['GET', '0'],
    ['OPTIONS', 'none'],
    ['OPTIONS', '-1'],
  ])('%s with Max-Forwards: %s goes on as it is', async (method, sent) => {
    const rig = await echoing(ends)
    const text = options('http://a.example/', `Max-Forwards: ${sent}`).replace('OPTIONS', method)
    expect((await echoOf(rig, text)).headers).toMatchObject({ 'max-forwards': sent })
  })
})

describeOnAll('Via', () => {
  const via = 'Via: 1.1 outer, HTTP/2 cdn.example'
  const closing = ['Connection: close', via] as const

  it('is what others wrote, and nothing of ours (as at ingress-nginx: some servers do not compress behind a Via)', async () => {
    const rig = await echoing(ends)
    expect((await echoOf(rig, get('/', ...closing))).headers).toMatchObject({ via: '1.1 outer, HTTP/2 cdn.example' })
    expect((await echoOf(rig, get('/', 'Connection: close'))).headers).not.toHaveProperty('via')
  })

  it('ends with us where a name is set (RFC 9110 7.6.3), with the version that the client spoke; answers have none', async () => {
    const rig = await echoing(ends, { VIA: 'sluice' })
    const { headers, answer } = await echoOf(rig, get('/', ...closing))
    expect(headers).toMatchObject({ via: '1.1 outer, HTTP/2 cdn.example, 1.1 sluice' })
    expect(answer.split('\r\n\r\n')[0]).not.toMatch(/\r\nvia:/i)
    expect((await echoOf(rig, get('/').replace('HTTP/1.1', 'HTTP/1.0'))).headers).toMatchObject({ via: '1.0 sluice' })
  })
})

describeOnAll('statuses of our own', () => {
  it.each([
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n', 405],
    ['a target beyond the limit', get(`/${'a'.repeat(20_000)}`, 'Connection: close'), 414],
    ['a head beyond the limit', get('/', `X: ${'a'.repeat(40_000)}`, 'Connection: close'), 431],
    [
      'a foreign transfer coding',
      'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
      501,
    ],
    ['a request that came through here too often', get('/', 'X-Sluice-Hops: 10', 'Connection: close'), 508],
  ])('%s', async (_name, bytes, status) => {
    const rig = await echoing(ends)
    const answer = await exchangeRaw(rig.http, bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toMatch(/\r\nServer: sluice\r\n/)
    if (status === 405) expect(answer).toMatch(/\r\nAllow: [A-Z, ]+\r\n/)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 0 })
  })

  it('what cannot be read as a request is counted by its reason (finding 29)', async () => {
    const rig = await echoing(ends)
    await exchangeRaw(rig.http, get(`/${'a'.repeat(20_000)}`))
    for (let i = 0; i < 2; i++) await exchangeRaw(rig.http, get('/', 'X : y'))
    expect(Object.fromEntries(rig.totals().events)).toEqual({ 'request long-line': 1, 'request bad-header': 2 })
  })

  it('a Service that points back at the proxy ends in one answer, not in a storm', async () => {
    const rig = await inFrontOf(ends, [])
    for (const update of site('a.example', [`127.0.0.1:${rig.http}`])) rig.apply(update)
    expect((await ask(rig.http, {})).status).toBe(508)
    expect(summed(rig.totals()).requests).toBeLessThan(15)
  })

  it('503 without an endpoint says when to come again', async () => {
    const { status, headers } = await ask((await inFrontOf(ends, [])).http, {})
    expect([status, headers['retry-after']]).toEqual([503, '1'])
  })
})

describeOnAll('what passes as it is', () => {
  it('bytes above 127 in the target, and methods that nobody registered', async () => {
    // Node's own server would refuse them.
    const address = await startRawBackend(ends, socket => {
      socket.on('data', (chunk: Buffer) => {
        socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
        socket.end(chunk)
      })
    })
    const rig = await inFrontOf(ends, [address])
    const target = '/\u00c3\u00a9?q=\u00e9'
    expect(await exchangeRaw(rig.http, get(target, 'Connection: close'))).toContain(`GET ${target} HTTP/1.1\r\n`)
    const bytes = 'BREW /pot HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
    expect(await exchangeRaw(rig.http, bytes)).toContain('BREW /pot HTTP/1.1\r\nHost: a.example\r\n')
  })

  it('the backend names itself; where it does not, we do', async () => {
    const rig = await inFrontOf(ends, [
      await startBackend(ends, (_q, response) => response.setHeader('Server', 'x').end()),
    ])
    expect((await ask(rig.http, {})).headers).toMatchObject({ server: 'x' })
    expect((await ask((await echoing(ends)).http, {})).headers).toMatchObject({ server: 'sluice' })
  })

  it('a small body goes on with its length, however it came', async () => {
    const { headers, body } = JSON.parse(
      (
        await ask((await echoing(ends)).http, {
          method: 'PUT',
          headers: { 'transfer-encoding': 'chunked' },
          body: 'four',
        })
      ).body,
    ) as Echo
    expect([headers['content-length'], headers['transfer-encoding'], body]).toEqual(['4', undefined, 'four'])
  })
})

describeOnAll('a client that sends its body slowly', () => {
  it.each([
    ['occupies no backend, where it is small', '65536', 0],
    ['is passed on as it comes, where it is not', '3', 1],
  ])('%s', async (_name, buffer, occupied) => {
    const rig = await echoing(ends, { BODY_BUFFER: buffer })
    const client = new RawClient(rig.http)
    client.send('PUT / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfo')
    // Longer than a chunked body would be waited for.
    await new Promise(resolve => setTimeout(resolve, 500))
    expect(rig.plane.upstream.open).toBe(occupied)
    client.send('ur')
    expect(await client.ended()).toMatch(/"body":"four"/)
  })
})

describeOnAll('limits', () => {
  it('a connection ends in good order after its requests', async () => {
    const rig = await echoing(ends, { KEEP_ALIVE_REQUESTS: '3' })
    const client = new RawClient(rig.http)
    client.send(get() + get() + get() + get())
    await client.ended()
    expect(client.received.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
    expect(client.received.match(/Connection: close/g)).toHaveLength(1)
  })

  it('and after its time', async () => {
    const rig = await echoing(ends, { KEEP_ALIVE_AGE: '1ms' })
    const client = new RawClient(rig.http)
    // Its time begins when it is accepted.
    await eventually(() => rig.plane.connections.size === 1)
    await new Promise(resolve => setTimeout(resolve, 20))
    client.send(get())
    expect(await client.ended()).toMatch(/\r\nConnection: close\r\n/)
  })

  it('connections: the oldest idle one goes first; where none is idle the new one is told', async () => {
    const rig = await echoing(ends, { MAX_CONNECTIONS: '2' })
    const idle = new RawClient(rig.http)
    idle.send(get())
    await idle.until(/\}$/)
    const half = new RawClient(rig.http)
    half.send('GET / HT')
    await eventually(() => rig.plane.connections.size === 2)
    const third = new RawClient(rig.http)
    third.send(get('/', 'Connection: close'))
    expect(await third.ended()).toMatch(/^HTTP\/1\.1 200 /)
    await idle.ended()
    const other = new RawClient(rig.http)
    other.send('GET / HT')
    await eventually(() => rig.plane.connections.size === 2)
    expect(await exchangeRaw(rig.http, get())).toMatch(/^HTTP\/1\.1 503 [^]*too many connections/)
    expect(Object.fromEntries(rig.totals().events)).toEqual({
      ...{ 'shed-connection connections': 1, 'connection connections': 1 },
    })
  })

  it('requests under way: 503, counted apart and no evidence', async () => {
    const address = await startBackend(ends, () => undefined)
    const rig = await inFrontOf(ends, [address], { MAX_REQUESTS: '1' })
    const slow = new RawClient(rig.http)
    slow.send(get())
    await eventually(() => rig.plane.connections.busy === 1)
    expect((await ask(rig.http, {})).status).toBe(503)
    expect(rig.totals().requests()).toMatchObject([{ requests: 1, internal: 1, upstreamErrors: 0 }])
    expect(rig.totals().events).toEqual(new Map([['shed-request busy', 1]]))
  })

  describe('connections of one client', () => {
    it('are its own matter: 429, and when to come again', async () => {
      const rig = await echoing(ends, { MAX_CONNECTIONS_PER_CLIENT: '2' })
      const first = new RawClient(rig.http)
      const second = new RawClient(rig.http)
      await eventually(() => rig.plane.connections.size === 2)
      const third = await ask(rig.http, {})
      expect([third.status, third.headers['retry-after'], third.headers.connection]).toEqual([429, '1', 'close'])
      const other = new RawClient(rig.http, connect({ port: rig.http, host: '127.0.0.1', localAddress: '127.0.0.2' }))
      other.send(get('/', 'Connection: close'))
      expect(await other.ended()).toMatch(/^HTTP\/1\.1 200 /)
      expect(Object.fromEntries(rig.totals().events)).toEqual({ 'connection client-connections': 1 })
      first.socket.destroy()
      await eventually(() => rig.plane.connections.size === 1)
      expect((await ask(rig.http, {})).status).toBe(200)
      second.socket.destroy()
    })

    it('say nothing of a certificate, where the client reads the answer and goes', async () => {
      const rig = await echoing(ends, { MAX_CONNECTIONS_PER_CLIENT: '1' })
      const first = new RawClient(rig.http)
      await eventually(() => rig.plane.connections.size === 1)
      const tls = new RawClient(
        rig.https,
        connectTls({ port: rig.https, host: '127.0.0.1', rejectUnauthorized: false }),
      )
      expect(await tls.ended()).toMatch(/^HTTP\/1\.1 429 /)
      await new Promise(resolve => setTimeout(resolve, 50))
      expect(rig.totals().tls()).toMatchObject([{ host: 'other', handshakes: 1, failures: 0 }])
      first.socket.destroy()
    })

    it('are not counted of a proxy that is trusted: it stands for many', async () => {
      const rig = await echoing(ends, { MAX_CONNECTIONS_PER_CLIENT: '1', TRUSTED_ADDRESSES: '127.0.0.0/8' })
      const first = new RawClient(rig.http)
      await eventually(() => rig.plane.connections.size === 1)
      expect((await ask(rig.http, {})).status).toBe(200)
      first.socket.destroy()
    })

    it('are given back by one for which the worker has no room', async () => {
      const rig = await echoing(ends, { MAX_CONNECTIONS_PER_CLIENT: '2', MAX_CONNECTIONS: '1' })
      const half = new RawClient(rig.http)
      half.send('GET / HT')
      await eventually(() => rig.plane.connections.counts.idle === 0 && rig.plane.connections.size === 1)
      // A connection is its client's until it is closed: it may be told that it has too many, but not for ever.
      for (let refused = 0; refused < 3;) {
        const { status } = await ask(rig.http, {})
        expect([429, 503]).toContain(status)
        if (status === 503) refused++
      }
    })
  })

  describe('memory', () => {
    const backendOf = (): Promise<string> =>
      startBackend(ends, (request, response) => {
        if (request.url !== '/slow') response.end('{}')
      })

    it('of which little is left: the oldest idle connections go first, then new requests are refused', async () => {
      // Just below the mark: everything stays as it is. One look sees each of the others.
      let calm = 840
      const readings: number[] = []
      const memory = (): MemoryReading => ({
        ...{ rss: readings.shift() ?? calm, limit: 1_000, heapUsed: 0, heapLimit: 0 },
      })
      const rig = await inFrontOf(ends, [await backendOf()], {}, { memory })
      const seen = async (reading: number): Promise<void> => {
        readings.push(reading)
        await eventually(() => readings.length === 0)
      }
      const clients: RawClient[] = []
      for (let i = 0; i < 40; i++) {
        const client = new RawClient(rig.http)
        clients.push(client)
        client.send(get(i < 20 ? '/' : '/slow'))
        if (i < 20) await client.until(/\{\}$/)
      }
      await eventually(() => rig.plane.connections.busy === 20)

      await seen(870)
      await eventually(() => clients.filter(client => client.socket.closed).length === 16)
      expect(clients.slice(0, 16).every(client => client.socket.closed)).toBe(true)
      expect((await ask(rig.http, {})).status).toBe(200)

      calm = 960
      await seen(960)
      await eventually(() => clients.slice(0, 20).every(client => client.socket.closed))
      // More than the limit are under way, and stay: a few are let in all the same, look by look, and no more.
      const answers = await Promise.all(Array.from({ length: 200 }, () => exchangeRaw(rig.http, get())))
      const refused = answers.filter(answer => !answer.startsWith('HTTP/1.1 200 '))
      expect(refused.length).toBeGreaterThan(0)
      expect(answers.length - refused.length).toBeGreaterThanOrEqual(16)
      for (const answer of refused) {
        expect(answer).toMatch(
          /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 1\r\n[^]*\r\nConnection: close\r\n[^]*too little memory/,
        )
      }
      expect(rig.totals().events.get('shed-request memory')).toBe(refused.length)
      const internal = rig.totals().requests()
      expect(internal.reduce((sum, counts) => sum + counts.internal, 0)).toBe(refused.length)

      // Those under way went on all the time.
      expect(rig.plane.connections.busy).toBe(20)
      calm = 100
      await seen(100)
      expect((await ask(rig.http, {})).status).toBe(200)
    })

    it('of which little is left is not spent on bodies that come slowly: their backends get what there is', async () => {
      const bodies: string[] = []
      const address = await startBackend(ends, (request, response) => {
        request.setEncoding('latin1').on('data', (piece: string) => bodies.push(piece))
        request.on('end', () => response.end('{}'))
      })
      let rss = 100
      const memory = (): MemoryReading => ({ rss, limit: 1_000, heapUsed: 0, heapLimit: 0 })
      const rig = await inFrontOf(ends, [address], {}, { memory })
      const slow = new RawClient(rig.http)
      slow.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 8\r\n\r\nhalf')
      const empty = new RawClient(rig.http)
      empty.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\n')
      await eventually(() => rig.plane.connections.busy === 2)
      await new Promise(resolve => setTimeout(resolve, 300))
      expect(bodies).toEqual([])
      rss = 960
      await eventually(() => bodies.length > 0)
      expect([bodies.join(''), rig.plane.upstream.open]).toEqual(['half', 1])
      slow.send('rest')
      expect(await slow.until(/\{\}$/)).toMatch(/^HTTP\/1\.1 200 /)
      empty.send('late')
      expect(await empty.until(/\{\}$/)).toMatch(/^HTTP\/1\.1 200 /)
      expect(bodies.join('')).toBe('halfrestlate')
    })

    it.each([
      ['is sent again to the next endpoint', 100, 200, 2],
      ['is not kept for another try where memory is short', 960, 502, 1],
    ])('a body whose backend breaks %s', async (_what, rss, status, requests) => {
      const heads: string[] = []
      let looks = 0
      const memory = (): MemoryReading => {
        looks++
        return { rss, limit: 1_000, heapUsed: 0, heapLimit: 0 }
      }
      const backend = (): Promise<string> =>
        startRawBackend(ends, socket => {
          socket.once('data', data => {
            heads.push(data.toString('latin1'))
            const seen = looks
            if (heads.length > 1) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
            else void eventually(() => looks > seen).then(() => socket.destroy())
          })
        })
      const rig = await inFrontOf(ends, [await backend(), await backend()], {}, { memory })
      const answer = await exchangeRaw(
        rig.http,
        'PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody',
      )
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(heads.map(head => head.endsWith('body'))).toEqual(Array.from({ length: requests }, () => true))
    })

    it('is not looked at where the setting says so', async () => {
      let looked = false
      const memory = (): MemoryReading => {
        looked = true
        return { rss: 999, limit: 1_000, heapUsed: 0, heapLimit: 0 }
      }
      const rig = await inFrontOf(ends, [await backendOf()], { MEMORY_HIGH_WATER: '0' }, { memory })
      await new Promise(resolve => setTimeout(resolve, 600))
      expect([looked, (await ask(rig.http, {})).status]).toEqual([false, 200])
    })
  })
})

describeOnAll('a connection goes on', () => {
  it('when the end of its body comes with what is too much to be gathered', async () => {
    const rig = await echoing(ends, { BODY_BUFFER: '3' })
    const client = new RawClient(rig.http)
    const chunked = 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n'
    for (let i = 1; i <= 3; i++) {
      client.send(chunked)
      await eventually(() => client.received.split('"body":"four"').length === i + 1)
    }
  })
})

describeOnAll("a backend's connection is not used again", () => {
  it.each([
    ['it answered before it had all of the request', 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n'],
    ['it says so', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
  ])('where %s', async (why, answer) => {
    let connections = 0
    let closed = 0
    // It leaves its side open, so that only the proxy can end it.
    const address = await startRawBackend(ends, socket => {
      connections++
      socket.once('data', () => socket.write(answer))
      socket.on('close', () => closed++)
    })
    const rig = await inFrontOf(ends, [address])
    const early = why.includes('before')
    const client = new RawClient(rig.http)
    client.send(early ? 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nx' : get())
    await client.until(/Content-Length: 0/)
    await eventually(() => closed === 1)
    expect([connections, rig.plane.upstream.idle]).toEqual([1, 0])
  })
})

describeOnAll('the size of an answer', () => {
  const answers = {
    'with a length': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour',
    'in chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\nX: y\r\n\r\n',
    'without a body': 'HTTP/1.1 204 No Content\r\n\r\n',
    'behind an interim one':
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    'whose head was taken back': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n',
    'that breaks off': 'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nfour',
    'that cannot be read': 'nothing of HTTP\r\n\r\n',
  }

  it.each(Object.entries(answers))(
    '%s is what went to the client, and nothing that was only meant to',
    async (_, text) => {
      const address = await startRawBackend(ends, socket => socket.once('data', () => socket.end(text)))
      const rig = await inFrontOf(ends, [address])
      const received = await exchangeRaw(rig.http, get('/', 'Connection: close'))
      await eventually(() => summed(rig.totals()).requests === 1)
      expect(rig.totals().requests()).toMatchObject([{ requests: 1, responseBytes: received.length }])
    },
  )

  it('holds nothing of the answers before it on its connection', async () => {
    const rig = await echoing(ends)
    const received = await exchangeRaw(rig.http, get() + get() + get('/', 'Connection: close'))
    await eventually(() => summed(rig.totals()).requests === 3)
    expect(rig.totals().requests()).toMatchObject([{ requests: 3, responseBytes: received.length }])
  })
})
