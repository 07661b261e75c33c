import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { due } from './pace.ts'
import type { LoadRecord } from './record.ts'
import { failed } from './record.ts'
import { certificatesIn } from './server-flight.ts'
import { medianBetween, quantile, summarize } from './summary.ts'
import { parseTargets } from './targets.ts'

const record = (more: Partial<LoadRecord>): LoadRecord => ({
  kind: 'http',
  at: 0,
  ms: 1,
  ordinal: 0,
  status: 200,
  version: 'v1',
  issuer: null,
  error: null,
  connection: 'reused',
  ...more,
})

describe('targets', () => {
  it('are numbered in the order of the list', () => {
    expect(parseTargets('127.0.0.1:80 198.18.3.4:8080\n[::1]:9')).toEqual([
      { ordinal: 0, address: '127.0.0.1', port: 80 },
      { ordinal: 1, address: '198.18.3.4', port: 8080 },
      { ordinal: 2, address: '::1', port: 9 },
    ])
  })

  it.each(['', ' ', '127.0.0.1', 'example.com:80', '127.0.0.1:0', '127.0.0.1:70000', '::1:80'])('refuses %j', list => {
    expect(() => parseTargets(list)).toThrow(expect.objectContaining({ code: 'LOAD_TARGET' }))
  })

  it.each(['192.0.2.1:80', '198.17.255.255:80', '198.20.0.0:80', '[2001:db8::1]:80'])('sends nothing to %s', list => {
    expect(() => parseTargets(list)).toThrow('load goes to loopback and to the local node')
  })
})

describe('due', () => {
  it('keeps the pace over any sequence of late ticks, unless it is behind by more than a second', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(fc.integer({ min: 0, max: 900 })), (rate, gaps) => {
        let now = 0
        let sent = 0
        for (const gap of gaps) {
          now += gap
          const next = due(rate, now, sent)
          expect(next.skip).toBe(0)
          sent += next.call
        }
        expect(sent).toBe(Math.floor((now * rate) / 1000))
      }),
    )
  })

  it('does not send a burst after a long stall', () => {
    expect(due(300, 10_000, 0)).toEqual({ call: 300, skip: 2_700 })
  })

  it('never asks for a negative number', () => {
    expect(due(10, 0, 5)).toEqual({ call: 0, skip: 0 })
  })
})

describe('summary', () => {
  it('counts failures by reason, and who answered with which version', () => {
    const summary = summarize([
      record({ ms: 1 }),
      record({ ms: 2, ordinal: 1 }),
      record({ ms: 3, ordinal: 0, version: 'bad', status: 500 }),
      record({ ms: 4, version: null, status: null, error: 'ECONNRESET' }),
    ])
    expect(summary).toEqual({
      requests: 4,
      failures: 2,
      reasons: { 'status 500': 1, ECONNRESET: 1 },
      p50: 2,
      p99: 4,
      ordinalsByVersion: { v1: [0, 1], bad: [0] },
    })
  })

  it('takes 4xx, 5xx and no answer for failures, and redirects for answers', () => {
    expect([200, 301, 404, 503].map(status => failed(record({ status })))).toEqual([false, false, true, true])
    expect(failed(record({ status: null }))).toBe(true)
    expect(failed(record({ error: 'TIMEOUT' }))).toBe(true)
  })

  it.each([
    [[3], [3, 3]],
    [
      [1, 2, 3, 4, 5],
      [1, 5],
    ],
    [Array.from({ length: 40 }, (_, n) => n + 1), [13, 28]],
    [Array.from({ length: 100 }, (_, n) => n + 1), [40, 61]],
    [[], [0, 0]],
  ])('between which the median lies %#', (values, between) => {
    expect(medianBetween(Float64Array.from(values))).toEqual(between)
  })

  it('the median lies there 95 of 100 times', () => {
    // A generator with a seed: the same thousand samples on every run.
    let seed = 7
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
    let inside = 0
    for (let n = 0; n < 1_000; n++) {
      const [low, high] = medianBetween(Float64Array.from({ length: 40 }, random).sort())
      if (low <= 0.5 && 0.5 <= high) inside++
    }
    expect(inside).toBeGreaterThanOrEqual(935)
  })

  it('quantiles by nearest rank', () => {
    expect(quantile(new Float64Array([1, 2, 3, 4]), 0.5)).toBe(2)
    expect(quantile(new Float64Array([7]), 0.99)).toBe(7)
    expect(quantile(new Float64Array(), 0.5)).toBe(0)
  })
})

describe('certificates in a TLS 1.2 server’s first flight', () => {
  const u24 = (n: number): Buffer => Buffer.from([n >> 16, (n >> 8) & 255, n & 255])
  const message = (type: number, body: Buffer): Buffer => Buffer.concat([Buffer.from([type]), u24(body.length), body])
  const recordOf = (type: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([type, 3, 3, body.length >> 8, body.length & 255]), body])
  const ders = [Buffer.from('leaf'), Buffer.from('issuer')]
  const list = Buffer.concat(ders.map(der => Buffer.concat([u24(der.length), der])))
  const flight = Buffer.concat([message(2, Buffer.alloc(70)), message(11, Buffer.concat([u24(list.length), list]))])

  it('are found however the messages are cut into records and the records into chunks', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: flight.length }), fc.integer({ min: 0, max: 500 }), (size, cut) => {
        const parts: Buffer[] = []
        for (let at = 0; at < flight.length; at += size) parts.push(recordOf(22, flight.subarray(at, at + size)))
        const bytes = Buffer.concat(parts)
        expect(certificatesIn(bytes)).toEqual(ders)
        if (cut < bytes.length) expect(['more', ders]).toContainEqual(certificatesIn(bytes.subarray(0, cut)))
      }),
    )
  })

  it('are not there once something else than a handshake comes', () => {
    expect(certificatesIn(recordOf(21, Buffer.from([2, 40])))).toBe('none')
    expect(
      certificatesIn(Buffer.concat([recordOf(22, message(2, Buffer.alloc(70))), recordOf(20, Buffer.from([1]))])),
    ).toBe('none')
  })
})
