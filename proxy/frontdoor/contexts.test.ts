import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority, type Leaf } from '../../e2e/pki/pki.ts'
import type { Certificate } from '../../protocol/objects.ts'
import { certificate } from '../table/testing/fixtures.ts'
import { Contexts, RefusedCertificateError } from './contexts.ts'
import { TICKET_PERIOD_MS, ownSecrets, ticketIdentity, ticketKeys, ticketName, ticketPeriod } from './ticket-keys.ts'

const SECRET = Buffer.alloc(32, 5)
let leaf: Leaf
beforeAll(async () => {
  leaf = await (await Authority.root('test')).issue({ hosts: ['a.example'] })
})

const named = (name: string, more: Partial<Certificate> = {}): Certificate =>
  certificate(name, 'ECDSA', { ...leaf, ...more })

class Rig {
  readonly events: string[] = []
  now = Date.parse('2026-06-01T12:00:00Z')
  readonly contexts: Contexts

  constructor(memory = 1_000_000) {
    this.contexts = new Contexts({
      ...{ fallback: leaf, ticketSecrets: ownSecrets(SECRET), memory, now: () => this.now },
      events: {
        made: () => this.events.push('made'),
        evicted: () => this.events.push('evicted'),
        refused: message => this.events.push(message),
      },
    })
  }

  /** What has been told since the last call. */
  told(): readonly string[] {
    return this.events.splice(0)
  }

  ticket(name: string, hours: number): string {
    const identity = ticketIdentity(`Secret/ns/${name}@r1`, [leaf.chain])
    return ticketName(ticketKeys(SECRET, identity, ticketPeriod(identity, this.now) + hours))
  }
}

describe('TLS contexts', () => {
  it('are kept up to a size in bytes, those that were used last', () => {
    const rig = new Rig()
    rig.contexts.get([named('one')])
    const { bytes } = rig.contexts
    // As measured: some 30 KiB for a lone certificate.
    expect(bytes).toBeGreaterThan(25_000)
    expect(bytes).toBeLessThan(40_000)
    const small = new Rig(bytes * 3)
    for (const name of ['one', 'two', 'six', 'one', 'ten']) small.contexts.get([named(name)])
    expect([small.contexts.size, small.contexts.bytes]).toEqual([3, bytes * 3])
    expect(small.told()).toEqual(['made', 'made', 'made', 'made', 'evicted'])
    for (const name of ['one', 'six', 'ten']) small.contexts.get([named(name)])
    expect(small.told()).toEqual([])
    small.contexts.get([named('two')])
    expect(small.told()).toEqual(['made', 'evicted'])
    small.contexts.forget(['Secret/ns/two', 'Secret/ns/six', 'Secret/ns/unknown'])
    expect([small.contexts.size, small.contexts.bytes]).toEqual([1, bytes])
    small.contexts.forget(['Secret/ns/ten'])
    expect([small.contexts.size, small.contexts.bytes]).toEqual([0, 0])
  })

  it('count for more with more certificates, and one is kept whatever its size', () => {
    const rig = new Rig(1)
    rig.contexts.get([named('one')])
    const { bytes } = rig.contexts
    rig.contexts.get([named('two', { chain: leaf.chain.repeat(4) })])
    expect(rig.contexts.bytes).toBeGreaterThan(bytes + 3 * 5_000)
    expect(rig.contexts.size).toBe(1)
  })

  it('that OpenSSL refuses are tried once, until the certificate is another one', () => {
    const rig = new Rig()
    let reads = 0
    const bad: Certificate = {
      ...named('bad', { privateKey: 'PRIVATE' }),
      get chain() {
        reads++
        return 'no PEM'
      },
    }
    const refused = (): unknown => {
      try {
        return rig.contexts.get([bad])
      } catch (error) {
        return error
      }
    }
    const first = refused()
    expect(first).toBeInstanceOf(RefusedCertificateError)
    const before = reads
    for (let i = 0; i < 5; i++) expect(refused()).toBe(first)
    expect(reads).toBe(before)
    const told = rig.told()
    expect(told).toEqual([expect.stringMatching(/^OpenSSL refuses Secret\/ns\/bad@r1: \S/)])
    expect(told.join()).not.toMatch(/PRIVATE|no PEM/)
    expect(rig.contexts.bytes).toBeLessThan(2_000)
    rig.contexts.forget(['Secret/ns/bad'])
    expect(rig.contexts.get([named('bad')])).toBeDefined()
    expect(rig.told()).toEqual(['made'])
  })

  it('have the key of the hour, and that of the hour before for whoever brings its ticket', () => {
    const rig = new Rig()
    const one = named('one')
    const first = rig.contexts.get([one])
    expect(rig.contexts.get([one], rig.ticket('one', 0))).toBe(first)
    const { bytes } = rig.contexts
    // Of another hour, of other certificates, of another server.
    for (const ticket of [rig.ticket('one', -2), rig.ticket('one', 1), rig.ticket('two', -1), 'x'.repeat(16)]) {
      expect(rig.contexts.get([one], ticket)).toBe(first)
    }
    expect(rig.told()).toEqual(['made'])
    rig.now += TICKET_PERIOD_MS
    const second = rig.contexts.get([one])
    expect(second).not.toBe(first)
    // It is there still, and counted.
    expect(rig.contexts.get([one], rig.ticket('one', -1))).toBe(first)
    expect([rig.told(), rig.contexts.bytes]).toEqual([['made'], bytes * 2])
    // Made for the first who needs it, where nobody asked for long.
    rig.now += 5 * TICKET_PERIOD_MS
    const third = rig.contexts.get([one])
    expect([rig.told(), rig.contexts.bytes]).toEqual([['made'], bytes])
    const before = rig.contexts.get([one], rig.ticket('one', -1))
    expect([first, second, third]).not.toContain(before)
    expect(rig.contexts.get([one], rig.ticket('one', -1))).toBe(before)
    expect(rig.told()).toEqual(['made'])
  })

  it('are made anew with another secret, and not with the same again', () => {
    const rig = new Rig()
    const [one, none] = [rig.contexts.get([named('one')]), rig.contexts.get([])]
    rig.contexts.setTicketSecrets(ownSecrets(new Uint8Array(SECRET)))
    expect(rig.contexts.get([named('one')])).toBe(one)
    expect(rig.contexts.get([])).toBe(none)
    rig.contexts.setTicketSecrets(ownSecrets(Buffer.alloc(32, 6)))
    expect(rig.contexts.get([named('one')])).not.toBe(one)
    expect(rig.contexts.get([])).not.toBe(none)
  })

  it('stay when a day is added or goes whose secret they do not use', () => {
    const rig = new Rig()
    const day = Math.floor(rig.now / 86_400_000)
    const of = (which: number, fill = which % 250) => ({ day: which, secret: Buffer.alloc(32, fill) })
    rig.contexts.setTicketSecrets([of(day - 1), of(day)])
    const [one, none] = [rig.contexts.get([named('one')]), rig.contexts.get([])]
    const { bytes } = rig.contexts
    rig.contexts.setTicketSecrets([of(day), of(day + 1)])
    expect([rig.contexts.get([named('one')]), rig.contexts.get([]), rig.contexts.bytes]).toEqual([one, none, bytes])
    rig.contexts.setTicketSecrets([of(day, 9), of(day + 1)])
    expect(rig.contexts.bytes).toBe(0)
    expect(rig.contexts.get([named('one')])).not.toBe(one)
    expect([rig.contexts.get([]) === none, rig.contexts.bytes]).toEqual([false, bytes])
  })
})
