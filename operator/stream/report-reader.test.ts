import { describe, expect, it } from '@jest/globals'
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { Report } from '../../protocol/messages.ts'
import { parseReport } from '../../protocol/schemas.ts'
import { ReportReader } from './report-reader.ts'

const KEY = 'Ingress/shop/web'

function report(sequence: number, revisions: Report['revisions'], hosts: Report['hosts'], instance = 'first'): Report {
  return {
    ...{ type: 'report', protocol: 1, pod: 'proxy-0', instance, sequence, stateHash: '', source: 'stream' },
    ...{ checksums: { ingress: null, secret: null }, refused: [], revisions, hosts, objects: {} },
  }
}

const counters = (requests: number): Report['hosts'][string] => ({
  ...{ requests, notFound: 0, upstreamErrors: 0, tlsHandshakes: 0, tlsFailures: 0 },
  ...{ status: [0, requests, 0, 0, 0], latency: [requests, ...LATENCY_BUCKETS_MS.map(() => 0)] },
})

const text = (sequence: number, revision: string | null = 'r1', requests = 0): string =>
  JSON.stringify(report(sequence, { [KEY]: revision }, requests === 0 ? {} : { 'a.example': counters(requests) }))

describe('a reader of reports', () => {
  it('takes one that says the same for the last one with another number', () => {
    const reader = new ReportReader()
    const first = reader.read('p', text(1))
    const second = reader.read('p', text(12))
    expect([first, second]).toEqual([parseReport(text(1)), parseReport(text(12))])
    expect(second.revisions).toBe(first.revisions)
    expect(second.refused).toBe(first.refused)
  })

  it('reads whatever says something else, or came from another pod, or from another one before', () => {
    const reader = new ReportReader()
    const first = reader.read('p', text(1))
    for (const other of [text(2, 'r2'), text(2, null), text(2, 'r1', 7), text(2)]) {
      const read = reader.read('p', other)
      expect(read).toEqual(parseReport(other))
      expect(read.revisions).not.toBe(first.revisions)
    }
    expect(reader.read('q', text(1)).revisions).not.toBe(first.revisions)
  })

  it('believes no number that a report would be refused with, or that is not its own', () => {
    const reader = new ReportReader()
    reader.read('p', text(1))
    for (const bad of ['-1', '1.5', '"2"', '1e3', '01', '9007199254740992', 'null', '']) {
      const other = text(1).replace('"sequence":1', `"sequence":${bad}`)
      const parsed = (read: () => unknown): unknown => {
        try {
          return read()
        } catch {
          return 'refused'
        }
      }
      expect(parsed(() => reader.read('p', other))).toEqual(parsed(() => parseReport(other)))
    }
    const twice = (a: number, b: number): string => text(a).replace(/}$/, `,"sequence":${b}}`)
    for (const other of [twice(1, 5), twice(2, 5), twice(5, 5), twice(6, 5), text(7)]) {
      expect(reader.read('p', other)).toEqual(parseReport(other))
    }
    // As a name, and within a text.
    const named = JSON.stringify(report(3, { sequence: 'r1' }, {}, 'x"sequence":4,'))
    for (const other of [named, named.replace('"sequence":3', '"sequence":33'), named.replace(':4,', ':5,')]) {
      expect(reader.read('p', other)).toEqual(parseReport(other))
    }
    expect(() => reader.read('p', text(1).slice(0, -1))).toThrow(/not JSON/)
  })
})
