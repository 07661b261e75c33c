import { afterEach, describe, expect, it, jest } from '@jest/globals'
import * as fc from 'fast-check'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { errorCode } from '../errors.ts'
import type { TableUpdate } from '../table/update.ts'
import { ClusterSet, type ClusterSetParts } from './cluster-set.ts'
import type { BackendReader, Cluster, Lease, LeaseRequest, LeaseResult, LeaseWaiter } from './contract.ts'
import { tcpConnector, type Connect } from './endpoint.ts'
import { UPSTREAM_DEFAULTS, type UpstreamSettings } from './settings.ts'
import { IDLE, OPEN, TALLY_WIDTH } from './endpoint-counters.ts'
import { reset } from '../../protocol/testing/reset.ts'
import { randomOf } from '../../protocol/testing/random.ts'
import { PLAIN_REQUEST } from './testing/plain-request.ts'

const SERVICE = 'shop/web:80'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end()
})

interface Backend {
  readonly address: string
  readonly server: Server
  /** Ever accepted. */
  readonly accepted: Socket[]
  /** Open now. */
  readonly open: Set<Socket>
}

/** Answers each piece with `ok`. */
async function startBackend(onData = (socket: Socket): unknown => socket.write('ok')): Promise<Backend> {
  const accepted: Socket[] = []
  const open = new Set<Socket>()
  const server = createServer(socket => {
    accepted.push(socket)
    open.add(socket)
    socket.on('data', () => onData(socket)).on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', 1_024, resolve))
  ends.push(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, server, accepted, open }
}

/** Nobody listens there. */
async function deadAddress(): Promise<string> {
  const { address, server } = await startBackend()
  await new Promise(resolve => server.close(resolve))
  return address
}

function named(endpoints: Record<string, readonly string[]>, remove: readonly string[] = []): TableUpdate['endpoints'] {
  return { upsert: new Map(Object.entries(endpoints)), remove }
}

function startSet(settings: Partial<UpstreamSettings> = {}, parts: ClusterSetParts = {}): ClusterSet {
  const set = new ClusterSet({ ...UPSTREAM_DEFAULTS, ...settings }, parts)
  ends.push(() => set.destroy())
  return set
}

function inFrontOf(
  addresses: readonly string[],
  settings: Partial<UpstreamSettings> = {},
  parts: ClusterSetParts = {},
): { set: ClusterSet; cluster: Cluster } {
  const set = startSet(settings, parts)
  set.apply(named({ [SERVICE]: addresses }))
  return { set, cluster: set.hold(SERVICE) }
}

interface Wished {
  readonly lease: Promise<Lease>
  readonly tried: string[]
  readonly cancel: () => void
}

function wish(cluster: Cluster, request: Partial<LeaseRequest> = {}): Wished {
  const tried: string[] = []
  let cancel = (): void => undefined
  const lease = new Promise<Lease>((leased, failed) => {
    cancel = cluster.lease({ ...PLAIN_REQUEST, ...request }, { leased, failed, trying: address => tried.push(address) })
  })
  return { lease, tried, cancel: () => cancel() }
}

const lend = (cluster: Cluster, request: Partial<LeaseRequest> = {}): Promise<Lease> => wish(cluster, request).lease

const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => errorCode(error),
  )

/** Reads until something came. */
function exchange(lease: Lease): Promise<string> {
  return new Promise((resolve, reject) => {
    lease.connection.reader = {
      onData: chunk => resolve(chunk.toString()),
      onDrain: () => undefined,
      onEnd: () => resolve('end'),
      onClose: error => reject(error ?? new Error('closed')),
    }
    lease.connection.socket.write('hello')
  })
}

async function served(cluster: Cluster): Promise<Lease> {
  const lease = await lend(cluster)
  expect(await exchange(lease)).toBe('ok')
  lease.done('reusable')
  return lease
}

async function eventually(check: () => boolean): Promise<void> {
  for (let i = 0; !check(); i++) {
    if (i === 400) throw new Error('did not become true')
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

describe('a cluster', () => {
  it('lends the same connection again, at once, and says so', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    const first = await lend(cluster)
    expect(first).toMatchObject({ address: backend.address, reused: false })
    expect(first.connectMs).toBeGreaterThan(0)
    await exchange(first)
    first.done('reusable')
    first.done('failed')
    const waiter = { leased: jest.fn<LeaseWaiter['leased']>(), trying: jest.fn(), failed: jest.fn() }
    cluster.lease(PLAIN_REQUEST, waiter)
    expect(waiter.trying).toHaveBeenCalledWith(backend.address)
    const [second] = waiter.leased.mock.calls[0]!
    expect(second).toMatchObject({ reused: true, connectMs: 0, connection: first.connection })
    expect(await exchange(second)).toBe('ok')
    second.done('reusable')
    expect(backend.accepted).toHaveLength(1)
    expect(set.sizes).toMatchObject({ open: 0, idle: 1, suspects: 0 })
    expect(set.sizes.clusters.get(SERVICE)).toMatchObject({ connects: 1, reuses: 1, idle: 1, endpoints: 1 })
  })

  it('lends the one that was used last', async () => {
    const backend = await startBackend()
    const { cluster } = inFrontOf([backend.address])
    const [first, second] = await Promise.all([lend(cluster), lend(cluster)])
    second.done('reusable')
    first.done('reusable')
    expect((await lend(cluster)).connection).toBe(first.connection)
  })

  it.each(['close', 'failed', 'stale'] as const)('destroys what comes back as %s', async result => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    const lease = await lend(cluster)
    await exchange(lease)
    lease.done(result)
    expect(lease.connection.socket.destroyed).toBe(true)
    expect(lease.connection.reader).toBeNull()
    expect(set.sizes).toMatchObject({ open: 0, idle: 0, suspects: 0 })
    await eventually(() => backend.open.size === 0)
  })

  it.each([
    ['ends', (socket: Socket) => socket.end()],
    ['resets', (socket: Socket) => reset(socket)],
    ['speaks on', (socket: Socket) => socket.write('HTTP/1.1 408 Request Timeout\r\n\r\n')],
  ])('drops an idle connection that its backend %s', async (_, act) => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    await served(cluster)
    act(backend.accepted[0]!)
    await eventually(() => set.sizes.idle === 0)
    expect(await served(cluster)).toMatchObject({ reused: false })
  })

  it('does not lend a connection whose end has come, but was not read yet, when it was idle for long', async () => {
    let late = 0
    const backend = await startBackend()
    const { cluster } = inFrontOf([backend.address], {}, { now: () => performance.now() + late })
    await served(cluster)
    late = 2_000
    // The FIN is in the kernel when the wish comes: nothing of it was read before the loop turns.
    backend.accepted[0]!.end()
    expect(await served(cluster)).toMatchObject({ reused: false })
    late = 4_000
    expect(await served(cluster)).toMatchObject({ reused: true })
    expect(backend.accepted).toHaveLength(2)
  })

  it('reads on where the borrower paused, or it would not see the end', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    const lease = await lend(cluster)
    lease.connection.socket.pause()
    lease.done('reusable')
    backend.accepted[0]!.end()
    await eventually(() => set.sizes.idle === 0)
  })

  it('tells the reader of the end and of the close, once each', async () => {
    const backend = await startBackend(socket => socket.end('bye'))
    const { cluster } = inFrontOf([backend.address])
    const lease = await lend(cluster)
    const events: string[] = []
    const reader: BackendReader = {
      onData: chunk => events.push(chunk.toString()),
      onDrain: () => events.push('drain'),
      onEnd: () => {
        events.push('end')
        lease.connection.socket.end()
      },
      onClose: error => events.push(`close ${String(error)}`),
    }
    lease.connection.reader = reader
    lease.connection.socket.write('x')
    await eventually(() => events.length === 3)
    expect(events).toEqual(['bye', 'end', 'close null'])
    lease.done('close')
  })

  it('tells the reader of a reset', async () => {
    const backend = await startBackend(socket => reset(socket))
    const { cluster } = inFrontOf([backend.address])
    const lease = await lend(cluster)
    await expect(exchange(lease)).rejects.toMatchObject({ code: 'ECONNRESET' })
    lease.done('failed')
  })

  it('opens a new connection for a fresh wish, to the preferred address', async () => {
    const [a, b] = [await startBackend(), await startBackend()]
    const { cluster } = inFrontOf([a.address, b.address])
    await served(cluster)
    for (let i = 0; i < 10; i++) {
      const lease = await lend(cluster, { fresh: true, on: b.address, exclude: new Set([b.address]) })
      expect(lease).toMatchObject({ reused: false, address: b.address })
      lease.done('close')
    }
  })

  it('lends what cannot be sent again no connection that its backend may be closing', async () => {
    const backend = await startBackend()
    let now = 0
    const { cluster } = inFrontOf([backend.address], {}, { now: () => now })
    await served(cluster)
    now = 999
    const soon = await lend(cluster, { unrepeatable: true })
    expect(soon.reused).toBe(true)
    soon.done('reusable')
    now += 1_000
    const late = await lend(cluster, { unrepeatable: true })
    expect(late.reused).toBe(false)
    // The old one stays for those who may ask twice.
    expect((await lend(cluster)).reused).toBe(true)
    late.done('close')
  })

  it('does not pile up old ones for what cannot be sent again', async () => {
    const backend = await startBackend()
    let now = 0
    const { set, cluster } = inFrontOf([backend.address], {}, { now: () => now })
    for (let i = 0; i < 6; i++) {
      const lease = await lend(cluster, { unrepeatable: true })
      await exchange(lease)
      lease.done('reusable')
      now += 1_050
    }
    expect(set.sizes.idle).toBe(2)
  })

  it('keeps away from what an exchange excludes, as long as there are others', async () => {
    const [a, b] = [await startBackend(), await startBackend()]
    const { cluster } = inFrontOf([a.address, b.address])
    for (let i = 0; i < 10; i++) {
      const lease = await lend(cluster, { exclude: new Set([a.address]) })
      expect(lease.address).toBe(b.address)
      lease.done('close')
    }
    const lease = await lend(cluster, { exclude: new Set([a.address, b.address]) })
    lease.done('close')
  })

  it('has nobody to offer without endpoints', async () => {
    const set = startSet()
    expect(await failure(lend(set.hold('shop/none:80')))).toBe('SLUICE_NO_ENDPOINT')
    expect(set.hold('shop/none:80').size).toBe(0)
  })
})

