/** What hostile clients found, one case each; numbers are those of the review of 2026-11 (proxy.md). */
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals'
import { readAnswers, type Reading } from '../testing/hostile/answers.ts'
import {
  BODY_FIELD,
  Notes,
  answerBody,
  startHostileBackend,
  target,
  tunnelGreeting,
} from '../testing/hostile/backends.ts'
import { describeOnAllAndTls } from '../workers/testing/ways.ts'
import {
  Ends,
  RawClient,
  deadAddress,
  eventually,
  site,
  startBackend,
  startPlane,
  startRawBackend,
  type Environment,
  type Rig,
} from '../workers/testing/harness.ts'
import { reset } from '../../protocol/testing/reset.ts'

const ends = new Ends()
afterEach(() => ends.all())

let notes: Notes
beforeEach(() => {
  notes = new Notes()
})

/** Nobody waits for longer; nothing here is to take as long. */
const PATIENCE_MS = 8_000
jest.setTimeout(2 * PATIENCE_MS)

/** Host a.example does as it is told, nobody listens behind dead.example, b.example has no route. */
async function told(env: Environment = {}): Promise<Rig> {
  const rig = await startPlane(ends, env)
  for (const update of site('a.example', [await startHostileBackend(ends, notes)])) rig.apply(update)
  for (const update of site('dead.example', [await deadAddress()])) rig.apply(update)
  return rig
}

function request(method: string, at: string, host = 'a.example', ...fields: readonly string[]): string {
  return [`${method} ${at} HTTP/1.1`, `Host: ${host}`, ...fields, '', ''].join('\r\n')
}

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'] as const

function client(port: number, text: string, halfOpen = false): RawClient {
  const raw = new RawClient(port, connect({ port, host: '127.0.0.1', allowHalfOpen: halfOpen }))
  ends.add(() => raw.socket.destroy())
  raw.send(text)
  return raw
}

/** Once this is so, or the proxy closed. */
async function heard(
  raw: RawClient,
  methods: readonly string[],
  enough: (reading: Reading) => boolean,
): Promise<Reading> {
  const read = (): Reading => readAnswers(raw.received, methods, raw.socket.closed)
  await eventually(() => enough(read()) || raw.socket.closed, PATIENCE_MS)
  return read()
}

describeOnAllAndTls('an Upgrade pipelined behind a request that is under way (findings 1 and 2)', () => {
  it.each([
    ['that is accepted', 'a.example', 'accept', 101],
    ['that is accepted late', 'a.example', 'accept-slow', 101],
    ['that is refused', 'a.example', 'refuse', 403],
    ['whose backend hangs up', 'a.example', 'hang-up', 502],
    ['to a host without a route', 'b.example', 'accept', 404],
    ['to where nobody listens', 'dead.example', 'accept', 502],
  ] as const)('%s is answered after it, or not at all', async (_name, host, behaviour, status) => {
    const rig = await told()
    const first = request('GET', target('slow', 2, 'c1r0'))
    const raw = client(rig.http, first + request('GET', target(behaviour, 2, 'c1r1'), host, ...UPGRADE))
    const { answers, tunnel, fault } = await heard(
      raw,
      ['GET', 'GET'],
      ({ answers, tunnel, fault }) => answers.length === 2 || tunnel !== null || fault !== null,
    )
    expect(fault).toBeNull()
    expect(answers[0]).toMatchObject({ status: 200, body: answerBody('c1r0', 2), complete: true })
    // RFC 9110 7.8: a server may ignore Upgrade, and it may close after any answer.
    if (tunnel !== null) expect([101, tunnelGreeting('c1r1').startsWith(tunnel)]).toEqual([status, true])
    else if (answers[1]) expect(answers[1].status).toBe(status)
    expect(notes.faults).toEqual([])
  })
})

