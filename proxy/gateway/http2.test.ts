/** HTTP/2 from clients to backends of HTTP/1.1, from outside. What HTTP/1.1 has in common with it is tested on both (workers/testing/ways.ts). */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:http2'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import { certificate, certificates, endpoints, fragment, host, path, tls, upsert } from '../table/testing/fixtures.ts'
import {
  Ends,
  accessLines,
  eventually,
  startBackend,
  startPlane,
  startRawBackend,
  temporaryFile,
  type Rig,
} from '../workers/testing/harness.ts'
import { Http2Client, answerOf } from '../workers/testing/http2-client.ts'
import {
  END_HEADERS,
  END_STREAM,
  FRAMES,
  FrameClient,
  GET,
  fieldBlock,
  frame,
} from '../workers/testing/http2-frames.ts'
import { echoing, inFrontOf, type Echo } from './testing/in-front-of.ts'

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants
const ends = new Ends()
afterEach(() => ends.all())

/** A backend that writes these bytes to each request, in latin1; null: it closes after them. */
function answering(text: string, then: (socket: Socket) => void = () => undefined): Promise<string> {
  return startRawBackend(ends, socket =>
    socket.once('data', () => {
      socket.write(text, 'latin1')
      then(socket)
    }),
  )
}

async function ofBackend(text: string): Promise<Http2Client> {
  const { https } = await inFrontOf(ends, [await answering(text)])
  return new Http2Client(ends, https)
}

describe('a request', () => {
  it('reaches the backend as one of HTTP/1.1 with its body; many at once', async () => {
    const { https } = await echoing(ends)
    const client = new Http2Client(ends, https)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => client.ask({ method: 'POST', path: `/${i}?q`, body: `body ${i}` })),
    )
    answers.forEach(({ status, body }, i) => {
      const { url, headers, body: sent } = JSON.parse(body) as Echo
      expect([status, url, sent]).toEqual([200, `/${i}?q`, `body ${i}`])
      expect(headers).toMatchObject({
        host: 'a.example',
        'x-forwarded-proto': 'https',
        'content-length': `${sent.length}`,
      })
    })
  })

  it('has one cookie at the backend, no TE, and the Host that :authority says', async () => {
    const { https } = await echoing(ends)
    const client = new Http2Client(ends, https)
    const headers = { cookie: ['a=1', 'b=2', 'c=3'], te: 'trailers', host: 'A.example' }
    const { headers: sent } = JSON.parse((await client.ask({ headers })).body) as Echo
    expect(sent).toMatchObject({ cookie: 'a=1; b=2; c=3', host: 'a.example' })
    expect(sent).not.toHaveProperty('te')
  })

  it('of another Host than :authority is refused, CONNECT and TRACE are not served', async () => {
    const { https } = await echoing(ends)
    const client = new Http2Client(ends, https)
    expect(await client.ask({ headers: { host: 'b.example' } })).toMatchObject({
      status: 400,
      body: '400 Bad Request: the Host header is not what :authority says\n',
    })
    expect(await client.ask({ method: 'TRACE' })).toMatchObject({ status: 405 })
    const connect = client.session.request({ ':method': 'CONNECT', ':authority': 'a.example:443' })
    expect(await answerOf(connect)).toMatchObject({ status: 405 })
    expect((await client.ask({})).status).toBe(200)
  })

  it('is told to go on where it waits for that, and refused with too much of a head', async () => {
    const { https } = await echoing(ends)
    const client = new Http2Client(ends, https)
    const headers = { expect: '100-continue', 'content-length': '3' }
    const waiting = await client.ask({ method: 'PUT', headers, body: 'abc' })
    expect(waiting).toMatchObject({ status: 200, informations: [{ ':status': 100 }] })
    expect(await client.ask({ headers: { long: 'x'.repeat(33_000) } })).toMatchObject({ status: 431 })
    expect(await client.ask({ path: `/${'x'.repeat(17_000)}` })).toMatchObject({ status: 414 })
  })

  it('with a large body waits for a backend that reads nothing, and goes through whole', async () => {
    let reading: (() => void) | undefined
    let bytes = 0
    const address = await startBackend(ends, (request, response) => {
      reading = () => {
        request.on('data', (piece: Buffer) => (bytes += piece.length))
        request.on('end', () => response.end('taken'))
      }
    })
    const { https } = await inFrontOf(ends, [address])
    const client = new Http2Client(ends, https)
    const stream = client.open({ method: 'POST' }, false)
    stream.end(Buffer.alloc(8_388_608))
    await eventually(() => reading !== undefined)
    // Kernels and windows hold some of it, and not all.
    let before = -1
    await eventually(() => before === (before = stream.writableLength))
    expect(stream.writableLength).toBeGreaterThan(0)
    reading?.()
    expect(await answerOf(stream)).toMatchObject({ status: 200, body: 'taken' })
    expect(bytes).toBe(8_388_608)
  })
})

