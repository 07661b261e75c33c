import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { describeOnAllAndTls } from '../workers/testing/ways.ts'
import {
  Ends,
  RawClient,
  bodyOf,
  exchangeRaw,
  site,
  startBackend,
  startPlane,
  summed,
  type Rig,
} from '../workers/testing/harness.ts'

const ends = new Ends()
let rig: Rig
let seen: {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}[] = []

async function start(): Promise<void> {
  rig = await startPlane(ends)
  const address = await startBackend(ends, (request, response) => {
    void bodyOf(request).then(
      body => {
        seen.push({ method: request.method ?? '', url: request.url ?? '', rawHeaders: request.rawHeaders, body })
        response.end('ok')
      },
      () => response.destroy(),
    )
  })
  for (const update of site('a.example', [address])) rig.apply(update)
}

function describeOnRig(name: string, body: () => void): void {
  describeOnAllAndTls(name, () => {
    beforeAll(start)
    afterAll(() => ends.all())
    body()
  })
}

const get = (...headers: readonly string[]): string =>
  ['GET / HTTP/1.1', 'Host: a.example', ...headers, '', ''].join('\r\n')
const post = (...headers: readonly string[]): string =>
  ['POST / HTTP/1.1', 'Host: a.example', ...headers, '', ''].join('\r\n')

