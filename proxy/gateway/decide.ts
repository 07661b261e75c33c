/** One decision per request, made once from one reading of the table: forward it, or answer it. */
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Route, TableReader } from '../table/contract.ts'
import { isAmbiguous } from '../table/path.ts'
import type { Target } from './target.ts'

export type Decision =
  | {
      readonly kind: 'forward'
      readonly route: Route
      readonly service: ServiceKey
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
export function decide(target: Target, table: TableReader, fault: string | null = null): Decision {
  if (fault !== null) return { kind: 'answer', status: 400, reason: fault, route: null, cause: 'bad-request' }
  if (!target.ok) return { kind: 'answer', status: 400, reason: target.reason, route: null, cause: 'bad-request' }
  const route = table.route(target.host, target.path)
  if (isAmbiguous(table, target.host, route, target.alternates)) {
    const reason = 'the path is ambiguous: read in another way it leads to another route'
    return { kind: 'answer', status: 400, reason, route: null, cause: 'bad-request' }
  }
  if (!route)
    return { kind: 'answer', status: 404, reason: 'no route for this host and path', route, cause: 'no-route' }
  if (route.cluster === null) {
    return { kind: 'answer', status: 503, reason: 'this path is closed', route, cause: 'closed' }
  }
  if (route.cluster.size === 0) {
    return { kind: 'answer', status: 503, reason: 'no backend is available', route, cause: 'no-endpoint' }
  }
  return { kind: 'forward', route, service: route.cluster.service }
}
