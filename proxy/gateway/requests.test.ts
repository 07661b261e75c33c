import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from '@jest/globals'
import { closed, fragment, host, path, upsert } from '../table/testing/fixtures.ts'
import { describeOnAll } from '../workers/testing/ways.ts'
import {
  Ends,
  RawClient,
  accessLines,
  ask,
  bodyOf,
  deadAddress,
  eventually,
  exchangeRaw,
  site,
  startBackend,
  startPlane,
  startRawBackend,
  summed,
  temporaryFile,
  type Rig,
} from '../workers/testing/harness.ts'
import { echoing, inFrontOf, type Echo } from './testing/in-front-of.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function echo(port: number, asked: Parameters<typeof ask>[1]): Promise<Echo> {
  const { body } = await ask(port, asked)
  return JSON.parse(body) as Echo
}

describeOnAll('what the backend sees', () => {
  it.each([
    '/',
    '/a/..b',
    '/%E4',
    '/a//b',
    '/a%2Fb',
    '/a/./b/../c?x=/../y',
    '/?',
    '/a?b=%00&c=ü'.replace('ü', '%C3%BC'),
    "/;v=1/a:b@c/$&'()*+,=!~",
    '/a?url=http://other.example/x//y',
    '//a.example/b',
    '/a|b"<>^`{}',
  ])('the target as the client wrote it: %s', async target => {
    const rig = await echoing(ends)
    const [, body = ''] = (
      await exchangeRaw(rig.http, `GET ${target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`)
    ).split('\r\n\r\n')
    expect((JSON.parse(body) as Echo).url).toBe(target)
  })

  it('an absolute target as a path, and its host instead of the Host header', async () => {
    const rig = await echoing(ends)
    const answer = await exchangeRaw(
      rig.http,
      'GET http://A.example:8080/x?y HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n',
    )
    const seen = JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as Echo
    expect(seen).toMatchObject({ url: '/x?y', headers: { host: 'A.example:8080' } })
  })

  it.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'PURGE', 'REPORT', 'QUERY'])(
    '%s with its body',
    async method => {
      const rig = await echoing(ends)
      expect(await echo(rig.http, { method, body: 'four', headers: { 'content-length': 4 } })).toMatchObject({
        ...{ method, body: 'four' },
      })
    },
  )

  it('Host, Authorization, Cookie and repeated headers as they were sent', async () => {
    const rig = await echoing(ends)
    const seen = await echo(rig.http, {
      host: 'A.Example:81',
      headers: { authorization: 'Bearer x', cookie: 'a=b', 'x-many': ['1', '2'], accept: 'caf\u00e9' },
    })
    expect(seen.headers).toMatchObject({
      host: 'A.Example:81',
      authorization: 'Bearer x',
      cookie: 'a=b',
      accept: 'caf\u00e9',
    })
    expect(seen.headers['x-many']).toBe('1, 2')
    expect(seen.rawHeaders.filter(name => name === 'x-many')).toHaveLength(2)
  })

  const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

  it.each([
    [['traceparent', TRACEPARENT, 'tracestate', 'vendor=a:1,other=b', 'TraceState', 'third=c']],
    [['TraceParent', '00-not-a-trace-01', 'tracestate', 'x=y', 'b3', '0']],
    [[]],
  ])('the trace that the client says, also when the request is tried again: %j', async sent => {
    const seen: string[][] = []
    const backends = [1, 2].map(() =>
      startBackend(ends, ({ rawHeaders, socket }, response) => {
        seen.push(rawHeaders.filter((_, i) => /^(trace|b3)/i.test(rawHeaders[i - (i % 2)] ?? '')))
        if (seen.length === 1) socket.destroy()
        else response.end('ok')
      }),
    )
    const log = temporaryFile(ends)
    const rig = await inFrontOf(ends, await Promise.all(backends), { ACCESS_LOG: log })
    const fields = sent.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    await exchangeRaw(rig.http, `GET / HTTP/1.1\r\nHost: a.example\r\n${fields}Connection: close\r\n\r\n`)
    expect(seen).toEqual([sent, sent])
    rig.plane.flushLog()
    const trace = sent[1] === TRACEPARENT ? '0af7651916cd43dd8448eb211c80319c' : null
    expect(await accessLines(log)).toMatchObject([{ status: 200, attempts: 2, trace_id: trace }])
  })

  it('who the client is, whatever the client claims', async () => {
    const rig = await echoing(ends)
    const { headers } = await echo(rig.http, {
      headers: {
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'evil',
        'x-forwarded-port': '1',
        'x-forwarded-scheme': 'https',
        'x-forwarded-prefix': '/evil',
        X_Forwarded_For: '6.6.6.6',
        'x-real-ip': '6.6.6.6',
        'x-scheme': 'https',
        forwarded: 'for=6.6.6.6',
        'x-request-id': 'bad id\u00ff',
      },
    })
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'a.example',
      'x-forwarded-port': '80',
      'x-forwarded-scheme': 'http',
      'x-real-ip': '127.0.0.1',
      'x-scheme': 'http',
      'x-original-forwarded-for': '6.6.6.6',
    })
    expect(headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
    for (const name of ['forwarded', 'x_forwarded_for', 'x-forwarded-prefix']) expect(headers[name]).toBeUndefined()
  })

  it('a request id of the client that is harmless', async () => {
    const rig = await echoing(ends)
    const { headers } = await echo(rig.http, { headers: { 'x-request-id': 'abc-1' } })
    expect(headers['x-request-id']).toBe('abc-1')
  })

  it('no header that was for the proxy only', async () => {
    const rig = await echoing(ends)
    const { headers } = await echo(rig.http, {
      method: 'POST',
      body: 'x',
      headers: {
        connection: 'close, x-mine',
        'x-mine': '1',
        te: 'trailers',
        trailer: 'x-t',
        'proxy-connection': 'close',
      },
    })
    for (const name of ['x-mine', 'te', 'trailer', 'proxy-connection', 'keep-alive', 'expect']) {
      expect([name, headers[name]]).toEqual([name, undefined])
    }
  })

  it('a request of HTTP/1.0 without a Host, which gets a closed connection', async () => {
    const rig = await startPlane(ends)
    const address = await startBackend(ends, (request, response) => response.end(String(request.headers.host)))
    for (const update of site('', [address])) rig.apply(update)
    const answer = await exchangeRaw(rig.http, 'GET / HTTP/1.0\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\nConnection: close\r\n/i)
    expect(answer).not.toMatch(/transfer-encoding/i)
    expect(answer).toContain(address)
  })
})

