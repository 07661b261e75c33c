/** A connection with an owner that does what others would do to it: on real sockets, without backends. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { TLSSocket, connect as connectTls, createSecureContext } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { createDefaultCertificate } from '../frontdoor/default-certificate.ts'
import type { RequestHead } from '../http1/contract.ts'
import { Ends, RawClient, eventually } from '../workers/testing/harness.ts'
import { ClientConnection, type ConnectionLimits, type ConnectionOwner } from './client-connection.ts'
import type { ExchangeCarrier } from './contract.ts'
import type { SocketIo } from '../io/contract.ts'
import { directIo } from '../io/direct.ts'
import { STREAMS } from '../io/streams.ts'
import { Connections } from './connections.ts'
import { takenByKernel } from './taken-by-kernel.ts'

const ends = new Ends()
afterEach(() => ends.all())

const LIMITS: ConnectionLimits = {
  ...{ headers: 2_000, request: 0, keepAlive: 2_000, bodyIdle: 2_000, linger: 2_000, lingerIdle: 2_000 },
  ...{
    tunnelIdle: 2_000,
    tunnelHalfClosed: 2_000,
    maxHeadBytes: 8_192,
    maxLineBytes: 4_096,
    maxRequests: 0,
    maxAge: 0,
  },
}

const NOTHING: ExchangeCarrier = {
  ...{ onBody: () => undefined, onBodyEnd: () => undefined, onBodyRefused: () => undefined },
  ...{ onBodyTimeout: () => undefined, onDrain: () => undefined, onGone: () => undefined, onTick: () => undefined },
  onMemoryShort: () => undefined,
}

type Handle = (connection: ClientConnection, head: RequestHead) => ExchangeCarrier

const IOS = [
  ['streams', STREAMS],
  ['direct', directIo()],
] as const
let io: SocketIo = STREAMS

/** @param body is called once for each way of reading and writing */
function describeOnBoth(name: string, body: () => void): void {
  describe.each(IOS)(`${name} (%s)`, (_, one) => {
    beforeAll(() => {
      io = one
    })
    body()
  })
}

interface Rig {
  readonly port: number
  readonly connections: Connections
  readonly defects: unknown[]
  /** Resolves when none is open. */
  readonly drain: () => Promise<void>
}

