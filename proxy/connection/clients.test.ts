import { describe, expect, it } from '@jest/globals'
import { Clients, clientOf } from './clients.ts'

describe('clientOf', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001:db8:0:1::', '2001:db8:0:1'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('%s is one of %s', (address, client) => {
    expect(clientOf(address)).toBe(client)
  })
})

describe('Clients', () => {
  it('have so many connections each, and give them back', () => {
    const clients = new Clients(2, () => false)
    expect(['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2'].map(a => clients.take(a))).toEqual([
      ...[true, true, false, true],
    ])
    clients.release('192.0.2.1')
    expect([clients.take('192.0.2.1'), clients.take('192.0.2.1')]).toEqual([true, false])
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2']) clients.release(address)
    expect(clients.size).toBe(0)
  })

  it('of one IPv6 network are one', () => {
    const clients = new Clients(1, () => false)
    expect([clients.take('2001:db8::1'), clients.take('2001:db8::2'), clients.take('2001:db8:0:1::1')]).toEqual([
      ...[true, false, true],
    ])
  })

  it('that stand for many are not counted', () => {
    const clients = new Clients(1, address => address === '192.0.2.1')
    expect([clients.take('192.0.2.1'), clients.take('192.0.2.1'), clients.size]).toEqual([true, true, 0])
    clients.release('192.0.2.1')
    expect(clients.size).toBe(0)
  })
})
