import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, expect, it } from '@jest/globals'
import { describeOnAll } from '../workers/testing/ways.ts'
import { WebSocket, WebSocketServer } from 'ws'
import { echoConfig } from '../../e2e/echo/config.ts'
import type { SeenRequest } from '../../e2e/echo/answers.ts'
import { EchoServer } from '../../e2e/echo/server.ts'
import {
  Ends,
  RawClient,
  accessLines,
  deadAddress,
  eventually,
  exchangeRaw,
  startBackend,
  startRawBackend,
  summed,
  temporaryFile,
  type Environment,
  type Rig,
} from '../workers/testing/harness.ts'
import { reset } from '../../protocol/testing/reset.ts'
import { inFrontOf } from './testing/in-front-of.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function echoing(env: Environment = {}): Promise<Rig> {
  const server = new EchoServer(echoConfig({ ECHO_PORT: '0', ECHO_DRAIN_MS: '0' }))
  const address = `127.0.0.1:${await server.listen('127.0.0.1')}`
  ends.add(() => server.close())
  return inFrontOf(ends, [address], env)
}

function open(port: number, headers: Record<string, string> = {}, protocols: string[] = []): WebSocket {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?x=1`, protocols, {
    headers: { host: 'a.example', ...headers },
    perMessageDeflate: false,
  })
  ends.add(() => socket.terminate())
  return socket
}

async function message(socket: WebSocket): Promise<string> {
  const [data] = (await once(socket, 'message')) as [Buffer]
  return data.toString()
}

const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

describeOnAll('WebSocket', () => {
  it('shows the backend Host, Authorization, Origin, Cookie and subprotocols as the client sent them', async () => {
    const rig = await echoing()
    const sent = { host: 'A.example:8080', authorization: 'Bearer x', origin: 'https://o.example', cookie: 'a=b' }
    const socket = open(rig.http, { ...sent, 'x-forwarded-for': '6.6.6.6' }, ['chat.v2', 'chat.v1'])
    const seen = JSON.parse(await message(socket)) as SeenRequest
    expect(socket.protocol).toBe('chat.v2')
    expect(seen.url).toBe('/chat?x=1')
    expect(seen.headers).toMatchObject({
      ...sent,
      'sec-websocket-protocol': 'chat.v2,chat.v1',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      connection: 'Upgrade',
      upgrade: 'websocket',
    })
  })

  it('passes messages of any size in both directions and ends with the code of either side', async () => {
    const rig = await echoing()
    const socket = open(rig.http)
    await message(socket)
    const big = 'x'.repeat(3_000_000)
    socket.send(big)
    expect((await message(socket)) === big).toBe(true)
    socket.close(4001, 'enough')
    expect(await once(socket, 'close')).toMatchObject([4001, Buffer.from('enough')])
  })

  it('passes what the client sends with its handshake', async () => {
    const address = await startRawBackend(ends, socket => {
      let text = ''
      socket.on('data', chunk => {
        text += chunk.toString('latin1')
        if (text.endsWith('early')) {
          socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlate')
        } else if (text.endsWith('\r\n\r\n')) {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        }
      })
    })
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, `${HANDSHAKE}early`)
    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(text).toMatch(/late$/)
  })

  it('comes by TLS as well', async () => {
    const rig = await echoing()
    const socket = new WebSocket(`wss://127.0.0.1:${rig.https}/`, {
      headers: { host: 'a.example' },
      rejectUnauthorized: false,
    })
    ends.add(() => socket.terminate())
    const seen = JSON.parse(await message(socket)) as SeenRequest
    expect(seen.headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' })
    const big = 'x'.repeat(1_000_000)
    socket.send(big)
    expect((await message(socket)) === big).toBe(true)
    socket.close()
    await once(socket, 'close')
    await eventually(() => rig.plane.connections.size === 0)
    expect(rig.totals().tls()).toMatchObject([{ host: 'other', handshakes: 1, failures: 0 }])
  })

  it('is counted once as 1xx when it opens, and logged with its bytes when it ends', async () => {
    const log = temporaryFile(ends)
    const rig = await echoing({ ACCESS_LOG: log })
    const socket = open(rig.http)
    await message(socket)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [1, 0, 0, 0, 0] })
    socket.send('x'.repeat(10_000))
    await message(socket)
    socket.close()
    await once(socket, 'close')
    await eventually(() => rig.plane.connections.size === 0)
    const [line] = await accessLines(log)
    expect(line).toMatchObject({ status: 101, method: 'GET', path: '/chat', ingress: 'a.example', failure: null })
    expect(Number(line?.['bytes_in'])).toBeGreaterThan(10_000)
    expect(Number(line?.['bytes_out'])).toBeGreaterThan(10_000)
    expect(summed(rig.totals()).requests).toBe(1)
  })

  it('tells the backend when its client vanishes, and the client when its backend does', async () => {
    const clients: WebSocket[] = []
    const address = await startBackend(
      ends,
      (_request, response) => response.end(),
      server => new WebSocketServer({ server }).on('connection', client => clients.push(client)),
    )
    const rig = await inFrontOf(ends, [address])
    const first = open(rig.http)
    await once(first, 'open')
    await eventually(() => clients.length === 1)
    first.terminate()
    await once(clients[0]!, 'close')
    const second = open(rig.http)
    await once(second, 'open')
    await eventually(() => clients.length === 2)
    clients[1]!.terminate()
    expect((await once(second, 'close'))[0]).toBe(1006)
    await eventually(() => rig.plane.connections.size === 0)
  })
})

