/** Headers of the PROXY protocol, version 2, as a balancer writes them. */
import { SocketAddress, isIP } from 'node:net'
import type { Source } from './proxy-header.ts'

export const PROXY_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** To the same address, port 443. @param more behind the addresses */
export function binaryHeader(
  { address, port }: Source,
  { command = 0x21, more = Buffer.alloc(0) }: { readonly command?: number; readonly more?: Buffer } = {},
): Buffer {
  const ip = isIP(address) === 4 ? Buffer.from(address.split('.').map(Number)) : ofSix(address)
  const rest = Buffer.concat([ip, ip, twoBytes(port), twoBytes(443), more])
  const fixed = Buffer.from([command, ip.length === 4 ? 0x11 : 0x21])
  return Buffer.concat([PROXY_SIGNATURE, fixed, twoBytes(rest.length), rest])
}

function twoBytes(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** Every group written out, and an IPv4 address at the end as two of them. */
function ofSix(address: string): Buffer {
  const whole = new SocketAddress({ address, family: 'ipv6' }).address.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a: string, b: string, c: string, d: string) =>
      [(Number(a) << 8) | Number(b), (Number(c) << 8) | Number(d)].map(n => n.toString(16)).join(':'),
  )
  const [before = '', behind] = whole.split('::')
  const groups = (text: string): readonly string[] => text.split(':').filter(group => group !== '')
  const [first, last] = [groups(before), groups(behind ?? '')]
  const zeros = new Array<string>(8 - first.length - last.length).fill('0')
  return Buffer.concat([...first, ...zeros, ...last].map(group => twoBytes(parseInt(group, 16))))
}
