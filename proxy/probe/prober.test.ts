import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { ObservedProbe } from '../../protocol/messages.ts'
import { Prober } from './prober.ts'
import type { ProbeAnswer, ProbeRequest } from './self.ts'

const OBJECT = 'Ingress/ns/web'
const PROBE: ObservedProbe = {
  ...{ object: OBJECT, id: 'p', method: 'GET', scheme: 'http', host: 'a.example', path: '/', headers: [] },
  ...{
    expect: [
      [200, 299],
      [401, 401],
    ],
    timeoutMs: 1_000,
    intervalMs: 5_000,
  },
}
const OK: ProbeAnswer = { status: 200, error: null, object: OBJECT }

class World {
  revision: string | null = 'r1'
  answer: ProbeAnswer | null = OK
  /** While it is asked. */
  meanwhile: () => void = () => undefined
  readonly asked: ProbeRequest[] = []
  readonly prober = new Prober({
    ask: async probe => {
      this.asked.push(probe)
      await new Promise(resolve => setTimeout(resolve, 10))
      this.meanwhile()
      return this.answer
    },
    revision: () => this.revision,
  })
}

let world: World
beforeEach(() => {
  jest.useFakeTimers()
  world = new World()
})
afterEach(() => {
  world.prober.end()
  jest.useRealTimers()
})
const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms)

describe('Prober', () => {
  it('asks within a second, then once an interval, and counts since the last report', async () => {
    world.prober.observe([PROBE])
    await pass(1_100)
    expect(world.asked).toHaveLength(1)
    expect(world.prober.take()).toEqual({
      [OBJECT]: {
        revision: 'r1',
        probes: { p: { ok: 1, failed: 0, own: 1, failedInRow: 0, status: 200, error: null } },
      },
    })
    expect(world.prober.take()).toEqual({})
    world.answer = { status: 500, error: null, object: OBJECT }
    await pass(10_000)
    expect(world.asked).toHaveLength(3)
    expect(world.prober.take()[OBJECT]?.probes['p']).toMatchObject({ ok: 0, failed: 2, failedInRow: 2, status: 500 })
    await pass(5_000)
    expect(world.prober.take()[OBJECT]?.probes['p']).toMatchObject({ failed: 1, failedInRow: 3 })
    expect(world.prober.totals).toEqual({ ok: 1, failed: 3 })
  })

  it.each([
    ['a status in a range', { status: 299 }, 1],
    ['a status by itself', { status: 401 }, 1],
    ['another one', { status: 302 }, 0],
    ['an answer that broke off', { status: 200, error: 'ECONNRESET' }, 0],
    ['none', { status: null, error: 'ECONNRESET' }, 0],
  ])('takes %s for what it is', async (_name, change, ok) => {
    world.answer = { ...OK, ...change }
    world.prober.observe([PROBE])
    await pass(1_100)
    expect(world.prober.take()[OBJECT]?.probes['p']).toMatchObject({ ok, failed: 1 - ok })
  })

  it('counts nothing where no worker could say, or the revision changed meanwhile', async () => {
    world.answer = null
    world.prober.observe([PROBE])
    await pass(1_100)
    expect(world.prober.take()).toEqual({})
    world.answer = OK
    world.meanwhile = () => (world.revision = 'r2')
    await pass(5_000)
    expect(world.asked).toHaveLength(2)
    expect(world.prober.take()).toEqual({})
    expect(world.prober.totals).toEqual({ ok: 0, failed: 0 })
  })

  it('begins anew with another revision, failures in a row too', async () => {
    world.answer = { ...OK, status: 500 }
    world.prober.observe([PROBE])
    await pass(6_100)
    world.revision = 'r2'
    expect(world.prober.take()).toEqual({})
    await pass(5_000)
    expect(world.prober.take()[OBJECT]).toMatchObject({ revision: 'r2', probes: { p: { failed: 1, failedInRow: 1 } } })
  })

  it('says which answers were not of the object', async () => {
    world.answer = { ...OK, object: 'Ingress/ns/other' }
    world.prober.observe([PROBE])
    await pass(1_100)
    expect(world.prober.take()[OBJECT]?.probes['p']).toMatchObject({ ok: 1, own: 0 })
  })

  it('stops what is not asked for any more, and goes on with what still is', async () => {
    world.prober.observe([PROBE, { ...PROBE, id: 'q' }])
    await pass(1_100)
    world.prober.observe([PROBE])
    await pass(5_000)
    expect(Object.keys(world.prober.take()[OBJECT]?.probes ?? {})).toEqual(['p'])
    world.prober.observe([])
    const { length } = world.asked
    await pass(60_000)
    expect(world.asked).toHaveLength(length)
    world.prober.observe([PROBE])
    world.prober.end()
    world.prober.observe([PROBE])
    await pass(60_000)
    expect(world.asked).toHaveLength(length)
  })
})
