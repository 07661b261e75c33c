/** What HTTP and ingress-nginx ask of a proxy, row by row: what backends see, what clients get, and how much of it. */
import { afterEach, describe, expect, it } from '@jest/globals'
import {
  Ends,
  RawClient,
  ask,
  bodyOf,
  eventually,
  exchangeRaw,
  site,
  startBackend,
  startPlane,
  startRawBackend,
  summed,
  type Environment,
  type Rig,
} from '../workers/testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

async function echoing(env: Environment = {}): Promise<Rig> {
  const address = await startBackend(ends, (request, response) => {
    const { method, url, headers } = request
    bodyOf(request).then(
      body => response.end(JSON.stringify({ method, url, headers, body }), 'latin1'),
      () => response.destroy(),
    )
  })
  return inFrontOf([address], env)
}

async function inFrontOf(addresses: readonly string[], env: Environment = {}): Promise<Rig> {
  const rig = await startPlane(ends, env)
  for (const update of site('a.example', addresses)) rig.plane.apply(update)
  return rig
}

const seen = async (rig: Rig, headers: Record<string, string>): Promise<Seen> =>
  JSON.parse((await ask(rig.http, { headers })).body) as Seen

const get = (path = '/', ...more: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\n${['Host: a.example', ...more].join('\r\n')}\r\n\r\n`

describe('claims of a client', () => {
  const claims = {
    ...{ Proxy: 'http://proxy.invalid/', X_Auth_User: 'admin', Remote_Addr: '192.0.2.1' },
    ...{ 'ssl-client-verify': 'SUCCESS', 'Ssl-Client-Cert': 'x', X_Real_IP: '192.0.2.1' },
  }

  it('do not reach the backend (httpoxy; nginx: underscores_in_headers off; auth-tls)', async () => {
    const { headers } = await seen(await echoing(), { ...claims, 'x-fine': '1' })
    for (const name of Object.keys(claims)) expect(headers).not.toHaveProperty(name.toLowerCase())
    expect(headers).toMatchObject({ 'x-fine': '1' })
  })

  it('with underscores reach it where the setting says so, but for those that read as a header of ours', async () => {
    const { headers } = await seen(await echoing({ UNDERSCORES_IN_HEADERS: 'true' }), claims)
    expect(headers).toMatchObject({ x_auth_user: 'admin', remote_addr: '192.0.2.1' })
    expect(headers).not.toHaveProperty('x_real_ip')
  })

  const forwarded = {
    ...{ 'x-forwarded-for': '192.0.2.7, 198.51.100.9, 127.0.0.5', 'x-forwarded-proto': 'https' },
    ...{ 'x-forwarded-host': 'outer.example', 'x-forwarded-port': '8443', 'x-forwarded-prefix': '/app' },
  }

  it('are believed from trusted addresses: the last one that is not trusted is the client', async () => {
    const rig = await echoing({ TRUSTED_ADDRESSES: '127.0.0.0/8' })
    expect((await seen(rig, forwarded)).headers).toMatchObject({
      ...{ 'x-forwarded-for': '198.51.100.9', 'x-real-ip': '198.51.100.9', 'x-forwarded-proto': 'https' },
      ...{ 'x-forwarded-host': 'outer.example', 'x-forwarded-port': '8443', 'x-forwarded-prefix': '/app' },
    })
    expect((await seen(rig, { 'x-forwarded-for': 'unknown, "x"' })).headers).toMatchObject({
      ...{ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'a.example' },
    })
  })

  it('are replaced from everybody else', async () => {
    const { headers } = await seen(await echoing({ TRUSTED_ADDRESSES: '203.0.113.0/24,2001:db8::/32' }), forwarded)
    expect(headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' })
    expect(headers).not.toHaveProperty('x-forwarded-prefix')
  })
})

describe('statuses of our own', () => {
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
    const rig = await echoing()
    const answer = await exchangeRaw(rig.http, bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toMatch(/\r\nServer: sluice\r\n/)
    if (status === 405) expect(answer).toMatch(/\r\nAllow: [A-Z, ]+\r\n/)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 0 })
  })

  it('a Service that points back at the proxy ends in one answer, not in a storm', async () => {
    const rig = await inFrontOf([])
    for (const update of site('a.example', [`127.0.0.1:${rig.http}`])) rig.plane.apply(update)
    expect((await ask(rig.http, {})).status).toBe(508)
    expect(summed(rig.totals()).requests).toBeLessThan(15)
  })

  it('503 without an endpoint says when to come again', async () => {
    const { status, headers } = await ask((await inFrontOf([])).http, {})
    expect([status, headers['retry-after']]).toEqual([503, '1'])
  })
})

describe('what passes as it is', () => {
  it('bytes above 127 in the target, and methods that nobody registered', async () => {
    // Node's own server would refuse them.
    const address = await startRawBackend(ends, socket => {
      socket.on('data', (chunk: Buffer) => {
        socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
        socket.end(chunk)
      })
    })
    const rig = await inFrontOf([address])
    const target = '/\u00c3\u00a9?q=\u00e9'
    expect(await exchangeRaw(rig.http, get(target, 'Connection: close'))).toContain(`GET ${target} HTTP/1.1\r\n`)
    const bytes = 'BREW /pot HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n'
    expect(await exchangeRaw(rig.http, bytes)).toContain('BREW /pot HTTP/1.1\r\nHost: a.example\r\n')
  })

  it('the backend names itself; where it does not, we do', async () => {
    const rig = await inFrontOf([await startBackend(ends, (_q, response) => response.setHeader('Server', 'x').end())])
    expect((await ask(rig.http, {})).headers).toMatchObject({ server: 'x' })
    expect((await ask((await echoing()).http, {})).headers).toMatchObject({ server: 'sluice' })
  })

  it('a small body goes on with its length, however it came', async () => {
    const { headers, body } = JSON.parse(
      (await ask((await echoing()).http, { method: 'PUT', headers: { 'transfer-encoding': 'chunked' }, body: 'four' }))
        .body,
    ) as Seen
    expect([headers['content-length'], headers['transfer-encoding'], body]).toEqual(['4', undefined, 'four'])
  })
})

describe('limits', () => {
  it('a connection ends in good order after its requests', async () => {
    const rig = await echoing({ KEEP_ALIVE_REQUESTS: '3' })
    const client = new RawClient(rig.http)
    client.send(get() + get() + get() + get())
    await client.ended()
    expect(client.received.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
    expect(client.received.match(/Connection: close/g)).toHaveLength(1)
  })

  it('and after its time', async () => {
    const rig = await echoing({ KEEP_ALIVE_AGE: '1ms' })
    const client = new RawClient(rig.http)
    // Its time begins when it is accepted.
    await eventually(() => rig.plane.connections.size === 1)
    await new Promise(resolve => setTimeout(resolve, 20))
    client.send(get())
    expect(await client.ended()).toMatch(/\r\nConnection: close\r\n/)
  })

  it('connections: the oldest idle one goes first; where none is idle the new one is told', async () => {
    const rig = await echoing({ MAX_CONNECTIONS: '2' })
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
    expect(rig.totals().refused).toEqual(new Map([['connection connections', 1]]))
  })

  it('requests under way: 503, counted apart and no evidence', async () => {
    const address = await startBackend(ends, () => undefined)
    const rig = await inFrontOf([address], { MAX_REQUESTS: '1' })
    const slow = new RawClient(rig.http)
    slow.send(get())
    await eventually(() => rig.plane.connections.busy === 1)
    expect((await ask(rig.http, {})).status).toBe(503)
    expect(rig.totals().requests()).toMatchObject([{ requests: 1, internal: 1, upstreamErrors: 0 }])
  })
})

describe('a connection goes on', () => {
  it('when the end of its body comes with what is too much to be gathered', async () => {
    const rig = await echoing({ BODY_BUFFER: '3' })
    const client = new RawClient(rig.http)
    const chunked = 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n'
    for (let i = 1; i <= 3; i++) {
      client.send(chunked)
      await eventually(() => client.received.split('"body":"four"').length === i + 1)
    }
  })
})

describe("a backend's connection is not used again", () => {
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
    const rig = await inFrontOf([address])
    const early = why.includes('before')
    const client = new RawClient(rig.http)
    client.send(early ? 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nx' : get())
    await client.until(/Content-Length: 0/)
    await eventually(() => closed === 1)
    expect([connections, rig.plane.upstream.idle]).toEqual([1, 0])
  })
})
