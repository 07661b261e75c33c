/**
 * Backends that answer badly. Black box: what their client gets (RFC 9110, RFC 9112), whom the counters blame, what becomes of
 * both connections. Numbers are those of the review of 2026-11 (proxy.md).
 */
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals'
import { readAnswers, type Answer, type Reading } from '../testing/hostile/answers.ts'
import { blackHole } from '../workers/testing/black-hole.ts'
import { describeOnAllAndTls } from '../workers/testing/ways.ts'
import {
  Ends,
  RawClient,
  accessLines,
  eventually,
  site,
  startPlane,
  startRawBackend,
  summed,
  temporaryFile,
  type Environment,
  type Rig,
} from '../workers/testing/harness.ts'
import { reset } from '../../protocol/testing/reset.ts'
import { inFrontOf } from './testing/in-front-of.ts'

/** Nobody waits for longer; nothing here is to take as long. */
const PATIENCE_MS = 8_000
jest.setTimeout(2 * PATIENCE_MS)

const ends = new Ends()
afterEach(() => ends.all())

const LIMITS: Environment = {
  ...{ UPSTREAM_HEADERS_TIMEOUT: '400ms', UPSTREAM_BODY_TIMEOUT: '400ms', UPSTREAM_CONNECT_TIMEOUT: '400ms' },
}

const GOOD = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood'

interface BrokenBackend {
  readonly address: string
  /** Requests of each connection, in the order of their coming. */
  readonly connections: { requests: number; broken: boolean; open: boolean }[]
  /** A connection was used again after a broken exchange. */
  reused: boolean
}

/**
 * Answers /broken by `act`, everything else well.
 * @param greet instead, at once when a connection comes
 */
async function startBroken(act: (socket: Socket) => void, greet?: (socket: Socket) => void): Promise<BrokenBackend> {
  const connections: BrokenBackend['connections'] = []
  const address = await startRawBackend(ends, socket => {
    const connection = { requests: 0, broken: false, open: true }
    connections.push(connection)
    socket.on('close', () => (connection.open = false))
    greet?.(socket)
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      for (;;) {
        const end = text.indexOf('\r\n\r\n')
        if (end === -1) return
        const length = Number(/\r\ncontent-length: *([0-9]+)/i.exec(text.slice(0, end))?.[1] ?? 0)
        if (text.length < end + 4 + length) return
        const target = text.split(' ')[1]
        text = text.slice(end + 4 + length)
        connection.requests++
        if (connection.broken) broken.reused = true
        if (target === '/broken') {
          connection.broken = true
          act(socket)
        } else socket.write(GOOD)
      }
    })
  })
  const broken: BrokenBackend = { address, connections, reused: false }
  return broken
}

/** Sends every piece by itself, one in each turn of the loop, until the connection ends. */
function drip(
  socket: Socket,
  pieces: Iterable<string>,
  everyMs: number,
  then: (socket: Socket) => void = () => undefined,
): void {
  const left = pieces[Symbol.iterator]()
  const timer = setInterval(() => {
    const next = left.next()
    if (socket.destroyed || next.done === true) {
      clearInterval(timer)
      if (!socket.destroyed) then(socket)
    } else socket.write(next.value, 'latin1')
  }, everyMs)
}

function* forever(text: string): Generator<string> {
  for (;;) yield text
}

const impatient = (addresses: readonly string[], env: Environment = {}): Promise<Rig> =>
  inFrontOf(ends, addresses, { ...LIMITS, ...env })

function request(method: string, at: string, ...fields: readonly string[]): string {
  return [`${method} ${at} HTTP/1.1`, 'Host: a.example', ...fields, '', ''].join('\r\n')
}

const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'] as const

function open(rig: Rig): RawClient {
  const raw = new RawClient(rig.http)
  ends.add(() => raw.socket.destroy())
  return raw
}

/** Sends one request more and waits for its answer, or for the end of the connection. */
async function exchange(raw: RawClient, methods: readonly string[], text: string): Promise<Reading> {
  raw.send(text)
  const read = (): Reading => readAnswers(raw.received, methods, raw.socket.closed)
  await eventually(() => {
    const { answers, tunnel, fault } = read()
    const done = answers.length === methods.length && answers.at(-1)?.complete === true
    return raw.socket.closed || done || tunnel !== null || fault !== null
  }, PATIENCE_MS)
  return read()
}

