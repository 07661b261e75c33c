import { describe, expect, it } from '@jest/globals'
import { EventEmitter } from 'node:events'
import { PerClientLimit, clientOf } from './per-client-limit.ts'

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

describe('PerClientLimit', () => {
  const taking = (most: number, exempt: (address: string) => boolean = () => false) => {
    const clients = new PerClientLimit(most, exempt)
    const sockets: EventEmitter[] = []
    return {
      clients,
      take: (address: string): boolean => {
        const socket = new EventEmitter()
        sockets.push(socket)
        return clients.take(socket, address)
      },
      close: (which: number): boolean | undefined => sockets[which]?.emit('close'),
    }
  }

  it('have so many connections each, and give them back', () => {
    const { clients, take, close } = taking(2)
    expect(['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2'].map(take)).toEqual([true, true, false, true])
    // The one that was not taken gives nothing back.
    close(2)
    expect(take('192.0.2.1')).toBe(false)
    close(0)
    expect([take('192.0.2.1'), take('192.0.2.1')]).toEqual([true, false])
    for (const which of [1, 3, 5]) close(which)
    expect(clients.size).toBe(0)
  })

  it('of one IPv6 network are one', () => {
    expect(['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1'].map(taking(1).take)).toEqual([true, false, true])
  })

  it('that stand for many are not counted', () => {
    const { clients, take, close } = taking(1, address => address === '192.0.2.1')
    expect([take('192.0.2.1'), take('192.0.2.1'), clients.size]).toEqual([true, true, 0])
    close(0)
    expect(clients.size).toBe(0)
  })
})