async function serve(handle: Handle, limits: Partial<ConnectionLimits> = {}, firstRequestMs = 0): Promise<Rig> {
  const connections = new Connections(50, firstRequestMs)
  const defects: unknown[] = []
  let draining = false
  const owner: ConnectionOwner = {
    ...{ limits: { ...LIMITS, ...limits }, io, handle },
    get draining() {
      return draining
    },
    refused: () => null,
    defect: error => defects.push(error),
    changed: (connection, from) => connections.changed(connection, from),
    closed: connection => connections.remove(connection),
  }
  const server = createServer({ allowHalfOpen: true }, socket =>
    connections.add(new ClientConnection(socket, { address: '127.0.0.1', port: 1, tls: null }, owner)),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.add(() => {
    server.close()
    connections.destroyAll()
  })
  const drain = (): Promise<void> => {
    draining = true
    return connections.drain(0)
  }
  return { port: (server.address() as AddressInfo).port, connections, defects, drain }
}

function answerWith(connection: ClientConnection, body: Buffer): void {
  connection.answer(200, 'OK', `Content-Length: ${body.length}\r\n`, body.length, false)
  connection.body(body)
  connection.end([])
}

/** Reads nothing until it is told to. */
async function silentClient(port: number): Promise<{ readonly socket: Socket; readonly read: () => number }> {
  const socket = connect(port, '127.0.0.1').pause()
  ends.add(() => socket.destroy())
  await once(socket, 'connect')
  let bytes = 0
  return {
    socket,
    read: () => {
      if (socket.listenerCount('data') === 0) socket.on('data', chunk => (bytes += chunk.length)).resume()
      return bytes
    },
  }
}

const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

describeOnBoth('ClientConnection', () => {
  it('gives a client that is slower than the linger all of its last answer', async () => {
    const size = 12_000_000
    const handle: Handle = connection => {
      answerWith(connection, Buffer.alloc(size))
      return NOTHING
    }
    const { port } = await serve(handle, { linger: 100, lingerIdle: 50 })
    const { socket, read } = await silentClient(port)
    socket.write(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
    await new Promise(resolve => setTimeout(resolve, 600))
    await eventually(() => read() > size)
  })

  it('begins nothing more for a client that takes no answers, and goes on when it does', async () => {
    let begun = 0
    const { port } = await serve(connection => {
      begun++
      answerWith(connection, Buffer.alloc(4_000_000))
      return NOTHING
    })
    const { socket, read } = await silentClient(port)
    socket.write(GET.repeat(20))
    await eventually(() => begun > 0)
    await new Promise(resolve => setTimeout(resolve, 300))
    expect(begun).toBeLessThan(6)
    await eventually(() => read() > 20 * 4_000_000)
    expect(begun).toBe(20)
  })

  it('reads the next request where the last piece of a body was paused', async () => {
    const { port } = await serve((connection, { bodyLength }) => {
      if (bodyLength === 0) answerWith(connection, Buffer.from('next'))
      else queueMicrotask(() => connection.readBody())
      return {
        ...NOTHING,
        onBody: () => connection.pauseBody(),
        onBodyEnd: () => answerWith(connection, Buffer.from('taken')),
      }
    })
    const client = new RawClient(port)
    client.send(`POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nfour`)
    await client.until(/taken/)
    client.send(GET)
    expect(await client.until(/next/)).toMatch(/next$/)
  })

  it('ends itself, and nothing else, where its handler has a defect', async () => {
    let asked = 0
    const { port, connections, defects } = await serve(connection => {
      if (++asked === 1) throw new Error('a defect')
      answerWith(connection, Buffer.from('fine'))
      return NOTHING
    })
    const client = new RawClient(port)
    client.send(GET)
    expect(await client.ended()).toBe('')
    await eventually(() => connections.size === 0)
    expect(defects).toEqual([new Error('a defect')])
    const other = new RawClient(port)
    other.send(GET)
    expect(await other.until(/fine/)).toMatch(/fine$/)
  })

  it('resets where a FIN would say that the answer is whole', async () => {
    const { port } = await serve(connection => {
      connection.answer(200, 'OK', '', -2, false)
      connection.body(Buffer.from('half'))
      setTimeout(() => connection.cut(), 20)
      return NOTHING
    })
    const client = new RawClient(port)
    let code = ''
    client.socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? ''))
    client.send('GET / HTTP/1.0\r\n\r\n')
    await client.ended()
    expect([client.received.endsWith('half'), code]).toEqual([true, 'ECONNRESET'])
  })
})

