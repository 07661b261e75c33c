/** Reports for the tests of this folder. */
import type { HostCounters, Report } from '../../../protocol/messages.ts'
import { LATENCY_BUCKETS_MS } from '../../../protocol/messages.ts'

/** As a proxy of today counts them: closed paths apart. */
export function counters(
  requests: number,
  change: Partial<HostCounters> = {},
): HostCounters & { readonly closed: number } {
  return {
    closed: 0,
    ...{ requests, notFound: 0, upstreamErrors: 0, tlsHandshakes: 0, tlsFailures: 0 },
    status: [0, requests, 0, 0, 0],
    latency: [requests, ...LATENCY_BUCKETS_MS.map(() => 0)],
    ...change,
  }
}

export function report(
  sequence: number,
  revisions: Report['revisions'],
  hosts: Report['hosts'],
  instance = 'first',
): Report {
  return {
    ...{ type: 'report', protocol: 1, pod: 'proxy-0', instance, sequence, stateHash: '', source: 'stream' },
    ...{ checksums: { ingress: null, secret: null }, refused: [], revisions, hosts, objects: {} },
  }
}
