import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { TLSSocket, connect as connectTls } from 'node:tls'
import { Ends } from '../workers/testing/harness.ts'
import { working } from './choose.ts'
import type { SocketIo, SocketWriter } from './contract.ts'
import { directIo } from './direct.ts'
import { tryOut } from './self-test.ts'
import { STREAMS } from './streams.ts'

const ends = new Ends()
afterEach(async () => {
  jest.restoreAllMocks()
  await ends.all()
})

type Protocol = 'tcp' | 'tls'

interface Pair {
  readonly ours: Socket
  readonly client: Socket
  /** Below both. */
  readonly raw: Socket
}

const PSK = { ciphers: 'PSK-AES128-GCM-SHA256', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const
const KEY = { psk: Buffer.alloc(16, 'k'), identity: 'test' }

/** Two ends of a connection through the kernel. */
async function pair(protocol: Protocol): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const raw = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [plain] = await accepted
  let [ours, client] = [plain, raw]
  if (protocol === 'tls') {
    const tls = { ...PSK, pskCallback: () => KEY, checkServerIdentity: () => undefined, allowHalfOpen: true }
    client = connectTls({ socket: raw, ...tls })
    ours = new TLSSocket(plain, { isServer: true, ...PSK, pskCallback: () => KEY.psk } as object)
    await Promise.all([once(ours, 'secure'), once(client, 'secureConnect')])
  }
  for (const socket of [ours, client, raw, plain]) socket.on('error', () => undefined)
  ends.add(() => {
    server.close()
    for (const socket of [ours, client, raw, plain]) socket.destroy()
  })
  return { ours, client, raw }
}

const MEGABYTES_16 = 16_777_216
const ignore = (): void => undefined

const DIRECT = directIo()

describe.each<[string, Protocol, SocketIo]>([
  ['streams', 'tcp', STREAMS],
  ['streams', 'tls', STREAMS],
  ['direct', 'tcp', DIRECT],
  ['direct', 'tls', DIRECT],
])('bytes through %s, over %s', (name, protocol, io) => {
  it('is what its name says', async () => {
    const { ours } = await pair(protocol)
    expect([io.writer(ours, ignore), io.reader(ours, ignore)].map(part => part.constructor.name)).toEqual(
      name === 'streams'
        ? ['StreamWriter', 'StreamReader']
        : [protocol === 'tls' ? 'TlsWriter' : 'PlainWriter', 'DirectReader'],
    )
  })

  it('works by its own test', async () => {
    await tryOut(io)
  })

  it('says when a write has to wait, and when it has gone; an end comes behind it', async () => {
    const { ours, client } = await pair(protocol)
    let drains = 0
    const writer = io.writer(ours, () => drains++)
    expect([writer.write('short'), writer.blocked]).toEqual([true, false])
    while (writer.unsent > 0) await sleep(5)
    expect(writer.write(Buffer.alloc(MEGABYTES_16, 'x'))).toBe(false)
    expect(writer.blocked).toBe(true)
    expect(writer.unsent).toBeGreaterThan(0)
    expect(writer.write(' and a text')).toBe(false)
    writer.end()
    expect(drains).toBe(0)
    const got: Buffer[] = []
    client.on('data', (chunk: Buffer) => got.push(chunk))
    await once(client, 'end')
    const text = Buffer.concat(got).toString('latin1')
    expect([text.length, text.slice(0, 6), text.slice(-12)]).toEqual([MEGABYTES_16 + 16, 'shortx', 'x and a text'])
    expect([writer.blocked, writer.unsent, drains]).toEqual([false, 0, 0])
  })

  it('goes on after a wait', async () => {
    const { ours, client } = await pair(protocol)
    const drained = Promise.withResolvers<undefined>()
    const writer = io.writer(ours, () => drained.resolve(undefined))
    writer.writeAll(['head', Buffer.alloc(MEGABYTES_16), 'end'])
    client.resume()
    await drained.promise
    expect([writer.blocked, writer.unsent, writer.write('more')]).toEqual([false, 0, true])
  })

  it('reads nothing while it is paused, and all of it after', async () => {
    const { ours, client } = await pair(protocol)
    let got = ''
    const reader = io.reader(ours, chunk => {
      // What is lent, and every view of it, says so; a copy is nobody else's.
      const lent = [chunk, chunk.subarray(1), Buffer.from(chunk)].map(bytes => reader.lends(bytes))
      expect(lent).toEqual(name === 'streams' ? [false, false, false] : [true, true, false])
      got += chunk.toString('latin1')
    })
    client.write('one')
    while (got === '') await sleep(5)
    reader.pause()
    reader.pause()
    client.write('two')
    await sleep(100)
    expect(got).toBe('one')
    reader.resume()
    reader.resume()
    while (got.length < 6) await sleep(5)
    expect(got).toBe('onetwo')
  })

  it('hears an end behind the last bytes', async () => {
    const { ours, client } = await pair(protocol)
    let got = ''
    io.reader(ours, chunk => (got += chunk.toString('latin1')))
    const ended = once(ours, 'end').then(() => got)
    client.end('last')
    expect(await ended).toBe('last')
    expect([ours.writable, ours.destroyed]).toEqual([true, false])
  })

  it('closes with an error where the other side is gone', async () => {
    const { ours, raw } = await pair(protocol)
    const writer = io.writer(ours, ignore)
    io.reader(ours, ignore)
    const failed = Promise.withResolvers<NodeJS.ErrnoException>()
    ours.on('error', failed.resolve)
    const closed = new Promise(resolve => ours.once('close', resolve))
    // What waits is lost with it.
    writer.write(Buffer.alloc(MEGABYTES_16))
    raw.resetAndDestroy()
    expect((await failed.promise).code).toMatch(/^(?:ECONNRESET|EPIPE)$/)
    expect(await closed).toBe(true)
    expect(writer.write('too late')).toBe(false)
  })

  it('writes all that it was given, in order, and closes behind it', async () => {
    const { ours, client } = await pair(protocol)
    const writer = io.writer(ours, ignore)
    const pieces = Array.from({ length: 300 }, (_, n) => `${n} `.repeat(1 + ((n * 37) % 800)))
    pieces.forEach((piece, n) => {
      if (n % 3 === 0) writer.write(piece)
      else if (n % 3 === 1) writer.write(Buffer.from(piece))
      else writer.writeAll([piece.slice(0, 5), Buffer.from(piece.slice(5))])
    })
    writer.end()
    writer.endAndClose()
    const got: Buffer[] = []
    client.on('data', (chunk: Buffer) => got.push(chunk))
    await Promise.all([once(client, 'end'), once(ours, 'close')])
    expect(Buffer.concat(got).toString('latin1')).toBe(pieces.join(''))
  })

  it('hears of no drain once it is closed', async () => {
    const { ours } = await pair(protocol)
    const drained = jest.fn()
    const writer = io.writer(ours, drained)
    writer.write(Buffer.alloc(MEGABYTES_16))
    ours.destroy()
    await once(ours, 'close')
    await sleep(20)
    expect(drained).not.toHaveBeenCalled()
  })
})

