import { beforeAll, describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { MAX_HELLO_BYTES, readClientHello } from './client-hello.ts'
import { helloOf } from './testing/hello.ts'

/** The same handshake message in records of these sizes. */
function inRecords(hello: Buffer, sizes: readonly number[]): Buffer {
  const message = hello.subarray(5)
  const parts: Buffer[] = []
  for (let at = 0, i = 0; at < message.length; i++) {
    const part = message.subarray(at, at + (sizes[i % sizes.length] ?? 1))
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
    at += part.length
  }
  return Buffer.concat(parts)
}

describe('readClientHello', () => {
  let hello: Buffer
  let unnamed: Buffer
  beforeAll(async () => {
    hello = await helloOf({ servername: 'Shop.Example.' })
    unnamed = await helloOf({})
  })

  it('finds the server name, in lower case and without the last dot', () => {
    expect(readClientHello(hello)).toEqual({ state: 'hello', serverName: 'shop.example', ticketName: null })
    expect(readClientHello(unnamed)).toEqual({ state: 'hello', serverName: null, ticketName: null })
  })

  it('finds the name of the key of a ticket: of TLS 1.3 before that of TLS 1.2', () => {
    const [old, name] = [Buffer.alloc(20, 'o'), Buffer.from('name of the key!rest')]
    /** The hello with these extensions behind its own. */
    const withExtensions = (...more: readonly (readonly [number, Buffer])[]): Buffer => {
      const message = Buffer.from(unnamed.subarray(5))
      let at = 4 + 2 + 32
      at += 1 + message.readUInt8(at)
      at += 2 + message.readUInt16BE(at)
      at += 1 + message.readUInt8(at)
      const added = more.map(([type, data]) => Buffer.concat([number(type), number(data.length), data]))
      const extensions = Buffer.concat([message.subarray(at + 2), ...added])
      const body = Buffer.concat([message.subarray(4, at), number(extensions.length), extensions])
      return inRecords(Buffer.concat([Buffer.alloc(5), Buffer.from([1, 0]), number(body.length), body]), [16_000])
    }
    const number = (value: number): Buffer => Buffer.from([value >> 8, value & 255])
    const identity = Buffer.concat([number(name.length), name, Buffer.alloc(4)])
    const psk = Buffer.concat([number(identity.length), identity, Buffer.alloc(35)])
    const ticketOf = (...more: readonly (readonly [number, Buffer])[]): unknown => {
      const hello = readClientHello(withExtensions(...more))
      return hello.state === 'hello' ? hello.ticketName : hello
    }
    expect(ticketOf()).toBeNull()
    expect(ticketOf([41, psk])).toBe('name of the key!')
    expect(ticketOf([41, psk.subarray(0, 10)])).toEqual({ state: 'invalid', reason: 'the ClientHello is malformed' })
    // Node's own hello has an empty one: it takes tickets.
    expect(ticketOf([35, old])).toBe('oooooooooooooooo')
    expect(ticketOf([35, old.subarray(0, 15)])).toBeNull()
    expect(ticketOf([35, old], [41, psk])).toBe('name of the key!')
  })

  it('asks for more until the last byte', () => {
    for (let length = 0; length < hello.length; length++) {
      expect([length, readClientHello(hello.subarray(0, length))]).toEqual([length, { state: 'more' }])
    }
    expect(readClientHello(Buffer.concat([hello, Buffer.from([20, 3, 3, 0, 1, 1])]))).toMatchObject({ state: 'hello' })
  })

  it('reads one that is split over records', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 5 }), sizes => {
        const split = inRecords(hello, sizes)
        expect(readClientHello(split)).toMatchObject({ state: 'hello', serverName: 'shop.example' })
        expect(readClientHello(split.subarray(0, -1))).toEqual({ state: 'more' })
      }),
    )
  })

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n'), 'not a TLS handshake'],
    ['SSL 2', Buffer.from([0x80, 0x2e, 1, 0, 2]), 'not a TLS handshake'],
    ['another version of records', Buffer.from([22, 2, 0, 0, 5]), 'not a TLS record'],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0]), 'a TLS record of an impossible length'],
    ['a huge record', Buffer.from([22, 3, 1, 0xff, 0xff]), 'a TLS record of an impossible length'],
    ['a ServerHello', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), 'the first message is no ClientHello'],
    ['a huge ClientHello', Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0]), 'the ClientHello is too big'],
    ['an empty ClientHello', Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]), 'the ClientHello is malformed'],
  ])('refuses %s', (_name, bytes, reason) => {
    expect(readClientHello(bytes)).toEqual({ state: 'invalid', reason })
  })

  it('asks for no more than a ClientHello may hold', () => {
    const endless = inRecords(
      Buffer.concat([Buffer.alloc(5), Buffer.from([1, 0, 0x3f, 0xff]), Buffer.alloc(20_000)]),
      [1],
    )
    expect(readClientHello(endless.subarray(0, MAX_HELLO_BYTES - 1))).toEqual({ state: 'more' })
    expect(readClientHello(endless.subarray(0, MAX_HELLO_BYTES))).toMatchObject({ state: 'invalid' })
  })

  it('never throws, whatever byte is wrong', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(), (at, value, cut) => {
        const bytes = Buffer.from(hello)
        bytes[at % bytes.length] = value
        expect(['more', 'hello', 'invalid']).toContain(
          readClientHello(bytes.subarray(0, cut % (bytes.length + 1))).state,
        )
      }),
      { numRuns: 2_000 },
    )
  })
})