describe('endpoints that do not accept', () => {
  it('are gone past, and suspect from then on', async () => {
    const [dead, alive] = [await deadAddress(), await startBackend()]
    const { set, cluster } = inFrontOf([dead, alive.address])
    await eventually(() => {
      void lend(cluster, { fresh: true }).then(lease => lease.done('close'))
      return set.sizes.suspects === 1
    })
    const before = set.sizes.clusters.get(SERVICE)!.connectFailures
    for (let i = 0; i < 20; i++) await served(cluster)
    expect(set.sizes.clusters.get(SERVICE)!.connectFailures).toBe(before)
  })

  it('are tried each once, at most maxAttempts of them', async () => {
    const dead = await Promise.all(Array.from({ length: 5 }, deadAddress))
    const { cluster } = inFrontOf(dead)
    const { lease, tried } = wish(cluster)
    expect(await failure(lease)).toBe('SLUICE_CONNECT_FAILED')
    expect(new Set(tried).size).toBe(3)
    expect(tried).toHaveLength(3)
    // All are suspect in the end: they are tried nevertheless.
    for (let i = 0; i < 3; i++) expect(await failure(lend(cluster))).toBe('SLUICE_CONNECT_FAILED')
  })

  it('are served again when they are back, although they were suspect', async () => {
    const { address, server } = await startBackend()
    await new Promise(resolve => server.close(resolve))
    const { set, cluster } = inFrontOf([address])
    expect(await failure(lend(cluster))).toBe('SLUICE_CONNECT_FAILED')
    server.listen(Number(address.split(':')[1]), '127.0.0.1')
    await eventually(() => server.listening)
    await served(cluster)
    expect(set.sizes.suspects).toBe(0)
  })

  it('time out', async () => {
    const { cluster } = inFrontOf(
      ['192.0.2.1:80'],
      { connectTimeout: 30 },
      { connect: () => new FakeSocket(null) as never },
    )
    expect(await failure(lend(cluster))).toBe('SLUICE_CONNECT_TIMEOUT')
  })

  it('are not tried any more when attemptTime is over', async () => {
    let clock = 0
    const connect = (): Socket => {
      clock += 30
      return new FakeSocket(null) as never
    }
    const settings = { connectTimeout: 1, attemptTime: 40 }
    const addresses = ['192.0.2.1:80', '192.0.2.2:80', '192.0.2.3:80']
    const { cluster } = inFrontOf(addresses, settings, { now: () => clock, connect })
    const { lease, tried } = wish(cluster)
    expect(await failure(lease)).toBe('SLUICE_CONNECT_TIMEOUT')
    expect(tried).toHaveLength(2)
  })

  it('are not blamed for an address that cannot be', async () => {
    const { cluster } = inFrontOf(['127.0.0.1:99999', '127.0.0.1:99998'])
    expect(await failure(lend(cluster))).toBe('SLUICE_CONNECT_FAILED')
  })

  it.each(['EMFILE', 'ENFILE', 'ENOMEM', 'EADDRNOTAVAIL', 'ENOBUFS', 'EAGAIN'])(
    'are neither blamed nor followed by others where %s is our own fault',
    async code => {
      const connect = (): Socket => {
        const socket = new FakeSocket(null)
        socket.destroy(Object.assign(new Error(code), { code }))
        return socket as never
      }
      const { set, cluster } = inFrontOf(['192.0.2.1:80', '192.0.2.2:80'], {}, { connect })
      const { lease, tried } = wish(cluster)
      expect(await failure(lease)).toBe('SLUICE_LOCAL_RESOURCES')
      expect(tried).toHaveLength(1)
      expect(set.sizes).toMatchObject({ suspects: 0, open: 0 })
      expect(set.sizes.clusters.get(SERVICE)).toMatchObject({ connectFailures: 0, localFailures: 1 })
    },
  )

  it('are probed at once, all of them, when the first is back after all were gone', async () => {
    let gone = true
    let clock = 0
    const open = tcpConnector()
    const connect: Connect = (host, port, onData) => {
      if (!gone) return open(host, port, onData)
      const socket = new FakeSocket(null)
      socket.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
      return socket as never
    }
    const backends = await Promise.all([startBackend(), startBackend(), startBackend()])
    const addresses = backends.map(backend => backend.address)
    const { set, cluster } = inFrontOf(addresses, {}, { connect, now: () => clock })
    for (clock = 0; clock < 60_000; clock += 1_000) expect(await failure(lend(cluster))).toBe('SLUICE_CONNECT_FAILED')
    expect(set.sizes.suspects).toBe(3)
    gone = false
    for (let i = 0; i < 100; i++) await served(cluster)
    expect(set.sizes.suspects).toBe(0)
    expect(backends.map(backend => backend.accepted.length > 0)).toEqual([true, true, true])
  })

  it('are suspect after three broken exchanges in a row, and not when the client left', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    const end = async (result: 'failed' | 'close', answered: boolean): Promise<void> => {
      const lease = await lend(cluster)
      if (answered) await exchange(lease)
      lease.done(result)
    }
    await end('failed', false)
    await end('failed', false)
    await end('close', true)
    await end('failed', false)
    await end('failed', false)
    await end('close', false)
    expect(set.sizes.suspects).toBe(0)
    await end('failed', false)
    expect(set.sizes.suspects).toBe(1)
    await end('close', false)
    expect(set.sizes.suspects).toBe(1)
    await end('close', true)
    expect(set.sizes.suspects).toBe(0)
  })
})

