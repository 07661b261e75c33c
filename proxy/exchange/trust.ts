/**
 * Whom to believe about the client behind a proxy (ingress-nginx: use-forwarded-headers with proxy-real-ip-cidr). Only
 * from trusted addresses X-Forwarded-* are taken; from everybody else they are claims, and replaced.
 */
import { BlockList, isIP } from 'node:net'
import type { Fields } from '../http1/contract.ts'

export interface Claims {
  readonly client: string
  readonly scheme: string | null
  readonly host: string | null
  readonly port: string | null
  readonly prefix: string | null
}

const HOST = /^[A-Za-z0-9\-._:[\]]{1,255}$/
const PREFIX = /^\/[\x21-\x7e]{0,1023}$/

export class TrustedAddresses {
  readonly #list = new BlockList()
  readonly #empty: boolean

  /** @param ranges `10.0.0.0/8`, `2001:db8::/32` or single addresses; already checked (config.ts) */
  constructor(ranges: readonly string[]) {
    this.#empty = ranges.length === 0
    for (const range of ranges) {
      const [address = '', bits] = range.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      this.#list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family)
    }
  }

  has(address: string): boolean {
    if (this.#empty) return false
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }

  /**
   * What a peer says of the client, null if it is not trusted. The client is the last address of X-Forwarded-For that is
   * not trusted itself: what stands before it, anybody may have written.
   */
  claims(peer: string, fields: Fields): Claims | null {
    if (this.#empty || !this.has(peer)) return null
    const scheme = lastValue(fields, 'x-forwarded-proto')?.toLowerCase() ?? null
    const port = lastValue(fields, 'x-forwarded-port')
    const host = lastValue(fields, 'x-forwarded-host')
    const prefix = lastValue(fields, 'x-forwarded-prefix')
    return {
      client: this.#client(peer, fields),
      scheme: scheme === 'http' || scheme === 'https' ? scheme : null,
      port: port !== null && /^[0-9]{1,5}$/.test(port) ? port : null,
      host: host !== null && HOST.test(host) ? host : null,
      prefix: prefix !== null && PREFIX.test(prefix) ? prefix : null,
    }
  }

  #client(peer: string, fields: Fields): string {
    const chain: string[] = []
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i]?.toLowerCase() === 'x-forwarded-for') chain.push(...(fields[i + 1] ?? '').split(','))
    }
    let client = peer
    for (const entry of chain.reverse()) {
      const address = bareAddress(entry.trim())
      // What is no address ends the chain: nobody who is trusted wrote it.
      if (address === null) break
      client = address
      if (!this.has(address)) break
    }
    return client
  }
}

/** Of repeated fields the last: a proxy that adds its own behind the client's must not be overruled by the client. */
function lastValue(fields: Fields, name: string): string | null {
  for (let i = fields.length - 2; i >= 0; i -= 2) if (fields[i]?.toLowerCase() === name) return fields[i + 1] ?? ''
  return null
}

/** `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1` and `[2001:db8::1]:80`. */
function bareAddress(text: string): string | null {
  if (isIP(text) !== 0) return text
  const inner = /^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(text)?.[1] ?? /^([0-9.]+):[0-9]{1,5}$/.exec(text)?.[1]
  return inner !== undefined && isIP(inner) !== 0 ? inner : null
}
