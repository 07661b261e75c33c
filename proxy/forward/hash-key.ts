/** What requests of an Ingress are spread by (upstream-hash-by), compiled once. */
import type { HashPart } from '../../protocol/objects.ts'
import { queryOf } from '../exchange/decide.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { READS } from '../table/asked.ts'
import { hashText } from '../upstream/rendezvous.ts'

/** What is asked of a request. */
export type Spread = Pick<Exchange, 'head' | 'target' | 'forwarded'>
type Part = (request: Spread) => string

/** All parts, one behind the other; what a request has not is empty, as at ingress-nginx. */
export function hashKey(parts: readonly HashPart[]): (request: Spread) => number {
  const compiled = parts.map(compile)
  return request => {
    let text = ''
    for (const part of compiled) text += part(request)
    return hashText(text)
  }
}

function compile(part: HashPart): Part {
  if ('text' in part) return () => part.text
  switch (part.of) {
    case 'request_uri':
      return ({ target }) => (target.ok ? target.forward : '')
    case 'uri':
      return ({ target }) => (target.ok ? target.path : '')
    case 'host':
      return ({ target }) => target.host
    case 'client':
      return ({ forwarded }) => forwarded.client
    default: {
      const read = READS[part.of](part.name)
      return ({ head: { fields }, target }) => read({ fields, query: target.ok ? queryOf(target.forward) : '' }) ?? ''
    }
  }
}
