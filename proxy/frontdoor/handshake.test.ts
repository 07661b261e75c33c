import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { createDefaultCertificate } from './default-certificate.ts'
import { Handshake } from './handshake.ts'
import { LOOK_MS, LoopLag } from './loop-lag.ts'
import { helloOf } from './testing/hello.ts'

const LIMIT_MS = 10_000
const LAG_MS = 1_000

/** A connection of ours with a silent client, and a loop that is late when we say so. */
class Rig {
  readonly verdicts: string[] = []
  chosen = 0
  now = 0
  readonly lag = new LoopLag(() => this.now)
  readonly client: Socket
  readonly ours: Socket
  readonly #bytes: Buffer

  private constructor(client: Socket, ours: Socket, bytes: Buffer, secureContext: SecureContext) {
    this.#bytes = bytes
    this.client = client
    this.ours = ours
    new Handshake(ours, { address: '127.0.0.1', port: 1 }, true, {
      ...{ lag: this.lag, handshakeTimeout: LIMIT_MS, handshakeLag: LAG_MS, ending: false },
      protocols: ['http/1.1'],
      choose: () => {
        this.chosen++
        return secureContext
      },
      countedHost: name => name,
      unreadable: () => this.verdicts.push('unreadable'),
      secured: () => this.verdicts.push('secured'),
      left: () => undefined,
      ended: verdict => this.verdicts.push(verdict),
    })
  }

  static async start(): Promise<Rig> {
    const { chain, privateKey } = await createDefaultCertificate()
    const bytes = await helloOf({ servername: 'shop.example' })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => undefined)
    const [ours] = (await once(server, 'connection')) as [Socket]
    server.close()
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'performance'] })
    return new Rig(client, ours, bytes, createSecureContext({ cert: chain, key: privateKey }))
  }

  /** The loop stands still for so long; then its look finds out. */
  stall(milliseconds: number): void {
    this.now += LOOK_MS + milliseconds
    this.lag.look()
    this.look()
  }

  /** One that is on time. */
  look(): void {
    this.now += LOOK_MS
    this.lag.look()
  }

  get open(): boolean {
    return !this.ours.destroyed
  }

  /** Sends a ClientHello; resolves when it has been read. */
  async hello(): Promise<void> {
    this.client.write(this.#bytes)
    while (this.chosen === 0) await new Promise(resolve => setImmediate(resolve))
  }

  end(): void {
    this.client.destroy()
    this.ours.destroy()
  }
}

describe('the time for a step of a handshake', () => {
  const rigs: Rig[] = []
  afterEach(() => {
    jest.useRealTimers()
    for (const rig of rigs.splice(0)) rig.end()
  })
  const start = async (): Promise<Rig> => {
    const rig = await Rig.start()
    rigs.push(rig)
    return rig
  }
  const steps = [
    ['a client that says nothing', () => Promise.resolve()],
    ['a client that says nothing after its ClientHello', (rig: Rig) => rig.hello()],
  ] as const

  it.each(steps)('ends %s', async (_what, begin) => {
    const rig = await start()
    await begin(rig)
    jest.advanceTimersByTime(LIMIT_MS - 1)
    expect(rig.open).toBe(true)
    jest.advanceTimersByTime(1)
    expect(rig.open).toBe(false)
  })

  it.each(steps)('is given once more to %s where we were late meanwhile, and only once', async (_what, begin) => {
    const rig = await start()
    await begin(rig)
    rig.stall(LAG_MS)
    jest.advanceTimersByTime(LIMIT_MS)
    expect(rig.open).toBe(true)
    rig.stall(LAG_MS)
    jest.advanceTimersByTime(LIMIT_MS)
    expect(rig.open).toBe(false)
  })

  it('is not given once more where we were late in the step before', async () => {
    const rig = await start()
    rig.stall(LAG_MS)
    await rig.hello()
    jest.advanceTimersByTime(LIMIT_MS)
    expect(rig.open).toBe(false)
  })

  it('is not given once more for less', async () => {
    const rig = await start()
    rig.stall(LAG_MS - 1)
    jest.advanceTimersByTime(LIMIT_MS)
    expect(rig.open).toBe(false)
  })
})