describeOnAllAndTls('a CONNECT', () => {
  it('behind a request that is under way is answered after it (finding 2)', async () => {
    const rig = await told()
    const raw = client(rig.http, request('GET', target('slow', 2, 'c1r0')) + request('CONNECT', 'a.example:443'))
    const reading = await heard(raw, ['GET', 'CONNECT'], ({ answers }) => answers.length === 2)
    expect(reading.fault).toBeNull()
    expect(reading.answers[0]).toMatchObject({ status: 200, body: answerBody('c1r0', 2) })
    expect(reading.answers[1]?.status ?? 405).toBe(405)
  })

  it('is told which methods there are (finding 21, RFC 9110 15.5.6)', async () => {
    const rig = await told()
    const raw = client(rig.http, request('CONNECT', 'a.example:443'))
    const { answers } = await heard(raw, ['CONNECT'], ({ answers }) => answers.length === 1)
    expect(answers[0]?.fields.map(([name]) => name)).toContain('allow')
  })
})

describeOnAllAndTls('pipelining (finding 2)', () => {
  it('of 1500 requests makes one at a time at the backend', async () => {
    const count = 1_500
    const rig = await told()
    const tokens = Array.from({ length: count }, (_, i) => `c1r${i}`)
    const raw = client(rig.http, tokens.map(token => request('GET', target('fast', 1, token))).join(''))
    await eventually(() => raw.socket.closed || raw.received.endsWith(answerBody(`c1r${count - 1}`, 1)), 30_000)
    const { answers, fault } = readAnswers(raw.received, new Array<string>(count).fill('GET'), raw.socket.closed)
    expect(fault).toBeNull()
    expect(answers.map(({ body }) => body)).toEqual(tokens.slice(0, answers.length).map(token => answerBody(token, 1)))
    // A proxy may end a connection after so many requests, and says so.
    if (answers.length < count) expect(answers.at(-1)?.close).toBe(true)
    expect(notes.most).toBe(1)
    expect(notes.opened).toBeLessThanOrEqual(2)
  }, 40_000)

  it('keeps an interim answer behind the answers before it', async () => {
    const rig = await told()
    const raw = client(
      rig.http,
      request('GET', target('slow', 2, 'c1r0')) + request('GET', target('interim', 2, 'c1r1')),
    )
    const { answers, fault } = await heard(
      raw,
      ['GET', 'GET'],
      ({ answers, fault }) => answers.length === 2 || fault !== null,
    )
    expect(fault).toBeNull()
    expect(answers.map(({ body, interim }) => [body, interim])).toEqual([
      [answerBody('c1r0', 2), []],
      [answerBody('c1r1', 2), [103]],
    ])
  })

  it('of unsafe methods runs them one after the other', async () => {
    const events: string[] = []
    const address = await startBackend(ends, (incoming, response) => {
      const name = `${incoming.method ?? ''} ${incoming.url ?? ''}`
      events.push(`begin ${name}`)
      incoming.resume().on('end', () =>
        setTimeout(
          () => {
            events.push(`end ${name}`)
            response.end(name)
          },
          incoming.method === 'POST' ? 120 : 5,
        ),
      )
    })
    const rig = await startPlane(ends)
    for (const update of site('a.example', [address])) rig.apply(update)
    const post = `${request('POST', '/create', 'a.example', 'Content-Length: 4')}body`
    const raw = client(rig.http, post + request('DELETE', '/thing') + request('GET', '/read'))
    const { answers } = await heard(raw, ['POST', 'DELETE', 'GET'], ({ answers }) => answers.length === 3)
    expect(answers.map(({ body }) => body)).toEqual(['POST /create', 'DELETE /thing', 'GET /read'])
    expect(events).toEqual(
      ['POST /create', 'DELETE /thing', 'GET /read'].flatMap(name => [`begin ${name}`, `end ${name}`]),
    )
  })
})

