/** `host:port`, IPv6 in brackets, as the operator writes it. */
import { isIP } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

/** Null: not an address. */
export function parseAddress(text: string): Address | null {
  const [, v6, name, digits] = /^(?:\[([^\]]+)\]|([^\s:/[\]]+)):([0-9]{1,5})$/.exec(text) ?? []
  const host = v6 ?? name
  const port = Number(digits)
  if (host === undefined || (v6 !== undefined && isIP(v6) !== 6) || port < 1 || port > 65_535) return null
  return { host, port }
}
