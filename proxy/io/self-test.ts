/** What is private to Node may work otherwise in the next one: a way is tried out before clients' bytes take it. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { TLSSocket, connect as connectTls } from 'node:tls'
import { DataPlaneError } from '../errors.ts'
import type { SocketIo, SocketReader } from './contract.ts'

const PIECE = 262_144
/** As many as find no room in what kernels keep of a connection: that is some megabytes. */
const MOST_PIECES = 256
/** So often the kernel has to be waited for. */
const WAITS = 3
const TIMEOUT_MS = 10_000

/** How a connection of the test is opened. */
interface Kind {
  /** Calls when the connection can be used. */
  readonly accept: (socket: Socket, ready: (socket: Socket) => void) => void
  readonly connect: (port: number) => { readonly socket: Socket; readonly event: string }
}

const ON_LOOPBACK = { host: '127.0.0.1', allowHalfOpen: true } as const

const TCP: Kind = {
  accept: (socket, ready) => ready(socket),
  connect: port => ({ socket: connect({ port, ...ON_LOOPBACK }), event: 'connect' }),
}

/** A key that both sides know (RFC 4279) needs no certificate; this one is no secret. */
const KEY = { psk: Buffer.alloc(16, 'self-test'), identity: 'self-test' }
const WITH_KEY = { ciphers: 'PSK-AES128-GCM-SHA256', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const

const TLS: Kind = {
  accept: (socket, ready) => {
    const tls = new TLSSocket(socket, { isServer: true, ...WITH_KEY, pskCallback: () => KEY.psk } as object)
    tls.on('error', () => undefined)
    tls.on('secure', () => ready(tls))
  },
  connect: port => {
    const tls = { ...WITH_KEY, pskCallback: () => KEY, checkServerIdentity: () => undefined }
    return { socket: connectTls({ port, ...ON_LOOPBACK, ...tls }), event: 'secureConnect' }
  },
}

/**
 * Sends some megabytes over connections of its own, on the loopback interface, one of them over TLS: to an end that stops
 * reading again and again, with texts, buffers and several at once; it answers with their digest.
 * @throws DataPlaneError SLUICE_DIRECT_IO: what came is not what was sent, or not in time
 */
export async function tryOut(io: SocketIo): Promise<void> {
  for (const kind of [TCP, TLS]) await tryKind(io, kind)
}

async function tryKind(io: SocketIo, kind: Kind): Promise<void> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    kind.accept(socket, ready => mirror(ready, io))
  })
  server.listen(0, '127.0.0.1')
  try {
    await once(server, 'listening')
    const { socket, event } = kind.connect((server.address() as AddressInfo).port)
    sockets.push(socket)
    await withIn(TIMEOUT_MS, sendAndCompare(socket, event, io))
  } catch (cause) {
    throw new DataPlaneError('SLUICE_DIRECT_IO', `direct writes and reads do not work with Node ${process.version}`, {
      cause,
    })
  } finally {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
}

/** Says what it got, and ends when the other side ends. What throws here is heard of by the other end: this one is gone. */
function mirror(socket: Socket, io: SocketIo): void {
  const guarded = (act: () => void): void => {
    try {
      act()
    } catch {
      socket.destroy()
    }
  }
  socket.on('error', () => undefined)
  guarded(() => {
    const hash = createHash('sha256')
    const writer = io.writer(socket, () => undefined)
    let reads = 0
    const reader: SocketReader = io.reader(socket, chunk => {
      hash.update(chunk)
      if (++reads % 16 > 0) return
      guarded(() => reader.pause())
      setImmediate(() => guarded(() => reader.resume()))
    })
    socket.on('end', () =>
      guarded(() => {
        writer.writeAll([Buffer.from('got '), hash.digest('hex')])
        writer.write('\n')
        writer.end()
      }),
    )
  })
}

async function sendAndCompare(socket: Socket, opened: string, io: SocketIo): Promise<void> {
  // Whatever fails the socket from here on ends the test at once.
  const failed = new Promise<never>((_, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection is closed')))
  })
  await Promise.race([failed, once(socket, opened)])
  const sent = createHash('sha256')
  let answer = ''
  let drained: (() => void) | null = null
  io.reader(socket, chunk => (answer += chunk.toString('latin1')))
  const writer = io.writer(socket, () => drained?.())
  const ended = new Promise<void>(resolve => socket.on('end', resolve))
  let waits = 0
  for (let i = 0; waits < WAITS; i++) {
    if (i === MOST_PIECES) throw new Error('no write had to wait')
    const piece = Buffer.alloc(PIECE, `piece ${i} \xff`, 'latin1')
    sent.update(piece)
    if (write(i, piece)) continue
    waits++
    await Promise.race([failed, new Promise<void>(resolve => (drained = resolve))])
  }
  writer.end()
  await Promise.race([failed, ended])
  const expected = `got ${sent.digest('hex')}\n`
  if (answer !== expected) throw new Error(`got ${JSON.stringify(answer)} in place of ${JSON.stringify(expected)}`)
  if (writer.unsent > 0) throw new Error('all was taken, and some is said to wait')

  function write(i: number, piece: Buffer): boolean {
    if (i % 3 === 0) return writer.write(piece)
    const half = piece.toString('latin1', 0, PIECE / 2)
    const rest = piece.subarray(PIECE / 2)
    if (i % 3 === 1) return writer.writeAll([half, rest])
    writer.write(half)
    return writer.write(rest)
  }
}

async function withIn(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${milliseconds} ms`)), milliseconds)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
