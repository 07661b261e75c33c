/** A connection of HTTP/2 with an owner that does what others would do to it: on real sockets, without TLS and backends. */
import { once } from 'node:events'
import { constants } from 'node:http2'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { RequestHead } from '../http1/contract.ts'
import { FLOOD_LIMITS, type FloodLimits } from '../http2/floods.ts'
import { Ends, eventually } from '../workers/testing/harness.ts'
import {
  END_HEADERS,
  END_STREAM,
  FRAMES,
  FrameClient,
  GET,
  fieldBlock,
  frame,
} from '../workers/testing/http2-frames.ts'
import type { ConnectionLimits } from './client-connection.ts'
import { Connections } from './connections.ts'
import type { ClientSide, ExchangeCarrier } from './contract.ts'
import { Http2Connection, type Http2Owner } from './http2-connection.ts'

const {
  NGHTTP2_CANCEL,
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_INTERNAL_ERROR,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
} = constants
const ends = new Ends()
afterEach(() => ends.all())

const LIMITS: ConnectionLimits = {
  ...{ headers: 4_000, request: 0, keepAlive: 4_000, bodyIdle: 4_000, linger: 4_000, lingerIdle: 4_000 },
  ...{ tunnelIdle: 0, tunnelHalfClosed: 0, maxHeadBytes: 32_768, maxLineBytes: 16_384, maxRequests: 0, maxAge: 0 },
}

interface Rig {
  readonly client: FrameClient
  readonly connections: Connections
  /** What carriers and owner heard. */
  readonly told: string[]
  readonly asked: readonly { readonly client: ClientSide; readonly head: RequestHead }[]
  draining: boolean
}

interface Wanted {
  readonly limits?: Partial<ConnectionLimits>
  readonly floods?: Partial<FloodLimits>
  readonly maxStreams?: number
  /** Answers, or does not. */
  readonly handle?: (client: ClientSide, head: RequestHead) => void
}

const answer = (client: ClientSide): void => client.answerWhole(200, 'OK', '', 'ok', false, performance.now())

async function start({ limits = {}, floods = {}, maxStreams = 128, handle = answer }: Wanted = {}): Promise<Rig> {
  const told: string[] = []
  const asked: { client: ClientSide; head: RequestHead }[] = []
  const connections = new Connections(100)
  const carrier: ExchangeCarrier = {
    onBody: piece => told.push(`body ${piece.length}`),
    onBodyEnd: () => told.push('body end'),
    onBodyRefused: ({ code }) => told.push(`refused ${code}`),
    onBodyTimeout: () => told.push('body timeout'),
    onDrain: () => told.push('drain'),
    onGone: reason => told.push(reason),
    onTick: () => undefined,
    onMemoryShort: () => undefined,
  }
  const owner: Http2Owner = {
    limits: { ...LIMITS, ...limits },
    http2: { maxStreams, floods: { ...FLOOD_LIMITS, ...floods } },
    handle: (client, head) => {
      asked.push({ client, head })
      handle(client, head)
      return carrier
    },
    refusedStream: (client, { code }) => {
      told.push(`no request: ${code}`)
      answer(client)
    },
    get draining() {
      return rig.draining
    },
    defect: error => told.push(`defect: ${String(error)}`),
    besides: change => connections.besides(change),
    changed: (connection, from) => connections.changed(connection, from),
    closed: connection => connections.remove(connection),
    ended: reason => told.push(`ended for its ${reason}`),
  }
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) =>
    connections.add(new Http2Connection(socket, { address: '127.0.0.1', port: 1, tls: null }, owner)),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.add(() => {
    server.close()
    connections.destroyAll()
  })
  const client = await FrameClient.openPlain(ends, (server.address() as AddressInfo).port)
  const rig: Rig = { client, connections, told, asked, draining: false }
  await client.until(FRAMES.SETTINGS)
  return rig
}

const post = (id: number, fields: Readonly<Record<string, string>> = {}): Buffer =>
  frame(FRAMES.HEADERS, END_HEADERS, id, fieldBlock({ ...GET, ':method': 'POST', ...fields }))
const ping = (): Buffer => frame(FRAMES.PING, 0, 0, Buffer.alloc(8))
const times = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
const goaway = async (client: FrameClient): Promise<number> => FrameClient.codeOf(await client.until(FRAMES.GOAWAY))
const reset = async (client: FrameClient, id: number): Promise<number> =>
  FrameClient.codeOf(await client.until(FRAMES.RST_STREAM, id))

