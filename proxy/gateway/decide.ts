/** One decision per request, made once from one reading of the table: forward it, or answer it. */
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Route, Table } from '../table/contract.ts'
import type { Target } from './target.ts'

export type Decision =
  | {
      readonly kind: 'forward'
      readonly route: Route
      readonly service: ServiceKey
      /** Addresses as they were when the request came. Never empty. */
      readonly addresses: readonly string[]
    }
  | {
      readonly kind: 'answer'
      readonly status: 400 | 404 | 503
      /** For people; names no backend. */
      readonly reason: string
      readonly route: Route | null
      /** What the counters call it. */
      readonly cause: 'bad-request' | 'no-route' | 'closed' | 'no-endpoint'
    }

/** @param fault what makes the request unreadable, if anything does */
export function decide(target: Target, table: Table, fault: string | null = null): Decision {
  if (fault !== null) return { kind: 'answer', status: 400, reason: fault, route: null, cause: 'bad-request' }
  if (!target.ok) return { kind: 'answer', status: 400, reason: target.reason, route: null, cause: 'bad-request' }
  const route = table.route(target.host, target.path)
  if (target.alternate !== null && table.route(target.host, target.alternate) !== route) {
    const reason = 'the path is ambiguous: its encoded separators lead to another route when decoded'
    return { kind: 'answer', status: 400, reason, route: null, cause: 'bad-request' }
  }
  if (!route)
    return { kind: 'answer', status: 404, reason: 'no route for this host and path', route, cause: 'no-route' }
  if (!('service' in route.backend)) {
    return { kind: 'answer', status: 503, reason: 'this path is closed', route, cause: 'closed' }
  }
  const { service } = route.backend
  const addresses = table.endpoints(service) ?? []
  if (addresses.length === 0) {
    return { kind: 'answer', status: 503, reason: 'no backend is available', route, cause: 'no-endpoint' }
  }
  return { kind: 'forward', route, service, addresses }
}
