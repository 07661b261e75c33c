/**
 * 404 because no route matched: how a lost path or host shows, which is never a 5xx. A closed path is not lost: without its
 * requests the scanners that are always there would be all that is left, and look like a host that is gone.
 */
import { riseGate } from './rise-gate.ts'

export const NOT_FOUND_RATE = 'notFoundRate'

export const notFoundRate = riseGate({
  name: NOT_FOUND_RATE,
  what: '404 without a route',
  unit: 'requests',
  tooFew: 'TooFewRequests',
  threshold: ({ gates, minRequests }) =>
    gates.notFoundRate === null ? null : { maxRise: gates.notFoundRate.maxRise, enough: minRequests },
  share: 'notFound',
  before: baseline => ({ count: (baseline.notFoundRate / 100) * baseline.requests, total: baseline.requests }),
})
