import { afterEach, describe, expect, it } from '@jest/globals'
import type { AddressInfo } from 'node:net'
import { ask, Ends, eventually, RawClient } from '../workers/testing/harness.ts'
import { createAdminServer } from './server.ts'

const ends = new Ends()
afterEach(() => ends.all())

interface Rig {
  readonly port: number
  /** Ends the scrape under way. */
  readonly finish: () => void
  broken: string | null
}

async function start(portion = 'text\n'): Promise<Rig> {
  let finish = (): void => undefined
  const rig: { broken: string | null } = { broken: null }
  const app = createAdminServer({
    metrics: {
      contentType: 'text/plain; version=0.0.4',
      portions: async function* () {
        yield portion
        await new Promise<void>(resolve => (finish = resolve))
        yield 'end\n'
      },
    },
    notReady: () => 'no table yet',
    broken: () => rig.broken,
    table: () => ({}),
    host: name =>
      Promise.resolve(name === 'gone' ? { status: 404, error: 'none' } : { status: 200, explanation: { name } }),
    explain: question =>
      Promise.resolve(
        question.host === 'busy' ? { status: 503, error: 'later' } : { status: 200, explanation: question },
      ),
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  ends.add(() => app.close())
  return Object.assign(rig, { port: (app.server.address() as AddressInfo).port, finish: () => finish() })
}

describe('/metrics', () => {
  it('serves one scrape at a time, and the next one after it', async () => {
    const rig = await start()
    for (let i = 0; i < 2; i++) {
      const first = new RawClient(rig.port)
      ends.add(() => first.socket.destroy())
      first.send('GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
      await first.until(/text\n/)
      const second = await ask(rig.port, { path: '/metrics' })
      expect([second.status, second.headers['retry-after'], second.body]).toEqual([503, '1', 'a scrape is under way\n'])
      rig.finish()
      expect(await first.ended()).toMatch(/text\n[^]*end\n/)
    }
  })

  it('is free again when a scraper goes away in the middle', async () => {
    const rig = await start()
    const first = new RawClient(rig.port)
    first.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
    await first.until(/text\n/)
    first.socket.destroy()
    const second = new RawClient(rig.port)
    ends.add(() => second.socket.destroy())
    await eventually(() => {
      second.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
      rig.finish()
      return /200 OK/.test(second.received)
    })
  })
})

describe('/route', () => {
  it.each([
    ['?host=a.example&path=/x', 200, { host: 'a.example', path: '/x', fields: [] }],
    ['?host=a.example', 200, { host: 'a.example', path: '/', fields: [] }],
    ['?host=a.example&path=/caf%C3%A9%252f', 200, { host: 'a.example', path: '/caf\u00c3\u00a9%2f', fields: [] }],
    [
      '?host=a&header=X-Canary:%20always&header=Cookie:a=b',
      200,
      { host: 'a', path: '/', fields: ['X-Canary', 'always', 'Cookie', 'a=b'] },
    ],
    ['?host=a&header=X', 400, { error: expect.stringContaining('must be name:value') }],
    ['?host=busy', 503, { error: 'later' }],
    ['', 400, { error: expect.stringContaining('"host" is missing') }],
    ['?host=&path=/', 400, { error: expect.stringContaining('"host" is missing') }],
    ['?host=a&path=x', 400, { error: 'parameter "path" must start with a slash' }],
    ['?host=a&host=b', 400, { error: 'parameter "host" is given more than once' }],
    ['?host=a&pth=/', 400, { error: expect.stringContaining('"pth" is not known') }],
  ])('%s is answered %d', async (query, status, body) => {
    const rig = await start()
    const answer = await ask(rig.port, { path: `/route${query}` })
    expect([answer.status, JSON.parse(Buffer.from(answer.body, 'latin1').toString())]).toEqual([status, body])
    expect(answer.headers['content-type']).toMatch('application/json')
  })
})

describe('/hosts', () => {
  it.each([
    ['/a.example', 200, { name: 'a.example' }],
    ['/A.Example.', 200, { name: 'a.example' }],
    ['/*.a.example', 200, { name: '*.a.example' }],
    ['/%2A.a.example', 200, { name: '*.a.example' }],
    [`/${'a.'.repeat(120)}example`, 200, { name: `${'a.'.repeat(120)}example` }],
    ['/a_b.example', 200, { name: 'a_b.example' }],
    ['/gone', 404, { error: 'none' }],
    ['/', 400, { error: expect.stringContaining('no name of a host') }],
    ['/a..b', 400, { error: expect.stringContaining('no name of a host') }],
    ['/*', 400, { error: expect.stringContaining('no name of a host') }],
    ['/a.*', 400, { error: expect.stringContaining('no name of a host') }],
    ['/a.example:80', 400, { error: expect.stringContaining('no name of a host') }],
    ['/a%2Fb', 400, { error: expect.stringContaining('no name of a host') }],
    ['/%0Aa', 400, { error: expect.stringContaining('no name of a host') }],
    [`/${'a'.repeat(60).concat('.').repeat(5)}example`, 400, { error: expect.stringContaining('no name of a host') }],
  ])('%s is answered %d', async (name, status, body) => {
    const rig = await start()
    const answer = await ask(rig.port, { path: `/hosts${name}` })
    expect([answer.status, JSON.parse(answer.body)]).toEqual([status, body])
  })
})

describe('probes', () => {
  it('tell why', async () => {
    const rig = await start()
    expect(await ask(rig.port, { path: '/readyz' })).toMatchObject({ status: 503, body: 'no table yet\n' })
    expect(await ask(rig.port, { path: '/healthz' })).toMatchObject({ status: 200, body: 'ok\n' })
    rig.broken = 'a worker hangs'
    expect(await ask(rig.port, { path: '/healthz' })).toMatchObject({ status: 503, body: 'a worker hangs\n' })
  })
})