describeOnAllAndTls('a client that keeps its side open after its last answer (finding 6a)', () => {
  const upgrade = (behaviour: 'refuse' | 'hang-up', host?: string): string =>
    request('GET', target(behaviour, 1, 'c1r0'), host, ...UPGRADE)
  it.each([
    ['an ordinary 404', request('GET', '/', 'b.example', 'Connection: close')],
    ['what is not HTTP', 'garbage\r\n\r\n'],
    ['a CONNECT', request('CONNECT', 'a.example:443')],
    ['an Upgrade without a route', upgrade('refuse', 'b.example')],
    ['an Upgrade that is refused', upgrade('refuse')],
    ['an Upgrade whose backend hangs up', upgrade('hang-up')],
    ['an Upgrade to where nobody listens', upgrade('refuse', 'dead.example')],
  ])('is held no longer than LINGER_IDLE_TIMEOUT: %s', async (_name, text) => {
    const rig = await told({ LINGER_TIMEOUT: '1s', LINGER_IDLE_TIMEOUT: '200ms', KEEP_ALIVE_TIMEOUT: '500ms' })
    const raw = client(rig.http, text, true)
    await raw.until(/^HTTP\/1\.1 [45][0-9]{2} /)
    await eventually(() => rig.plane.connections.size === 0, PATIENCE_MS)
  })

  it('and goes on talking is held no longer than LINGER_TIMEOUT', async () => {
    const rig = await told({ LINGER_TIMEOUT: '1s', LINGER_IDLE_TIMEOUT: '500ms', BODY_IDLE_TIMEOUT: '5s' })
    const raw = client(
      rig.http,
      request('POST', target('early-close', 1, 'c1r0'), 'a.example', 'Content-Length: 1000000'),
      true,
    )
    const talking = setInterval(() => raw.socket.writable && raw.send('x'), 50)
    ends.add(() => clearInterval(talking))
    await raw.until(/c1r0;/)
    await eventually(() => rig.plane.connections.size === 0, PATIENCE_MS)
  })
})

describeOnAllAndTls('a client that talks early in a handshake and gives up (finding 6b)', () => {
  const goings: readonly (readonly [string, (raw: RawClient) => void])[] = [
    ['ends', raw => raw.socket.end()],
    ['closes', raw => raw.socket.destroy()],
    ['resets', raw => reset(raw.socket)],
  ]
  it.each(
    (['refuse-slow', 'silent', 'accept-slow'] as const).flatMap(b => goings.map(([n, go]) => [b, n, go] as const)),
  )('leaves nothing held: %s, %s', async (behaviour, _name, go) => {
    const limits = { UPSTREAM_HEADERS_TIMEOUT: '700ms', TUNNEL_IDLE_TIMEOUT: '500ms', UPSTREAM_IDLE_TIMEOUT: '300ms' }
    const rig = await told({ ...limits, LINGER_TIMEOUT: '1s', LINGER_IDLE_TIMEOUT: '200ms' })
    const tokens = Array.from({ length: 10 }, (_, i) => `c${i}r0`)
    const raws = tokens.map(token =>
      client(rig.http, request('GET', target(behaviour, 1, token), 'a.example', ...UPGRADE)),
    )
    await eventually(() => tokens.every(token => notes.saw(token)))
    for (const raw of raws) raw.send('\u0081\u0000')
    // The byte is to be there before the end of it.
    await new Promise(resolve => setTimeout(resolve, 10))
    raws.forEach(go)
    await eventually(() => rig.plane.connections.size === 0 && notes.sockets.size === 0, PATIENCE_MS)
  })
})