describeOnBoth('a client that takes nothing of its answer', () => {
  const SIZE = 64_000_000
  const LIMIT = LIMITS.bodyIdle

  /** The connection is looked at by the test alone, at times of its choice. */
  async function slow(secure: boolean): Promise<{
    readonly connection: ClientConnection
    readonly gone: string[]
    /** The client takes so many bytes more. */
    readonly take: (bytes: number) => void
  }> {
    const gone: string[] = []
    const accepted = Promise.withResolvers<ClientConnection>()
    const owner: ConnectionOwner = {
      ...{ limits: LIMITS, io, draining: false, refused: () => null, defect: error => gone.push(String(error)) },
      ...{ changed: () => undefined, closed: () => undefined },
      handle: connection => {
        connection.answer(200, 'OK', `Content-Length: ${2 * SIZE}\r\n`, 2 * SIZE, false)
        connection.body(Buffer.alloc(SIZE))
        return { ...NOTHING, onGone: reason => gone.push(reason) }
      },
    }
    const own = (socket: Socket): void =>
      accepted.resolve(new ClientConnection(socket, { address: '127.0.0.1', port: 1, tls: null }, owner))
    const { chain, privateKey } = await createDefaultCertificate()
    const secureContext = createSecureContext({ cert: chain, key: privateKey })
    const server = createServer({ allowHalfOpen: true }, socket => {
      ends.add(() => socket.destroy())
      if (!secure) own(socket)
      else {
        const tls = new TLSSocket(socket, { isServer: true, secureContext })
        tls.once('secure', () => own(tls))
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.add(() => server.close())
    const to = { port: (server.address() as AddressInfo).port, host: '127.0.0.1' }
    const socket = secure ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to)
    ends.add(() => socket.destroy())
    socket.on('error', () => undefined)
    let wanted = 0
    socket.on('data', chunk => {
      wanted -= chunk.length
      if (wanted <= 0) socket.pause()
    })
    socket.write(GET)
    const connection = await accepted.promise
    await eventually(() => connection.answered)
    return {
      ...{ connection, gone },
      take: bytes => {
        wanted = bytes
        socket.resume()
      },
    }
  }

  const taken = ({ socket }: ClientConnection): number => takenByKernel(socket) ?? -1

  /** Until neither side's buffers take more. */
  async function full(connection: ClientConnection): Promise<void> {
    let before = -1
    let quiet = 0
    await eventually(() => {
      quiet = taken(connection) === before ? quiet + 1 : 0
      before = taken(connection)
      return quiet >= 30
    })
  }

  it.each([
    ['plain', false],
    ['TLS', true],
  ])(
    'is given up, but not while it takes a part of one long write (%s)',
    async (_name, secure) => {
      const { connection, gone, take } = await slow(secure)
      await full(connection)
      const waiting = connection.socket.writableLength
      // Whole milliseconds: the sum of fractions less one of them may be less than the other.
      let now = Math.ceil(performance.now())
      connection.tick(now)
      for (let i = 0; i < 4; i++) {
        const before = taken(connection)
        take(6_000_000)
        await eventually(() => taken(connection) > before)
        await full(connection)
        connection.tick((now += LIMIT * 0.9))
      }
      // To the stream it looks as if nothing had happened.
      expect([connection.socket.writableLength, gone]).toEqual([waiting, []])
      connection.tick((now += LIMIT * 0.9))
      expect(gone).toEqual([])
      connection.tick(now + LIMIT)
      expect(gone).toEqual(['client-timeout'])
    },
    20_000,
  )
})

describeOnBoth('a connection on which nothing was asked yet', () => {
  const answering: Handle = connection => {
    answerWith(connection, Buffer.from('hello'))
    return NOTHING
  }
  const opened = async ({ port, connections }: Rig): Promise<RawClient> => {
    const client = new RawClient(port)
    await eventually(() => connections.size === 1)
    return client
  }
  const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'

  it('gets its first answer while others are drained, and no second', async () => {
    const rig = await serve(answering, {}, 60_000)
    const client = await opened(rig)
    const drained = rig.drain()
    client.send(GET)
    await drained
    await client.ended()
    expect(client.received).toMatch(/^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n[^]*hello$/)
  })

  it('ends a moment later where none comes', async () => {
    const rig = await serve(answering, {}, 50)
    const client = await opened(rig)
    await rig.drain()
    await client.ended()
    expect(client.received).toBe('')
  })

  it('is not closed to make room, but when its moment is over, and once it was answered', async () => {
    const young = await serve(answering, {}, 60_000)
    const client = await opened(young)
    expect(young.connections.closeIdle(1)).toBe(0)
    client.send(GET)
    await client.until(/hello$/)
    expect(young.connections.closeIdle(1)).toBe(1)
    await client.ended()

    const old = await serve(answering)
    await opened(old)
    expect(old.connections.closeIdle(1)).toBe(1)
  })
})
