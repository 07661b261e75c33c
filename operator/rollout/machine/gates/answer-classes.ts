/**
 * Classes of answers that are no failures by themselves, and tell of a wrong backend where they become more: a Service that
 * answers 404 or 401 to everything, a redirect loop. Of the requests that had a route: what has none is notFoundRate, and pods
 * on which a new host does not exist yet are no reference for it.
 */
import type { Baseline } from '../figures.ts'
import type { Sample } from '../statistics.ts'
import { riseGate } from './rise-gate.ts'

export const clientErrorRate = riseGate({
  ...{ name: 'clientErrorRate', what: '4xx answers', unit: 'requests', tooFew: 'TooFewRequests' },
  threshold: ({ kind, gates, minRequests }) =>
    // A certificate changes no answer: whoever errs on a pod with another one would have erred anyway.
    kind === 'Secret' || gates.clientErrorRate === null
      ? null
      : { maxRise: gates.clientErrorRate.maxRise, enough: minRequests },
  share: 'clientErrors',
  before: baseline => shareBefore(baseline, baseline.clientErrorRate),
})

export const redirectRate = riseGate({
  ...{ name: 'redirectRate', what: '3xx answers', unit: 'requests', tooFew: 'TooFewRequests' },
  threshold: ({ kind, gates, minRequests }) =>
    kind === 'Secret' || gates.redirectRate === null
      ? null
      : { maxRise: gates.redirectRate.maxRise, enough: minRequests },
  share: 'redirects',
  before: baseline => shareBefore(baseline, baseline.redirectRate),
})

/**
 * Backends that could not be reached. Hardly any of them are normal, while an application may answer 5xx now and then: among
 * those a few percent would drown.
 */
export const connectFailureRate = riseGate({
  ...{ name: 'connectFailureRate', what: 'connect failures', unit: 'requests', tooFew: 'TooFewRequests' },
  threshold: ({ kind, gates, minRequests }) => {
    // Absent: a record of a rollout that began before there was this gate.
    const { connectFailureRate: gate = null } = gates
    return kind === 'Secret' || gate === null ? null : { maxRise: gate.maxRise, enough: minRequests }
  },
  share: 'connectFailures',
  before: baseline => shareBefore(baseline, baseline.connectFailureRate),
})

function shareBefore({ requests, notFoundRate }: Baseline, rate: number | null): Sample | null {
  if (rate === null) return null
  const total = requests * (1 - notFoundRate / 100)
  return { count: (rate / 100) * total, total }
}