describe('a wish that is taken back', () => {
  it('leaves its connection to the next one, and opens none for nobody', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    for (let i = 0; i < 20; i++) {
      const { cancel, lease } = wish(cluster)
      cancel()
      cancel()
      void lease.then(() => expect('leased').toBe('never'))
    }
    expect(set.sizes).toMatchObject({ open: 0, untaken: 1 })
    const lease = await lend(cluster)
    expect(lease.reused).toBe(false)
    lease.done('reusable')
    expect(backend.accepted).toHaveLength(1)
  })

  it('leaves its connection idle', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    wish(cluster).cancel()
    await eventually(() => set.sizes.idle === 1)
    const lease = await lend(cluster)
    // It may have been closed meanwhile as any other that was idle: `stale` applies.
    expect(lease.reused).toBe(true)
    lease.done('reusable')
    expect(backend.accepted).toHaveLength(1)
    expect(set.sizes).toMatchObject({ untaken: 0, open: 0 })
  })

  it('puts back a connection that was being looked at', async () => {
    let late = 0
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address], {}, { now: () => performance.now() + late })
    await served(cluster)
    late = 2_000
    wish(cluster).cancel()
    expect(set.sizes).toMatchObject({ open: 0, idle: 0 })
    await eventually(() => set.sizes.idle === 1)
    expect(await served(cluster)).toMatchObject({ reused: true })
  })

  it('leaves nothing where the endpoint is gone', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    wish(cluster).cancel()
    const late = wish(cluster, { fresh: true })
    set.apply(named({ [SERVICE]: [] }))
    late.cancel()
    expect(set.sizes).toMatchObject({ endpoints: 0, idle: 0, untaken: 0, open: 0 })
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(backend.open.size).toBe(0)
  })
})

