/**
 * Reads the header of the PROXY protocol, versions 1 and 2: who the client of a balancer is that passes connections on as they are
 * (haproxy.org/download/3.2/doc/proxy-protocol.txt; sections in brackets below are its).
 */
import { SocketAddress, isIP } from 'node:net'

/** Where a connection comes from. */
export interface Source {
  /** IP address as Node writes it. */
  readonly address: string
  readonly port: number
}

export type ProxyHeader =
  | { readonly state: 'more' }
  | { readonly state: 'invalid'; readonly reason: string }
  | {
      readonly state: 'header'
      /** What it takes at the beginning of the connection. */
      readonly bytes: number
      /** Null: the balancer speaks for itself (a health check), or of no TCP connection: who is at the other end is its client. */
      readonly source: Source | null
    }

/** The longest line of version 1, with its end [2.1]. */
const LONGEST_LINE = 107
/**
 * The longest header that is read. Addresses take 52 bytes; what else stands in one (of clouds, of a TLS connection) is some hundred, and a sender has
 * to expect that 536 are all that gets through at once [2.2].
 */
export const LONGEST_HEADER = 4_096

const LINE_BEGINS = Buffer.from('PROXY ')
const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
/** With version and command, family, and length. */
const FIXED_BYTES = 16

const MORE = { state: 'more' } as const
const invalid = (reason: string): ProxyHeader => ({ state: 'invalid', reason })

/** @param bytes everything received so far */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (begins(bytes, SIGNATURE)) return bytes.length < FIXED_BYTES ? MORE : readBinary(bytes)
  if (begins(bytes, LINE_BEGINS)) return bytes.length < LINE_BEGINS.length ? MORE : readLine(bytes)
  return invalid('the connection begins with no PROXY header')
}

/** As far as both go. */
function begins(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length)
  return bytes.compare(prefix, 0, length, 0, length) === 0
}

// ---------------------------------------------------------------------------------------------------- version 1

/** `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`. */
function readLine(bytes: Buffer): ProxyHeader {
  const line = bytes.toString('latin1', 0, LONGEST_LINE)
  const end = line.indexOf('\r\n')
  if (end < 0) return bytes.length < LONGEST_LINE ? MORE : invalid('the PROXY line is too long')
  const [, protocol = '', from = '', to = '', port = '', toPort = '', ...more] = line.slice(0, end).split(' ')
  const header = (source: Source | null): ProxyHeader => ({ state: 'header', bytes: end + 2, source })
  // Whatever follows, receivers must ignore it.
  if (protocol === 'UNKNOWN') return header(null)
  const family = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 6 : 0
  if (family === 0) return invalid('the PROXY line names no protocol that it may')
  const sane = isIP(from) === family && isIP(to) === family && isPort(port) && isPort(toPort) && more.length === 0
  return sane ? header({ address: plain(from), port: Number(port) }) : invalid('the PROXY line is malformed')
}

/** 0 to 65535, without zeros before it. */
function isPort(text: string): boolean {
  return /^(?:0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535
}

// ---------------------------------------------------------------------------------------------------- version 2

const VERSION = 0x20
const COMMAND = { local: 0, proxy: 1 } as const
const TCP4 = 0x11
const TCP6 = 0x21
/** Nothing named, UDP, UNIX sockets: a receiver that does not know them takes the connection's own addresses [2.2]. */
const OTHERS: ReadonlySet<number> = new Set([0x00, 0x12, 0x22, 0x31, 0x32])

function readBinary(bytes: Buffer): ProxyHeader {
  const command = bytes.readUInt8(12)
  const family = bytes.readUInt8(13)
  const total = FIXED_BYTES + bytes.readUInt16BE(14)
  if ((command & 0xf0) !== VERSION) return invalid('the PROXY header is of a version that nobody knows')
  if ((command & 0x0f) > COMMAND.proxy) return invalid('the PROXY header has a command that nobody knows')
  if (total > LONGEST_HEADER) return invalid('the PROXY header is too long')
  const isLocal = (command & 0x0f) === COMMAND.local
  const known = family === TCP4 || family === TCP6
  if (!isLocal && !known && !OTHERS.has(family)) return invalid('the PROXY header has a family that nobody knows')
  const size = family === TCP4 ? 4 : 16
  if (!isLocal && known && total < FIXED_BYTES + 2 * size + 4) {
    return invalid('the PROXY header is too short for its addresses')
  }
  if (bytes.length < total) return MORE
  const header = (source: Source | null): ProxyHeader => ({ state: 'header', bytes: total, source })
  if (isLocal || !known) return header(null)
  const address = bytes.subarray(FIXED_BYTES, FIXED_BYTES + size)
  const port = bytes.readUInt16BE(FIXED_BYTES + 2 * size)
  return header({ address: size === 4 ? address.join('.') : ofSix(address), port })
}

function ofSix(address: Buffer): string {
  return plain(address.toString('hex').replace(/(.{4})(?!$)/g, '$1:'))
}

/** As Node writes addresses of sockets: what is compared with others later has one form. */
function plain(address: string): string {
  if (isIP(address) === 4) return address
  const written = new SocketAddress({ address, family: 'ipv6' }).address
  return written.startsWith('::ffff:') && isIP(written.slice(7)) === 4 ? written.slice(7) : written
}