describe('a client that asks for more than it uses is ended, and why is counted', () => {
  it('pings', async () => {
    const { client, told, connections } = await start({ floods: { pings: 20 } })
    client.send(...times(20, ping))
    await eventually(() => client.got.filter(({ type }) => type === FRAMES.PING).length === 20)
    client.send(ping())
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    await eventually(() => connections.size === 0)
    expect(told).toEqual(['ended for its pings'])
  })

  it('and takes no request that stands behind the one frame too many, nor the process with it', async () => {
    const { client, told, asked } = await start({ floods: { pings: 5 } })
    client.send(...times(10, ping), post(1), frame(FRAMES.DATA, END_STREAM, 1, Buffer.alloc(10)))
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect([told, asked]).toEqual([['ended for its pings'], []])
  })

  it('settings', async () => {
    const { client, told } = await start({ floods: { settings: 20 } })
    client.send(...times(21, () => frame(FRAMES.SETTINGS, 0, 0)))
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect(told).toEqual(['ended for its settings'])
  })

  it('requests that it takes back', async () => {
    const { client, told, asked } = await start({ floods: { resets: 20 }, handle: () => undefined })
    const cancel = Buffer.from([0, 0, 0, NGHTTP2_CANCEL])
    for (let id = 1; id < 2 * 21; id += 2) {
      client.get(id)
      await eventually(() => asked.length === (id + 1) / 2)
      client.send(frame(FRAMES.RST_STREAM, 0, id, cancel))
      await eventually(() => told.length >= (id + 1) / 2)
    }
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect(told).toEqual([...times(21, () => 'client-gone'), 'ended for its resets'])
  })

  it('requests that it takes back at once', async () => {
    const { client, told } = await start({ floods: { resets: 20 }, handle: () => undefined })
    const cancel = Buffer.from([0, 0, 0, NGHTTP2_CANCEL])
    const head = (id: number): Buffer => frame(FRAMES.HEADERS, END_HEADERS | END_STREAM, id, fieldBlock(GET))
    client.send(...times(21, i => Buffer.concat([head(2 * i + 1), frame(FRAMES.RST_STREAM, 0, 2 * i + 1, cancel)])))
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect(told).toEqual([...times(21, () => 'client-gone'), 'ended for its resets'])
  })

  it('what is no request', async () => {
    const { client, told } = await start({ floods: { refused: 20 } })
    for (let i = 0; i < 21; i++) client.get(2 * i + 1, { host: 'b.example' })
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect(told).toEqual([...times(21, () => 'no request: other-host'), 'ended for its refused'])
  })

  it('frames without any use', async () => {
    const { client, told } = await start({ floods: { overhead: 500 } })
    client.send(...times(250, () => frame(FRAMES.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))))
    client.get(1)
    await client.until(FRAMES.HEADERS, 1)
    expect(told).toEqual([])
    client.send(...times(100, () => frame(FRAMES.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))))
    client.send(...times(200, () => frame(FRAMES.WINDOW_UPDATE, 0, 0, Buffer.from([0, 0, 0, 1]))))
    expect(await goaway(client)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    await client.ended()
    expect(told).toEqual(['ended for its overhead'])
  })

  it('a head without end, in pieces (CONTINUATION): nghttp2 ends it', async () => {
    const { client, told, asked } = await start()
    client.send(frame(FRAMES.HEADERS, 0, 1, fieldBlock(GET)))
    client.send(...times(50, i => frame(FRAMES.CONTINUATION, 0, 1, fieldBlock({ [`x${i}`]: 'y' }))))
    await client.ended()
    expect([told, asked]).toEqual([['ended for its protocol'], []])
  })
})

describe('one request too many, or too much of one, is refused alone', () => {
  it('streams beyond those that may be open; a client that knows the limit is ended', async () => {
    const { client, told, asked, connections } = await start({ maxStreams: 2, handle: () => undefined })
    for (const id of [1, 3, 5]) client.get(id)
    expect(await reset(client, 5)).toBe(NGHTTP2_REFUSED_STREAM)
    expect([asked.length, connections.busy, told]).toEqual([2, 2, []])
    // RFC 9113 6.5.3.
    client.send(frame(FRAMES.SETTINGS, 1, 0))
    client.get(7)
    await client.ended()
    expect(told).toEqual(['client-gone', 'client-gone', 'ended for its protocol'])
    await eventually(() => connections.size === 0)
    expect(connections.busy).toBe(0)
  })

  it('a head of more fields than anybody means', async () => {
    const { client, asked } = await start()
    const fields = Object.fromEntries(times(600, i => [`x${i}`, '']))
    client.get(1, fields)
    expect(await reset(client, 1)).toBe(NGHTTP2_ENHANCE_YOUR_CALM)
    client.get(3)
    await client.until(FRAMES.HEADERS, 3)
    expect(asked).toHaveLength(1)
  })
})

