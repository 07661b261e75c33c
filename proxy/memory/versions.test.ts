import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { errorCode } from '../errors.ts'
import { atOnce } from '../turns.ts'
import { Blocks } from './blocks.ts'
import { FIRST_ROOT } from './layout.ts'
import { hashOf } from './names.ts'
import { SharedMemory } from './shared-memory.ts'
import { VersionedMap, VersionedReader } from './versions.ts'
import { deleteNumber, numberOf, putNumber } from './testing/numbers.ts'
import type { Read, ReadingSetup } from './testing/reading-thread.ts'
import { NAMES, changedTo, changes } from './testing/schedule.ts'

/** `make memory` has more. */
const GENERATIONS = Number(process.env['SLUICE_GENERATIONS'] ?? 150)

/** Whoever still leads to what was given back meets this. */
class Poisoned extends Blocks {
  override give(place: number, words: number): void {
    this.memory.words.fill(-1, place, place + words)
    super.give(place, words)
  }
}

function collect(blocks: Blocks, served: number, writing: number): void {
  atOnce(blocks.collect(served, writing))
}

interface Rig {
  readonly memory: SharedMemory
  readonly blocks: Blocks
  readonly map: VersionedMap
  readonly reader: () => VersionedReader
}

function rig(): Rig {
  const memory = SharedMemory.create(2 ** 28)
  const blocks = new Poisoned(memory)
  const map = new VersionedMap(blocks, FIRST_ROOT)
  return { memory, blocks, map, reader: () => new VersionedReader(new SharedMemory(memory.buffer), FIRST_ROOT) }
}

