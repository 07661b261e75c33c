import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import {
  TICKET_PERIOD_MS,
  ownSecrets,
  secretOf,
  ticketIdentity,
  ticketKeys,
  ticketName,
  ticketPeriod,
} from './ticket-keys.ts'

const SECRET = Buffer.alloc(32, 1)
const NOW = Date.parse('2026-06-01T12:00:00Z')
const of = (name: string, ...chains: readonly string[]): Buffer => ticketIdentity(name, chains)

describe('keys of session tickets', () => {
  it('are the same wherever the secret, the certificates and the hour are, and others where one of them is', () => {
    const keys = ticketKeys(SECRET, of('a@1', 'chain'), 7)
    expect(keys).toHaveLength(48)
    expect(ticketKeys(new Uint8Array(SECRET), of('a@1', 'chain'), 7)).toEqual(keys)
    expect(ticketName(keys)).toBe(keys.subarray(0, 16).toString('latin1'))
    const others = [
      ticketKeys(Buffer.alloc(32, 2), of('a@1', 'chain'), 7),
      ticketKeys(SECRET, of('a@1', 'chain'), 8),
      ticketKeys(SECRET, of('a@2', 'chain'), 7),
      ticketKeys(SECRET, of('a@1', 'chain2'), 7),
      ticketKeys(SECRET, of('a@1', 'chain', ''), 7),
      ticketKeys(SECRET, of('a@1chain', ''), 7),
    ]
    for (const other of others) {
      // Neither name nor HMAC nor AES key.
      for (const from of [0, 16, 32])
        expect(other.subarray(from, from + 16)).not.toEqual(keys.subarray(from, from + 16))
    }
  })

  it('change once an hour, at a moment that each set of certificates has for itself', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(4_000_000_000), fc.nat(TICKET_PERIOD_MS), (name, since, more) => {
        const at = NOW + since
        const [one, other] = [ticketPeriod(of(name), at), ticketPeriod(of(name), at + more)]
        expect([0, 1]).toContain(other - one)
        expect(ticketPeriod(of(name), at + TICKET_PERIOD_MS)).toBe(one + 1)
      }),
    )
    const minutes = Array.from({ length: 60 }, (_, i) => NOW + i * 60_000)
    const moments = Array.from({ length: 200 }, (_, i) => {
      const periods = minutes.map(at => ticketPeriod(of(`host ${i}`), at))
      return periods.findIndex(period => period !== periods[0])
    })
    expect(new Set(moments).size).toBeGreaterThan(30)
  })
})

describe('the secret of a period', () => {
  const secret = (fill: number): Buffer => Buffer.alloc(32, fill)
  const days = [
    { day: 10, secret: secret(10) },
    { day: 11, secret: secret(11) },
    { day: 12, secret: secret(12) },
  ] as const
  it.each([
    ['first hour of a day', 11 * 24, 11],
    ['last hour of a day', 11 * 24 + 23, 11],
    ['next day', 12 * 24, 12],
    ['day that nobody has told yet: the last one goes on', 15 * 24, 12],
    ['day before all that are known', 9 * 24, 10],
  ])('is that of its day: %s', (_what, period, fill) => {
    expect(secretOf(days, period)).toEqual(secret(fill))
  })

  it('is the same on every day where the pod has only its own', () => {
    expect([0, 500_000].map(period => secretOf(ownSecrets(secret(3)), period))).toEqual([secret(3), secret(3)])
  })
})