describe('time', () => {
  it('for the first request, and for the next one', async () => {
    const [first, next] = await Promise.all([
      start({ limits: { headers: 100, keepAlive: 0 } }),
      start({ limits: { headers: 0, keepAlive: 100 } }),
    ])
    next.client.get(1)
    for (const { client, connections } of [first, next]) {
      expect(await goaway(client)).toBe(NGHTTP2_NO_ERROR)
      await client.ended()
      await eventually(() => connections.size === 0)
    }
    expect(next.asked).toHaveLength(1)
  })

  it('for a client that does not go: it is closed', async () => {
    const { client, connections } = await start({ limits: { headers: 100, lingerIdle: 100 } })
    client.socket.on('end', () => undefined)
    Object.assign(client.socket, { allowHalfOpen: true })
    await client.until(FRAMES.GOAWAY)
    await eventually(() => connections.size === 0)
  })

  it('for the next piece of a body, and none while nobody reads it', async () => {
    const { client, told, asked } = await start({ limits: { bodyIdle: 200 }, handle: () => undefined })
    client.send(post(1), frame(FRAMES.DATA, 0, 1, Buffer.alloc(10)), post(3))
    await eventually(() => asked.length === 2)
    asked[1]?.client.readBody()
    await eventually(() => told.length > 0)
    expect(told).toEqual(['body timeout'])
    asked[0]?.client.readBody()
    await eventually(() => told.length === 3)
    expect(told).toEqual(['body timeout', 'body 10', 'body timeout'])
  })

  it('for a client that takes nothing of its answer', async () => {
    const handle = (client: ClientSide): void => {
      client.answer(200, 'OK', '', 100_000, false)
      client.body(Buffer.alloc(50_000))
    }
    const { client, told, asked } = await start({ limits: { bodyIdle: 200 }, handle })
    const window = Buffer.from([0, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 0, 0])
    client.send(frame(FRAMES.SETTINGS, 0, 0, window))
    client.get(1)
    expect(await reset(client, 1)).toBe(NGHTTP2_CANCEL)
    expect([told, asked.length]).toEqual([['client-timeout'], 1])
  })
})

describe('a connection ends in good order', () => {
  it('with as many requests as it may have, once none is under way', async () => {
    const waiting: ClientSide[] = []
    const { client, asked } = await start({ limits: { maxRequests: 2 }, handle: one => void waiting.push(one) })
    for (const id of [1, 3, 5]) client.get(id)
    await eventually(() => asked.length === 3)
    expect(client.got.some(({ type }) => type === FRAMES.GOAWAY)).toBe(false)
    waiting.forEach(answer)
    expect(await goaway(client)).toBe(NGHTTP2_NO_ERROR)
    expect((await client.until(FRAMES.GOAWAY)).payload.readUInt32BE(0)).toBe(5)
    await client.ended()
  })

  it('with twice as many in any case, and with the first one once the proxy is to go', async () => {
    const waiting: ClientSide[] = []
    const handle = (one: ClientSide): void => void waiting.push(one)
    const [old, draining] = await Promise.all([start({ limits: { maxRequests: 2 }, handle }), start({ handle })])
    draining.draining = true
    for (const id of [1, 3, 5, 7]) old.client.get(id)
    draining.client.get(1)
    for (const { client, connections } of [old, draining]) {
      expect(await goaway(client)).toBe(NGHTTP2_NO_ERROR)
      // What is under way is not touched.
      expect(connections.counts.open).toBe(1)
    }
    waiting.forEach(answer)
    for (const { client } of [old, draining]) {
      await client.ended()
      const answers = client.got.filter(({ type, flags }) => type === FRAMES.DATA && (flags & END_STREAM) !== 0)
      expect(answers).toHaveLength(client === old.client ? 4 : 1)
    }
  })
})

it('a client that closes its side gave up what is under way, as with HTTP/1', async () => {
  const { client, told, asked, connections } = await start({ handle: () => undefined })
  client.get(1)
  await eventually(() => asked.length === 1)
  client.socket.end()
  await client.ended()
  await eventually(() => connections.size === 0)
  expect([told, connections.busy]).toEqual([['client-gone'], 0])
})

it('a handler of ours that throws ends its stream, and nothing else', async () => {
  const { client, told } = await start({
    handle: (one, { target }) => {
      if (target === '/bad') throw new Error('a defect')
      answer(one)
    },
  })
  client.get(1, { ':path': '/bad' })
  client.get(3)
  expect(await reset(client, 1)).toBe(NGHTTP2_INTERNAL_ERROR)
  await client.until(FRAMES.HEADERS, 3)
  expect(told).toEqual(['defect: Error: a defect'])
})