describe('a wish for an endpoint that goes meanwhile', () => {
  const connecting = (): { set: ClusterSet; cluster: Cluster; sockets: FakeSocket[] } => {
    const sockets: FakeSocket[] = []
    const connect = (): Socket => {
      sockets.push(new FakeSocket(null))
      return sockets.at(-1) as never
    }
    return { ...inFrontOf(['10.0.0.1:80'], {}, { connect }), sockets }
  }

  it('has nothing opened for nobody, whichever comes first', () => {
    for (const cancelFirst of [true, false]) {
      const { set, cluster, sockets } = connecting()
      const { cancel } = wish(cluster)
      if (cancelFirst) cancel()
      set.apply(named({ [SERVICE]: [] }))
      cancel()
      expect(sockets.map(socket => socket.destroyed)).toEqual([true])
    }
  })

  it('is granted', async () => {
    const { set, cluster, sockets } = connecting()
    const { lease } = wish(cluster)
    set.apply(named({ [SERVICE]: [] }))
    sockets[0]!.emit('connect')
    const granted = await lease
    expect(granted.connection.socket.destroyed).toBe(false)
    granted.done('reusable')
    expect(granted.connection.socket.destroyed).toBe(true)
  })
})

describe('limits', () => {
  it('maxRequestsPerConnection ends a connection', async () => {
    const backend = await startBackend()
    const { cluster } = inFrontOf([backend.address], { maxRequestsPerConnection: 3 })
    for (let i = 0; i < 7; i++) await served(cluster)
    expect(backend.accepted).toHaveLength(3)
  })

  it('maxAge and idleTimeout keep an old connection from being lent, even before the sweep', async () => {
    let late = 0
    const backend = await startBackend()
    const settings = { maxAge: 10_000, idleTimeout: 6_000 }
    const { cluster } = inFrontOf([backend.address], settings, { now: () => performance.now() + late })
    await served(cluster)
    late = 5_000
    expect(await served(cluster)).toMatchObject({ reused: true })
    late = 10_001
    expect(await served(cluster)).toMatchObject({ reused: false })
    late += 6_001
    expect(await served(cluster)).toMatchObject({ reused: false })
    expect(backend.accepted).toHaveLength(3)
  })

  it('maxIdlePerEndpoint closes the one that was unused for longest', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address], { maxIdlePerEndpoint: 2 })
    const leases = await Promise.all([lend(cluster), lend(cluster), lend(cluster)])
    for (const lease of leases) lease.done('reusable')
    expect(set.sizes.idle).toBe(2)
    expect(leases.map(lease => lease.connection.socket.destroyed)).toEqual([true, false, false])
  })

  it('maxIdlePerEndpoint 0 keeps none', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address], { maxIdlePerEndpoint: 0 })
    for (let i = 0; i < 3; i++) await served(cluster)
    expect(backend.accepted).toHaveLength(3)
    expect(set.sizes.idle).toBe(0)
  })

  it('maxConnectionsPerEndpoint sends to the next endpoint, then says that all are full', async () => {
    const [a, b] = [await startBackend(), await startBackend()]
    const { set, cluster } = inFrontOf([a.address, b.address], { maxConnectionsPerEndpoint: 2 })
    const leases = await Promise.all([lend(cluster), lend(cluster), lend(cluster), lend(cluster)])
    expect(new Set(leases.map(lease => lease.address)).size).toBe(2)
    expect(await failure(lend(cluster))).toBe('SLUICE_ENDPOINTS_FULL')
    leases[0].done('reusable')
    const last = await lend(cluster)
    expect(last.connection).toBe(leases[0].connection)
    for (const lease of [...leases.slice(1), last]) lease.done('reusable')
    // Idle connections make room for a fresh one.
    const fresh = await lend(cluster, { fresh: true })
    expect(fresh.reused).toBe(false)
    expect(set.sizes).toMatchObject({ open: 1, idle: 3 })
    fresh.done('close')
  })

  it('idle memory shrinks after a burst of 300', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address], { maxIdlePerEndpoint: 50, idleTimeout: 100 })
    const leases = await Promise.all(Array.from({ length: 300 }, () => lend(cluster)))
    expect(set.sizes.open).toBe(300)
    for (const lease of leases) lease.done('reusable')
    expect(set.sizes).toMatchObject({ open: 0, idle: 50 })
    await eventually(() => set.sizes.idle === 0)
    await eventually(() => backend.open.size === 0)
    expect(backend.accepted).toHaveLength(300)
  })
})

