import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { HandshakesByClient } from './handshakes-by-client.ts'

describe('HandshakesByClient', () => {
  it('gives up the oldest of the client that has most', () => {
    const handshakes = new HandshakesByClient<string>()
    for (const [client, name] of [
      ...[['a', 'a1'] as const, ['b', 'b1'] as const, ['b', 'b2'] as const, ['c', 'c1'] as const],
    ]) {
      handshakes.add(client, name)
    }
    expect(handshakes.leastDeserving()).toBe('b1')
    handshakes.remove('b', 'b1')
    expect([handshakes.size, handshakes.leastDeserving()]).toEqual([3, 'a1'])
  })

  it('has nobody to give up where there is none', () => {
    expect(new HandshakesByClient<string>().leastDeserving()).toBeNull()
  })

  it('one client among others never costs them a handshake', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('greedy', 'greedy', 'greedy', 'a', 'b'), { maxLength: 60 }), clients => {
        const handshakes = new HandshakesByClient<{ readonly client: string }>()
        // Two honest ones at most two each, and a door for eight.
        const honest = { a: 0, b: 0 }
        for (const client of clients) {
          if (client !== 'greedy' && honest[client]++ >= 2) continue
          if (handshakes.size >= 8) {
            const gone = handshakes.leastDeserving()
            expect(gone?.client).toBe('greedy')
            if (gone) handshakes.remove(gone.client, gone)
          }
          handshakes.add(client, { client })
          expect(handshakes.size).toBe([...handshakes].length)
        }
      }),
    )
  })
})