describeOnAllAndTls('a tunnel', () => {
  it('where nobody says anything ends after TUNNEL_IDLE_TIMEOUT (finding 6a)', async () => {
    const rig = await told({ TUNNEL_IDLE_TIMEOUT: '300ms' })
    const raw = client(rig.http, request('GET', target('accept', 1, 'c1r0'), 'a.example', ...UPGRADE))
    await raw.until(/c1r0\|$/)
    await eventually(
      () => raw.socket.closed && rig.plane.connections.size === 0 && notes.sockets.size === 0,
      PATIENCE_MS,
    )
  })

  it('where one side talks does not', async () => {
    let lines = 0
    const address = await startRawBackend(ends, socket => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        const timer = setInterval(() => {
          lines++
          socket.write('tick\n')
        }, 100)
        socket.on('close', () => clearInterval(timer))
      })
    })
    const rig = await startPlane(ends, { TUNNEL_IDLE_TIMEOUT: '1s' })
    for (const update of site('a.example', [address])) rig.apply(update)
    const raw = client(rig.http, request('GET', '/', 'a.example', ...UPGRADE))
    await eventually(() => lines === 25 || raw.socket.closed, PATIENCE_MS)
    expect(raw.socket.closed).toBe(false)
  })

  const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

  /** Whoever is meant says its end, the other one says nothing and stays. */
  async function halfClosed(who: 'client' | 'backend', then: (backend: Socket) => void): Promise<[Rig, RawClient]> {
    const address = await startRawBackend(ends, socket => {
      socket.allowHalfOpen = true
      socket.once('data', () => {
        if (who === 'client') socket.write(SWITCH)
        else socket.end(SWITCH)
        then(socket)
      })
    })
    const rig = await startPlane(ends, { TUNNEL_IDLE_TIMEOUT: '1m', TUNNEL_HALF_CLOSED_TIMEOUT: '700ms' })
    for (const update of site('a.example', [address])) rig.apply(update)
    const raw = client(rig.http, request('GET', '/', 'a.example', ...UPGRADE), true)
    await raw.until(/\r\n\r\n/)
    if (who === 'client') raw.socket.end()
    return [rig, raw]
  }

  it.each(['client', 'backend'] as const)(
    'whose %s ended ends soon after, where the other one says nothing',
    async who => {
      const [rig] = await halfClosed(who, () => undefined)
      expect([rig.plane.connections.size, rig.plane.upstream.open]).toEqual([1, 1])
      await eventually(() => rig.plane.connections.size === 0 && rig.plane.upstream.open === 0, PATIENCE_MS)
    },
  )

  it('whose client ended goes on while its backend talks', async () => {
    let lines = 0
    const [, raw] = await halfClosed('client', backend => {
      const timer = setInterval(() => {
        lines++
        backend.write('tick\n')
      }, 100)
      backend.on('close', () => clearInterval(timer))
    })
    await eventually(() => lines === 20 || raw.socket.closed, PATIENCE_MS)
    expect(raw.socket.closed).toBe(false)
  })

  it('is asked for by any method (finding 20, RFC 9110 7.8)', async () => {
    const rig = await told()
    const raw = client(rig.http, request('POST', target('accept', 1, 'c1r0'), 'a.example', ...UPGRADE))
    const { tunnel } = await heard(raw, ['POST'], ({ answers, tunnel }) => answers.length === 1 || tunnel !== null)
    expect(tunnel).not.toBeNull()
  })
})

describeOnAllAndTls('backend connections', () => {
  it('are not opened for requests that were given up (finding 11)', async () => {
    const rig = await told({ UPSTREAM_IDLE_TIMEOUT: '300ms' })
    const tokens = Array.from({ length: 20 }, (_, i) => `c${i}r0`)
    const raws = tokens.map(token => client(rig.http, request('GET', target('silent', 1, token))))
    await eventually(() => tokens.every(token => notes.saw(token)))
    for (const raw of raws) raw.socket.destroy()
    await eventually(() => rig.plane.connections.size === 0)
    // Whoever opens one instead does it at once.
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(notes.opened).toBeLessThanOrEqual(22)
    await eventually(() => notes.sockets.size === 0, 2_000)
  })

  it.each([
    ['HEAD', ''],
    ['DELETE', 'body'],
    ['OPTIONS', 'body'],
    ['GET', 'body'],
  ])('are used again after %s %s (finding 19)', async (method, body) => {
    const rig = await told()
    const length = [`Content-Length: ${body.length}`, `${BODY_FIELD}: ${body.length}`]
    const raw = client(rig.http, '')
    for (let i = 0; i < 8; i++) {
      raw.send(request(method, target('fast', 1, `c1r${i}`), 'a.example', ...(body === '' ? [] : length)) + body)
      const methods = new Array<string>(i + 1).fill(method)
      const { answers } = await heard(raw, methods, ({ answers }) => answers.length === i + 1)
      expect(answers[i]).toMatchObject({ status: 200, complete: true })
    }
    expect(notes.opened).toBeLessThanOrEqual(2)
  })

  it('show the head of an upload before its body comes, so that it can be refused (finding 15)', async () => {
    const rig = await told()
    const length = 10_000_000
    const raw = client(
      rig.http,
      request('POST', target('early', 1, 'c1r0'), 'a.example', `Content-Length: ${length}`, `${BODY_FIELD}: ${length}`),
    )
    const { answers } = await heard(raw, ['POST'], ({ answers }) => answers.length === 1)
    expect(answers[0]).toMatchObject({ status: 200, body: answerBody('c1r0', 1) })
  })
})
