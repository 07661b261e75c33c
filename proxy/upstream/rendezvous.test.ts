import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { randomOf } from '../../protocol/testing/random.ts'
import type { Admission } from './choose.ts'
import { hashText, mix, oneOfSubset, ownerOf, unmix, valueOf, type Hashed } from './rendezvous.ts'

interface Server extends Hashed {
  readonly name: string
}

const server = (name: string): Server => ({ name, open: 0, hash: hashText(name) })
const servers = (count: number): Server[] =>
  Array.from({ length: count }, (_, i) => server(`10.0.${i >> 8}.${i & 255}:80`))
const everyone: Admission<Server> = { admits: () => true }
const keys = (count: number): number[] => Array.from({ length: count }, (_, i) => hashText(`/page/${i}`))
const owners = (all: readonly Server[], values: readonly number[]): (string | undefined)[] =>
  values.map(value => ownerOf(all, everyone, value)?.name)

describe('ownerOf', () => {
  it('finds nobody among none, or where none is admitted', () => {
    expect(ownerOf([], everyone, 1)).toBeNull()
    expect(ownerOf(servers(3), { admits: () => false }, 1)).toBeNull()
  })

  it('a server that goes leaves its own values alone, and one that comes takes only what is its own', () => {
    const scenario = fc.record({ count: fc.integer({ min: 1, max: 40 }), gone: fc.nat(), seed: fc.nat() })
    fc.assert(
      fc.property(scenario, ({ count, gone, seed }) => {
        const all = servers(count + 1)
        const left = all.filter((_, i) => i !== gone % all.length)
        const lost = all[gone % all.length]!.name
        const values = Array.from({ length: 200 }, (_, i) => hashText(`${seed} ${i}`))
        const [before, after] = [owners(all, values), owners(left, values)]
        for (const [i, name] of before.entries()) {
          if (name === lost) expect(after[i]).not.toBe(lost)
          else expect(after[i]).toBe(name)
        }
      }),
    )
  })

  it('the order of the list says nothing', () => {
    const all = servers(20)
    expect(owners(all.toReversed(), keys(500))).toEqual(owners(all, keys(500)))
  })

  it('spreads values evenly, and those of one that goes over all others', () => {
    const all = servers(10)
    const values = keys(20_000)
    const before = owners(all, values)
    const moved = new Map<string, number>()
    for (const [i, name] of owners(all.slice(1), values).entries()) {
      if (before[i] === all[0]!.name) moved.set(name ?? '', (moved.get(name ?? '') ?? 0) + 1)
    }
    for (const { name } of all) {
      const share = before.filter(owner => owner === name).length
      expect(share).toBeGreaterThan(1_800)
      expect(share).toBeLessThan(2_200)
    }
    expect([...moved.keys()].sort()).toEqual(
      all
        .slice(1)
        .map(({ name }) => name)
        .sort(),
    )
    for (const count of moved.values()) expect(count).toBeGreaterThan(150)
  })

  it('passes over who is not admitted as if it were not there, and asks few', () => {
    const all = servers(100)
    let asked = 0
    const admission: Admission<Server> = {
      admits: ({ name }) => {
        asked++
        return !name.endsWith('1:80')
      },
    }
    const values = keys(200)
    const admitted = all.filter(({ name }) => !name.endsWith('1:80'))
    expect(values.map(value => ownerOf(all, admission, value)?.name)).toEqual(owners(admitted, values))
    expect(asked / values.length).toBeLessThan(10)
  })
})

describe('oneOfSubset', () => {
  it('spreads a value over so many servers, among them its owner, and the same whatever the others', () => {
    const all = servers(20)
    const random = randomOf(3)
    for (const value of keys(50)) {
      const taken = new Set(Array.from({ length: 200 }, () => oneOfSubset(all, everyone, value, 3, random)?.name))
      expect(taken.size).toBe(3)
      expect(taken).toContain(ownerOf(all, everyone, value)?.name)
      // One that is none of them goes: they stay.
      const left = all.filter(({ name }, i) => i > 0 || taken.has(name))
      const again = new Set(Array.from({ length: 200 }, () => oneOfSubset(left, everyone, value, 3, random)?.name))
      expect(again).toEqual(taken)
    }
  })

  it('takes the less busy one, all where there are fewer, and nobody where there is none', () => {
    const busy = { ...server('busy'), open: 5 }
    const free = server('free')
    for (const value of keys(20)) expect(oneOfSubset([busy, free], everyone, value, 3, randomOf(value))).toBe(free)
    expect(oneOfSubset([], everyone, 1, 3, randomOf(1))).toBeNull()
  })
})

describe('valueOf', () => {
  it('unmix takes back what mix does', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), value => expect(unmix(mix(value))).toBe(value)))
  })

  it('makes a value that belongs to the server', () => {
    const scenario = fc.record({ count: fc.integer({ min: 1, max: 60 }), at: fc.nat(), seed: fc.integer() })
    fc.assert(
      fc.property(scenario, ({ count, at, seed }) => {
        const all = servers(count)
        const wanted = all[at % count]!
        expect(ownerOf(all, everyone, valueOf(all, wanted, randomOf(seed)))).toBe(wanted)
      }),
    )
  })

  it('values differ, and a server that comes gets some of them', () => {
    const all = servers(4)
    const random = randomOf(5)
    const values = Array.from({ length: 1_000 }, (_, i) => valueOf(all, all[i % 4]!, random))
    expect(new Set(values).size).toBeGreaterThan(990)
    const more = servers(5)
    const moved = values.filter(value => ownerOf(more, everyone, value) === more[4]).length
    expect(moved).toBeGreaterThan(60)
    expect(moved).toBeLessThan(220)
  })
})