describeOnAll('bodies', () => {
  it('pass in both directions while they come', async () => {
    const address = await startBackend(ends, (request, response) => {
      request.on('data', (chunk: Buffer) => response.write(chunk.toString().toUpperCase()))
      request.on('end', () => response.end())
    })
    const rig = await inFrontOf(ends, [address])
    const request = httpRequest({ port: rig.http, method: 'POST', headers: { host: 'a.example' }, agent: false })
    request.write('one')
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const [first] = (await once(response, 'data')) as [Buffer]
    expect(first.toString()).toBe('ONE')
    request.end('two')
    expect(await bodyOf(response)).toBe('TWO')
  })

  /** Sizes of the chunks of a body of the letter x. */
  const chunkSizes = (bytes: string): readonly number[] =>
    [...bytes.matchAll(/\r\n(x+)\r\n/g)].map(([, x]) => x?.length ?? 0)
  const sum = (sizes: readonly number[]): number => sizes.reduce((all, size) => all + size, 0)

  it('in chunks of a byte each go on in chunks of what one read brought: to the backend', async () => {
    let seen = ''
    const address = await startRawBackend(ends, socket =>
      socket.setEncoding('latin1').on('data', text => {
        seen += text as unknown as string
        if (seen.endsWith('0\r\n\r\n')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      }),
    )
    const rig = await inFrontOf(ends, [address])
    const head = 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    // More than is gathered before a backend is chosen.
    const answer = await exchangeRaw(rig.http, `${head}${'1\r\nx\r\n'.repeat(200_000)}0\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    const sizes = chunkSizes(seen)
    expect(sum(sizes)).toBe(200_000)
    expect(sizes.length).toBeLessThan(20_000)
  })

  it('in chunks of a byte each go on in chunks of what one read brought: to the client', async () => {
    const chunks = `${'1\r\nx\r\n'.repeat(10_000)}0\r\n\r\n`
    const bytes = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`
    const address = await startRawBackend(ends, socket => socket.once('data', () => socket.end(bytes)))
    const rig = await inFrontOf(ends, [address])
    const answer = await exchangeRaw(rig.http, 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    const sizes = chunkSizes(answer)
    expect(sum(sizes)).toBe(10_000)
    expect(sizes.length).toBeLessThan(1_000)
  })

  it.each([1_000, 20_000_000])('of %d bytes arrive whole', async size => {
    const address = await startBackend(ends, (request, response) => request.pipe(response))
    const rig = await inFrontOf(ends, [address])
    const body = Buffer.alloc(size, 'abc')
    const chunked = await ask(rig.http, { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } })
    expect(chunked.body === body.toString()).toBe(true)
    const sized = await ask(rig.http, { method: 'POST', body, headers: { 'content-length': size } })
    expect(sized.body === body.toString()).toBe(true)
  })

  it('that wait for a slow client stay what they are: reads of all backends go through one buffer', async () => {
    const address = await startBackend(ends, (request, response) => {
      response.end(Buffer.alloc(request.url === '/a' ? 8_000_000 : 300_000, request.url?.slice(1)))
    })
    const rig = await inFrontOf(ends, [address])
    const client = new RawClient(rig.http)
    client.socket.pause()
    client.send('GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    await eventually(() => rig.plane.upstream.open === 1)
    for (let i = 0; i < 5; i++) await ask(rig.http, { path: '/b' })
    client.socket.resume()
    await client.ended()
    expect(client.received.split('\r\n\r\n')[1] === 'a'.repeat(8_000_000)).toBe(true)
  })

  it('that wait behind others of the same client stay what they are, too', async () => {
    const [count, size] = [250, 40_000]
    const address = await startRawBackend(ends, socket =>
      socket.on('data', data => {
        const letter = /^GET \/(.)/.exec(data.toString('latin1'))?.[1] ?? '?'
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${letter.repeat(size)}`)
      }),
    )
    const rig = await inFrontOf(ends, [address])
    const letters = Array.from({ length: count }, (_, i) => 'acdefghijklmnopqrstuvwxyz'.charAt(i % 25))
    const heads = letters.map((letter, i) => {
      const connection = i === count - 1 ? 'close' : 'keep-alive'
      return `GET /${letter} HTTP/1.1\r\nHost: a.example\r\nConnection: ${connection}\r\n\r\n`
    })
    const client = new RawClient(rig.http)
    client.socket.pause()
    client.send(heads.join(''))
    // Until the client takes no more.
    const answered = (): number => summed(rig.totals()).requests
    let [known, since] = [0, performance.now()]
    await eventually(() => {
      if (answered() !== known) [known, since] = [answered(), performance.now()]
      return known > 0 && performance.now() - since > 200
    })
    expect(known).toBeLessThan(count)
    for (let i = 0; i < 5; i++) await ask(rig.http, { path: '/b' })
    client.socket.resume()
    await client.ended()
    expect(answered()).toBe(count + 5)
    const bodies = client.received.split(/HTTP\/1\.1 200 OK\r\n[^]*?\r\n\r\n/).slice(1)
    expect(bodies.map(body => (body === body.charAt(0).repeat(size) ? body.charAt(0) : 'mixed'))).toEqual(letters)
  })

  it('are asked for by 100 Continue once a backend is there', async () => {
    const rig = await echoing(ends)
    const client = new RawClient(rig.http)
    client.send(
      'POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n',
    )
    expect(await client.until(/\r\n\r\n/)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('four')
    await client.ended()
    expect(client.received).toMatch(/"body":"four"/)
  })

  it('are not asked for where nobody takes them, and the connection ends', async () => {
    const rig = await inFrontOf(ends, [await deadAddress()])
    const head = 'Expect: 100-continue\r\nContent-Length: 100000\r\n\r\n'
    expect(await exchangeRaw(rig.http, `POST / HTTP/1.1\r\nHost: a.example\r\n${head}`)).toMatch(/^HTTP\/1\.1 502 /)
    expect(await exchangeRaw(rig.http, `POST / HTTP/1.1\r\nHost: b.example\r\n${head}`)).toMatch(/^HTTP\/1\.1 404 /)
  })

  it('an unknown Expect is no reason to refuse', async () => {
    const rig = await echoing(ends)
    expect(await ask(rig.http, { headers: { expect: 'wonders' } })).toMatchObject({ status: 200 })
  })

  it('a backend may answer before it has read all, and the client gets the answer and may go on', async () => {
    const address = await startBackend(ends, (request, response) => {
      if (request.method === 'GET') response.end('next')
      else response.writeHead(413).end('too much')
    })
    const rig = await inFrontOf(ends, [address])
    const client = new RawClient(rig.http)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3000000\r\n\r\n')
    client.send('x'.repeat(1_500_000))
    expect(await client.until(/too much/)).toMatch(/^HTTP\/1\.1 413 /)
    client.send('x'.repeat(1_500_000))
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    await client.ended()
    expect(client.received).toMatch(/HTTP\/1\.1 200 OK[^]*next$/)
    expect(summed(rig.totals())).toMatchObject({ requests: 2, status: [0, 1, 0, 1, 0], upstreamErrors: 0 })
  })

  it('whose rest never comes after an early answer cost one connection and no more', async () => {
    const address = await startBackend(ends, (_request, response) => response.writeHead(401).end('no'))
    const rig = await inFrontOf(ends, [address], { LINGER_IDLE_TIMEOUT: '200ms' })
    const client = new RawClient(rig.http)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\nx')
    expect(await client.until(/no$/)).toMatch(/^HTTP\/1\.1 401 /)
    await client.ended()
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 0, 0, 1, 0] })
  })

  it('malformed in the middle are answered 400, and the backend loses its request', async () => {
    let ended = ''
    let arrived = false
    const address = await startBackend(ends, request => {
      request.on('data', () => (arrived = true))
      request.on('error', () => (ended = 'error'))
      request.on('end', () => (ended = 'end'))
    })
    const rig = await inFrontOf(ends, [address])
    const client = new RawClient(rig.http)
    client.send('POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    await eventually(() => arrived)
    client.send('zz\r\n')
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 400 /)
    await eventually(() => ended !== '')
    expect(ended).toBe('error')
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 0, 0, 1, 0], upstreamErrors: 0 })
  })
})

describeOnAll('what the client sees', () => {
  it('status, reason, repeated headers in order and case, no header of the hop', async () => {
    const address = await startRawBackend(ends, socket =>
      socket.once('data', () =>
        socket.end(
          'HTTP/1.1 299 Fine enough\r\nSet-Cookie: a=1\r\nX-Case: y\r\nSet-Cookie: b=2\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok',
        ),
      ),
    )
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 299 Fine enough\r\nSet-Cookie: a=1\r\nX-Case: y\r\nSet-Cookie: b=2\r\n/)
    expect(text).not.toMatch(/x-hop|timeout=1\r/i)
    expect(text).toMatch(/\r\n\r\nok$/)
  })

  it('HEAD with the length of what it did not get, on a connection that goes on', async () => {
    const address = await startBackend(ends, (_request, response) =>
      response.writeHead(200, { 'content-length': 5 }).end('hello'),
    )
    const rig = await inFrontOf(ends, [address])
    const client = new RawClient(rig.http)
    client.send('HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(await client.until(/\r\n\r\n/)).toMatch(/\r\ncontent-length: 5\r\n/i)
    client.send('HEAD /x HTTP/1.1\r\nHost: b.example\r\n\r\n')
    expect(await client.until(/404 Not Found[^]*\r\n\r\n/)).not.toMatch(/hello|no route/)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    await client.ended()
    expect(client.received).toMatch(/hello$/)
  })

  it.each([
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', /^HTTP\/1\.1 204 No Content\r\n[^]*\r\n\r\n$/],
    ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 9\r\n\r\n', /^HTTP\/1\.1 304 [^]*\r\n\r\n$/],
    [
      'a body that ends with the connection',
      'HTTP/1.0 200 OK\r\n\r\nto the end',
      /chunked\r\n[^]*\r\na\r\nto the end\r\n0\r\n\r\n$/i,
    ],
    ['an empty body', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', /\r\nContent-Length: 0\r\n[^]*\r\n\r\n$/],
  ])('%s', async (_name, bytes, expected) => {
    const address = await startRawBackend(ends, socket => socket.once('data', () => socket.end(bytes)))
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    expect(text).toMatch(expected)
  })

  it.each([
    ['the whole of it', [] as readonly number[]],
    ['its head, and then its body', [92]],
    ['a part of its head', [20]],
    ['a part of its body', [95]],
    ['everything but its last byte', [96]],
    ['a byte each', Array.from({ length: 96 }, (_, i) => i + 1)],
    ['an interim answer before all of it', [0]],
  ])('the same answer, counted the same, if one read brings %s', async (_name, cuts) => {
    const answer =
      'HTTP/1.1 200 OK\r\nX-Bytes:\u00e9  \r\nDate: then\r\nServer: b\r\nTE: x\r\nX-Last: 1\r\nContent-Length: 5\r\n\r\nfi\u0000\u00ffe'
    expect(answer).toHaveLength(97)
    const interim = cuts[0] === 0 ? 'HTTP/1.1 103 Early Hints\r\n\r\n' : ''
    const bytes = Buffer.from(interim + answer, 'latin1')
    const address = await startRawBackend(ends, socket => {
      socket.setNoDelay(true).once('data', () => {
        const pieces = [...cuts.filter(at => at > 0), bytes.length].map((to, i, all) =>
          bytes.subarray(all[i - 1] ?? 0, to),
        )
        const next = (): void => {
          const piece = pieces.shift()
          if (piece !== undefined) socket.write(piece, () => setTimeout(next, 2))
        }
        next()
      })
    })
    const rig = await inFrontOf(ends, [address])
    const text = await exchangeRaw(rig.http, 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    const final =
      'HTTP/1.1 200 OK\r\nX-Bytes: \u00e9\r\nDate: then\r\nServer: b\r\nX-Last: 1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfi\u0000\u00ffe'
    expect(text).toBe(interim + final)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 1, 0, 0, 0] })
    const responseBytes = rig
      .totals()
      .requests()
      .map(counts => counts.responseBytes)
    expect(responseBytes).toEqual([interim.length + final.length])
  })

  it('interim answers and trailers', async () => {
    const address = await startBackend(ends, (_request, response) => {
      response.writeEarlyHints({ link: ['</a>; rel=preload', '</b>; rel=preload'], 'keep-alive': 'timeout=1' })
      response.writeHead(200, { trailer: 'x-sum' })
      response.write('x')
      response.addTrailers({ 'x-sum': '42' })
      response.end()
    })
    const rig = await inFrontOf(ends, [address])
    const { informations, trailers } = await ask(rig.http, {})
    expect(informations).toMatchObject([{ statusCode: 103 }])
    expect(informations[0]).toHaveProperty('headers', { link: '</a>; rel=preload, </b>; rel=preload' })
    expect(trailers).toEqual({ 'x-sum': '42' })
  })

  it('an event stream at once, before its first event', async () => {
    const address = await startBackend(ends, (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    })
    const rig = await inFrontOf(ends, [address])
    const client = new RawClient(rig.http)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(await client.until(/\r\n\r\n/)).toMatch(/text\/event-stream/)
    client.socket.destroy()
  })

  it.each([
    ['garbage', 'nonsense\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    ],
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nX: '],
    ['a switch that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'],
  ])('502 with the request id and nothing internal if the backend answers %s', async (_name, bytes) => {
    const address = await startRawBackend(ends, socket => socket.once('data', () => socket.end(bytes)))
    const rig = await inFrontOf(ends, [address])
    const { status, body, headers } = await ask(rig.http, { headers: { 'x-request-id': 'id-7' } })
    expect({ status, body }).toEqual({
      status: 502,
      body: '502 Bad Gateway: the backend gave no valid answer\nrequest id: id-7\n',
    })
    expect(headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 1, status: [0, 0, 0, 0, 1] })
  })

  it('a broken connection, counted 502, if the answer ends in the middle', async () => {
    const address = await startRawBackend(ends, socket =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
    )
    const rig = await inFrontOf(ends, [address])
    await expect(ask(rig.http, {})).rejects.toThrow('aborted')
    await eventually(() => summed(rig.totals()).requests === 1)
    expect(summed(rig.totals()).status).toEqual([0, 0, 0, 0, 1])
  })

  it('404, 503 for a closed path, 503 for a Service without endpoints; and its connection goes on', async () => {
    const rig = await startPlane(ends)
    const resource = { ...closed('Prefix /resource'), backend: { status: 503, reason: 'r', protects: false } } as const
    const paths = [path('Prefix /none'), closed('Prefix /closed'), resource]
    rig.apply(upsert(fragment('web', [host('a.example', ...paths)])))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    ends.add(() => agent.destroy())
    const sockets = new Set<unknown>()
    agent.on('free', socket => sockets.add(socket))
    const answers = []
    for (const p of ['/none', '/closed', '/resource', '/else']) answers.push(await ask(rig.http, { path: p, agent }))
    expect(answers.map(a => [a.status, a.body.split('\n')[0]])).toEqual([
      [503, '503 Service Unavailable: no backend is available'],
      [503, '503 Service Unavailable: this path is closed'],
      [503, '503 Service Unavailable: no backend is available'],
      [404, '404 Not Found: no route for this host and path'],
    ])
    for (const { body } of answers) expect(body).toMatch(/\nrequest id: [0-9a-f]{32}\n$/)
    expect(sockets.size).toBe(1)
    // A path without a backend that we can ask is no protection: it fails like one without endpoints.
    expect(summed(rig.totals())).toEqual({ requests: 4, notFound: 1, upstreamErrors: 2, status: [0, 0, 0, 1, 3] })
    expect(
      rig
        .totals()
        .requests()
        .map(({ closed: count }) => count),
    ).toContain(1)
  })

  it('400 for a path whose two readings lead to different routes', async () => {
    const rig = await startPlane(ends)
    rig.apply(upsert(fragment('web', [host('a.example', path('Prefix /'), closed('Prefix /admin'))])))
    for (const p of ['/x%2f..%2fadmin', '/x/..;/admin', '/x\\..\\admin']) {
      expect([p, (await ask(rig.http, { path: p })).status]).toEqual([p, 400])
    }
    expect((await ask(rig.http, { path: '/admin%2fx' })).status).toBe(400)
    expect((await ask(rig.http, { path: '/%61dmin/x' })).status).toBe(503)
    expect((await ask(rig.http, { path: '//admin' })).status).toBe(503)
  })

  it('431 for a head that is too big', async () => {
    const rig = await echoing(ends, { MAX_HEADER_BYTES: '2048' })
    const text = await exchangeRaw(rig.http, `GET / HTTP/1.1\r\nHost: a.example\r\nX: ${'x'.repeat(3_000)}\r\n\r\n`)
    expect(text).toMatch(/^HTTP\/1\.1 431 /)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 0, 0, 1, 0] })
  })
})

describeOnAll('time limits', () => {
  it('504 if the backend does not answer in time', async () => {
    const address = await startBackend(ends, () => undefined)
    const rig = await inFrontOf(ends, [address], { UPSTREAM_HEADERS_TIMEOUT: '300ms' })
    const { status, body } = await ask(rig.http, {})
    expect([status, body.split('\n')[0]]).toEqual([504, '504 Gateway Timeout: the backend did not answer in time'])
    expect(summed(rig.totals()).upstreamErrors).toBe(1)
  }, 10_000)

  it('408 if the head does not come in time, and nothing is counted for a connection that never spoke', async () => {
    const rig = await echoing(ends, { HEADERS_TIMEOUT: '200ms', REQUEST_TIMEOUT: '150ms' })
    const [silent, slow] = await Promise.all([exchangeRaw(rig.http, ''), exchangeRaw(rig.http, 'GET / HTTP/1.1\r\n')])
    expect(silent).toBe('')
    expect(slow).toMatch(/^HTTP\/1\.1 408 /)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, status: [0, 0, 0, 1, 0] })
  })

  it('408 if the body stops', async () => {
    const address = await startBackend(
      ends,
      (request, response) => void request.resume().on('end', () => response.end()),
    )
    const rig = await inFrontOf(ends, [address], { BODY_IDLE_TIMEOUT: '200ms' })
    const head = 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\nConnection: close\r\n\r\n'
    expect(await exchangeRaw(rig.http, `${head}abc`)).toMatch(/^HTTP\/1\.1 408 /)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 0, status: [0, 0, 0, 1, 0] })
  })

  it('cuts a client that takes nothing of its answer, not one whose backend is slow', async () => {
    const address = await startBackend(ends, (request, response) => {
      if (request.url === '/slow') setTimeout(() => response.end('late'), 700)
      else response.end(Buffer.alloc(50_000_000))
    })
    const rig = await inFrontOf(ends, [address], { BODY_IDLE_TIMEOUT: '250ms' })
    const client = new RawClient(rig.http)
    client.socket.pause()
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await eventually(() => summed(rig.totals()).requests === 1)
    expect(summed(rig.totals()).status).toEqual([0, 0, 0, 1, 0])
    expect((await ask(rig.http, { path: '/slow' })).body).toBe('late')
    client.socket.destroy()
  })

  it('closes a connection that was idle for too long', async () => {
    const rig = await echoing(ends, { KEEP_ALIVE_TIMEOUT: '100ms' })
    const text = await exchangeRaw(rig.http, 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describeOnAll('a client that goes away', () => {
  it.each([
    ['before the answer', 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['while it sends', 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 99999\r\n\r\nabc'],
    ['while it sends chunks', 'POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['in the middle of the answer', 'GET /begin HTTP/1.1\r\nHost: a.example\r\n\r\n'],
  ])('%s: the backend is told, 499 is counted', async (_name, bytes) => {
    let arrived = false
    let gone = false
    const address = await startBackend(ends, (request, response) => {
      arrived = true
      request.on('error', () => undefined)
      response.on('close', () => (gone = true))
      if (request.url === '/begin') response.write('begun')
    })
    const log = temporaryFile(ends)
    const rig = await inFrontOf(ends, [address], { ACCESS_LOG: log })
    const client = new RawClient(rig.http)
    client.send(bytes)
    if (bytes.includes('/begin')) await client.until(/begun/)
    await eventually(() => arrived)
    client.socket.destroy()
    await eventually(() => gone && summed(rig.totals()).requests === 1)
    expect(summed(rig.totals())).toMatchObject({ status: [0, 0, 0, 1, 0], upstreamErrors: 0 })
    expect(await accessLines(log)).toMatchObject([{ status: 499, failure: 'client-gone', ingress: 'a.example' }])
  })
})

describeOnAll('pipelining', () => {
  let rig: Rig
  beforeEach(async () => {
    const address = await startBackend(ends, (request, response) => {
      const wait = request.url === '/slow' ? 150 : 0
      setTimeout(() => response.end(`[${request.url ?? ''}]`), wait)
    })
    rig = await inFrontOf(ends, [address])
  })

  it('keeps the order of the answers', async () => {
    const get = (target: string, more = ''): string => `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${more}\r\n`
    const text = await exchangeRaw(rig.http, get('/slow') + get('/b') + get('/c', 'Connection: close\r\n'))
    expect(text.match(/\[[^\]]*\]/g)).toEqual(['[/slow]', '[/b]', '[/c]'])
  })

  it('does not answer garbage before the request that is under way', async () => {
    const text = await exchangeRaw(rig.http, 'GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n\u0001garbage\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 200 OK[^]*\[\/slow\]HTTP\/1\.1 400 /)
  })
})
