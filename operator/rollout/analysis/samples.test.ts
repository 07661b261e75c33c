import { describe, expect, it } from '@jest/globals'
import { KEPT_MS, MOST_COUNTS, MOST_SAMPLES, Samples, agreed } from './samples.ts'
import type { Sample } from './samples.ts'
import { counters } from './testing.ts'

const SERVES = new Map([['Ingress/shop/web', 'r1']])

function sample(i: number, hosts: readonly string[] = ['a'], serves: Sample['serves'] = SERVES): Sample {
  return { begin: i * 2_000, end: (i + 1) * 2_000, serves, hosts: new Map(hosts.map(host => [host, counters(1)])) }
}

function sum(samples: readonly Sample[]): number {
  return samples.flatMap(one => [...one.hosts.values()]).reduce((all, counts) => all + counts.requests, 0)
}

describe('samples', () => {
  it('keep an hour as it came', () => {
    const samples = new Samples()
    for (let i = 0; i < 1_900; i++) samples.add(sample(i))
    expect(samples.size).toEqual({ samples: 1_900, counts: 1_900 })
    expect(sum(samples.since(2_000 * 1_000))).toBe(900)
  })

  it('become coarser where there are many, and lose no count', () => {
    const samples = new Samples()
    for (let i = 0; i < 20_000; i++) samples.add(sample(i))
    expect(samples.size.samples).toBeLessThanOrEqual(MOST_SAMPLES)
    expect(sum(samples.since(0))).toBe(20_000)
    // Ten minutes are exact; of five hours most is still there.
    expect(sum(samples.since(2_000 * 19_700))).toBe(300)
    const hours = sum(samples.since(2_000 * 11_000))
    expect(hours).toBeLessThanOrEqual(9_000)
    expect(hours).toBeGreaterThan(9_000 * 0.6)
  })

  it('gives those that have a moment of a time, also where they are merged', () => {
    const samples = new Samples()
    for (let i = 0; i < 10; i++) samples.add(sample(i))
    const begins = (from: number, until: number): readonly number[] =>
      samples.meanwhile(from, until).map(({ begin }) => begin / 2_000)
    expect(begins(4_000, 8_000)).toEqual([2, 3])
    expect(begins(3_999, 8_001)).toEqual([1, 2, 3, 4])
    expect(begins(-Infinity, Infinity)).toHaveLength(10)
    expect(begins(Infinity, -Infinity)).toEqual([])
    expect(begins(20_000, 30_000)).toEqual([])
  })

  it('never count what began before: a merged sample lies behind or not at all', () => {
    const samples = new Samples()
    for (let i = 0; i < 5_000; i++) samples.add(sample(i))
    for (let since = 0; since < 10_000_000; since += 77_777) {
      expect(sum(samples.since(since))).toBeLessThanOrEqual(5_000 - Math.ceil(since / 2_000))
      expect(samples.since(since).every(one => one.begin >= since)).toBe(true)
    }
  })

  it('of a busy pod are bounded too, also where every report names other hosts', () => {
    for (const name of [(h: number) => `h${h}`, (h: number, i: number) => `h${h} of ${i}`]) {
      const samples = new Samples()
      for (let i = 0; i < 200; i++) {
        samples.add(
          sample(
            i,
            Array.from({ length: 1_000 }, (_, h) => name(h, i)),
          ),
        )
        expect(samples.size.counts).toBeLessThanOrEqual(MOST_COUNTS)
      }
      expect(sum(samples.since(2_000 * 195))).toBe(5_000)
    }
  })

  it('that are very old go', () => {
    const samples = new Samples()
    samples.add(sample(0))
    samples.add(sample(1))
    samples.add(sample(1 + KEPT_MS / 2_000))
    expect(sum(samples.since(0))).toBe(2)
  })

  it('without counts are not kept', () => {
    const samples = new Samples()
    samples.add(sample(0, []))
    expect(samples.size.samples).toBe(0)
  })

  it('that are merged across a change of one object still say what was served of the others', () => {
    const samples = new Samples()
    const at = (i: number): Sample['serves'] =>
      new Map([
        ['steady', 'r1'],
        ['restless', `r${i}`],
      ])
    for (let i = 0; i <= MOST_SAMPLES; i++) samples.add(sample(i, ['a'], at(i)))
    const [oldest] = samples.since(0)
    expect(oldest).toMatchObject({ begin: 0, end: 4_000 })
    expect([...(oldest?.serves ?? [])]).toEqual([['steady', 'r1']])
  })
})

describe('agreed', () => {
  it('keeps what both say alike', () => {
    const before = new Map([
      ['a', 'r1'],
      ['b', null],
      ['c', 'r1'],
      ['d', null],
    ])
    const after = new Map([
      ['a', 'r1'],
      ['b', null],
      ['c', 'r2'],
      ['e', null],
    ])
    expect([...agreed(before, after)]).toEqual([
      ['a', 'r1'],
      ['b', null],
    ])
  })
})
