import { describe, expect, it } from '@jest/globals'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { memoryPair } from './memory-pair.ts'

const LARGE = Buffer.alloc(1_000_000, 'x')

describe('a connection that never leaves the process', () => {
  it('carries what is written to either end, and each end closes for itself', async () => {
    const { client, server } = memoryPair()
    client.end('question')
    expect(String(await buffer(server))).toBe('question')
    server.end('answer')
    expect(String(await buffer(client))).toBe('answer')
  })

  it('takes no more than somebody reads', async () => {
    const { client, server } = memoryPair()
    let taken = false
    for (let i = 0; i < 3; i++) client.write(LARGE)
    client.end(() => (taken = true))
    await new Promise(resolve => setImmediate(resolve))
    expect([taken, server.readableLength <= LARGE.length]).toEqual([false, true])
    expect(await buffer(server)).toHaveLength(3 * LARGE.length)
    expect(taken).toBe(true)
  })

  it.each([
    ['client', 'server'],
    ['server', 'client'],
  ] as const)('that its %s destroys in mid-word is cut, and no end, for the %s', async (one, other) => {
    const pair: Readonly<Record<'client' | 'server', Duplex>> = memoryPair()
    pair[one].write('half')
    const cut = once(pair[other], 'error')
    pair[one].destroy()
    expect(await cut).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('lets whoever writes go on when nobody will read any more', async () => {
    const { client, server } = memoryPair()
    client.on('error', () => undefined)
    const written = new Promise<void>(resolve => client.write(LARGE, () => resolve()))
    server.destroy()
    await written
    expect(client.writableNeedDrain).toBe(false)
  })
})
