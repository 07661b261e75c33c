import { ownSecrets } from '../frontdoor/ticket-keys.ts'
import { EventEmitter } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { dataPlaneConfig } from '../config.ts'
import { endpoints, fragment, host, path, upsert } from '../table/testing/fixtures.ts'
import { smallWriter } from '../table/testing/one-thread.ts'
import { keptOf, readerOf } from '../table/testing/stored.ts'
import { EMPTY_UPDATE, type Published, type TableUpdate } from '../table/update.ts'
import type { Explained } from './explain.ts'
import { WorkerFleet } from './fleet.ts'
import { TEST_ENVIRONMENT } from './testing/harness.ts'
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts'
import { Vitals } from './heartbeat.ts'

/** A worker that does at once what it is told, and beats when the test says so. */
class FakeWorker extends EventEmitter {
  readonly threadId = 1
  readonly vitals: Vitals
  readonly told: ToWorker['type'][] = []
  /** Of each update. */
  readonly updates: Published[] = []
  /** It confirms nothing. */
  silent = false
  /** Native code that never returns: no thread can be ended there. */
  endless = false

  constructor(setup: WorkerSetup) {
    super()
    this.vitals = new Vitals(setup.vitals)
    queueMicrotask(() => this.#say({ type: 'started' }))
  }

  postMessage(message: ToWorker): void {
    this.told.push(message.type)
    if (message.type === 'update') onUpdate?.(this)
    if (message.type === 'update') this.updates.push(message.update)
    if (message.type === 'update' && !this.silent) {
      const { sequence, update } = message
      this.#say({ type: 'applied', sequence, generation: update.generation })
    }
    if (message.type === 'listen') this.#say({ type: 'listening', httpPort: 1, httpsPort: 2 })
    if (message.type === 'stop') this.emit('exit', 0)
  }

  terminate(): Promise<number> {
    if (!this.endless) queueMicrotask(() => this.emit('exit', 1))
    return Promise.resolve(1)
  }

  #say(message: FromWorker): void {
    queueMicrotask(() => this.emit('message', message))
  }
}

const logged: string[] = []
/** Called when a worker gets an update. */
let onUpdate: ((worker: FakeWorker) => void) | null = null
let workers: FakeWorker[] = []
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick'] })
  logged.length = 0
  onUpdate = null
  workers = []
})
afterEach(() => {
  jest.useRealTimers()
})

async function start(
  env: Readonly<Record<string, string>> = {},
  onFields: (fields: object) => unknown = () => undefined,
): Promise<WorkerFleet> {
  const note = (fields: object, message: string): void => {
    logged.push(message)
    onFields(fields)
  }
  const fleet = new WorkerFleet({
    setup: {
      config: dataPlaneConfig({ ...TEST_ENVIRONMENT, WORKERS: '2', ...env }),
      defaultCertificate: { chain: '', privateKey: '' },
      ticketSecrets: ownSecrets(new Uint8Array(32)),
    },
    spawn: setup => {
      const worker = new FakeWorker(setup)
      workers.push(worker)
      return worker as unknown as Worker
    },
    ...{
      onCounts: () => undefined,
      onUpstream: () => undefined,
      onGone: () => undefined,
      onLines: () => undefined,
      log: { warn: note, error: note },
    },
  })
  await fleet.start()
  return fleet
}

/** Time passes; these workers beat meanwhile. */
async function pass(milliseconds: number, ...beating: readonly FakeWorker[]): Promise<void> {
  for (let i = 0; i < milliseconds; i += 250) {
    for (const { vitals } of beating) vitals.beat(1, 2_048, null)
    await jest.advanceTimersByTimeAsync(250)
  }
}

