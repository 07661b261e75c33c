/** What peers of different versions may leave out. The rest is tested where it is used: proxy/stream, operator/stream. */
import { describe, expect, it } from '@jest/globals'
import { LATENCY_BUCKETS_MS } from './messages.ts'
import type { HostCounters, Report } from './messages.ts'
import type { Fragment } from './objects.ts'
import { parseReport, parseStreamMessage } from './schemas.ts'

function report(closed: Record<string, unknown>): string {
  const counters: HostCounters = {
    ...{ requests: 1, status: [0, 1, 0, 0, 0], notFound: 0, upstreamErrors: 0, tlsHandshakes: 0, tlsFailures: 0 },
    latency: [1, ...LATENCY_BUCKETS_MS.map(() => 0)],
    ...closed,
  }
  const of: Report = {
    ...{ type: 'report', protocol: 1, pod: 'proxy-0', instance: 'first', sequence: 1, stateHash: '', source: 'stream' },
    ...{ checksums: { ingress: null, secret: null }, refused: [], revisions: {}, hosts: { 'a.example': counters } },
    objects: { 'Ingress/shop/web': { revision: 'r1', requests: 1, status: [0, 1, 0, 0, 0], ...closed } },
  }
  return JSON.stringify(of)
}

describe('answers of closed paths in a report', () => {
  it('may be counted apart, or not at all: older proxies do not', () => {
    for (const [sent, read] of [
      [{ closed: 7 }, 7],
      [{ closed: 0 }, 0],
      [{}, undefined],
    ] as const) {
      const { hosts, objects } = parseReport(report(sent))
      expect([hosts['a.example']?.closed, objects['Ingress/shop/web']?.closed]).toEqual([read, read])
    }
  })

  it.each([[-1], ['1'], [null], [0.5]])('are a count, and not %p', closed => {
    expect(() => parseReport(report({ closed }))).toThrow(/\/closed /)
  })
})

it('says of a path without a backend whether that protects something; older operators do not', () => {
  const paths = [{}, { protects: false }].map(more => ({
    ...{ type: 'Prefix', path: '/' },
    backend: { status: 503, reason: 'why', ...more },
  }))
  const fragment = {
    ...{ key: 'Ingress/shop/web', revision: 'r1', createdAt: 0, governed: true, tls: [] },
    hosts: [{ host: 'a.example', paths }],
  } as unknown as Fragment
  const items = { assignments: [], fragments: [fragment], certificates: [], endpoints: {} }
  const read = parseStreamMessage(JSON.stringify({ type: 'snapshot-items', ...items }))
  expect(read).toMatchObject({ fragments: [fragment] })
})
