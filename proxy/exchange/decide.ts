/** One decision per request, made once from one reading of the table: forward it, or answer it. */
import type { Cluster } from '../upstream/contract.ts'
import type { Fields } from '../http1/contract.ts'
import type { Route, TableReader } from '../table/contract.ts'
import { isAmbiguous } from '../table/path-readings.ts'
import type { Policy } from '../table/policy.ts'
import type { CanaryChoice, Random } from '../table/split.ts'
import type { Target } from './target.ts'

export type Decision =
  | {
      readonly kind: 'forward'
      readonly route: Route
      /** It had endpoints when the request came. */
      readonly cluster: Cluster
      /** What led it to a canary, whose `route` and `cluster` then are; null: nothing did. */
      readonly canary: CanaryChoice | null
      /** Of the main path, whoever's request it is (NGINX.md 13). */
      readonly policy: Policy
    }
  | {
      readonly kind: 'answer'
      readonly status: 204 | 400 | 404 | 405 | 421 | 503 | 508
      /** For people; names no backend. */
      readonly reason: string
      readonly route: Route | null
      readonly cause: AnswerCause
    }

/** What counters and log call an answer of our own that no failure led to. */
export type AnswerCause =
  | 'bad-request'
  | 'no-route'
  | 'closed'
  | 'no-endpoint'
  | 'method'
  | 'loop'
  /** It came on a connection that was opened for a host with other certificates. */
  | 'misdirected'
  /** As many requests are under way as there may be. */
  | 'busy'
  /** Memory runs short. */
  | 'memory'
  /** The client asked whoever gets the request here to answer it. */
  | 'max-forwards'

/** RFC 9110 7.6.2: what would be forwarded is answered here instead. */
export function answeredHere(decision: Decision): Decision {
  if (decision.kind === 'answer') return decision
  return { kind: 'answer', status: 204, reason: '', route: decision.route, cause: 'max-forwards' }
}

/**
 * @param fields of the request, which canaries may ask
 * @param random is asked at most once
 * @param answered what is to be answered whatever the table says; null: nothing
 */
export function decide(
  target: Target,
  table: TableReader,
  fields: Fields,
  random: Random,
  answered: Decision | null = null,
): Decision {
  if (answered !== null) return answered
  if (!target.ok) return { kind: 'answer', status: 400, reason: target.reason, route: null, cause: 'bad-request' }
  const route = table.route(target.host, target.path)
  if (isAmbiguous(table, target.host, route, target.alternates)) {
    const reason = 'the path is ambiguous: read in another way it leads to another route'
    return { kind: 'answer', status: 400, reason, route: null, cause: 'bad-request' }
  }
  if (!route)
    return { kind: 'answer', status: 404, reason: 'no route for this host and path', route, cause: 'no-route' }
  const { cluster, split, policy } = route
  if (cluster === null && policy.closed?.protects !== false) {
    return { kind: 'answer', status: 503, reason: 'this path is closed', route, cause: 'closed' }
  }
  if (cluster !== null && split !== null) {
    const canary = split.choose({ fields, query: queryOf(target.forward) }, random)
    // One without endpoints leaves its requests where they were (NGINX.md 19).
    if (canary?.cluster != null && canary.cluster.size > 0) {
      return { kind: 'forward', route: canary.route, cluster: canary.cluster, canary, policy }
    }
  }
  if (cluster === null || cluster.size === 0) {
    return { kind: 'answer', status: 503, reason: 'no backend is available', route, cause: 'no-endpoint' }
  }
  return { kind: 'forward', route, cluster, canary: null, policy }
}

/** What stands behind the `?` of a target. */
export function queryOf(forward: string): string {
  const mark = forward.indexOf('?')
  return mark === -1 ? '' : forward.slice(mark + 1)
}