describe('an answer', () => {
  it('comes with its trailers and what came before it, without what is of a connection', async () => {
    const client = await ofBackend(
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\nHTTP2-Settings: x\r\nProxy-Connection: x\r\n' +
        'Set-Cookie: a=1\r\nContent-Type: a/b\r\nSet-Cookie: b=2\r\nContent-Type: c/d\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '3\r\nabc\r\n0\r\nX-T: t\r\nX-T: u\r\n\r\n',
    )
    const { informations, rawHeaders, trailers, body } = await client.ask({})
    expect(informations).toMatchObject([{ ':status': 103, link: '</a.css>' }])
    expect(rawHeaders.filter((_, i) => i % 2 === 0).join()).toBe(
      ':status,set-cookie,content-type,set-cookie,content-type,trailer,date,server',
    )
    expect([trailers['x-t'], body]).toEqual(['t, u', 'abc'])
  })

  it.each([
    ['GET', '204 No Content\r\n\r\n', { status: 204, body: '' }],
    ['GET', '304 Not Modified\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n', { status: 304, body: '' }],
    ['GET', '205 Reset Content\r\nContent-Length: 3\r\n\r\nabc', { status: 205, body: '' }],
    ['HEAD', '200 OK\r\nContent-Length: 5\r\n\r\n', { status: 200, body: '', headers: { 'content-length': '5' } }],
    ['GET', '599 Odd\r\nContent-Length: 3\r\n\r\nabc', { status: 599, body: 'abc' }],
    // RFC 9110 15: nothing above it is a status; HTTP/1.1 lets it through all the same.
    ['GET', '700 None\r\nContent-Length: 3\r\n\r\nabc', { status: 502 }],
  ])('%s, of %j', async (method, text, expected) => {
    const client = await ofBackend(`HTTP/1.1 ${text}`)
    expect(await client.ask({ method })).toMatchObject({ ...expected, code: NGHTTP2_NO_ERROR })
  })

  it('that ends with its connection is whole', async () => {
    const address = await answering('HTTP/1.1 200 OK\r\n\r\nabc', socket => socket.end('def'))
    const { https } = await inFrontOf(ends, [address])
    expect(await new Http2Client(ends, https).ask({})).toMatchObject({ body: 'abcdef', code: NGHTTP2_NO_ERROR })
  })

  it.each(['Content-Length: 100\r\n\r\nabc', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', '\r\nabc'])(
    'that the backend cuts never looks whole: %j',
    async text => {
      const cut = (socket: Socket): unknown => setTimeout(() => socket.resetAndDestroy(), 50)
      const { https } = await inFrontOf(ends, [await answering(`HTTP/1.1 200 OK\r\n${text}`, cut)])
      const client = await FrameClient.open(ends, https)
      client.get(1)
      expect(FrameClient.codeOf(await client.until(FRAMES.RST_STREAM, 1))).toBe(NGHTTP2_INTERNAL_ERROR)
      const ofStream = client.got.filter(({ id }) => id === 1)
      expect(ofStream.filter(({ flags }) => (flags & END_STREAM) !== 0)).toEqual([])
      expect(ofStream.map(({ type }) => type)).toEqual([FRAMES.HEADERS, FRAMES.DATA, FRAMES.RST_STREAM])
    },
  )

  it('may be complete before its request', async () => {
    const { https } = await inFrontOf(ends, [await answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly')])
    const client = new Http2Client(ends, https)
    const stream = client.open({ method: 'POST' }, false)
    stream.write(Buffer.alloc(100_000))
    expect(await answerOf(stream)).toMatchObject({ status: 200, body: 'early', code: NGHTTP2_NO_ERROR })
    expect(client.session.destroyed).toBe(false)
  })

  it('waits for a client that takes none of it, and the backend with it; the other streams go on', async () => {
    let sent = 0
    const address = await startBackend(ends, (request, response) => {
      if (request.url === '/small') {
        response.end('small')
        return
      }
      const piece = Buffer.alloc(65_536)
      const write = (): void => {
        while (sent < 8_388_608) {
          sent += piece.length
          if (!response.write(piece)) {
            response.once('drain', write)
            return
          }
        }
        response.end()
      }
      write()
    })
    const { https } = await inFrontOf(ends, [address])
    const client = new Http2Client(ends, https)
    const large = client.open({ path: '/large' }, true)
    await once(large, 'response')
    let before = -1
    await eventually(() => before === (before = sent))
    expect(sent).toBeLessThan(8_388_608)
    expect(await client.ask({ path: '/small' })).toMatchObject({ body: 'small' })
    let bytes = 0
    large.on('data', (piece: Buffer) => (bytes += piece.length))
    await once(large, 'end')
    expect(bytes).toBe(8_388_608)
  })
})

describe('a client that takes its request back', () => {
  it('is 499, and its backend hears of it at once', async () => {
    const file = temporaryFile(ends)
    let connection: Socket | undefined
    const address = await startBackend(ends, request => (connection = request.socket))
    const { https } = await inFrontOf(ends, [address], { ACCESS_LOG: file })
    const client = new Http2Client(ends, https)
    const stream = client.open({}, true)
    await eventually(() => connection !== undefined)
    stream.close(NGHTTP2_CANCEL)
    await eventually(() => connection?.destroyed === true)
    expect(await client.ask({ host: 'b.example' })).toMatchObject({ status: 404 })
    expect(await accessLines(file, 2)).toMatchObject([
      { status: 499, failure: 'client-gone', protocol: 'HTTP/2.0', connection_request: 1, tls: 'TLSv1.3' },
      { status: 404, protocol: 'HTTP/2.0', connection_request: 2 },
    ])
  })

  it('in the middle of a body has not sent all of it, whatever it says', async () => {
    const seen: boolean[] = []
    let bytes = 0
    const address = await startBackend(ends, request => {
      request.on('data', (piece: Buffer) => (bytes += piece.length))
      request.on('close', () => seen.push(request.complete))
    })
    const { https } = await inFrontOf(ends, [address], { BODY_BUFFER: '0' })
    const client = await FrameClient.open(ends, https)
    for (const [id, code, method] of [
      [1, NGHTTP2_NO_ERROR, 'POST'],
      [3, NGHTTP2_CANCEL, 'POST'],
      // Its answer has no body, and Node counts it as ended from its beginning.
      [5, NGHTTP2_NO_ERROR, 'HEAD'],
    ] as const) {
      const before = seen.length
      bytes = 0
      client.send(frame(FRAMES.HEADERS, END_HEADERS, id, fieldBlock({ ...GET, ':method': method })))
      client.send(frame(FRAMES.DATA, 0, id, Buffer.alloc(10_000)))
      await eventually(() => bytes === 10_000)
      client.send(frame(FRAMES.RST_STREAM, 0, id, Buffer.from([0, 0, 0, code])))
      await eventually(() => seen.length > before)
    }
    expect(seen).toEqual([false, false, false])
  })
})

describe('a connection', () => {
  it('is one of HTTP/1.1 for who wants that, and for everybody where HTTP/2 is off', async () => {
    const protocolOf = async ({ https }: Rig, ALPNProtocols: string[]): Promise<string | false | null> => {
      const socket = connectTls({ port: https, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols })
      ends.add(() => socket.destroy())
      await once(socket, 'secureConnect')
      return socket.alpnProtocol
    }
    const [on, off] = [await echoing(ends), await echoing(ends, { HTTP2: 'off' })]
    expect(await protocolOf(on, ['http/1.1', 'h2'])).toBe('h2')
    expect(await protocolOf(on, ['http/1.1'])).toBe('http/1.1')
    expect(await protocolOf(off, ['h2', 'http/1.1'])).toBe('http/1.1')
  })

  it('is asked by curl', async () => {
    const { https } = await echoing(ends)
    const options = [
      '-sk',
      '--http2',
      '--resolve',
      `a.example:${https}:127.0.0.1`,
      '-w',
      ' %{http_version}',
      '-d',
      'abc',
    ]
    const { stdout } = await promisify(execFile)('curl', [...options, `https://a.example:${https}/x`])
    const [, body = '', version] = /^(.*) (\S+)$/s.exec(stdout) ?? []
    expect([version, (JSON.parse(body) as Echo).body]).toEqual(['2', 'abc'])
  })

  it('ends what is under way when the proxy goes, and takes nothing more', async () => {
    let answer: (() => void) | undefined
    const address = await startBackend(ends, (_, response) => (answer = () => response.end('late')))
    const { https, plane } = await inFrontOf(ends, [address])
    const [client, idle] = [new Http2Client(ends, https), new Http2Client(ends, https)]
    const asked = client.ask({})
    expect((await idle.ask({ host: 'b.example' })).status).toBe(404)
    await eventually(() => answer !== undefined)
    const drained = plane.drain()
    await eventually(() => client.goaway === NGHTTP2_NO_ERROR && idle.goaway === NGHTTP2_NO_ERROR)
    answer?.()
    expect(await asked).toMatchObject({ status: 200, body: 'late' })
    await Promise.all([drained, client.closed, idle.closed])
    expect(plane.connections.counts).toEqual({ open: 0, secured: 0, idle: 0, busy: 0, tunnels: 0 })
  })

  it('has all of its requests counted, and the worker no more of them than it may have', async () => {
    const answers: (() => void)[] = []
    const address = await startBackend(ends, (_, response) => answers.push(() => response.end('ok')))
    const { https, plane } = await inFrontOf(ends, [address], { MAX_REQUESTS: '3' })
    const client = new Http2Client(ends, https)
    const asked = [client.ask({}), client.ask({}), client.ask({})]
    await eventually(() => answers.length === 3)
    expect(plane.connections.counts).toMatchObject({ open: 1, busy: 3 })
    expect(await client.ask({})).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    for (const answer of answers) answer()
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200])
    await eventually(() => plane.connections.counts.idle === 1)
    expect(plane.connections.counts).toMatchObject({ open: 1, busy: 0 })
  })

  it('that is one too many hears so', async () => {
    const address = await startBackend(ends, () => undefined)
    const { https, totals } = await inFrontOf(ends, [address], { MAX_CONNECTIONS: '1' })
    const first = await FrameClient.open(ends, https)
    first.get(1)
    await first.until(FRAMES.SETTINGS)
    const second = await FrameClient.open(ends, https)
    expect(FrameClient.codeOf(await second.until(FRAMES.GOAWAY))).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await second.ended()
    expect(totals().events.get('connection connections')).toBe(1)
  })

  it('that was opened for a host serves those that have the same certificates', async () => {
    const ca = await Authority.root('test')
    const [one, wild] = await Promise.all([
      ca.issue({ hosts: ['one.example'] }),
      ca.issue({ hosts: ['*.wild.example'] }),
    ])
    const address = await startBackend(ends, (_, response) => response.end('ok'))
    const rig = await startPlane(ends)
    rig.apply(certificates([certificate('one', 'ECDSA', { ...one }), certificate('wild', 'ECDSA', { ...wild })]))
    const hosts = ['one.example', '*.wild.example', 'plain.example', 'other.example']
    const at = hosts.map(name => host(name, path('Prefix /', 'ns/web:80')))
    rig.apply(upsert(fragment('web', at, { tls: [tls('one', 'one.example'), tls('wild', '*.wild.example')] })))
    rig.apply(endpoints({ 'ns/web:80': [address] }))
    const statusOf = async (servername: string, name: string): Promise<number> =>
      (await new Http2Client(ends, rig.https, servername).ask({ host: name })).status
    expect(await statusOf('a.wild.example', 'b.wild.example')).toBe(200)
    expect(await statusOf('plain.example', 'other.example')).toBe(200)
    expect(await statusOf('one.example', 'a.wild.example')).toBe(421)
    expect(await statusOf('one.example', 'plain.example')).toBe(421)
    expect(await statusOf('plain.example', 'one.example')).toBe(421)
    // Who names no host has seen the default certificate, and gone on.
    expect(await statusOf('', 'one.example')).toBe(200)
  })
})