describeOnAll('a tunnel, when the proxy goes,', () => {
  const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  const GOING_AWAY = '\x88\x02\x03\xe9'

  /** A backend that speaks bytes; `said`: what it heard behind the handshake. */
  async function raw(
    first: string,
  ): Promise<{ rig: Rig; client: RawClient; say: (text: string) => void; said: () => string }> {
    let backend: Socket | null = null
    let said = ''
    const address = await startRawBackend(ends, socket => {
      socket.once('data', () => {
        backend = socket
        socket.write(Buffer.from(first, 'latin1'))
        socket.on('data', chunk => (said += chunk.toString('latin1')))
      })
    })
    const rig = await inFrontOf(ends, [address], { DRAIN_TIMEOUT: '200ms', LINGER_IDLE_TIMEOUT: '1s' })
    const client = new RawClient(rig.http)
    client.send(HANDSHAKE.replace('websocket', /Upgrade: (.*)/.exec(first)?.[1] ?? ''))
    await client.until(/\r\n\r\n/)
    return { rig, client, say: text => backend?.write(Buffer.from(text, 'latin1')), said: () => said }
  }

  const behind = (client: RawClient): string => client.received.slice(client.received.indexOf('\r\n\r\n') + 4)

  it('tells both sides of a WebSocket that it does: 1001', async () => {
    const codes: number[] = []
    const address = await startBackend(
      ends,
      (_request, response) => response.end(),
      server =>
        new WebSocketServer({ server }).on('connection', client => {
          client.send('hello')
          client.on('close', code => codes.push(code))
        }),
    )
    const rig = await inFrontOf(ends, [address])
    const [plain, secure] = [
      open(rig.http),
      new WebSocket(`wss://127.0.0.1:${rig.https}/`, { headers: { host: 'a.example' }, rejectUnauthorized: false }),
    ]
    ends.add(() => secure.terminate())
    await Promise.all([message(plain), message(secure)])
    const closed = Promise.all([once(plain, 'close'), once(secure, 'close')])
    await rig.plane.drain()
    expect((await closed).map(([code]) => code as number)).toEqual([1001, 1001])
    await eventually(() => codes.length === 2)
    expect(codes).toEqual([1001, 1001])
  })

  it('closes several one after the other, spread over the time to drain (finding 27)', async () => {
    const rig = await echoing({ DRAIN_TIMEOUT: '1600ms' })
    const sockets = [1, 2, 3].map(() => open(rig.http))
    await Promise.all(sockets.map(message))
    const from = performance.now()
    const closed = Promise.all(sockets.map(socket => once(socket, 'close').then(() => performance.now() - from)))
    await rig.plane.drain()
    const [first = 0, second = 0, third = 0] = (await closed).sort((a, b) => a - b)
    // Every 360 ms, as the time goes.
    for (const pause of [first, second - first, third - second]) expect(pause).toBeGreaterThan(150)
    expect(third).toBeLessThan(1_600)
  })

  it('says so behind the frame that is under way, and passes nothing more', async () => {
    const { rig, client, say } = await raw(`${SWITCH}\x82\x06abc`)
    await client.until(/abc$/)
    const drained = rig.plane.drain()
    // Its turn comes within DRAIN_TIMEOUT.
    await new Promise(resolve => setTimeout(resolve, 400))
    say('def\x82\x03ghi')
    await drained
    expect(behind(client)).toBe(`\x82\x06abcdef${GOING_AWAY}`)
  })

  it('says it once, where the backend did already', async () => {
    const { rig, client } = await raw(`${SWITCH}\x88\x02\x03\xe8`)
    await client.until(/\xe8$/)
    await rig.plane.drain()
    expect(behind(client)).toBe('\x88\x02\x03\xe8')
  })

  it('says nothing into a protocol that it does not know', async () => {
    const { rig, client, said } = await raw(`${SWITCH.replace('websocket', 'spdy/3.1')}abc`)
    await client.until(/abc$/)
    await rig.plane.drain()
    await client.ended()
    expect([behind(client), said()]).toEqual(['abc', ''])
  })

  it('ends one whose frame does not, when the time is over', async () => {
    const { rig, client } = await raw(`${SWITCH}\x82\x06abc`)
    await client.until(/abc$/)
    await rig.plane.drain()
    await client.ended()
    expect(behind(client)).toBe('\x82\x06abc')
  })
})