describe('a map of versions', () => {
  it('shows a reader the generation that it was told of, and no other', () => {
    const { memory, blocks, map, reader } = rig()
    const [one, other] = [reader(), reader()]
    expect(numberOf(memory, one, 'a')).toBeNull()
    putNumber(map, blocks, 'a', 1, 1)
    one.advance(1)
    other.advance(1)
    putNumber(map, blocks, 'a', 2, 2)
    putNumber(map, blocks, 'b', 5, 2)
    one.advance(2)
    deleteNumber(map, blocks, 'a', 3)
    const seen = (): unknown => [one, other].map(r => ['a', 'b', ''].map(name => numberOf(memory, r, name)))
    expect(seen()).toEqual([
      [2, 5, null],
      [1, null, null],
    ])
    one.advance(3)
    other.advance(3)
    putNumber(map, blocks, 'a', 4, 4)
    putNumber(map, blocks, '', 9, 4)
    expect(seen()).toEqual([
      [null, 5, null],
      [null, 5, null],
    ])
    one.advance(4)
    expect(numberOf(memory, one, 'a')).toBe(4)
    expect(numberOf(memory, one, '')).toBe(9)
  })

  it('is what a Map would be, for every reader at its own generation, and gives all blocks back', () => {
    const names = [
      '',
      'a',
      'b',
      'a.example',
      'ä.example',
      '\u0127.example',
      '\u0127',
      '\u0127\u0128',
      ...Array.from({ length: 60 }, (_, i) => `h${i}`),
    ]
    const name = fc.nat({ max: names.length - 1 }).map(i => names[i]!)
    const change = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), name }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
    )
    const step = fc.oneof(
      { weight: 8, arbitrary: change },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('publish' as const) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('advance' as const), reader: fc.nat({ max: 2 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 250, size: 'max' }), steps => {
        const { memory, blocks, map, reader } = rig()
        const readers = [reader(), reader(), reader()]
        // What there is at the end of each generation.
        const model = [new Map<string, number>()]
        const current = new Map<string, number>()
        let writing = 1
        const publish = (): void => {
          model.push(new Map(current))
          writing++
          collect(blocks, Math.min(...readers.map(r => r.generation)), writing)
        }
        for (const r of readers) r.advance(0)
        for (const [value, one] of steps.entries()) {
          if (one.kind === 'put') {
            putNumber(map, blocks, one.name, value, writing)
            current.set(one.name, value)
          } else if (one.kind === 'delete') {
            deleteNumber(map, blocks, one.name, writing)
            current.delete(one.name)
          } else if (one.kind === 'clear') {
            for (const all of names) deleteNumber(map, blocks, all, writing)
            current.clear()
          } else if (one.kind === 'publish') publish()
          else readers[one.reader]!.advance(writing - 1)
          for (const r of readers) {
            const there = model[r.generation]!
            const wrong = names.filter(all => numberOf(memory, r, all) !== (there.get(all) ?? null))
            if (wrong.length > 0) throw new Error(`wrong in generation ${r.generation}: ${wrong.join()}`)
          }
        }
        for (const all of names) deleteNumber(map, blocks, all, writing)
        for (let i = 0; i < 3; i++) {
          publish()
          for (const r of readers) r.advance(writing - 1)
        }
        collect(blocks, writing - 1, writing)
        expect([map.size, blocks.waiting]).toEqual([0, 0])
        // All that is left are the slots, in one part or, while they are moved, in two.
        const slots = map.slots * 8 + 8
        expect(blocks.used - 64).toBeLessThanOrEqual(slots * 2)
      }),
      { numRuns: 150 },
    )
  })

  it('shows what it showed, although newer nodes lie where the memory ended when the reader looked last', () => {
    const { memory, blocks, map } = rig()
    putNumber(map, blocks, 'a', 1, 1)
    const own = new SharedMemory(memory.buffer)
    const r = new VersionedReader(own, FIRST_ROOT)
    r.advance(1)
    const ended = own.words.length
    while (memory.words.length === ended) blocks.take(1_000)
    let generation = 1
    for (let beyond = 0; beyond < 2; beyond += Number(map.newest('a') >= ended)) {
      generation++
      putNumber(map, blocks, 'a', generation, generation)
    }
    expect(own.words.length).toBe(ended)
    expect(numberOf(own, r, 'a')).toBe(1)
    r.advance(generation)
    expect(numberOf(own, r, 'a')).toBe(generation)
  })

  it('grows, and shrinks when nearly nothing is left, with no name out of sight', () => {
    const { memory, blocks, map, reader } = rig()
    const r = reader()
    const all = Array.from({ length: 8_000 }, (_, i) => `host-${i}.example`)
    const seen = (): readonly (number | null)[] => all.map(name => numberOf(memory, r, name))
    let generation = 0
    const publish = (): void => {
      r.advance(generation)
      collect(blocks, generation, generation + 1)
    }
    for (const [i, name] of all.entries()) {
      putNumber(map, blocks, name, i, ++generation)
      publish()
      if (i % 997 === 0) expect(seen().slice(0, i + 1)).toEqual(all.slice(0, i + 1).map((_, j) => j))
    }
    expect([...map.nodes()]).toHaveLength(8_000)
    const grown = { slots: map.slots, used: blocks.used, size: memory.size }
    expect(grown.slots).toBeLessThanOrEqual(65_536)
    for (const [i, name] of all.entries()) {
      if (i % 100 === 0) continue
      deleteNumber(map, blocks, name, ++generation)
      publish()
      if (i % 1_999 === 0) expect(seen()).toEqual(all.map((_, j) => (j > i || j % 100 === 0 ? j : null)))
    }
    for (let i = 0; i < 2_000; i++) {
      putNumber(map, blocks, all[0]!, 0, ++generation)
      publish()
    }
    expect(map.size).toBe(80)
    expect(map.slots).toBeLessThanOrEqual(grown.slots / 16)
    expect(blocks.used).toBeLessThan(grown.used / 16)
    expect(seen()).toEqual(all.map((_, i) => (i % 100 === 0 ? i : null)))
    // The same once more takes no more memory than the first time.
    for (const [i, name] of all.entries()) putNumber(map, blocks, name, i, ++generation)
    publish()
    // But for one step in which it grows.
    expect(memory.size).toBeLessThanOrEqual(grown.size * 1.25 + 2 ** 18)
  })

  it.each([
    [90, 10],
    [90, 90],
    [300, 100],
    [5_000, 3_000],
  ])('takes new names after all of %i are gone, %i of them, as it shrinks', (before, after) => {
    const { memory, blocks, map, reader } = rig()
    const r = reader()
    let generation = 0
    const publish = (): void => {
      r.advance(generation)
      collect(blocks, generation, generation + 1)
    }
    const names = (count: number, of: string): readonly string[] => Array.from({ length: count }, (_, i) => `${of}${i}`)
    generation++
    for (const name of names(before, 'a')) putNumber(map, blocks, name, 1, generation)
    publish()
    generation++
    for (const name of names(before, 'a')) deleteNumber(map, blocks, name, generation)
    publish()
    generation++
    for (const name of names(after, 'b')) putNumber(map, blocks, name, 2, generation)
    publish()
    expect(new Set(names(after, 'b').map(name => numberOf(memory, r, name)))).toEqual(new Set([2]))
    expect(new Set(names(before, 'a').map(name => numberOf(memory, r, name)))).toEqual(new Set([null]))
    expect(map.size).toBe(after)
  })

  it('has room for what it was told to expect, keeps that while names come, and gives it back when they go', () => {
    const { memory, blocks, map, reader } = rig()
    const old = reader()
    old.advance(0)
    map.reserve(1_000, 1)
    expect(map.slots).toBe(2_048)
    const seen = reader()
    for (let i = 0; i < 1_000; i++) putNumber(map, blocks, `name-${i}`, i, 1)
    expect(map.slots).toBe(2_048)
    seen.advance(1)
    expect(Array.from({ length: 1_000 }, (_, i) => numberOf(memory, seen, `name-${i}`))).toEqual([
      ...Array(1_000).keys(),
    ])
    // Who has not heard of it looks where it looked.
    expect(numberOf(memory, old, 'name-1')).toBeNull()
    // Not empty, not larger than it is: nothing happens.
    map.reserve(100_000, 2)
    map.reserve(10, 2)
    expect(map.slots).toBe(2_048)
    for (let i = 1; i < 1_000; i++) deleteNumber(map, blocks, `name-${i}`, 2)
    // All at once; what comes then are changes alone.
    for (let generation = 3; generation < 200; generation++) {
      collect(blocks, generation - 1, generation)
      putNumber(map, blocks, 'name-0', generation, generation)
    }
    expect(map.slots).toBeLessThan(100)
    seen.advance(199)
    expect([numberOf(memory, seen, 'name-0'), numberOf(memory, seen, 'name-1')]).toEqual([199, null])
  })

  it('gives no word twice beyond 4 GiB, of which it touches none', () => {
    const memory = SharedMemory.create()
    const blocks = new Blocks(memory)
    let last = 0
    for (let i = 0; i < 40; i++) {
      const place = blocks.take(2 ** 25)
      expect(place).toBeGreaterThanOrEqual(last)
      last = place + 2 ** 25
    }
    expect(memory.size).toBeGreaterThan(2 ** 32)
    expect(memory.words.length).toBe(memory.size / 4)
    expect(last).toBeLessThanOrEqual(memory.words.length)
  })

  it('says that the memory is full, and is as it was', () => {
    const memory = SharedMemory.create(2 ** 19)
    const blocks = new Blocks(memory)
    const map = new VersionedMap(blocks, FIRST_ROOT)
    const r = new VersionedReader(memory, FIRST_ROOT)
    const put = (i: number): void => putNumber(map, blocks, `host-${i}.example`, i, 1)
    let there = 0
    let error: unknown = null
    while (error === null) {
      try {
        put(there)
        there++
      } catch (thrown) {
        error = thrown
      }
    }
    expect(errorCode(error)).toBe('SLUICE_MEMORY_FULL')
    expect(there).toBeGreaterThan(1_000)
    r.advance(1)
    const names = Array.from({ length: there }, (_, i) => `host-${i}.example`)
    expect(names.map(name => numberOf(memory, r, name))).toEqual(names.map((_, i) => i))
  })

  it('spreads names that differ in little', () => {
    const slots = new Set(Array.from({ length: 4_096 }, (_, i) => hashOf(`tenant-${i}.example.com`, 7) & 0xffff))
    // Thrown at random into 65 536 slots, 4 096 names hit 3 970.
    expect(slots.size).toBeGreaterThan(3_900)
    expect(hashOf('a', 1)).not.toBe(hashOf('a', 2))
  })

  it(
    'is read by other threads while it changes, each at a whole generation',
    async () => {
      const memory = SharedMemory.create(2 ** 28)
      const blocks = new Poisoned(memory)
      const map = new VersionedMap(blocks, FIRST_ROOT)
      const last = GENERATIONS
      const readers = [1, 700].map(names => {
        const { port1, port2 } = new MessageChannel()
        const workerData: ReadingSetup = { buffer: memory.buffer, root: FIRST_ROOT, port: port2, last, names }
        const worker = new Worker(join(__dirname, 'testing/reading-thread.ts'), { workerData, transferList: [port2] })
        worker.on('error', error => wrong.push(String(error)))
        const wrong: string[] = []
        const one = { port: port1, served: 0, reads: 0, wrong, ended: once(port1, 'close') }
        port1.on('message', (read: Read) => {
          one.served = read.generation
          one.reads += read.reads
          wrong.push(...read.wrong)
        })
        return one
      })
      for (let generation = 1; generation <= last; generation++) {
        collect(blocks, Math.min(...readers.map(r => r.served)), generation)
        for (const [index, name] of NAMES.entries()) {
          if (!changes(index, generation)) continue
          const value = changedTo(index, generation)
          if (value === null) deleteNumber(map, blocks, name, generation)
          else putNumber(map, blocks, name, value, generation)
        }
        for (const { port } of readers) port.postMessage(generation)
        // Some of them at once, so that readers are left behind.
        if (generation % 5 === 0) await sleep(1)
      }
      await Promise.all(readers.map(({ ended }) => ended))
      for (const { served, wrong } of readers) expect([served, wrong]).toEqual([last, []])
      expect(readers.map(({ reads }) => reads > 0)).toEqual([true, true])
      expect(blocks.waiting).toBeGreaterThan(0)
    },
    60_000 + GENERATIONS * 200,
  )
})