describeOnRig('what is not plain HTTP is refused and reaches no backend', () => {
  const cases: readonly [string, string][] = [
    ['Content-Length and Transfer-Encoding', `${post('Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    ['Transfer-Encoding and Content-Length', `${post('Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n`],
    ['two Content-Lengths', `${post('Content-Length: 4', 'Content-Length: 5')}abcde`],
    ['two equal Content-Lengths', `${post('Content-Length: 4', 'Content-Length: 4')}abcd`],
    ['a list of Content-Lengths', `${post('Content-Length: 4, 4')}abcd`],
    ['a Content-Length with a sign', `${post('Content-Length: +4')}abcd`],
    ['a negative Content-Length', `${post('Content-Length: -1')}abcd`],
    ['a hexadecimal Content-Length', `${post('Content-Length: 0x4')}abcd`],
    ['an empty Content-Length', post('Content-Length: ')],
    ['a Content-Length beyond all numbers', post('Content-Length: 99999999999999999999999')],
    ['another transfer coding', `${post('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`],
    ['an unknown transfer coding', `${post('Transfer-Encoding: xchunked')}0\r\n\r\n`],
    ['chunked twice', `${post('Transfer-Encoding: chunked, chunked')}0\r\n\r\n`],
    ['chunked in two headers', `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    ['chunked before identity', `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n`],
    ['identity', post('Transfer-Encoding: identity')],
    ['a vertical tab before chunked', `${post('Transfer-Encoding: \u000bchunked')}0\r\n\r\n`],
    ['an empty Transfer-Encoding', post('Transfer-Encoding: ')],
    ['chunked by HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a chunk size with a sign', `${post('Transfer-Encoding: chunked')}+1\r\na\r\n0\r\n\r\n`],
    ['a chunk size of 0x', `${post('Transfer-Encoding: chunked')}0x1\r\na\r\n0\r\n\r\n`],
    ['a chunk that ends in LF', `${post('Transfer-Encoding: chunked')}1\na\n0\n\n`],
    ['a chunk longer than its size', `${post('Transfer-Encoding: chunked')}1\r\nab\r\n0\r\n\r\n`],
    ['a bare LF', 'GET / HTTP/1.1\nHost: a.example\n\n'],
    ['a bare LF between headers', 'GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n'],
    ['a bare CR in a value', get('X: a\rY: b')],
    ['a NUL in a value', get('X: a\u0000b')],
    ['a NUL in a name', get('X\u0000: a')],
    ['a space before the colon', get('X : a')],
    ['a folded header', get('X: a', ' b')],
    ['a folded first header', 'GET / HTTP/1.1\r\n Host: a.example\r\n\r\n'],
    ['a header without a name', get(': a')],
    ['a header without a colon', get('nothing')],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two Hosts', get('Host: b.example')],
    ['two equal Hosts', get('Host: a.example')],
    ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n'],
    ['a Host with a user', 'GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n'],
    ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a.example b\r\n\r\n'],
    ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n'],
    ['a Host with a port that is none', 'GET / HTTP/1.1\r\nHost: a.example:80x\r\n\r\n'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a tab after the method', 'GET\t/ HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a second space before the target', 'GET  /x HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a method in small letters', 'get / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['HTTP/0.9', 'GET /\r\n\r\n'],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a.example\r\n\r\n'],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a.example\r\n\r\n'],
    ['HTTP/0.9 in so many words', 'GET / HTTP/0.9\r\nHost: a.example\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a target with a fragment', 'GET /a#b HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['the asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['an authority', 'GET a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['an absolute target with a user', 'GET http://u@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a path above the root', 'GET /../x HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a path above the root, encoded', 'GET /%2e%2e/x HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a bad percent-encoding', 'GET /%zz HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['an encoded NUL', 'GET /%00 HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['bytes of TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n'],
  ]
  it.each(cases)('%s', async (_name, bytes) => {
    seen = []
    const before = summed(rig.totals())
    // Whatever is left of a refused message must not be taken for a second one.
    const answer = await exchangeRaw(
      rig.http,
      `${bytes}GET /smuggled HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 (?:400|501|505) /)
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expect(answer.toLowerCase()).toContain('connection: close')
    expect(seen).toEqual([])
    const after = summed(rig.totals())
    expect(after.requests - before.requests).toBe(1)
    expect((after.status[3] ?? 0) + (after.status[4] ?? 0)).toBe((before.status[3] ?? 0) + (before.status[4] ?? 0) + 1)
  })
})

describeOnRig('what only looks strange is forwarded as one message', () => {
  it('keeps two requests on one connection apart', async () => {
    seen = []
    const client = new RawClient(rig.http)
    client.send(
      `${post('Content-Length: 4')}abcd${post('Transfer-Encoding: chunked', 'Connection: close')}2;x=y\r\nef\r\n0\r\nT: x\r\n\r\n`,
    )
    await client.ended()
    expect(client.received.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    expect(seen.map(r => r.body)).toEqual(['abcd', 'ef'])
  })

  it('does not let Connection take Host or Content-Length away', async () => {
    seen = []
    await exchangeRaw(
      rig.http,
      `${post('Content-Length: 4', 'Connection: close, host, content-length, x-secret', 'X-Secret: 1')}abcd`,
    )
    expect(seen).toHaveLength(1)
    expect(seen[0]).toMatchObject({ body: 'abcd' })
    expect(seen[0]?.rawHeaders).toEqual(expect.arrayContaining(['Host', 'a.example']))
    expect(seen[0]?.rawHeaders).not.toContain('X-Secret')
  })

  it('does not take GET with a body and Upgrade for a tunnel', async () => {
    seen = []
    const answer = await exchangeRaw(
      rig.http,
      `${get('Connection: upgrade, close', 'Upgrade: websocket', 'Content-Length: 4')}abcd`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(seen).toMatchObject([{ method: 'GET', body: 'abcd' }])
    expect(seen[0]?.rawHeaders).not.toContain('Upgrade')
  })

  it('never asks a backend to switch to h2c', async () => {
    seen = []
    await exchangeRaw(
      rig.http,
      get('Connection: Upgrade, HTTP2-Settings, close', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
    )
    expect(seen).toHaveLength(1)
    expect(seen[0]?.rawHeaders.map(h => h.toLowerCase())).not.toEqual(expect.arrayContaining(['upgrade']))
    expect(seen[0]?.rawHeaders.map(h => h.toLowerCase())).not.toEqual(expect.arrayContaining(['http2-settings']))
  })

  it('forwards headers beyond the two thousandth', async () => {
    seen = []
    const many = Array.from({ length: 2_500 }, (_, i) => `a${i}: b`)
    await exchangeRaw(rig.http, get(...many, 'Connection: close', 'X-Last: seen'))
    const { rawHeaders = [] } = seen[0] ?? {}
    expect(rawHeaders[rawHeaders.indexOf('X-Last') + 1]).toBe('seen')
  })
})
