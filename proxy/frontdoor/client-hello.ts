/** Reads a TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3) far enough to choose a certificate. */

import { TICKET_NAME_BYTES } from './ticket-keys.ts'

export type ClientHello =
  | { readonly state: 'more' }
  | { readonly state: 'invalid'; readonly reason: string }
  | {
      readonly state: 'hello'
      /** Lower case, without trailing dot; null: the client named no server. */
      readonly serverName: string | null
      /** Of the key of the ticket that it brings, one character per byte; null: it brings none. */
      readonly ticketName: string | null
    }

/** A ClientHello may be split over records and segments; none that is honest is bigger. Bytes on the wire. */
export const MAX_HELLO_BYTES = 16_384

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
/** Extensions with a ticket: of TLS 1.2 (RFC 5077 3.2), of TLS 1.3 (RFC 8446 4.2.11). */
const SESSION_TICKET = 35
const PRE_SHARED_KEY = 41
const HOST_NAME = 0

const invalid = (reason: string): ClientHello => ({ state: 'invalid', reason })

/** @param bytes everything received so far */
export function readClientHello(bytes: Buffer): ClientHello {
  const { message, fault } = joinRecords(bytes)
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return invalid('the first message is no ClientHello')
  const length = message.length >= 4 ? message.readUIntBE(1, 3) : null
  if (length !== null && length > MAX_HELLO_BYTES) return invalid('the ClientHello is too big')
  if (length === null || message.length < 4 + length) {
    if (fault !== null) return invalid(fault)
    return bytes.length >= MAX_HELLO_BYTES ? invalid('the ClientHello is too big') : { state: 'more' }
  }
  try {
    return { state: 'hello', ...extensionsOf(new Reader(message.subarray(4, 4 + length))) }
  } catch (error) {
    if (error instanceof RangeError) return invalid('the ClientHello is malformed')
    throw error
  }
}

/** The payloads of the handshake records that it begins with, joined; and what is wrong with the record after them. */
function joinRecords(bytes: Buffer): { readonly message: Buffer; readonly fault: string | null } {
  const parts: Buffer[] = []
  let fault: string | null = null
  for (let at = 0; at < bytes.length;) {
    fault = recordFault(bytes, at)
    if (fault !== null || at + 5 > bytes.length) break
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    parts.push(bytes.subarray(at + 5, Math.min(end, bytes.length)))
    at = end
  }
  return { message: parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts), fault }
}

function recordFault(bytes: Buffer, at: number): string | null {
  if (bytes[at] !== HANDSHAKE) return 'not a TLS handshake'
  if (at + 1 < bytes.length && bytes[at + 1] !== 3) return 'not a TLS record'
  if (at + 5 > bytes.length) return null
  const length = bytes.readUInt16BE(at + 3)
  return length === 0 || length > 16_384 ? 'a TLS record of an impossible length' : null
}

function extensionsOf(hello: Reader): { serverName: string | null; ticketName: string | null } {
  const found: { serverName: string | null; ticketName: string | null } = { serverName: null, ticketName: null }
  hello.skip(2 + 32)
  hello.skip(hello.uint(1)) // session id
  hello.skip(hello.uint(2)) // cipher suites
  hello.skip(hello.uint(1)) // compression methods
  if (hello.left === 0) return found
  const extensions = hello.take(hello.uint(2))
  while (extensions.left > 0) {
    const type = extensions.uint(2)
    const extension = extensions.take(extensions.uint(2))
    if (type === SERVER_NAME) found.serverName ??= hostName(extension)
    else if (type === SESSION_TICKET) found.ticketName ??= keyName(extension)
    // The last of all extensions: it counts before a ticket of TLS 1.2. Clients that bring several mean the first.
    else if (type === PRE_SHARED_KEY) {
      const identities = extension.take(extension.uint(2))
      found.ticketName = keyName(identities.take(identities.uint(2)))
    }
  }
  return found
}

function hostName(extension: Reader): string | null {
  const list = extension.take(extension.uint(2))
  while (list.left > 0) {
    const kind = list.uint(1)
    const name = list.take(list.uint(2))
    if (kind === HOST_NAME) return name.text().toLowerCase().replace(/\.$/, '')
  }
  return null
}

/** Of a ticket: what is too short for one has none. */
function keyName(ticket: Reader): string | null {
  return ticket.left < TICKET_NAME_BYTES ? null : ticket.take(TICKET_NAME_BYTES).text()
}

/** Throws RangeError past the end. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  skip(count: number): void {
    if (count > this.left) throw new RangeError('past the end')
    this.#at += count
  }

  uint(size: 1 | 2): number {
    this.skip(size)
    return this.#bytes.readUIntBE(this.#at - size, size)
  }

  take(count: number): Reader {
    this.skip(count)
    return new Reader(this.#bytes.subarray(this.#at - count, this.#at))
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at)
  }
}
