/**
 * A session stays with an endpoint by a cookie. `balanced`: the cookie is a number, which belongs to an endpoint as all values do
 * (upstream/rendezvous.ts), so that a new endpoint gets its share of sessions, too. `persistent`: it is a hash of the address, and
 * a session stays while that is there. A new session goes to the less busy of two, as any request, and its cookie
 * is made for whoever answered.
 */
import { COOKIE_PATH } from '../../protocol/cookies.ts'
import type { AffinitySettings } from '../../protocol/objects.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { fieldValue } from '../exchange/headers.ts'
import type { Route } from '../table/contract.ts'
import { serviceMark, sessionReader, sessionValue, type Session } from '../table/session.ts'
import type { Balance, Cluster } from '../upstream/contract.ts'
import { hashText } from '../upstream/rendezvous.ts'

const BY_KEY: Balance = Object.freeze({ by: 'hash', subset: 1 })
/** A key of ours: 32 bits. What else a client sends belongs to an endpoint, too, and is answered without another cookie (NGINX.md 104). */
const KEY = /^[0-9a-f]{8}$/

/** Where a request of a session goes. */
export interface Stays {
  readonly session: Session | null
  readonly balance: Balance | null
  readonly key: number
  /** Preferred address. */
  readonly on: string | null
}

export class Affinity {
  readonly #settings: AffinitySettings
  readonly #read: (asked: { readonly fields: Exchange['head']['fields']; readonly query: string }) => Session | null

  constructor(settings: AffinitySettings) {
    this.#settings = settings
    this.#read = sessionReader(settings.name)
  }

  staysOf({ head: { fields } }: Exchange, cluster: Cluster): Stays {
    const session = this.#read({ fields, query: '' })
    if (session === null) return { session, balance: null, key: 0, on: null }
    const { endpoint } = session
    if (this.#settings.mode === 'persistent') {
      return { session, balance: null, key: 0, on: cluster.addressOf(endpoint) }
    }
    const key = KEY.test(endpoint) ? Number.parseInt(endpoint, 16) : hashText(endpoint)
    return { session, balance: BY_KEY, key, on: null }
  }

  /**
   * The line that sets the cookie; empty: the client has a good one.
   * @param address that answered
   */
  line(stays: Stays, exchange: Exchange, route: Route, cluster: Cluster, address: string): string {
    const { mode, changeOnFailure } = this.#settings
    if (stays.session !== null) {
      const owner = mode === 'persistent' ? stays.on : cluster.ownerOf(stays.key)
      const isGone = mode === 'persistent' && owner === null
      if (!isGone && (changeOnFailure !== true || owner === address)) return ''
    }
    const key = (): string => cluster.keyFor(address).toString(16).padStart(8, '0')
    const endpoint = mode === 'persistent' ? cluster.aliasOf(address) : key()
    return this.#line(sessionValue({ endpoint, service: serviceMark(cluster.service) }), exchange, route)
  }

  /** Attributes in the order of ingress-nginx. */
  #line(value: string, { forwarded, head }: Exchange, route: Route): string {
    const { name, expires, maxAge, domain, secure, sameSite, conditionalNone } = this.#settings
    const path = this.#settings.path ?? (COOKIE_PATH.test(route.path) ? route.path : '/')
    const refused = conditionalNone === true && sameSite === 'None' && !knowsNone(fieldValue(head.fields, 'user-agent'))
    let line = `Set-Cookie: ${name}=${value}`
    if (expires !== undefined) line += `; Expires=${new Date(Date.now() + expires * 1_000).toUTCString()}`
    if (maxAge !== undefined) line += `; Max-Age=${maxAge}`
    if (domain !== undefined) line += `; Domain=${domain}`
    line += `; Path=${path}`
    if (secure ?? forwarded.scheme === 'https') line += '; Secure'
    line += '; HttpOnly'
    if (sameSite !== undefined && !refused) line += `; SameSite=${sameSite}`
    return `${line}\r\n`
  }
}

/** Some browsers refuse a cookie with SameSite=None (https://www.chromium.org/updates/same-site/incompatible-clients): as ingress-nginx tells them. */
function knowsNone(agent: string | null): boolean {
  if (agent === null) return true
  if (/Chrome\/[456]|CPU iPhone OS 12|iPad; CPU OS 12/.test(agent)) return false
  const isSafari = agent.includes('Safari') && !agent.includes('Chrome')
  return !(isSafari && agent.includes('Macintosh') && agent.includes('Intel Mac OS X 10_14'))
}
