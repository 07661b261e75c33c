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

it.each([[-1], [0.5], [null], ['1']])(
  'a fragment that was created at %p is refused: the table keeps milliseconds as a count',
  createdAt => {
    const fragment = { key: 'Ingress/shop/web', revision: 'r1', createdAt, governed: true, hosts: [], tls: [] }
    const message = { type: 'snapshot-items', assignments: [], certificates: [], endpoints: {} }
    expect(() => parseStreamMessage(JSON.stringify({ ...message, fragments: [fragment] }))).toThrow(/createdAt/)
    const right = { ...fragment, createdAt: 1_700_000_000_123 }
    expect(parseStreamMessage(JSON.stringify({ ...message, fragments: [right] }))).toMatchObject({ fragments: [right] })
  },
)

describe('canaries', () => {
  const BASE = { key: 'Ingress/shop/web', revision: 'r1', createdAt: 1, governed: true, hosts: [], tls: [] }
  const read = (rule: object): unknown => {
    const canary = { rule: { weight: 5, total: 100, ...rule }, hosts: [{ host: 'a.example', paths: [] }] }
    const items = { assignments: [], fragments: [{ ...BASE, canary }], certificates: [], endpoints: {} }
    return parseStreamMessage(JSON.stringify({ type: 'snapshot-items', ...items }))
  }
  const key = (more: object): object => ({ header: { name: 'X-Canary', ...more } })

  it.each([
    {},
    key({}),
    key({ values: ['a'] }),
    key({ pattern: 'v[0-9]+' }),
    key({ modulo: { divisor: 100, operator: '!=', remainder: 99 } }),
    { marks: { requestAdd: [['X-A', 'b c']], responseAppend: [['Vary', 'X-A']], query: 'a=1&b=%20' } },
  ])('%j is taken', rule => {
    expect(read(rule)).toMatchObject({ fragments: [{ canary: { rule } }] })
  })

  it.each([
    [{ weight: -1 }, /weight/],
    [{ weight: 0.5 }, /weight/],
    [{ total: 0 }, /total/],
    [key({ values: [] }), /values/],
    [key({ pattern: 'v[' }), /pattern/],
    [key({ pattern: '(\\w+\\s*){1000}' }), /pattern/],
    [key({ modulo: { divisor: 101, operator: '==', remainder: 0 } }), /divisor/],
    [key({ modulo: { divisor: 2, operator: '=', remainder: 0 } }), /operator/],
    [{ marks: { requestAdd: [['X-A', 'b\r\nX-B: c']] } }, /requestAdd/],
    [{ marks: { requestAdd: [['X A', 'b']] } }, /requestAdd/],
    [{ marks: { responseAdd: [['X-A', 'b\u0000']] } }, /responseAdd/],
    [{ marks: { query: 'a=1 HTTP/1.1' } }, /query/],
  ])('%j is refused', (rule, at) => {
    expect(() => read(rule)).toThrow(at)
  })
})

describe('probes', () => {
  const PROBE = {
    ...{ object: 'Ingress/shop/web', id: 'p', method: 'GET', scheme: 'http', host: 'a.example', path: '/?a=1' },
    ...{ headers: [['X-A', 'b']], expect: [[200, 299]], timeoutMs: 1_000, intervalMs: 5_000 },
  }
  const observe = (more: object): string =>
    JSON.stringify({ type: 'observe', objects: [], hosts: [], intervalMs: 1_000, ...more })
  const counters = { ok: 1, failed: 2, own: 3, failedInRow: 2, status: null, error: 'ECONNRESET' }

  it('may be asked for, or not: older operators have none, and older proxies read what they know', () => {
    expect(parseStreamMessage(observe({}))).not.toHaveProperty('probes')
    expect(parseStreamMessage(observe({ probes: [PROBE] }))).toMatchObject({ probes: [PROBE] })
    const withBody = { ...PROBE, body: 'ok' }
    expect(parseStreamMessage(observe({ probes: [withBody] }))).toMatchObject({ probes: [withBody] })
    // As a peer that knows nothing of a field takes it.
    expect(parseStreamMessage(observe({ unheardOf: [PROBE] }))).toMatchObject({ objects: [] })
  })

  it.each([
    ['a host that breaks the line', { host: 'a.example\r\nX: y' }],
    ['a path that does', { path: '/ HTTP/1.1\r\nX: y' }],
    ['a field that does', { headers: [['X', 'a\r\nY: b']] }],
    ['a name that does', { headers: [['X: a\r\nY', 'b']] }],
    ['no path', { path: 'health' }],
    ['a text that is none', { body: '' }],
    ['another method', { method: 'POST' }],
    ['a range of one end', { expect: [[200]] }],
    ['no time between two', { intervalMs: 0 }],
    ['a Secret of no name', { object: 'Secret' }],
  ])('are refused with %s', (_name, change) => {
    expect(() => parseStreamMessage(observe({ probes: [{ ...PROBE, ...change }] }))).toThrow(/^observe: \/probes\/0/)
  })

  it('may be in a report, or not', () => {
    const probes = { 'Ingress/shop/web': { revision: null, probes: { p: counters } } }
    const plain = JSON.parse(report({})) as Report
    expect(parseReport(JSON.stringify({ ...plain, probes })).probes).toEqual(probes)
    expect(parseReport(JSON.stringify(plain))).not.toHaveProperty('probes')
    const bad = { 'Ingress/shop/web': { revision: null, probes: { p: { ...counters, ok: -1 } } } }
    expect(() => parseReport(JSON.stringify({ ...plain, probes: bad }))).toThrow(/\/probes\//)
  })
})