describe('following the operator', () => {
  it('closes what is idle at an endpoint that goes, and what is lent when it comes back', async () => {
    const [a, b] = [await startBackend(), await startBackend()]
    const { set, cluster } = inFrontOf([a.address])
    const [lent, idle] = await Promise.all([lend(cluster), lend(cluster)])
    idle.done('reusable')
    set.apply(named({ [SERVICE]: [b.address] }))
    expect(idle.connection.socket.destroyed).toBe(true)
    expect(await exchange(lent)).toBe('ok')
    lent.done('reusable')
    expect(lent.connection.socket.destroyed).toBe(true)
    expect((await served(cluster)).address).toBe(b.address)
    expect(set.sizes).toMatchObject({ endpoints: 1, open: 0, idle: 1 })
  })

  it('shares connections between Services that name the same address, until the last one drops it', async () => {
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address, backend.address])
    expect(cluster.size).toBe(1)
    set.apply(named({ 'shop/other:80': [backend.address] }))
    const other = set.hold('shop/other:80')
    await served(cluster)
    expect(await served(other)).toMatchObject({ reused: true })
    set.apply(named({}, [SERVICE, 'shop/unknown:80']))
    expect([cluster.size, other.size, set.sizes.idle]).toEqual([0, 1, 1])
    // From one Service to another in one step: the connection stays.
    set.apply(named({ [SERVICE]: [backend.address] }, ['shop/other:80']))
    expect([cluster.size, other.size, set.sizes.idle]).toEqual([1, 0, 1])
    set.apply(named({}, [SERVICE]))
    expect(set.sizes).toMatchObject({ endpoints: 0, idle: 0 })
    await eventually(() => backend.open.size === 0)
  })

  it('keeps a cluster while it is held or named', () => {
    const set = startSet()
    const cluster = set.hold(SERVICE)
    expect(set.hold(SERVICE)).toBe(cluster)
    set.release(SERVICE)
    set.apply(named({ [SERVICE]: ['10.0.0.1:80'] }))
    set.release(SERVICE)
    set.release(SERVICE)
    expect(set.hold(SERVICE)).toBe(cluster)
    set.release(SERVICE)
    set.apply(named({}, [SERVICE]))
    expect(set.sizes.clusters.size).toBe(0)
    expect(set.hold(SERVICE)).not.toBe(cluster)
  })

  it('destroy leaves no socket and no timer', async () => {
    const started = jest.spyOn(globalThis, 'setInterval')
    const stopped = jest.spyOn(globalThis, 'clearInterval')
    const backend = await startBackend()
    const { set, cluster } = inFrontOf([backend.address])
    const lent = await lend(cluster)
    await served(cluster)
    wish(cluster, { fresh: true }).cancel()
    expect(started).toHaveBeenCalledTimes(1)
    expect(stopped).not.toHaveBeenCalled()
    const timer = started.mock.results[0]!.value as NodeJS.Timeout
    expect(timer.hasRef()).toBe(false)
    set.destroy()
    expect(stopped).toHaveBeenCalledWith(timer)
    expect(await failure(lend(cluster))).toBe('SLUICE_NO_ENDPOINT')
    lent.done('reusable')
    await eventually(() => backend.open.size === 0)
    expect(started).toHaveBeenCalledTimes(1)
    jest.restoreAllMocks()
  })
})