const fails = (): never => {
  throw new Error('not here')
}

describe('a way that does not work', () => {
  const good = directIo()
  const writing = (change: (writer: SocketWriter) => Partial<SocketWriter>): SocketIo => ({
    ...good,
    writer: (socket, onDrain) => {
      const writer = good.writer(socket, onDrain)
      const all: SocketWriter = {
        ...{ unsent: 0, blocked: false },
        write: data => writer.write(data),
        writeAll: pieces => writer.writeAll(pieces),
        end: () => writer.end(),
        endAndClose: () => writer.endAndClose(),
      }
      return { ...all, ...change(writer) }
    },
  })

  it.each<[string, SocketIo, RegExp]>([
    ['loses bytes', writing(() => ({ writeAll: () => true })), /in place of/],
    [
      'never waits',
      writing(writer => ({
        write: data => writer.write(data) || true,
        writeAll: pieces => writer.writeAll(pieces) || true,
      })),
      /no write had to wait/,
    ],
    ['says that bytes wait', writing(() => ({ unsent: 1 })), /some is said to wait/],
    [
      'changes bytes',
      { ...good, reader: (socket, onData) => good.reader(socket, chunk => onData(Buffer.from(chunk).reverse())) },
      /in place of/,
    ],
  ])('%s: it is told', async (_, io, reason) => {
    await expect(tryOut(io)).rejects.toMatchObject({
      code: 'SLUICE_DIRECT_IO',
      cause: { message: expect.stringMatching(reason) },
    })
  })

  it.each<[string, SocketIo]>([
    ['cannot write', writing(() => ({ write: fails, writeAll: fails }))],
    ['has no writer', { ...good, writer: fails }],
    ['has no reader', { ...good, reader: fails }],
    [
      'breaks its connection',
      {
        ...good,
        writer: (socket, onDrain) => {
          setImmediate(() => socket.resetAndDestroy())
          return good.writer(socket, onDrain)
        },
      },
    ],
    [
      'cannot pause',
      { ...good, reader: (socket, onData) => ({ ...good.reader(socket, onData), pause: fails, resume: fails }) },
    ],
  ])('%s: it is told, at once, and the process goes on', async (_, io) => {
    await expect(tryOut(io)).rejects.toMatchObject({
      code: 'SLUICE_DIRECT_IO',
      // Nor by its limit.
      cause: { message: expect.not.stringMatching(/not done in/) },
    })
  })

  it('is not taken; the public one is, with a warning', async () => {
    const warnings: string[] = []
    jest.spyOn(process as unknown as { binding: () => unknown }, 'binding').mockReturnValue({})
    expect(await working('direct', warning => warnings.push(warning))).toBe('streams')
    expect(warnings).toEqual(['SOCKET_IO=direct is not used: this Node has no stream_wrap as it is needed'])
  })

  it('is taken where it works', async () => {
    expect(await working('direct', warning => expect(warning).toBe(''))).toBe('direct')
  })

  it('is not asked for unless somebody wants it', async () => {
    const binding = jest.spyOn(process as unknown as { binding: () => unknown }, 'binding')
    expect(await working('streams', warning => expect(warning).toBe(''))).toBe('streams')
    expect(binding).not.toHaveBeenCalled()
  })
})
