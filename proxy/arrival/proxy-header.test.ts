import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { LONGEST_HEADER, readProxyHeader } from './proxy-header.ts'
import { binaryHeader, PROXY_SIGNATURE } from './testing.ts'

const line = (text: string): Buffer => Buffer.from(text, 'latin1')
const from = (address: string, port: number, bytes: number): object => ({
  ...{ state: 'header', bytes },
  source: { address, port },
})

describe('a line of version 1', () => {
  it.each<[string, string, number]>([
    ['PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n', '192.0.2.1', 56_324],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255', 65_535],
    ['PROXY TCP6 2001:db8::1 2001:db8::2 1 0\r\n', '2001:db8::1', 1],
    [
      'PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      65_535,
    ],
    ['PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 80 80\r\n', '2001:db8::1', 80],
    ['PROXY TCP6 ::ffff:192.0.2.1 ::1 80 80\r\n', '192.0.2.1', 80],
  ])('%j', (text, address, port) => {
    expect(readProxyHeader(line(`${text}GET / HTTP/1.1\r\n`))).toEqual(from(address, port, text.length))
  })

  it.each(['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN whatever stands here\r\n'])('%j names nobody', text => {
    expect(readProxyHeader(line(text))).toEqual({ state: 'header', bytes: text.length, source: null })
  })

  it.each([
    ['PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.1 0443 443\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.01 198.51.100.1 1 443\r\n', 'malformed'],
    ['PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n', 'malformed'],
    ['PROXY TCP6 192.0.2.1 198.51.100.1 1 443\r\n', 'malformed'],
    ['PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n', 'malformed'],
    ['PROXY TCP5 192.0.2.1 198.51.100.1 1 443\r\n', 'no protocol'],
    ['PROXY \r\n', 'no protocol'],
    [`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`, 'too long'],
    ['GET / HTTP/1.1\r\n', 'no PROXY header'],
    ['proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n', 'no PROXY header'],
    ['PROXYTCP4', 'no PROXY header'],
    ['\x16\x03\x01', 'no PROXY header'],
  ])('%j is refused: %s', (text, reason) => {
    const found = readProxyHeader(line(text))
    expect(found.state === 'invalid' ? found.reason : found).toContain(reason)
  })
})

describe('a header of version 2', () => {
  const tlv = Buffer.from([0x04, 0, 3, 1, 2, 3])

  it.each<[string, Buffer, string | null, number]>([
    ['of IPv4', binaryHeader({ address: '192.0.2.1', port: 56_324 }), '192.0.2.1', 56_324],
    ['of IPv6', binaryHeader({ address: '2001:db8::1', port: 443 }), '2001:db8::1', 443],
    ['of IPv4 within IPv6', binaryHeader({ address: '::ffff:192.0.2.1', port: 1 }), '192.0.2.1', 1],
    ['with more behind the addresses', binaryHeader({ address: '192.0.2.1', port: 1 }, { more: tlv }), '192.0.2.1', 1],
    ['of the balancer itself', binaryHeader({ address: '192.0.2.1', port: 1 }, { command: 0x20 }), null, 0],
    ['of the balancer itself, empty', Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x20, 0, 0, 0])]), null, 0],
    ['of nothing named', Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x21, 0, 0, 0])]), null, 0],
    [
      'of a UNIX socket',
      Buffer.concat([PROXY_SIGNATURE, Buffer.from([0x21, 0x31, 0, 216]), Buffer.alloc(216)]),
      null,
      0,
    ],
  ])('%s', (_, header, address, port) => {
    const found = readProxyHeader(Buffer.concat([header, Buffer.from('rest')]))
    const source = address === null ? null : { address, port }
    expect(found).toEqual({ state: 'header', bytes: header.length, source })
  })

  it.each<[string, readonly number[], number]>([
    ['version', [0x31, 0x11, 0, 12], 12],
    ['command', [0x22, 0x11, 0, 12], 12],
    ['family', [0x21, 0x13, 0, 12], 12],
    ['too short', [0x21, 0x11, 0, 11], 11],
    ['too short', [0x21, 0x21, 0, 35], 35],
    ['too long', [0x21, 0x11, 0xff, 0xff], 12],
  ])('is refused: %s', (reason, fixed, length) => {
    const found = readProxyHeader(Buffer.concat([PROXY_SIGNATURE, Buffer.from(fixed), Buffer.alloc(length)]))
    expect(found.state === 'invalid' ? found.reason : found).toContain(reason)
  })

  it('is refused by its length alone: nobody waits for what is too long', () => {
    const fixed = Buffer.from([0x21, 0x11, 0, 0])
    fixed.writeUInt16BE(LONGEST_HEADER - 16 + 1, 2)
    expect(readProxyHeader(Buffer.concat([PROXY_SIGNATURE, fixed])).state).toBe('invalid')
    fixed.writeUInt16BE(LONGEST_HEADER - 16, 2)
    expect(readProxyHeader(Buffer.concat([PROXY_SIGNATURE, fixed])).state).toBe('more')
  })
})

describe('whatever comes', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  const port = fc.integer({ min: 0, max: 65_535 })

  it('a header in pieces is waited for, and is the same then', () => {
    fc.assert(
      fc.property(address, port, fc.uint8Array({ maxLength: 40 }), fc.boolean(), (ip, at, more, binary) => {
        const family = ip.includes(':') ? 'TCP6' : 'TCP4'
        const header = binary
          ? binaryHeader({ address: ip, port: at }, { more: Buffer.from(more) })
          : line(`PROXY ${family} ${ip} ${ip} ${at} 443\r\n`)
        fc.pre(binary || header.length <= 107)
        for (let end = 0; end < header.length; end++) {
          expect(readProxyHeader(header.subarray(0, end))).toEqual({ state: 'more' })
        }
        const found = readProxyHeader(Buffer.concat([header, Buffer.from(more)]))
        expect(found).toMatchObject({ state: 'header', bytes: header.length, source: { port: at } })
      }),
    )
  })

  it('nothing throws, and nothing is waited for beyond the longest header', () => {
    const beginnings = fc.constantFrom(Buffer.alloc(0), PROXY_SIGNATURE, Buffer.from('PROXY TCP4 '))
    fc.assert(
      fc.property(beginnings, fc.uint8Array({ maxLength: 200 }), (beginning, bytes) => {
        const given = Buffer.concat([beginning, bytes])
        const found = readProxyHeader(given)
        if (found.state === 'header') expect(found.bytes).toBeLessThanOrEqual(given.length)
        expect(readProxyHeader(Buffer.concat([given, Buffer.alloc(LONGEST_HEADER)])).state).not.toBe('more')
      }),
    )
  })
})