/** A connection without a network, for simulated time. @param after ms until it is open; null: never */
class FakeSocket extends Duplex {
  constructor(after: number | null) {
    super({ read: () => undefined, write: (_chunk, _encoding, done) => done() })
    if (after !== null) setTimeout(() => this.emit('connect'), after)
  }
}

describe('whatever happens', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  it('counts are right, and in the end nothing is left', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'performance'] })
    const number = fc.nat(1_000)
    const step = fc.oneof(
      fc.record({ what: fc.constant('lease' as const), fresh: fc.boolean(), exclude: fc.boolean(), cluster: number }),
      fc.record({ what: fc.constant('cancel' as const), which: number }),
      fc.record({
        what: fc.constant('done' as const),
        which: number,
        result: fc.constantFrom<LeaseResult[]>('reusable', 'reusable', 'close', 'failed', 'stale'),
      }),
      fc.record({ what: fc.constant('break' as const), which: number }),
      fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(1, 10, 100, 1_500, 9_000) }),
      fc.record({ what: fc.constant('name' as const), cluster: number, bits: fc.nat(15), reset: fc.boolean() }),
    )
    const settings = fc.record({
      maxIdlePerEndpoint: fc.constantFrom(0, 1, 3),
      maxConnectionsPerEndpoint: fc.constantFrom(0, 2),
      maxRequestsPerConnection: fc.constantFrom(2, 100),
      maxAttempts: fc.constantFrom(1, 3),
      idleTimeout: fc.constantFrom(500, 20_000),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), settings, fc.nat(), async (steps, chosen, seed) => {
        const start = Date.now()
        const sockets: FakeSocket[] = []
        // Opens at once, after a while, or never; or refuses.
        const connect = (host: string): Socket => {
          const kind = Number(host.split('.')[3])
          const socket = new FakeSocket(kind === 3 ? null : kind * 5)
          if (kind === 4) socket.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
          sockets.push(socket)
          return socket as never
        }
        const random = randomOf(seed)
        const now = (): number => Date.now() - start
        const set = new ClusterSet({ ...UPSTREAM_DEFAULTS, ...chosen }, { connect, now, random })
        const clusters = ['a/a:1', 'b/b:1'].map(service => set.hold(service))
        const wishes: { cancel: () => void; over: boolean; lease: Lease | null }[] = []
        /** What metrics know: of all Services, and of all endpoints. */
        const known = { services: 0, endpoints: 0, idle: 0 }
        const told = (): typeof known => {
          const { names, figures } = set.flush() ?? { names: [], figures: [] }
          names.forEach(({ endpoint }, i) => {
            const at = (column: number): number => figures[i * TALLY_WIDTH + column] ?? 0
            known[endpoint === null ? 'services' : 'endpoints'] += at(OPEN)
            known.idle += at(IDLE)
          })
          return known
        }
        const lent = (): Lease[] => wishes.flatMap(({ lease }) => lease ?? [])
        const awaited = (): number => wishes.filter(wish => !wish.over).length
        set.apply(named({ 'a/a:1': ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:80'] }))
        for (const step of steps) {
          if (step.what === 'lease') {
            const wish = { cancel: (): void => undefined, over: false, lease: null as Lease | null }
            wishes.push(wish)
            const end = (lease: Lease | null): void => {
              expect(wish.over).toBe(false)
              wish.over = true
              wish.lease = lease
              expect(lease?.connection.reader ?? null).toBeNull()
              expect(
                wishes.filter(other => lease !== null && other.lease?.connection === lease.connection).length,
              ).toBe(lease === null ? 0 : 1)
            }
            wish.cancel = clusters[step.cluster % 2]!.lease(
              {
                ...PLAIN_REQUEST,
                ...{ fresh: step.fresh, exclude: step.exclude ? new Set(['10.0.0.2:80']) : null },
              },
              { trying: () => undefined, leased: end, failed: () => end(null) },
            )
          } else if (step.what === 'cancel') {
            const wish = wishes[step.which % Math.max(1, wishes.length)]
            wish?.cancel()
            if (wish) wish.over = true
          } else if (step.what === 'done') {
            const wish = wishes.filter(({ lease }) => lease !== null)[step.which % Math.max(1, lent().length)]
            wish?.lease?.done(step.result)
            if (wish) wish.lease = null
          } else if (step.what === 'break') sockets[step.which % Math.max(1, sockets.length)]?.destroy()
          else if (step.what === 'pass') await jest.advanceTimersByTimeAsync(step.ms)
          else {
            const addresses = [1, 2, 3, 4].filter(i => (step.bits >> (i - 1)) & 1).map(i => `10.0.0.${i}:80`)
            const [one, other] = step.cluster % 2 === 0 ? ['a/a:1', 'b/b:1'] : ['b/b:1', 'a/a:1']
            set.apply(named({ [one]: addresses }, step.reset ? [other] : []))
          }
          const { open, idle, endpoints } = set.sizes
          if (step.what === 'pass') expect(told()).toEqual({ services: open, endpoints: open, idle })
          expect(open).toBe(lent().length + awaited())
          expect(idle).toBeLessThanOrEqual(endpoints * chosen.maxIdlePerEndpoint)
        }
        await jest.advanceTimersByTimeAsync(10_000)
        expect(awaited()).toBe(0)
        for (const lease of lent()) lease.done('reusable')
        expect(set.sizes).toMatchObject({ open: 0, untaken: 0 })
        const alive = sockets.filter(socket => !socket.destroyed)
        expect(alive).toHaveLength(set.sizes.idle)
        await jest.advanceTimersByTimeAsync(30_000)
        expect(set.sizes.idle).toBe(0)
        expect(sockets.filter(socket => !socket.destroyed)).toEqual([])
        expect(jest.getTimerCount()).toBe(0)
        expect(told()).toEqual({ services: 0, endpoints: 0, idle: 0 })
        set.destroy()
      }),
      { numRuns: 300 },
    )
  })
})