describeOnAll('an upgrade that does not happen', () => {
  it('brings the answer of the backend', async () => {
    const address = await startBackend(
      ends,
      () => undefined,
      server => {
        server.on('upgrade', (_request, socket) =>
          socket.end('HTTP/1.1 401 Unauthorized\r\nX-Why: token\r\nContent-Length: 2\r\n\r\nno'),
        )
      },
    )
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, HANDSHAKE)
    expect(text).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\nX-Why: token\r\n[^]*\r\n\r\nno$/)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 0, 0, 1, 0], upstreamErrors: 0 })
  })

  it('is 404 without a route and 503 without endpoints', async () => {
    const rig = await inFrontOf(ends, [])
    expect(await exchangeRaw(rig.http, HANDSHAKE)).toMatch(/^HTTP\/1\.1 503 [^]*no backend is available\nrequest id: /)
    expect(await exchangeRaw(rig.http, HANDSHAKE.replace('a.example', 'b.example'))).toMatch(/^HTTP\/1\.1 404 /)
    expect(summed(rig.totals())).toEqual({ requests: 2, notFound: 1, upstreamErrors: 1, status: [0, 0, 0, 1, 1] })
  })

  it('is 400 where the host is not clear', async () => {
    const rig = await echoing()
    const twice = HANDSHAKE.replace('Host:', 'Host: b.example\r\nHost:')
    expect(await exchangeRaw(rig.http, twice)).toMatch(/^HTTP\/1\.1 400 [^]*more than one Host header/)
  })

  it('is 502 where nobody listens, after the next endpoint was tried', async () => {
    const rig = await inFrontOf(ends, [await deadAddress(), await deadAddress()])
    expect(await exchangeRaw(rig.http, HANDSHAKE)).toMatch(/^HTTP\/1\.1 502 [^]*no backend accepted the connection\n/)
    expect(rig.totals().connectFailures).toBe(2)
  })

  it.each([
    ['that closes', (bytes: string) => bytes, 502, ''],
    ['that answers garbage', (bytes: string) => bytes, 502, 'garbage\r\n\r\n'],
  ])('is 502 with a backend %s', async (_name, _id, status, bytes) => {
    const address = await startRawBackend(ends, socket => socket.once('data', () => socket.end(bytes)))
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, HANDSHAKE)
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*no valid answer\\nrequest id: `))
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 1, status: [0, 0, 0, 0, 1] })
  })

  it('is 504 with a backend that says nothing', async () => {
    const address = await startRawBackend(ends, () => undefined)
    const rig = await inFrontOf(ends, [address], { UPSTREAM_HEADERS_TIMEOUT: '200ms' })
    expect(await exchangeRaw(rig.http, HANDSHAKE)).toMatch(/^HTTP\/1\.1 504 /)
  })

  it('is 499 if the client does not wait', async () => {
    let arrived = false
    let gone = false
    const address = await startRawBackend(ends, socket => {
      socket.on('data', () => (arrived = true)).on('close', () => (gone = true))
    })
    const log = temporaryFile(ends)
    const rig = await inFrontOf(ends, [address], { ACCESS_LOG: log })
    const client = new RawClient(rig.http)
    client.send(HANDSHAKE)
    await eventually(() => arrived)
    reset(client.socket)
    await eventually(() => gone && summed(rig.totals()).requests === 1)
    expect(await accessLines(log)).toMatchObject([{ status: 499, failure: 'client-gone' }])
  })
})
