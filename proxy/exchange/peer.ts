/** Who is at the other end of a client's connection, as plain data. */
export interface Peer {
  /** IP address; IPv4 without the prefix that dual-stack sockets give it. */
  readonly address: string
  readonly port: number
  /** Null: a connection without TLS. */
  readonly tls: PeerTls | null
}

export interface PeerTls {
  /** For example `TLSv1.3`. */
  readonly version: string
  /** Name of the cipher suite as OpenSSL has it. */
  readonly cipher: string
  /** SNI, lower case; null: the client named no server. */
  readonly serverName: string | null
  readonly resumed: boolean
}

/** IPv4 addresses of a dual-stack socket come mapped into IPv6. */
export function plainAddress(address: string | undefined): string {
  return address?.startsWith('::ffff:') ? address.slice(7) : (address ?? '')
}