describe('simulated', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  it('a node that is lost with connections open keeps few requests waiting, and none that comes later', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'performance'] })
    const start = Date.now()
    const now = (): number => Date.now() - start
    let lost = false
    const connect = (host: string): Socket => new FakeSocket(lost && host === '10.0.0.1' ? null : 1) as never
    const addresses = [1, 2, 3, 4].map(i => `10.0.0.${i}:80`)
    const { cluster } = inFrontOf(addresses, {}, { now, connect })
    let hung = 0
    for (let i = 0; i < 6_000; i++) {
      lost = i > 1_000
      cluster.lease(PLAIN_REQUEST, {
        trying: () => undefined,
        failed: () => undefined,
        leased: lease => {
          const hangs = lost && lease.address === '10.0.0.1:80'
          if (hangs) hung++
          // UPSTREAM_HEADERS_TIMEOUT, or an answer.
          setTimeout(() => lease.done(hangs ? 'failed' : 'reusable'), hangs ? 60_000 : 20)
        },
      })
      await jest.advanceTimersByTimeAsync(10)
    }
    expect(hung).toBeLessThan(20)
    expect(hung).toBeGreaterThan(0)
  })

  it('a lost node costs a handful of requests of 6000 the connect timeout', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'performance'] })
    const start = Date.now()
    const now = (): number => Date.now() - start
    const connect = (host: string): Socket => new FakeSocket(host === '10.0.0.1' ? null : 1) as never
    const addresses = [1, 2, 3, 4].map(i => `10.0.0.${i}:80`)
    const { set, cluster } = inFrontOf(addresses, {}, { now, connect })
    let waited = 0
    let answered = 0
    for (let i = 0; i < 6_000; i++) {
      const begun = now()
      cluster.lease(PLAIN_REQUEST, {
        trying: () => undefined,
        failed: error => {
          throw error
        },
        leased: lease => {
          if (now() - begun >= 1_000) waited++
          setTimeout(() => {
            answered++
            lease.done('reusable')
          }, 20)
        },
      })
      await jest.advanceTimersByTimeAsync(10)
    }
    await jest.advanceTimersByTimeAsync(5_000)
    expect(answered).toBe(6_000)
    // Round robin with a pause of 5 s for all had 504.
    expect(waited).toBeLessThan(20)
    expect(waited).toBeGreaterThan(0)
    expect(set.sizes.clusters.get(SERVICE)).toMatchObject({ probes: 3, desperate: 0 })
  })
})