describe('WorkerFleet', () => {
  it('lets nobody listen before the first table, and the others follow the port that the first one got', async () => {
    const fleet = await start()
    expect(workers.flatMap(({ told }) => told)).toEqual([])
    await fleet.apply(EMPTY_UPDATE)
    expect(workers.map(({ told }) => told)).toEqual([
      ['update', 'listen'],
      ['update', 'listen'],
    ])
    expect(fleet.ports).toEqual({ httpPort: 1, httpsPort: 2 })
    expect([fleet.ready, fleet.serving]).toEqual([true, 2])
    await fleet.stop()
  })

  /** Of one Ingress, with so many Services. */
  function stored(services: number) {
    const writer = smallWriter()
    writer.apply(upsert(fragment('web', [host('web.example', path('Prefix /'))])), 0)
    const list = Array.from({ length: services }, (_, i) => [`ns/s${i}:80`, ['10.0.0.1:80']] as const)
    return readerOf(keptOf(writer), { endpoints: list })
  }

  it('serves a table that was stored as a first one, its Services in pieces before it, and goes on from there', async () => {
    const fleet = await start()
    const restored = await fleet.restore(stored(1_200))
    expect(restored?.generation).toBe(1)
    const told = workers[0]?.updates.map(({ generation, endpoints: { upsert: some } }) => [generation, some.size])
    expect(told).toEqual([
      [0, 500],
      [0, 500],
      [0, 200],
      [1, 0],
    ])
    expect(workers[1]?.told.at(-1)).toBe('listen')
    expect([fleet.ready, fleet.table.sizes.services]).toEqual([true, 1_200])
    expect(fleet.table.revisions()).toEqual({ 'Ingress/ns/web': 'r1' })
    expect(await fleet.apply(upsert(fragment('next', [host('next.example', path('Prefix /'))])))).toBe(2)
    expect(fleet.table.sizes.ingresses).toBe(2)
    await fleet.stop()
  })

  it('has no table where none was stored, or it could not be read', async () => {
    const fleet = await start()
    expect(await fleet.restore(() => Promise.resolve(null))).toBeNull()
    await expect(fleet.restore(() => Promise.reject(new Error('the disk')))).rejects.toThrow('the disk')
    expect(workers.flatMap(({ told }) => told)).toEqual([])
    expect([fleet.ready, fleet.appliedAt, fleet.broken]).toEqual([false, null, null])
    await fleet.apply(EMPTY_UPDATE)
    expect(fleet.ready).toBe(true)
    await fleet.stop()
  })

  it('serves nothing any more when that is withdrawn, counts no crash, and takes a first table as at the start', async () => {
    const fleet = await start()
    await fleet.restore(stored(2))
    await pass(2_000, ...workers)
    const before = fleet.table
    const withdrawn = fleet.withdraw()
    await Promise.resolve()
    expect(fleet.ready).toBe(false)
    await pass(1_000)
    await withdrawn
    expect(workers).toHaveLength(4)
    expect(workers.slice(2).flatMap(({ told }) => told)).toEqual([])
    expect([fleet.crashes, fleet.stalls, fleet.listening, fleet.appliedAt]).toEqual([0, 0, 0, null])
    expect(fleet.table).not.toBe(before)
    expect(fleet.table.sizes).toMatchObject({ ingresses: 0, services: 0 })
    expect(await fleet.apply(EMPTY_UPDATE)).toBe(1)
    expect(workers.slice(2).map(({ told }) => told)).toEqual([
      ['update', 'listen'],
      ['update', 'listen'],
    ])
    expect(fleet.ready).toBe(true)
    await fleet.stop()
  })

  it('withdraws while it drains, and waits for nobody who will not come', async () => {
    const fleet = await start()
    await fleet.restore(stored(2))
    const drained = fleet.drain(1_000)
    await pass(1_000)
    await drained
    await fleet.withdraw()
    await fleet.stop()
    expect(workers).toHaveLength(2)
  })

  it('sends the next update although one could not be sent', async () => {
    const fleet = await start()
    onUpdate = () => {
      throw new TypeError('a defect')
    }
    await expect(fleet.apply(EMPTY_UPDATE)).rejects.toThrow('a defect')
    onUpdate = null
    await fleet.apply(upsert(fragment('next', [host('next.example', path('Prefix /'))])))
    expect(workers[0]?.updates.map(({ generation }) => generation)).toEqual([2])
    await fleet.stop()
  })

  it('says when an update is written, and when it is served, of which generation', async () => {
    const fleet = await start()
    await fleet.apply(EMPTY_UPDATE)
    for (const worker of workers) worker.silent = true
    const applied = fleet.apply(named(1_200))
    let written = false
    void fleet.written().then(() => (written = true))
    while (!written) await jest.advanceTimersByTimeAsync(0)
    // Before the workers were told of more than the first Services.
    expect(workers.map(({ updates }) => updates.length)).toEqual([2, 2])
    const objects = fleet.objects()
    expect([objects.generation, objects.revision('Ingress/ns/web-7')]).toEqual([2, 'r1'])
    for (const worker of workers) worker.silent = false
    const next = fleet.apply(upsert(fragment('web-7', [], { revision: 'r2' })))
    await jest.advanceTimersByTimeAsync(2_000)
    expect(await Promise.all([applied, next])).toEqual([2, 3])
    expect([objects.revision('Ingress/ns/web-7'), fleet.objects().revision('Ingress/ns/web-7')]).toEqual(['r1', 'r2'])
    await fleet.stop()
  })

  /** So many Ingresses, each with a Service of its own. */
  const named = (count: number): TableUpdate => {
    const names = Array.from({ length: count }, (_, n) => `web-${n}`)
    const fragments = names.map(name => fragment(name, [host(`${name}.example`, path('Prefix /', `ns/${name}:80`))]))
    const addresses = Object.fromEntries(names.map(name => [`ns/${name}:80`, ['10.0.0.1:80']]))
    return { ...upsert(...fragments), endpoints: endpoints(addresses).endpoints }
  }
  const services = ({ endpoints: { upsert: come, remove } }: Published): number => come.size + remove.length

  it('tells of many Services in pieces, each when the one before is served, of the table between them, and then of the next update', async () => {
    const fleet = await start()
    await fleet.apply(EMPTY_UPDATE)
    const [first, second] = workers
    if (!first || !second) throw new Error('there are two')
    second.silent = true
    const big = fleet.apply(named(1_200))
    const small = fleet.apply(upsert(fragment('last', [host('last.example', path('Prefix /'))])))
    while (first.updates.length < 2) await jest.advanceTimersByTimeAsync(0)
    await jest.advanceTimersByTimeAsync(100)
    expect(first.updates.map(services)).toEqual([0, 500])
    // One that hangs does not keep it from the others for ever.
    while (first.updates.length < 6) await jest.advanceTimersByTimeAsync(100)
    expect(first.updates.map(services)).toEqual([0, 500, 500, 200, 0, 0])
    // What the table needs is there before it.
    expect(first.updates.map(({ generation }) => generation)).toEqual([1, 1, 1, 1, 2, 3])
    second.silent = false
    await fleet.apply(EMPTY_UPDATE)
    await Promise.all([big, small])
    const reset = fleet.apply({ ...EMPTY_UPDATE, reset: true })
    await jest.advanceTimersByTimeAsync(100)
    await reset
    // And what it needs no more goes after it.
    expect(first.updates.slice(7).map(services)).toEqual([0, 500, 500, 200])
    expect(new Set(first.updates.slice(7).map(({ generation }) => generation))).toEqual(new Set([5]))
    await fleet.stop()
  }, 30_000)

  it('lets nobody listen before the last piece of a big first table', async () => {
    const fleet = await start()
    const applied = fleet.apply({ ...named(1_200), reset: true })
    await jest.advanceTimersByTimeAsync(100)
    await applied
    for (const { told } of workers) expect(told).toEqual(['update', 'update', 'update', 'update', 'listen'])
    await fleet.stop()
  })

  it('gives a worker that starts the endpoints in pieces, with what changes meanwhile, and waits for it', async () => {
    const fleet = await start()
    const applied = fleet.apply(named(1_200))
    await jest.advanceTimersByTimeAsync(100)
    await applied
    const updates: Promise<number>[] = []
    // With its first piece.
    onUpdate = worker => {
      if (worker !== workers[2] || updates.length > 0) return
      updates.push(fleet.apply(endpoints({ 'ns/late:80': ['10.0.0.2:80'] })))
    }
    workers[0]?.emit('exit', 1)
    while (updates.length === 0) await jest.advanceTimersByTimeAsync(100)
    await Promise.all(updates)
    const [, , third] = workers
    expect(third?.told.indexOf('listen')).toBe((third?.told.length ?? 0) - 1)
    // The late one as soon as it came, and again at its place.
    const sizes = third?.updates.map(services) ?? []
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(1_202)
    expect(Math.max(...sizes)).toBe(500)
    expect(fleet.listening).toBe(2)
    await fleet.stop()
  })

  it('shows nothing of an update that could not be written whole, and takes none after it', async () => {
    const fleet = await start()
    await fleet.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))])))
    const steps = jest.spyOn(fleet.table, 'steps').mockImplementationOnce(function* () {
      yield
      throw new RangeError('no more memory')
    })
    const next = upsert(fragment('next', [host('next.example', path('Prefix /'))]))
    await expect(fleet.apply(next)).rejects.toMatchObject({
      ...{ code: 'SLUICE_TABLE_BROKEN', cause: new RangeError('no more memory') },
    })
    await expect(fleet.apply(next)).rejects.toMatchObject({ code: 'SLUICE_TABLE_BROKEN' })
    expect(steps).toHaveBeenCalledTimes(1)
    expect(workers[0]?.updates.map(({ generation }) => generation)).toEqual([1])
    expect([fleet.ready, fleet.serving]).toEqual([true, 2])
    expect(fleet.broken).toMatch(/could not be written to the table.*: no more memory$/)
    await fleet.stop()
  })

  it('writes over nothing that a worker may read: not before all of them, and those that start, serve what came after', async () => {
    const fleet = await start()
    const web = (n: number): TableUpdate =>
      upsert(fragment('web', [host('a.example', path(`Prefix /${'x'.repeat(4_000)}${n}`))]))
    await fleet.apply(web(0))
    const [first, second] = workers
    if (!first || !second) throw new Error('there are two')
    const change = async (times: number, from: number): Promise<number> => {
      const last = fleet.table.generation + times
      for (let i = 0; i < times; i++) void fleet.apply(web(from + i))
      while (fleet.table.generation < last) await jest.advanceTimersByTimeAsync(1)
      return fleet.table.sizes.memoryBytes
    }
    const calm = await change(20, 100)
    expect(await change(20, 200)).toBeLessThan(calm + 20_000)
    second.silent = true
    expect(await change(20, 300)).toBeGreaterThan(calm + 60_000)
    // It is replaced by one that starts from what is the newest then.
    second.emit('exit', 1)
    await jest.advanceTimersByTimeAsync(5_000)
    expect(workers).toHaveLength(3)
    expect(await change(20, 400)).toBeLessThan(calm + 20_000)
    await fleet.stop()
  })

  it('lets nobody listen whose first table comes while it drains', async () => {
    const fleet = await start()
    fleet.announceDrain()
    await fleet.apply(EMPTY_UPDATE)
    expect(workers.flatMap(({ told }) => told)).not.toContain('listen')
    await fleet.stop()
  })

  it('counts a silent worker out after 3 s, replaces it after the time set, and leaves the other one alone', async () => {
    const fleet = await start()
    await fleet.apply(EMPTY_UPDATE)
    const [first, second] = workers as [FakeWorker, FakeWorker]
    await pass(3_250, second)
    expect([fleet.ready, fleet.serving]).toEqual([true, 1])
    expect(fleet.states()).toMatchObject([
      { number: 0, lagSeconds: 2.75 },
      { number: 1, lagSeconds: 0.001, heapBytes: 2_048 },
    ])
    await pass(6_500, second)
    expect(workers).toHaveLength(2)
    await pass(500, second)
    // It lived longer than a second: no pause.
    expect(workers).toHaveLength(3)
    expect([fleet.stalls, fleet.crashes, fleet.listening]).toEqual([1, 0, 2])
    expect(logged).toContain('worker 0 hangs: it is ended and replaced')
    expect(first.told).toEqual(['update', 'listen'])
    expect(workers[2]?.told).toEqual(['update', 'listen'])
    await fleet.stop()
  })

  it('logs the defect that ended a request, with its stack (finding 10)', async () => {
    const fields: object[] = []
    const fleet = await start({}, given => fields.push(given))
    workers[1]?.emit('message', { type: 'log', level: 'error', message: 'a defect', stack: 'at here' })
    expect([logged, fields]).toEqual([['a defect'], [{ worker: 1, stack: 'at here' }]])
    await fleet.stop()
  })

  it('is patient with a worker that has no table yet', async () => {
    const fleet = await start()
    await pass(50_000)
    expect(fleet.stalls).toBe(0)
    await pass(11_000)
    expect(fleet.stalls).toBe(2)
    await fleet.stop()
  })

  it('replaces none where that is switched off', async () => {
    const fleet = await start({ WORKER_STALL_TIMEOUT: '0' })
    await fleet.apply(EMPTY_UPDATE)
    await pass(100_000)
    expect([fleet.stalls, fleet.ready]).toEqual([0, false])
    expect(fleet.stuck).toBe(false)
    await fleet.stop()
  })

  describe('a question', () => {
    const question = { host: 'a.example', path: '/', fields: [] }
    const explained: Explained = { ok: false, reason: 'a test' }
    const answer = (worker: FakeWorker, sequence = 1): boolean =>
      worker.emit('message', { type: 'explained', sequence, explained } satisfies FromWorker)

    it('is answered without the worker that died while it waited, and leaves no waiter and no timer', async () => {
      const fleet = await start()
      await fleet.apply(EMPTY_UPDATE)
      const [first, second] = workers as [FakeWorker, FakeWorker]
      await pass(2_000, first, second)
      const timers = jest.getTimerCount()
      const answered = fleet.explain(question, 60_000)
      expect([first.told.at(-1), second.told.at(-1)]).toEqual(['explain', 'explain'])
      answer(first)
      expect([fleet.waiting, jest.getTimerCount()]).toEqual([1, timers + 1])
      second.emit('exit', 1)
      expect(await answered).toEqual({ asked: 2, answers: [explained] })
      // The timer that is left is that of the new worker, which starts.
      await pass(250, first)
      expect([workers.length, fleet.waiting, jest.getTimerCount()]).toEqual([3, 0, timers])
      // The new worker was not asked, and what the dead one may have said comes too late for anybody.
      expect(workers[2]?.told).not.toContain('explain')
      answer(workers[2]!)
      await fleet.stop()
      expect(fleet.waiting).toBe(0)
    })

    it('is answered at once where all die, and nobody is left to wait', async () => {
      const fleet = await start()
      await fleet.apply(EMPTY_UPDATE)
      const answered = fleet.explain(question, 60_000)
      for (const worker of workers.slice()) worker.emit('exit', 1)
      expect(await answered).toEqual({ asked: 2, answers: [] })
      expect(fleet.waiting).toBe(0)
      await fleet.stop()
    })

    it('does not wait for one that is silent for longer than it was told to', async () => {
      const fleet = await start()
      await fleet.apply(EMPTY_UPDATE)
      const timers = jest.getTimerCount()
      const answered = fleet.explain(question, 1_000)
      answer(workers[1]!)
      await jest.advanceTimersByTimeAsync(1_000)
      expect(await answered).toEqual({ asked: 2, answers: [explained] })
      expect([fleet.waiting, jest.getTimerCount()]).toEqual([0, timers])
      answer(workers[0]!)
      await fleet.stop()
    })
  })

  it('says when a worker cannot be ended', async () => {
    const fleet = await start()
    await fleet.apply(EMPTY_UPDATE)
    const [first, second] = workers as [FakeWorker, FakeWorker]
    first.endless = true
    await pass(15_000, second)
    expect([fleet.stalls, fleet.stuck]).toEqual([1, false])
    await pass(6_000, second)
    expect([fleet.stalls, fleet.stuck]).toEqual([1, true])
    expect(workers).toHaveLength(2)
  })
})
