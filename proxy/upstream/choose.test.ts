import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { MOST_LOOKS, nextInTurn, powerOfTwoChoices, quickerOfTwo, type Admission } from './choose.ts'
import { Latency } from './latency.ts'
import { randomOf } from '../../protocol/testing/random.ts'

interface Server {
  readonly id: number
  open: number
}

const servers = (count: number): Server[] => Array.from({ length: count }, (_, id) => ({ id, open: 0 }))
const everyone: Admission<Server> = { admits: () => true }

describe('powerOfTwoChoices', () => {
  it('finds nobody among none, and the only one', () => {
    expect(powerOfTwoChoices([], everyone, Math.random)).toBeNull()
    expect(powerOfTwoChoices(servers(1), everyone, Math.random)).toMatchObject({ id: 0 })
    expect(powerOfTwoChoices(servers(1), { admits: () => false }, Math.random)).toBeNull()
  })

  it('takes the less loaded of two', () => {
    const [busy, free] = [
      { id: 0, open: 3 },
      { id: 1, open: 2 },
    ]
    fc.assert(
      fc.property(fc.integer(), seed => {
        expect(powerOfTwoChoices([busy, free], everyone, randomOf(seed))).toBe(free)
      }),
    )
  })

  it('spreads evenly where all are the same', () => {
    const random = randomOf(1)
    const all = servers(10)
    const hits = all.map(() => 0)
    for (let i = 0; i < 10_000; i++) hits[powerOfTwoChoices(all, everyone, random)!.id]!++
    for (const count of hits) expect(count).toBeGreaterThan(850)
    for (const count of hits) expect(count).toBeLessThan(1_150)
  })

  it('never takes one that is not admitted, and finds one where up to 65 are there and one is admitted', () => {
    const scenario = fc.record({
      seed: fc.integer(),
      all: fc.array(fc.record({ open: fc.nat(5), admitted: fc.boolean() }), { maxLength: 65 }),
    })
    fc.assert(
      fc.property(scenario, ({ seed, all }) => {
        const chosen = powerOfTwoChoices(all, { admits: one => one.admitted }, randomOf(seed))
        if (all.some(one => one.admitted)) expect(chosen).toMatchObject({ admitted: true })
        else expect(chosen).toBeNull()
      }),
    )
  })

  it('looks at a bounded number, two where one of a thousand is suspect', () => {
    let looks = 0
    const random = randomOf(2)
    const all = servers(1_000)
    const counting = (admits: (one: Server) => boolean): Admission<Server> => ({
      admits: one => (looks++, admits(one)),
    })
    const suspectOne = counting(one => one.id !== 500)
    for (let i = 0; i < 1_000; i++) powerOfTwoChoices(all, suspectOne, random)
    expect(looks).toBeLessThan(2_100)
    for (const admitted of [0, 1, 10, 100, 900]) {
      const some = counting(one => one.id < admitted)
      for (let i = 0; i < 100; i++) {
        looks = 0
        powerOfTwoChoices(all, some, random)
        expect(looks).toBeLessThanOrEqual(MOST_LOOKS)
      }
    }
  })

  it('keeps the requests of a slow endpoint bounded', () => {
    // 10 endpoints, 1 request per ms for 20 s; one takes 1 s, the others 10 ms. Round robin would leave 100 at the slow one.
    const random = randomOf(3)
    const all = servers(10)
    const ends = new Map<number, Server[]>()
    let most = 0
    let slow = 0
    for (let now = 0; now < 20_000; now++) {
      for (const server of ends.get(now) ?? []) server.open--
      ends.delete(now)
      const server = powerOfTwoChoices(all, everyone, random)!
      server.open++
      if (server.id === 0) slow++
      const end = now + (server.id === 0 ? 1_000 : 10)
      ends.set(end, [...(ends.get(end) ?? []), server])
      most = Math.max(most, all[0]!.open)
    }
    expect(most).toBeLessThan(10)
    expect(slow).toBeLessThan(200)
  })
})

describe('nextInTurn', () => {
  it('goes through all of them again and again, past those that are not admitted', () => {
    const all = servers(5)
    const turns = (admission: Admission<Server>): number[] => {
      let last = 2
      return Array.from({ length: 8 }, () => (last = nextInTurn(all, admission, last)))
    }
    expect(turns(everyone)).toEqual([3, 4, 0, 1, 2, 3, 4, 0])
    expect(turns({ admits: ({ id }) => id !== 4 && id !== 1 })).toEqual([3, 0, 2, 3, 0, 2, 3, 0])
    expect(nextInTurn(all, { admits: () => false }, 2)).toBe(-1)
    expect(nextInTurn([], everyone, 2)).toBe(-1)
  })
})

describe('quickerOfTwo', () => {
  const timed = (id: number, open: number, ms: number | null): Server & { latency: () => number | null } => ({
    ...{ id, open, latency: () => ms },
  })

  it('takes the quicker one of two, and the less busy where it is not known of both', () => {
    const [slow, quick, unknown] = [timed(0, 0, 90), timed(1, 5, 3), timed(2, 1, null)]
    const chosen = (...two: readonly (typeof slow)[]): number[] =>
      Array.from({ length: 20 }, (_, seed) => quickerOfTwo(two, { admits: () => true }, randomOf(seed), 0)!.id)
    expect(new Set(chosen(slow, quick))).toEqual(new Set([1]))
    expect(new Set(chosen(slow, unknown))).toEqual(new Set([0]))
    expect(new Set(chosen(quick, unknown))).toEqual(new Set([2]))
  })

  it('what is older weighs less, and little is left of what nobody confirms', () => {
    const latency = new Latency(100, 0)
    expect(latency.at(0)).toBe(100)
    latency.add(10, 10_000)
    expect(latency.at(10_000)).toBeCloseTo(100 / Math.E + 10 * (1 - 1 / Math.E))
    expect(latency.at(100_000)).toBeLessThan(0.1)
  })
})
