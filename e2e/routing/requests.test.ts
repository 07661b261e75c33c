/** docs/requests.md from outside, on every way that a request takes: from the annotations to what client and backend see. */
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { blackHole } from '../../proxy/workers/testing/black-hole.ts'
import {
  RawClient,
  ask,
  bodyOf,
  deadAddress,
  eventually,
  exchangeRaw,
  startBackend,
  startRawBackend,
  type Answered,
} from '../../proxy/workers/testing/harness.ts'
import { describeOnAll } from '../../proxy/workers/testing/ways.ts'
import { documented, planeForAll, serve } from './annotated.ts'

jest.setTimeout(20_000)

/** The proxy took back what it had begun to send. */
const hungUp = (): void => undefined

interface Asked {
  readonly name: string
  readonly method: string
  readonly body: string
  readonly chunked: boolean
}

describeOnAll('what an Ingress sets for its requests', () => {
  const { ends, rig } = planeForAll()
  let asked: Asked[] = []
  afterEach(() => {
    asked = []
  })

  /** Answers with `status` and its name, once all of the request is there. */
  const backend = (name: string, status = 200): Promise<string> =>
    startBackend(ends, (request, response) => {
      void bodyOf(request).then(body => {
        const { method = '', headers } = request
        asked.push({ name, method, body, chunked: headers['transfer-encoding'] !== undefined })
        response.writeHead(status).end(name)
      }, hungUp)
    })
  const post = (body: string, headers: Record<string, string> = {}): Promise<Answered> =>
    ask(rig().http, { method: 'POST', body, headers })
  const failures = (): unknown => Object.fromEntries(rig().totals().events)
  const chunkedPost = (...chunks: readonly string[]): string =>
    'POST / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n' +
    chunks.map(chunk => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')

  describe('proxy-body-size (56)', () => {
    it.each([
      ['1k', 1_024],
      ['1K', 1_024],
      ['10', 10],
      ['100k', 102_400],
    ])('%s lets %i bytes pass, and not one more', async (size, most) => {
      serve(rig(), { 'proxy-body-size': size }, [await backend('a')])
      expect(await post('x'.repeat(most))).toMatchObject({ status: 200 })
      const refused = await post('x'.repeat(most + 1))
      expect(refused).toMatchObject({ status: 413, headers: { connection: 'close' } })
      expect(asked.map(({ body }) => body.length)).toEqual([most])
    })

    it('counts a chunked body, too, and no backend gets any of a short one', async () => {
      serve(rig(), { 'proxy-body-size': '1k' }, [await backend('a')])
      const before = failures() as Record<string, number>
      const received = await exchangeRaw(rig().http, chunkedPost('x'.repeat(1_000), 'y'.repeat(1_000)))
      expect(received).toMatch(/^HTTP\/1\.1 413 [\s\S]*Connection: close/)
      expect(asked).toEqual([])
      expect(failures()).toMatchObject({ 'failure body-too-big': (before['failure body-too-big'] ?? 0) + 1 })
    })

    it('a chunked body that is longer than what is read first ends in the middle', async () => {
      serve(rig(), { 'proxy-body-size': '150k' }, [await backend('a')])
      const chunk = 'x'.repeat(50_000)
      const received = await exchangeRaw(rig().http, chunkedPost(chunk, chunk, chunk, chunk))
      expect(received).toMatch(/^HTTP\/1\.1 413 /)
      expect(asked).toEqual([])
    })

    it.each([{ 'proxy-body-size': '0' }, { 'proxy-body-size': '1g' }, {}])(
      '%j lets three megabytes pass',
      async set => {
        serve(rig(), set, [await backend('a')])
        expect(await post('x'.repeat(3_000_000))).toMatchObject({ status: 200 })
        expect(asked.map(({ body }) => body.length)).toEqual([3_000_000])
      },
    )

    it('asks for no body that is too long', async () => {
      serve(rig(), { 'proxy-body-size': '10' }, [await backend('a')])
      const head = 'POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n'
      expect(await exchangeRaw(rig().http, head)).toMatch(/^HTTP\/1\.1 413 /)
    })
  })

  describe('timeouts (59, 60)', () => {
    const silent = (say = ''): Promise<string> =>
      startRawBackend(ends, socket => socket.on('data', () => socket.write(say)))

    it('proxy-read-timeout: 504 where no answer comes', async () => {
      serve(rig(), { 'proxy-read-timeout': '1' }, [await silent()])
      expect(await ask(rig().http, {})).toMatchObject({ status: 504 })
      expect(failures()).toMatchObject({ 'failure upstream-timeout': 1 })
    })

    it('proxy-read-timeout: cut where an answer does not go on', async () => {
      serve(rig(), { 'proxy-read-timeout': '1' }, [await silent('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome')])
      const received = await exchangeRaw(rig().http, 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
      expect(received).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*some$/)
    })

    it('proxy-read-timeout: a tunnel through which nothing passes is closed', async () => {
      const upgrade = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'
      serve(rig(), { 'proxy-read-timeout': '1' }, [await silent(upgrade)])
      const client = new RawClient(rig().http)
      client.send('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      await client.until(/101 Switching/)
      expect(await client.ended()).toMatch(/^HTTP\/1\.1 101 /)
    })

    it('proxy-send-timeout: 504 where the backend takes nothing more', async () => {
      const address = await startRawBackend(ends, socket => socket.pause())
      serve(rig(), { 'proxy-send-timeout': '1' }, [address])
      const client = new RawClient(rig().http)
      client.send(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 30000000\r\n\r\n${'x'.repeat(29_000_000)}`)
      expect(await client.until(/HTTP/)).toMatch(/^HTTP\/1\.1 504 /)
      client.socket.destroy()
    })

    it('proxy-connect-timeout: 504 where an address drops what comes', async () => {
      serve(rig(), { 'proxy-connect-timeout': '1' }, [await blackHole(ends)])
      expect(await ask(rig().http, {})).toMatchObject({ status: 504 })
    })

    it('nothing of it is for another Ingress', async () => {
      serve(rig(), { 'proxy-read-timeout': '1' }, [await backend('a')])
      expect(await ask(rig().http, {})).toMatchObject({ status: 200 })
      const late = await startBackend(ends, (_request, response) => setTimeout(() => response.end('late'), 1_800))
      serve(rig(), {}, [late])
      expect(await ask(rig().http, {})).toMatchObject({ status: 200, body: 'late' })
    })
  })

  describe('proxy-next-upstream (61 to 63)', () => {
    const statuses = async (method: string, count = 12): Promise<ReadonlySet<number>> => {
      const all = new Set<number>()
      for (let i = 0; i < count; i++) all.add((await ask(rig().http, { method })).status)
      return all
    }
    const dead = (): Promise<string> => deadAddress()

    it.each(['GET', 'POST'])('by default nobody sees a dead endpoint beside a good one: %s', async method => {
      serve(rig(), { 'proxy-next-upstream-timeout': '10' }, [await dead(), await backend('a')])
      expect(await statuses(method)).toEqual(new Set([200]))
    })

    it.each([
      { 'proxy-next-upstream': 'off' },
      { 'proxy-next-upstream-tries': '1' },
      { 'proxy-next-upstream': 'timeout http_503' },
    ])('%j shows it as 502', async set => {
      // Of ten dead ones each is shown once: then it rests.
      const addresses = await Promise.all(Array.from({ length: 10 }, dead))
      serve(rig(), set, [...addresses, await backend('a')])
      expect(await statuses('GET', 40)).toEqual(new Set([200, 502]))
    })

    it('proxy-next-upstream-tries: so many endpoints are asked, and no more', async () => {
      let connections = 0
      const breaks = (): Promise<string> =>
        startRawBackend(ends, socket => {
          connections++
          socket.on('data', () => socket.destroy())
        })
      serve(rig(), { 'proxy-next-upstream-tries': '2' }, [
        await breaks(),
        await breaks(),
        await breaks(),
        await breaks(),
      ])
      expect(await ask(rig().http, {})).toMatchObject({ status: 502 })
      expect(connections).toBe(2)
      connections = 0
      serve(rig(), { 'proxy-next-upstream-tries': '0' }, [
        await breaks(),
        await breaks(),
        await breaks(),
        await breaks(),
      ])
      expect(await ask(rig().http, {})).toMatchObject({ status: 502 })
      expect(connections).toBe(4)
    })

    const with503 = async (set: Record<string, string>, method: string): Promise<ReadonlySet<number>> => {
      serve(rig(), set, [await backend('bad', 503), await backend('good')])
      return statuses(method)
    }
    it.each<[Record<string, string>, string, readonly number[]]>([
      [{}, 'GET', [200, 503]],
      [{ 'proxy-next-upstream': 'error timeout http_503' }, 'GET', [200]],
      [{ 'proxy-next-upstream': 'error timeout http_503' }, 'POST', [200, 503]],
      [{ 'proxy-next-upstream': 'error timeout http_503 non_idempotent' }, 'GET', [200]],
      [{ 'proxy-next-upstream': 'error timeout http_503 non_idempotent' }, 'POST', [200]],
      [{ 'proxy-next-upstream': 'error timeout http_502' }, 'GET', [200, 503]],
    ])('%j, %s: 503 of one of two gives %j', async (set, method, expected) => {
      expect(await with503(set, method)).toEqual(new Set(expected))
    })

    it('an answer that all endpoints give is the answer', async () => {
      serve(rig(), { 'proxy-next-upstream': 'http_404' }, [await backend('one', 404), await backend('two', 404)])
      const { status, body } = await ask(rig().http, {})
      expect(status).toBe(404)
      expect(asked.map(({ name }) => name)).toHaveLength(2)
      expect(asked.at(-1)?.name).toBe(body)
    })

    it('a body that was read whole goes with it', async () => {
      serve(rig(), { 'proxy-next-upstream': 'http_503 non_idempotent' }, [
        await backend('bad', 503),
        await backend('good'),
      ])
      for (let i = 0; i < 6; i++) expect(await post('all of it')).toMatchObject({ status: 200, body: 'good' })
      expect(asked.map(({ body }) => body)).toEqual(asked.map(() => 'all of it'))
    })
  })

  describe('buffering of requests (64)', () => {
    /** What it got is in `got`. */
    const listening = (): { readonly address: Promise<string>; got: string } => {
      const seen = {
        got: '',
        address: startRawBackend(ends, socket => {
          socket.on('data', chunk => {
            seen.got += chunk.toString('latin1')
            if (/\r\n0\r\n\r\n$|last$/.test(seen.got))
              socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
          })
        }),
      }
      return seen
    }

    it.each([
      {},
      { 'proxy-request-buffering': 'on' },
      { 'proxy-request-buffering': 'off' },
      { 'proxy-buffering': 'off' },
    ])('%j: a chunked body that is there arrives with its length', async set => {
      serve(rig(), set, [await backend('a')])
      expect(await exchangeRaw(rig().http, `${chunkedPost('x'.repeat(5_000))}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
      expect(asked).toMatchObject([{ chunked: false, body: 'x'.repeat(5_000) }])
    })

    const slow = 'POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nfirst '

    it.each([{ 'proxy-request-buffering': 'off' }, { 'client-body-buffer-size': '4' }])(
      '%j: a body goes on as it comes',
      async set => {
        const seen = listening()
        serve(rig(), set, [await seen.address])
        const client = new RawClient(rig().http)
        client.send(slow)
        await eventually(() => seen.got.endsWith('first '))
        client.send('last')
        expect(await client.until(/HTTP/)).toMatch(/^HTTP\/1\.1 204 /)
        client.socket.destroy()
      },
    )

    it('by default a short one is read first', async () => {
      const seen = listening()
      serve(rig(), {}, [await seen.address])
      const client = new RawClient(rig().http)
      client.send(slow)
      // Another request is there and back: the first one was not forgotten meanwhile.
      const other = new RawClient(rig().http)
      other.send('POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nlast')
      expect(await other.until(/HTTP/)).toMatch(/^HTTP\/1\.1 204 /)
      expect(seen.got).not.toContain('first')
      client.send('last')
      expect(await client.until(/HTTP/)).toMatch(/^HTTP\/1\.1 204 /)
      for (const { socket } of [client, other]) socket.destroy()
    })
  })
})

it('the Ingress of docs/requests.md is served as it stands', () => {
  expect(documented('requests.md')).toMatchObject([
    {
      problems: [],
      fragment: {
        settings: {
          timeouts: { read: 120_000 },
          body: { max: 8_388_608 },
          retry: { on: ['error', 'timeout', 'http_503'], tries: 2 },
        },
      },
    },
  ])
})
