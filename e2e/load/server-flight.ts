/** Reads the certificates out of the first, plain, messages of a TLS 1.2 server (RFC 5246, 6.2.1 and 7.4.2). Pure. */

const RECORD_HANDSHAKE = 22
const MESSAGE_CERTIFICATE = 11

/** `more`: not there yet; `none`: this is no handshake that would bring certificates in plain; else DER, leaf first. */
export type ServerFlight = 'more' | 'none' | readonly Buffer[]

export function certificatesIn(bytes: Buffer): ServerFlight {
  const handshake: Buffer[] = []
  let at = 0
  while (at + 5 <= bytes.length) {
    if (bytes[at] !== RECORD_HANDSHAKE) break
    const length = bytes.readUInt16BE(at + 3)
    if (at + 5 + length > bytes.length) break
    handshake.push(bytes.subarray(at + 5, at + 5 + length))
    at += 5 + length
  }
  const found = certificateMessage(Buffer.concat(handshake))
  if (found !== null) return found
  return at < bytes.length && bytes[at] !== RECORD_HANDSHAKE ? 'none' : 'more'
}

/** Messages may be spread over records, so this sees their payloads joined. */
function certificateMessage(messages: Buffer): readonly Buffer[] | null {
  let at = 0
  while (at + 4 <= messages.length) {
    const end = at + 4 + messages.readUIntBE(at + 1, 3)
    if (end > messages.length) return null
    if (messages[at] === MESSAGE_CERTIFICATE) return certificateList(messages.subarray(at + 7, end))
    at = end
  }
  return null
}

function certificateList(list: Buffer): readonly Buffer[] {
  const certificates: Buffer[] = []
  let at = 0
  while (at + 3 <= list.length) {
    const end = at + 3 + list.readUIntBE(at, 3)
    certificates.push(list.subarray(at + 3, end))
    at = end
  }
  return certificates
}
