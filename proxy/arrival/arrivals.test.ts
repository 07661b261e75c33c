/** Behind a balancer that says whose connections it passes on. */
import { once } from 'node:events'
import { Socket, connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, expect, it } from '@jest/globals'
import { describeOnAll } from '../workers/testing/ways.ts'
import { Ends, ask, eventually, exchangeRaw, type Rig } from '../workers/testing/harness.ts'
import { echoing, type Echo } from '../gateway/testing/in-front-of.ts'
import { Arrivals } from './arrivals.ts'
import { binaryHeader } from './testing.ts'

const ends = new Ends()
afterEach(() => ends.all())

const BEHIND = { PROXY_PROTOCOL_FROM: '127.0.0.0/8' }
const CLIENT = { address: '203.0.113.7', port: 4_711 }
const LINE = 'PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.99\r\nConnection: close\r\n\r\n'

const refusals = (rig: Rig): number => rig.totals().events.get('connection proxy-protocol') ?? 0

/** Everything that comes back, until the end. */
async function answered(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => undefined)
  await once(socket, 'close')
  return text
}

function bodyOf(answer: string): Echo {
  return JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)) as Echo
}

describeOnAll('a connection from a balancer', () => {
  it.each<[string, Buffer | string, string]>([
    ['a line', LINE, CLIENT.address],
    ['a header', binaryHeader(CLIENT), CLIENT.address],
    ['a header of IPv6', binaryHeader({ address: '2001:db8::7', port: 1 }), '2001:db8::7'],
    ['a line that names nobody', 'PROXY UNKNOWN\r\n', '127.0.0.1'],
    ['a header of the balancer itself', binaryHeader(CLIENT, { command: 0x20 }), '127.0.0.1'],
  ])('that begins with %s is of the client that it names', async (_, header, address) => {
    const rig = await echoing(ends, BEHIND)
    const socket = connect(rig.http, '127.0.0.1')
    socket.write(Buffer.concat([Buffer.from(header), Buffer.from(GET)]))
    const { headers } = bodyOf(await answered(socket))
    // The balancer is believed; its client is not.
    expect(headers).toMatchObject({ 'x-real-ip': address, 'x-forwarded-for': address })
    expect(refusals(rig)).toBe(0)
  })

  it('may come byte by byte, and its requests behind it', async () => {
    const rig = await echoing(ends, BEHIND)
    const socket = connect({ port: rig.http, host: '127.0.0.1', noDelay: true })
    const answer = answered(socket)
    for (const byte of LINE) {
      socket.write(byte)
      await new Promise(resolve => setImmediate(resolve))
    }
    await new Promise(resolve => setTimeout(resolve, 5))
    socket.write(GET)
    expect(bodyOf(await answer).headers).toMatchObject({ 'x-real-ip': CLIENT.address })
  })

  it.each<[string, Buffer | string]>([
    ['a line', LINE],
    ['a header', binaryHeader(CLIENT)],
  ])('begins with %s before the handshake of TLS', async (_, header) => {
    const rig = await echoing(ends, BEHIND)
    const socket = connect(rig.https, '127.0.0.1')
    socket.write(header)
    const tls = connectTls({ socket, servername: 'a.example', rejectUnauthorized: false })
    tls.write(GET)
    expect(bodyOf(await answered(tls)).headers).toMatchObject({
      ...{ 'x-real-ip': CLIENT.address, 'x-forwarded-proto': 'https' },
    })
  })

  it.each<[string, string]>([
    ['no header', GET],
    ['a malformed one', `PROXY TCP4 nobody 127.0.0.1 1 80\r\n${GET}`],
    ['a header of no version', binaryHeader(CLIENT, { command: 0x31 }).toString('latin1')],
  ])('with %s is closed without an answer, and counted', async (_, bytes) => {
    const rig = await echoing(ends, BEHIND)
    for (const port of [rig.http, rig.https]) {
      const socket = connect(port, '127.0.0.1')
      socket.write(bytes, 'latin1')
      expect(await answered(socket)).toBe('')
    }
    expect(refusals(rig)).toBe(2)
  })

  it('that says nothing is nobody’s fault, and is not kept for ever', async () => {
    const rig = await echoing(ends, { ...BEHIND, HEADERS_TIMEOUT: '50ms', TLS_HANDSHAKE_TIMEOUT: '1h' })
    const [silent, half] = [connect(rig.http, '127.0.0.1'), connect(rig.https, '127.0.0.1')]
    half.write('PROXY TCP4 203')
    expect(await Promise.all([answered(silent), answered(half)])).toEqual(['', ''])
    const left = connect(rig.http, '127.0.0.1')
    left.end()
    expect(await answered(left)).toBe('')
    expect(refusals(rig)).toBe(0)
  })

  it('waits in a line of limited length: the oldest goes for a new one', async () => {
    const rig = await echoing(ends, { ...BEHIND, MAX_CONNECTIONS: '2' })
    const sockets = [connect(rig.http, '127.0.0.1')]
    const oldest = sockets[0] === undefined ? Promise.resolve('') : answered(sockets[0])
    await once(sockets[0] as Socket, 'connect')
    sockets.push(connect(rig.http, '127.0.0.1'), connect(rig.https, '127.0.0.1'))
    expect(await oldest).toBe('')
    for (const socket of sockets) socket.destroy()
  })

  it('ends with us', async () => {
    const rig = await echoing(ends, BEHIND)
    const socket = connect(rig.http, '127.0.0.1')
    const answer = answered(socket)
    await once(socket, 'connect')
    await rig.plane.drain()
    expect(await answer).toBe('')
  })

  it('counts for its client, where clients are limited', async () => {
    const rig = await echoing(ends, { ...BEHIND, MAX_CONNECTIONS_PER_CLIENT: '1' })
    const held = connect(rig.http, '127.0.0.1')
    held.write(LINE)
    ends.add(() => held.destroy())
    await eventually(() => rig.plane.connections.size === 1)
    const second = connect(rig.http, '127.0.0.1')
    second.write(LINE + GET)
    expect(await answered(second)).toMatch(/^HTTP\/1.1 429 /)
    const other = connect(rig.http, '127.0.0.1')
    other.write(LINE.replace('203.0.113.7', '203.0.113.8') + GET)
    expect(await answered(other)).toMatch(/^HTTP\/1.1 200 /)
  })
})

describeOnAll('a connection from anybody else', () => {
  it('begins with no header: whoever writes one is nobody else for it', async () => {
    const rig = await echoing(ends, { PROXY_PROTOCOL_FROM: '192.0.2.0/24' })
    expect(await exchangeRaw(rig.http, LINE + GET)).toMatch(/^HTTP\/1.1 400 /)
    const { headers } = JSON.parse((await ask(rig.http, {})).body) as Echo
    expect(headers).toMatchObject({ 'x-real-ip': '127.0.0.1' })
  })
})

it('a connection that was reset before it was taken is nobody’s: what it sent is no request', () => {
  const gone = new Socket()
  const parts = { balancers: { has: () => false }, timeout: 0, most: 0, refused: () => undefined }
  new Arrivals(parts).open(gone, () => {
    throw new Error('it was handed on')
  })
  expect(gone.destroyed).toBe(true)
})
