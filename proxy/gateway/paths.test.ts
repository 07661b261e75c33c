import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { Ends, ask, exchangeRaw, site, startBackend, startPlane, type Rig } from '../workers/testing/harness.ts'
import { Forward } from '../forward/forward.ts'

const ends = new Ends()
afterEach(async () => {
  jest.restoreAllMocks()
  await ends.all()
})

async function rigOf(path: string): Promise<Rig> {
  const rig = await startPlane(ends, { REQUEST_PATH: path })
  const address = await startBackend(
    ends,
    (_, response) => response.end('ok'),
    server =>
      server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')),
  )
  for (const update of site('a.example', [address])) rig.apply(update)
  return rig
}

const UPGRADE = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'

describe('the way of a request through the proxy', () => {
  it.each([
    ['relay', { relay: 2, full: 1 }],
    ['full', { relay: 0, full: 3 }],
    ['', { relay: 2, full: 1 }],
  ] as const)('where REQUEST_PATH is %j: %j', async (path, expected) => {
    const rig = await rigOf(path)
    expect((await ask(rig.http, {})).status).toBe(200)
    expect((await ask(rig.http, { method: 'POST', body: 'x' })).status).toBe(200)
    expect(await exchangeRaw(rig.http, UPGRADE)).toMatch(/^HTTP\/1\.1 101 /)
    // What is answered here takes none.
    expect((await ask(rig.http, { host: 'b.example' })).status).toBe(404)
    expect(rig.totals().carried).toEqual(expected)
  })

  it.each(['relay', 'full'])('a defect at the beginning of the %s path ends one request', async path => {
    const rig = await rigOf(path)
    jest.spyOn(Forward.prototype, 'start').mockImplementationOnce(() => {
      throw new Error('a defect')
    })
    const failed = await ask(rig.http, {})
    expect([failed.status, rig.totals().defects]).toEqual([500, 1])
    expect((await ask(rig.http, {})).status).toBe(200)
  })
})