/**
 * What may come of a broken answer.
 * - a number: an answer with this status, complete
 * - `cut`: 200 whose end is missing, and a closed connection; or 502, where nothing had been passed on yet
 */
type Expected = number | 'cut'

interface Case {
  readonly name: string
  readonly method?: string
  readonly fields?: readonly string[]
  /** Bytes after the request, then nothing; or what it does. */
  readonly act: string | ((socket: Socket) => void)
  readonly greet?: (socket: Socket) => void
  /** Any of these. */
  readonly expected: readonly Expected[]
  /** Of the answer that is passed on. */
  readonly body?: string
  /** The backend is to blame: true unless an answer of its own is passed on. */
  readonly blamed?: boolean
  /** Nothing was wrong, the connection may be used again. */
  readonly mayReuse?: boolean
  readonly env?: Environment
}

const ok = (fields: string, body = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}${fields === '' ? '' : '\r\n'}\r\n${body}`
const close =
  (bytes: string) =>
  (socket: Socket): void =>
    void socket.end(bytes, 'latin1')
const head = 'Content-Length: 2'

const HEADS: readonly Case[] = [
  { name: 'closes at once', act: () => undefined, greet: socket => socket.end(), expected: [502] },
  { name: 'resets at once', act: () => undefined, greet: socket => reset(socket), expected: [502] },
  { name: 'closes after the request', act: close(''), expected: [502] },
  { name: 'resets after the request', act: socket => reset(socket), expected: [502] },
  { name: 'closes in its head', act: close('HTTP/1.1 200 OK\r\nX: '), expected: [502] },
  { name: 'answers garbage', act: 'nonsense\r\n\r\n', expected: [502] },
  { name: 'answers with a record of TLS', act: '\u0015\u0003\u0001\u0000\u0002\u0002\u0046\r\n\r\n', expected: [502] },
  { name: 'answers by HTTP/2.0', act: 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n', expected: [502] },
  { name: 'answers by HTTP/1.9', act: 'HTTP/1.9 200 OK\r\nContent-Length: 0\r\n\r\n', expected: [502, 200] },
  { name: 'answers by HTTPX', act: 'HTTPX/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', expected: [502] },
  { name: 'answers with status 20', act: 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n', expected: [502] },
  { name: 'answers with status 2000', act: 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n', expected: [502] },
  { name: 'answers with status 099', act: 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n', expected: [502] },
  { name: 'answers with a field without a colon', act: ok(`${head}\r\nnothing`, 'ok'), expected: [502] },
  { name: 'answers with a field without a name', act: ok(`${head}\r\n: x`, 'ok'), expected: [502] },
  { name: 'answers with a space in a name', act: ok(`${head}\r\nX Y: z`, 'ok'), expected: [502] },
  { name: 'answers with a NUL in a value', act: ok(`${head}\r\nX: a\u0000b`, 'ok'), expected: [502] },
  // RFC 9112 5.1: taken away, or refused; never passed on.
  { name: 'answers with a space before a colon', act: ok(`${head}\r\nX : y`, 'ok'), expected: [502, 200], body: 'ok' },
  {
    name: 'answers with a space before the colon of its length',
    act: ok('Content-Length : 2', 'ok'),
    expected: [502, 200],
    body: 'ok',
  },
  // RFC 9112 5.2: folded into a space, or refused.
  { name: 'answers with a folded field', act: ok(`X: y\r\n z\r\n${head}`, 'ok'), expected: [502, 200], body: 'ok' },
  // RFC 9112 2.2: may be taken for a line end, and is not passed on.
  { name: 'answers with bare LFs', act: ok(head, 'ok').replaceAll('\r', ''), expected: [502, 200], body: 'ok' },
  { name: 'answers with one bare LF', act: ok(head, 'ok').replace('OK\r', 'OK'), expected: [502, 200], body: 'ok' },
  // RFC 9110 5.5: a bare CR is replaced or refused.
  {
    name: 'answers with a bare CR in a value',
    act: ok(`X: a\rY: b\r\n${head}`, 'ok'),
    expected: [502, 200],
    body: 'ok',
  },
  { name: 'answers with two lengths', act: ok('Content-Length: 1\r\nContent-Length: 2', 'ok'), expected: [502] },
  { name: 'answers with a list of two lengths', act: ok('Content-Length: 1, 2', 'ok'), expected: [502] },
  // RFC 9112 6.3: one of them, or refused.
  {
    name: 'answers with one length twice',
    act: ok('Content-Length: 2\r\nContent-Length: 2', 'ok'),
    expected: [502, 200],
    body: 'ok',
  },
  { name: 'answers with a negative length', act: ok('Content-Length: -2', 'ok'), expected: [502] },
  { name: 'answers with a hexadecimal length', act: ok('Content-Length: 0x2', 'ok'), expected: [502] },
  { name: 'answers with an empty length', act: ok('Content-Length:', 'ok'), expected: [502] },
  {
    name: 'answers with a length beyond all numbers',
    act: ok('Content-Length: 99999999999999999999', 'ok'),
    expected: [502],
  },
  {
    name: 'answers with a length and chunks',
    act: ok(`${head}\r\nTransfer-Encoding: chunked`, '2\r\nok\r\n0\r\n\r\n'),
    expected: [502],
  },
  {
    // Finding 21: the coding would be lost, its bytes would stay.
    name: 'answers with gzip, chunked',
    act: ok('Transfer-Encoding: gzip, chunked', '2\r\nok\r\n0\r\n\r\n'),
    expected: [502],
  },
  { name: 'answers with gzip to the end', act: close(ok('Transfer-Encoding: gzip', 'ok')), expected: [502] },
  {
    name: 'answers with chunked twice',
    act: ok('Transfer-Encoding: chunked, chunked', '2\r\nok\r\n0\r\n\r\n'),
    expected: [502],
  },
  {
    // RFC 9112 6.1: faulty framing, whatever is made of it: never used again.
    name: 'answers with chunks by HTTP/1.0',
    act: close('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'),
    expected: [502, 200],
  },
  {
    name: 'says a head without end',
    act: socket => drip(socket, forever(`X: ${'y'.repeat(4_000)}\r\n`), 1),
    expected: [502],
  },
  { name: 'says a line without end', act: socket => drip(socket, forever('y'.repeat(4_000)), 1), expected: [502] },
  {
    name: 'says a reason without end',
    act: socket => drip(socket, ['HTTP/1.1 200 ', ...new Array<string>(2_000).fill('y'.repeat(4_000))], 1),
    expected: [502],
  },
  { name: 'says a head of 2 MB', act: ok(`${head}\r\nX: ${'y'.repeat(2_000_000)}`, 'ok'), expected: [502] },
  {
    name: 'drips its head for longer than anybody waits',
    act: socket => drip(socket, forever('X'), 20),
    expected: [502, 504],
  },
  {
    name: 'drips right fields for longer than anybody waits',
    act: socket =>
      drip(
        socket,
        (function* () {
          yield 'HTTP/1.1 200 OK\r\n'
          yield* forever('X: y\r\n')
        })(),
        20,
      ),
    expected: [502, 504],
  },
  { name: 'says nothing', act: '', expected: [504] },
  {
    name: 'says interim answers only',
    act: socket => drip(socket, forever('HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'), 20),
    expected: [502, 504],
  },
  {
    name: 'switches protocols unasked',
    act: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    expected: [502],
  },
]

const BODIES: readonly Case[] = [
  { name: 'ends before its length', act: close(ok('Content-Length: 9', 'abc')), expected: ['cut'] },
  {
    name: 'resets before its length',
    act: socket => void socket.write(ok('Content-Length: 9', 'abc'), () => reset(socket)),
    expected: ['cut'],
  },
  { name: 'ends between chunks', act: close(ok('Transfer-Encoding: chunked', '2\r\nok\r\n')), expected: ['cut'] },
  { name: 'ends in a chunk', act: close(ok('Transfer-Encoding: chunked', '9\r\nok')), expected: ['cut'] },
  {
    name: 'ends before the last line',
    act: close(ok('Transfer-Encoding: chunked', '2\r\nok\r\n0\r\n')),
    expected: ['cut'],
  },
  {
    name: 'says a chunk size that is none',
    act: ok('Transfer-Encoding: chunked', '2\r\nok\r\nzz\r\n'),
    expected: ['cut'],
  },
  {
    name: 'says a chunk size with a sign',
    act: ok('Transfer-Encoding: chunked', '+2\r\nok\r\n0\r\n\r\n'),
    expected: ['cut'],
  },
  {
    name: 'says a chunk size beyond all numbers',
    act: ok('Transfer-Encoding: chunked', 'fffffffffffffffff\r\nok'),
    expected: ['cut'],
  },
  {
    name: 'says more than its chunk',
    act: ok('Transfer-Encoding: chunked', '2\r\nokay\r\n0\r\n\r\n'),
    expected: ['cut'],
  },
  {
    name: 'says a bad trailer',
    act: ok('Transfer-Encoding: chunked', '2\r\nok\r\n0\r\nno colon\r\n\r\n'),
    expected: ['cut'],
  },
  {
    name: 'says trailers without end',
    act: socket =>
      drip(
        socket,
        (function* () {
          yield ok('Transfer-Encoding: chunked', '2\r\nok\r\n0\r\n')
          yield* forever(`X: ${'y'.repeat(4_000)}\r\n`)
        })(),
        1,
      ),
    expected: ['cut'],
  },
  { name: 'stalls in its body', act: ok('Content-Length: 9', 'abc'), expected: ['cut'] },
  { name: 'stalls between chunks', act: ok('Transfer-Encoding: chunked', '2\r\nok\r\n'), expected: ['cut'] },
  // Who reads to the end of the connection cannot tell more than how it ended.
  {
    name: 'resets a body to the end',
    act: socket => void socket.write(ok('', 'abc'), () => reset(socket)),
    expected: ['cut'],
  },
]

const second = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
/** Not by the book, and yet there is an answer in it. */
const ODD: readonly Case[] = [
  { name: 'says more than its length', act: ok('Content-Length: 2', 'okay'), expected: [200, 502], body: 'ok' },
  { name: 'says a second answer at once', act: ok(head, 'ok') + second, expected: [200, 502], body: 'ok' },
  {
    name: 'says a second answer later',
    act: socket => drip(socket, [ok(head, 'ok'), second], 20),
    expected: [200],
    body: 'ok',
  },
  {
    name: 'says a second answer after its last chunk',
    act: ok('Transfer-Encoding: chunked', '2\r\nok\r\n0\r\n\r\n') + second,
    expected: [200, 502],
    body: 'ok',
  },
  {
    // Came it a moment later, it would be the right answer: nobody can tell.
    name: 'says an answer before the request',
    act: () => undefined,
    greet: socket => socket.write(ok(head, 'ok')),
    expected: [200, 502, 504],
    body: 'ok',
    mayReuse: true,
  },
  // Finding 12, RFC 9110 15.2.
  {
    name: 'says 100 Continue unasked',
    act: `HTTP/1.1 100 Continue\r\n\r\n${ok(head, 'ok')}`,
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
  {
    name: 'says 102 and 103 many times',
    act: 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(5) + ok(head, 'ok'),
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
  {
    name: 'says an unknown interim answer',
    act: `HTTP/1.1 199 Whatever\r\n\r\n${ok(head, 'ok')}`,
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
  {
    name: 'drips a right answer',
    act: socket => drip(socket, ok(head, 'ok'), 1),
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
  { name: 'ends a body with the connection', act: close(ok('', 'ok')), expected: [200], body: 'ok' },
  {
    name: 'ends a body of HTTP/1.0 with the connection',
    act: close('HTTP/1.0 200 OK\r\n\r\nok'),
    expected: [200],
    body: 'ok',
  },
  { name: 'closes without having said so', act: close(ok(head, 'ok')), expected: [200], body: 'ok' },
  { name: 'says an empty reason', act: ok(head, 'ok').replace('OK', ''), expected: [200], body: 'ok', mayReuse: true },
  {
    name: 'says a status of its own',
    act: ok(head, 'ok').replace('200 OK', '299 Fine'),
    expected: [299],
    body: 'ok',
    mayReuse: true,
  },
  // RFC 9112 6.3, RFC 9110 8.6: these end with their heads, whatever their fields say.
  {
    name: 'says 304 with a length',
    act: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    expected: [304],
    body: '',
    mayReuse: true,
  },
  {
    name: 'says 304 with chunked',
    act: 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n',
    expected: [304],
    body: '',
    mayReuse: true,
  },
  {
    name: 'says 304 with a body',
    act: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody',
    expected: [304, 502],
    body: '',
  },
  {
    name: 'says 204 with a length',
    act: 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
    expected: [204],
    body: '',
    mayReuse: true,
  },
  {
    name: 'says 204 with a body',
    act: 'HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody',
    expected: [204, 502],
    body: '',
  },
  {
    name: 'answers HEAD with a length',
    method: 'HEAD',
    act: ok('Content-Length: 9'),
    expected: [200],
    body: '',
    mayReuse: true,
  },
  {
    name: 'answers HEAD with chunked',
    method: 'HEAD',
    act: ok('Transfer-Encoding: chunked'),
    expected: [200],
    body: '',
    mayReuse: true,
  },
  {
    name: 'answers HEAD with a body',
    method: 'HEAD',
    act: ok('Content-Length: 4', 'body'),
    expected: [200, 502],
    body: '',
  },
  // RFC 9110 6.5.1: trailers may be dropped, an answer that announces them may not.
  {
    name: 'announces trailers of a HEAD',
    method: 'HEAD',
    act: ok('Trailer: X-Sum\r\nContent-Length: 9'),
    expected: [200],
    body: '',
    mayReuse: true,
  },
  {
    name: 'announces trailers beside a length',
    act: ok(`Trailer: X-Sum\r\n${head}`, 'ok'),
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
]

const REFUSALS: readonly Case[] = [
  { name: 'closes', act: close(''), expected: [502] },
  { name: 'resets', act: socket => reset(socket), expected: [502] },
  { name: 'closes in its head', act: close('HTTP/1.1 101 Switching Protocols\r\nConn'), expected: [502] },
  { name: 'says garbage', act: 'garbage\r\n\r\n', expected: [502] },
  { name: 'says nothing', act: '', expected: [504] },
  // RFC 9110 15.2.2: Upgrade MUST be there; a client that believed it would not know what it speaks.
  { name: 'says 101 without Upgrade', act: 'HTTP/1.1 101 Switching Protocols\r\n\r\n', expected: [502] },
  { name: 'says 200', act: ok(head, 'ok'), expected: [200], body: 'ok', mayReuse: true },
  {
    name: 'says 200 in chunks',
    act: ok('Transfer-Encoding: chunked', '2\r\nok\r\n0\r\n\r\n'),
    expected: [200],
    body: 'ok',
    mayReuse: true,
  },
  {
    name: 'says 426 and closes',
    act: close('HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nno'),
    expected: [426],
    body: 'no',
  },
  { name: 'says 200 and breaks off', act: close(ok('Content-Length: 9', 'abc')), expected: ['cut'] },
]
const UPGRADES = REFUSALS.map((one): Case => ({ ...one, fields: UPGRADE }))

/** Which of the outcomes it was; null: none that is allowed. */
function outcomeOf(answer: Answer | undefined, expected: readonly Expected[], closed: boolean): Expected | null {
  if (!answer) return null
  const cut = expected.includes('cut')
  if (answer.complete && answer.framing !== 'until-close') {
    if (expected.includes(answer.status)) return answer.status
    return cut && answer.status === 502 ? 502 : null
  }
  return cut && answer.status === 200 && closed ? 'cut' : null
}

async function run({
  method = 'GET',
  fields = [],
  act,
  greet,
  expected,
  body,
  mayReuse = false,
  env,
}: Case): Promise<void> {
  const backend = await startBroken(typeof act === 'string' ? socket => void socket.write(act, 'latin1') : act, greet)
  const rig = await impatient([backend.address], env)
  const raw = open(rig)
  const { answers, fault, tunnel } = await exchange(raw, [method], request(method, '/broken', ...fields))
  expect({ fault, tunnel }).toEqual({ fault: null, tunnel: null })
  const [answer] = answers
  // A cut is seen by its end.
  if (answer?.complete === false) await eventually(() => raw.socket.closed, PATIENCE_MS)
  const outcome = outcomeOf(answer, expected, raw.socket.closed)
  expect({ outcome, status: answer?.status, complete: answer?.complete }).toMatchObject({
    outcome: expect.anything(),
  })
  const ours = answer?.body.includes('\nrequest id: ') === true || (method === 'HEAD' && outcome === 502)
  const failed = outcome === 502 || outcome === 504
  expect(failed && !ours ? 'an answer of the backend' : '').toBe('')
  if (!failed && outcome !== 'cut' && body !== undefined) expect(answer?.body).toBe(body)

  await eventually(() => summed(rig.totals()).requests === 1)
  const { upstreamErrors, notFound, status } = summed(rig.totals())
  expect({ notFound, asClient: status[3] }).toEqual({ notFound: 0, asClient: outcome === 426 ? 1 : 0 })
  // docs/proxy.md: answered by the proxy itself. One that was cut is a failure by its class, 5xx.
  if (outcome !== 'cut') expect(upstreamErrors).toBe(failed ? 1 : 0)
  expect(status[4]).toBe(failed || outcome === 'cut' ? 1 : 0)

  await goesOn(raw, rig, method, answer, greet !== undefined)
  if (!mayReuse) expect(backend.reused).toBe(false)
}

/** The connection of the client may be used again, or it was closed in good order; the next request gets its own answer. */
async function goesOn(
  raw: RawClient,
  rig: Rig,
  method: string,
  answer: Answer | undefined,
  always: boolean,
): Promise<void> {
  if (answer?.complete === true && answer.close) await eventually(() => raw.socket.closed, PATIENCE_MS)
  // Time for bytes that nobody asked for.
  await new Promise(resolve => setTimeout(resolve, 50))
  const again = !raw.socket.closed
  const next = again ? raw : open(rig)
  const methods = again ? [method, 'GET'] : ['GET']
  const { answers, fault } = await exchange(next, methods, request('GET', '/good'))
  expect(fault).toBeNull()
  expect(answers).toHaveLength(methods.length)
  // A backend that breaks every connection has no good answer.
  if (!always) expect(answers.at(-1)).toMatchObject({ status: 200, body: 'good', complete: true })
  else expect(answers.at(-1)?.body).not.toContain('poison')
}

const named = (cases: readonly Case[]): [string, Case][] => cases.map(one => [one.name, one])

describeOnAllAndTls('a backend that breaks in its head', () => {
  it.each(named(HEADS))('%s', (_name, one) => run(one))
})

describeOnAllAndTls('a backend that breaks in its body', () => {
  it.each(named(BODIES))('%s', (_name, one) => run(one))
})

describeOnAllAndTls('a backend that is odd', () => {
  it.each(named(ODD))('%s', (_name, one) => run(one))

  it('a head that is big, and within the setting, is passed on (finding 21)', async () => {
    const backend = await startBroken(socket => socket.write(ok(`X: ${'y'.repeat(20_000)}\r\n${head}`, 'ok')))
    const rig = await impatient([backend.address])
    const { answers } = await exchange(open(rig), ['GET'], request('GET', '/broken'))
    expect(answers[0]).toMatchObject({ status: 200, body: 'ok' })
  })

  it('a head that is bigger has a word of its own in the log (finding 21)', async () => {
    const log = temporaryFile(ends)
    const backend = await startBroken(socket => socket.write(ok(`X: ${'y'.repeat(20_000)}\r\n${head}`, 'ok')))
    const rig = await impatient([backend.address], { ACCESS_LOG: log, MAX_RESPONSE_HEADER_BYTES: '10000' })
    await exchange(open(rig), ['GET'], request('GET', '/broken'))
    expect(await accessLines(log)).toMatchObject([{ status: 502, failure: 'upstream-head-too-big' }])
  })
})

describeOnAllAndTls('an upgrade that the backend answers badly', () => {
  it.each(named(UPGRADES))('%s', (_name, one) => run(one))
})

describeOnAllAndTls('a connection that breaks when it is used again (finding 9)', () => {
  const breaks: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['ends', socket => socket.end()],
    ['resets', socket => reset(socket)],
  ]
  /** Answers the first request of a connection, and breaks at the second. */
  async function stale(how: (socket: Socket) => void): Promise<{ readonly address: string; readonly seen: string[] }> {
    const seen: string[] = []
    const address = await startRawBackend(ends, socket => {
      let requests = 0
      socket.on('data', chunk => {
        const line = /^(\w+ \S+) HTTP/.exec(chunk.toString('latin1'))?.[1]
        if (line === undefined) return
        seen.push(line)
        if (++requests === 1) socket.write(GOOD)
        else how(socket)
      })
    })
    return { address, seen }
  }

  it.each(breaks.flatMap(([name, how]) => ['GET', 'HEAD', 'OPTIONS'].map(method => [method, name, how] as const)))(
    '%s is asked once more on a fresh one: %s',
    async (method, _name, how) => {
      const { address, seen } = await stale(how)
      const rig = await impatient([address])
      const raw = open(rig)
      await exchange(raw, ['GET'], request('GET', '/first'))
      const { answers } = await exchange(raw, ['GET', method], request(method, '/again'))
      expect(answers[1]?.status).toBe(200)
      expect(seen).toEqual(['GET /first', `${method} /again`, `${method} /again`])
      expect(summed(rig.totals())).toMatchObject({ requests: 2, upstreamErrors: 0 })
    },
  )

  it.each(breaks)('a POST does not meet one that was idle for long: %s', async (_name, how) => {
    const { address, seen } = await stale(how)
    const rig = await impatient([address])
    const raw = open(rig)
    await exchange(raw, ['GET'], request('GET', '/first'))
    // TRUSTED_MS
    await new Promise(resolve => setTimeout(resolve, 1_100))
    const { answers } = await exchange(raw, ['GET', 'POST'], `${request('POST', '/again', 'Content-Length: 1')}x`)
    expect([answers[1]?.status, seen]).toEqual([200, ['GET /first', 'POST /again']])
    expect(summed(rig.totals())).toMatchObject({ requests: 2, upstreamErrors: 0 })
  })

  it.each(breaks)('a POST is never sent twice: %s', async (_name, how) => {
    const { address, seen } = await stale(how)
    const rig = await impatient([address])
    const raw = open(rig)
    await exchange(raw, ['GET'], request('GET', '/first'))
    const { answers } = await exchange(raw, ['GET', 'POST'], `${request('POST', '/again', 'Content-Length: 1')}x`)
    expect(seen.filter(line => line === 'POST /again').length).toBeLessThanOrEqual(1)
    // 200 only where another connection was chosen from the start.
    expect(answers[1]?.status).toBe(502)
  })

  it('a GET is not asked for ever where every connection breaks', async () => {
    let asked = 0
    const address = await startRawBackend(ends, socket => {
      socket.on('data', () => {
        if (++asked === 1) socket.write(GOOD)
        else reset(socket)
      })
    })
    const rig = await impatient([address])
    const raw = open(rig)
    await exchange(raw, ['GET'], request('GET', '/first'))
    const { answers } = await exchange(raw, ['GET', 'GET'], request('GET', '/again'))
    expect(answers[1]?.status).toBe(502)
    expect(asked).toBeLessThanOrEqual(4)
  })

  it('is closed at once when it says something or ends while it is idle', async () => {
    const sockets: Socket[] = []
    const address = await startRawBackend(ends, socket => {
      sockets.push(socket)
      socket.on('data', () => socket.write(GOOD))
    })
    const rig = await impatient([address])
    const raw = open(rig)
    await exchange(raw, ['GET'], request('GET', '/1'))
    sockets[0]!.write(second)
    await eventually(() => sockets[0]!.closed || sockets[0]!.readableEnded)
    const { answers } = await exchange(raw, ['GET', 'GET'], request('GET', '/2'))
    expect(answers[1]).toMatchObject({ status: 200, body: 'good' })
    expect(sockets).toHaveLength(2)
  })
})

describeOnAllAndTls('a request that an endpoint broke (findings 9 and 15)', () => {
  const breaks: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['ends', socket => socket.end()],
    ['says nothing', () => undefined],
  ]

  /** Two endpoints; those of the first `broken` requests break. `seen`: who was asked, and with which body. */
  async function two(how: (socket: Socket) => void, broken: number, env: Environment = {}): Promise<[Rig, string[]]> {
    const seen: string[] = []
    const endpoint = (name: string): Promise<string> =>
      startRawBackend(ends, socket => {
        socket.on('data', chunk => {
          const text = chunk.toString('latin1')
          seen.push(`${name} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`)
          if (seen.length > broken) socket.write(GOOD)
          else how(socket)
        })
      })
    return [await impatient([await endpoint('one'), await endpoint('two')], env), seen]
  }

  const put = (method: string): string => `${request(method, '/', 'Content-Length: 4')}four`

  it.each(breaks.flatMap(([name, how]) => ['GET', 'PUT', 'DELETE'].map(method => [method, name, how] as const)))(
    '%s is sent to the other one, with its body: the first %s',
    async (method, _name, how) => {
      const [rig, seen] = await two(how, 1)
      const { answers } = await exchange(open(rig), [method], put(method))
      expect(answers[0]).toMatchObject({ status: 200, body: 'good' })
      expect(seen.toSorted()).toEqual(['one four', 'two four'])
      expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 0 })
    },
  )

  it.each([
    ['is not idempotent', put('POST'), {}],
    ['is too long to be kept', put('PUT'), { BODY_BUFFER: '3' }],
    ['may be tried once', put('PUT'), { UPSTREAM_TRIES: '1' }],
    ['had its time', put('PUT'), { UPSTREAM_TRIES_TIME: '100ms' }],
  ])('is not sent again where it %s', async (_name, text, env) => {
    const [rig, seen] = await two(() => undefined, 1, env)
    const { answers } = await exchange(open(rig), ['PUT'], text)
    expect([answers[0]?.status, seen.length]).toEqual([504, 1])
  })

  it('is tried again within a budget: not every request of a Service that is down', async () => {
    const [rig, seen] = await two(socket => socket.end(), Infinity)
    for (let i = 0; i < 60; i++) await exchange(open(rig), ['GET'], request('GET', '/'))
    // 30, and a fifth of the requests.
    expect(seen.length).toBeGreaterThanOrEqual(60 + 30)
    expect(seen.length).toBeLessThanOrEqual(60 + 30 + 12)
  })
})

describeOnAllAndTls('an endpoint that takes no connection, beside a good one (finding 13)', () => {
  it('costs nobody its answer, and most requests nothing', async () => {
    const hole = await blackHole(ends)
    const good = await startBroken(() => undefined)
    const rig = await impatient([hole, good.address])
    const took: number[] = []
    for (let i = 0; i < 12; i++) {
      const started = performance.now()
      const { answers } = await exchange(open(rig), ['GET'], request('GET', '/good'))
      expect(answers[0]).toMatchObject({ status: 200, body: 'good' })
      took.push(performance.now() - started)
    }
    // Those that tried it first waited for UPSTREAM_CONNECT_TIMEOUT; once it failed it is not tried for a while.
    expect(took.filter(ms => ms >= 400).length).toBeLessThanOrEqual(2)
    expect(summed(rig.totals())).toMatchObject({ requests: 12, upstreamErrors: 0 })
  })

  it('is 504 or 502 where it is alone', async () => {
    const rig = await impatient([await blackHole(ends)])
    const { answers } = await exchange(open(rig), ['GET'], request('GET', '/good'))
    expect([502, 504]).toContain(answers[0]?.status)
    expect(summed(rig.totals())).toMatchObject({ requests: 1, upstreamErrors: 1 })
  })
})

describeOnAllAndTls('a right answer that is cut', () => {
  const body = 'x'.repeat(48)
  const answer =
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
    `30;name=value\r\n${body}\r\n1\r\ny\r\n30\r\n${body}\r\n0\r\nX-Sum: 97\r\n\r\n`
  const headEnd = answer.indexOf('\r\n\r\n') + 4
  const forAll = new Ends()
  let rig: Rig
  let address = ''
  let reused = 0

  // One backend for all: the place of the cut and its way are in the target.
  beforeAll(async () => {
    address = await startRawBackend(forAll, socket => {
      let requests = 0
      socket.on('data', chunk => {
        const [, at = '', how = ''] = /^GET \/([0-9]+)\/(fin|rst) /.exec(chunk.toString('latin1')) ?? []
        if (at === '') return
        if (++requests > 1) reused++
        const part = answer.slice(0, Number(at))
        if (how === 'fin') socket.end(part)
        else if (part === '') reset(socket)
        else socket.write(part, () => setTimeout(() => reset(socket), 2))
      })
    })
    rig = await startPlane(forAll, LIMITS)
    for (const update of site('a.example', [address])) rig.apply(update)
  })
  afterAll(() => forAll.all())

  it.each(['fin', 'rst'])(
    'at any byte, by %s, is 502 or cut, and whole only when it is',
    async how => {
      const wrong: string[] = []
      let next = 0
      const one = async (at: number): Promise<void> => {
        const raw = new RawClient(rig.http)
        const { answers, fault } = await exchange(raw, ['GET'], request('GET', `/${at}/${how}`))
        const [got] = answers
        if (got?.complete === false) await eventually(() => raw.socket.closed, PATIENCE_MS)
        raw.socket.destroy()
        const whole = got?.status === 200 && got.complete && got.framing !== 'until-close'
        const refused = got?.status === 502 && got.complete
        const cut = got?.status === 200 && !got.complete && (body + 'y' + body).startsWith(got.body)
        const right = at === answer.length ? whole && got.body === `${body}y${body}` : refused || (cut && at >= headEnd)
        // The last byte may be overtaken by the reset behind it.
        const overtaken = at === answer.length && how === 'rst' && (refused || cut)
        if (fault !== null || !(right || overtaken)) {
          wrong.push(
            `at ${at} of ${answer.length}: ${got?.status ?? 'nothing'}, complete: ${String(got?.complete)} ${fault ?? ''}`,
          )
        }
      }
      const worker = async (): Promise<void> => {
        while (next <= answer.length) await one(next++)
      }
      await Promise.all(Array.from({ length: 8 }, worker))
      expect(wrong).toEqual([])
      expect(reused).toBe(0)
    },
    60_000,
  )
})
