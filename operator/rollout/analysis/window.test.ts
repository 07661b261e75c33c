import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { HostCounters, Report } from '../../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { EMPTY_AGGREGATE } from '../machine/figures.ts'
import { counters, report } from './testing.ts'
import { Figures } from './window.ts'

const KEY = 'Ingress/shop/web'
const HOST = 'shop.example'
const OLD = { [KEY]: 'r1' }
const NEW = { [KEY]: 'r2' }
const hits = (requests: number): Report['hosts'] => ({ [HOST]: counters(requests) })

/** Reports of one pod, 2 s apart from 0 on: what it serves and how many requests it counted. */
function heard(...reports: readonly (readonly [Report['revisions'], number])[]): Figures {
  const figures = new Figures()
  reports.forEach(([revisions, requests], i) =>
    figures.add('proxy-0', 0, report(i, revisions, hits(requests)), i * 2_000),
  )
  return figures
}

const requests = (figures: Figures, revision: string | null, since = 0): number =>
  figures.serving(KEY, revision, [HOST], since).requests

describe('serving', () => {
  it('is empty where nothing was heard', () => {
    expect(new Figures().serving(KEY, 'r1', [HOST], 0)).toEqual(EMPTY_AGGREGATE)
  })

  it('counts only from the second report on: of the first nobody knows when it began', () => {
    expect(requests(heard([OLD, 1]), 'r1')).toBe(0)
    expect(requests(heard([OLD, 1], [OLD, 10], [OLD, 100]), 'r1')).toBe(110)
  })

  it('counts a report that straddles a change for neither revision', () => {
    const figures = heard([OLD, 1], [OLD, 10], [NEW, 100], [NEW, 1_000])
    expect(requests(figures, 'r1')).toBe(10)
    expect(requests(figures, 'r2')).toBe(1_000)
  })

  it('counts nothing for an object that is observed only since a moment ago', () => {
    const figures = heard([{}, 1], [NEW, 10], [NEW, 100], [{}, 1_000], [NEW, 10_000])
    expect(requests(figures, 'r2')).toBe(100)
    expect(requests(figures, null)).toBe(0)
  })

  it('knows pods that serve none, which is what `absent` means', () => {
    const figures = heard([{ [KEY]: null }, 1], [{ [KEY]: null }, 10])
    expect(requests(figures, null)).toBe(10)
    expect(requests(figures, 'absent')).toBe(10)
    expect(requests(figures, 'r1')).toBe(0)
  })

  it('begins at `since`: an interval that began before does not count', () => {
    const figures = heard([OLD, 1], [OLD, 10], [OLD, 100], [OLD, 1_000])
    expect(requests(figures, 'r1', 2_000)).toBe(1_100)
    expect(requests(figures, 'r1', 2_001)).toBe(1_000)
    expect(requests(figures, 'r1', 4_001)).toBe(0)
  })

  it('adds up all pods and all hosts, each host once', () => {
    const figures = new Figures()
    for (const pod of ['proxy-0', 'proxy-1']) {
      for (const sequence of [0, 1]) {
        const hosts = { [HOST]: counters(10), 'www.example': counters(100), 'other.example': counters(5_000) }
        figures.add(pod, 0, report(sequence, OLD, hosts), sequence)
      }
    }
    expect(figures.serving(KEY, 'r1', [HOST, 'www.example', HOST], 0)).toMatchObject({
      requests: 220,
      status: [0, 220, 0, 0, 0],
    })
    expect(figures.serving(KEY, 'r1', ['constructor', '__proto__'], 0)).toEqual(EMPTY_AGGREGATE)
  })

  it('adds up every counter', () => {
    const figures = new Figures()
    const change = {
      status: [0, 5, 1, 2, 2],
      notFound: 1,
      upstreamErrors: 2,
      tlsHandshakes: 4,
      tlsFailures: 3,
      closed: 6,
    } as const
    figures.add('proxy-0', 0, report(0, OLD, {}), 0)
    figures.add('proxy-0', 0, report(1, OLD, { [HOST]: counters(10, change) }), 1)
    expect(figures.serving(KEY, 'r1', [HOST], 0)).toEqual({
      ...{ requests: 10, ...change },
      latency: [10, ...EMPTY_AGGREGATE.latency.slice(1)],
    })
  })
})

describe('what was counted in the same time', () => {
  const GONE = { [KEY]: null }

  /** `proxy-0` has the update since 2 s, and reports half a second before the other one does. */
  function figures(update: Report['revisions'] = NEW): Figures {
    const all = new Figures()
    for (let i = 0; i < 5; i++) {
      all.add('proxy-0', 0, report(i, i === 0 ? OLD : update, hits(10)), i * 2_000)
      all.add('proxy-1', 1, report(i, OLD, hits(100)), i * 2_000 + 500)
    }
    return all
  }
  const both = (of: Figures, untilMs: number, update: string | null = 'r2', hosts = [HOST]): readonly number[] => {
    const question = { key: KEY, update, stable: 'r1', hosts, sinceMs: 1_000, untilMs, events: 4 as const }
    const { update: mine, stable } = of.sideBySide(question)
    return [mine.requests, stable.requests]
  }

  it('is of the update what was reported until then, and of the others the same time', () => {
    expect(both(figures(), Infinity)).toEqual([30, 300])
    expect(both(figures(), 6_500)).toEqual([20, 200])
    expect(both(figures(), 3_999)).toEqual([0, 0])
    expect(both(figures(), Infinity, 'r2', [HOST, 'other.example', HOST])).toEqual([30, 300])
  })

  it('of an update that is not there any more, too', () => {
    expect(both(figures(GONE), Infinity, ABSENT_REVISION)).toEqual([30, 300])
  })
})

describe('answers of closed paths', () => {
  const closed = (...counts: readonly (number | undefined)[]): number | null => {
    const figures = new Figures()
    figures.add('proxy-0', 0, report(0, OLD, {}), 0)
    counts.forEach((count, i) => {
      const counted: HostCounters = { ...counters(1), closed: count as number }
      const sent = JSON.parse(JSON.stringify({ [HOST]: counted })) as Report['hosts']
      figures.add('proxy-0', 0, report(i + 1, OLD, sent), i + 1)
    })
    return figures.serving(KEY, 'r1', [HOST], 0).closed
  }

  it('add up where every proxy counts them apart, and are not known where one does not', () => {
    expect(closed(3, 0, 4)).toBe(7)
    expect(closed(3, undefined, 4)).toBeNull()
  })

  it('are no traffic that a baseline could be made of', () => {
    const figures = heard([OLD, 0])
    figures.add('proxy-0', 0, report(1, OLD, { [HOST]: counters(0, { closed: 50 }) }), 2_000)
    expect(figures.baseline([HOST], 2_000)).toBeNull()
  })
})

describe('reports', () => {
  it('are counted once: one that is sent again is ignored, a gap is none', () => {
    const figures = heard([OLD, 1], [OLD, 10])
    expect(figures.add('proxy-0', 0, report(1, OLD, hits(10)), 3_000)).toBe(false)
    expect(figures.add('proxy-0', 0, report(0, OLD, hits(1)), 3_500)).toBe(false)
    expect(figures.add('proxy-0', 0, report(7, OLD, hits(100)), 20_000)).toBe(true)
    expect(requests(figures, 'r1')).toBe(110)
  })

  it('after a lost one begin where the last one came: what it served between is not known to be other', () => {
    const figures = heard([OLD, 1], [OLD, 10])
    figures.add('proxy-0', 0, report(5, OLD, hits(100)), 30_000)
    expect(requests(figures, 'r1', 2_000)).toBe(100)
    expect(requests(figures, 'r1', 2_001)).toBe(0)
  })

  it('of a restarted pod count for no revision until its second', () => {
    const figures = heard([NEW, 1], [NEW, 10])
    expect(figures.add('proxy-0', 0, report(0, NEW, hits(100), 'second'), 4_000)).toBe(true)
    expect(requests(figures, 'r2')).toBe(10)
    figures.add('proxy-0', 0, report(1, NEW, hits(1_000), 'second'), 6_000)
    expect(requests(figures, 'r2')).toBe(1_010)
    // But they were requests.
    expect(figures.baseline([HOST], 6_000)?.requests).toBe(1_110)
  })

  it('of the process before, that come late, are ignored', () => {
    const figures = heard([NEW, 1])
    figures.add('proxy-0', 0, report(0, NEW, hits(10), 'second'), 2_000)
    expect(figures.add('proxy-0', 0, report(9, OLD, hits(100), 'first'), 3_000)).toBe(false)
    expect(figures.add('proxy-0', 0, report(1, NEW, hits(1_000), 'second'), 4_000)).toBe(true)
    expect(requests(figures, 'r2')).toBe(1_000)
  })
})

describe('baseline', () => {
  it('is the last minute, whatever was served', () => {
    const figures = new Figures()
    for (let i = 0; i <= 100; i++) figures.add('proxy-0', 0, report(i, i < 60 ? OLD : {}, hits(1)), i * 1_000)
    expect(figures.baseline([HOST], 100_000)).toMatchObject({ requests: 60, successRate: 100, latencyP99Ms: 0.99 })
  })

  it('is null where nobody counted anything, and not where there were only handshakes', () => {
    const figures = heard([OLD, 0], [OLD, 0])
    expect(figures.baseline([HOST], 2_000)).toBeNull()
    expect(figures.baseline(['other.example'], 2_000)).toBeNull()
    figures.add('proxy-0', 0, report(2, OLD, { [HOST]: counters(0, { tlsFailures: 3 }) }), 4_000)
    expect(figures.baseline([HOST], 4_000)).toMatchObject({ requests: 0, tlsHandshakes: 3, tlsFailureRate: 100 })
  })
})

describe('before', () => {
  const failing = (count: number): Report['hosts'] => ({
    [HOST]: counters(10, { status: [0, 10 - count, 0, 0, count] }),
  })

  it('is the last quarter of an hour of each pod, whatever was served', () => {
    const figures = new Figures()
    for (let i = 0; i <= 200; i++) {
      for (const pod of ['proxy-0', 'proxy-1']) {
        const hosts = pod === 'proxy-1' && i % 12 === 0 ? failing(8) : hits(10)
        figures.add(pod, Number(pod.slice(-1)), report(i, i < 60 ? OLD : {}, hosts), i * 10_000)
      }
    }
    const before = figures.before([HOST, HOST], 2_000_000)
    expect([...(before?.pods ?? [])].map(([pod, { ordinal, counted }]) => [pod, ordinal, counted.requests])).toEqual([
      ['proxy-0', 0, 900],
      ['proxy-1', 1, 900],
    ])
    expect(before?.ms).toBe(900_000)
    expect(before?.pods.get('proxy-1')?.counted.status[4]).toBe(56)
    // Eight at a time are nearer to one event than to eight.
    expect(before?.dispersion.failures).toBeGreaterThan(3)
    expect(before?.dispersion.notFound).toBe(1)
  })

  it('is null where nobody counted anything', () => {
    expect(new Figures().before([HOST], 0)).toBeNull()
    expect(heard([OLD, 1], [OLD, 10]).before(['other.example'], 2_000)).toBeNull()
    expect(heard([OLD, 1], [OLD, 10]).before([HOST], 2_000)?.pods.get('proxy-0')?.counted.requests).toBe(10)
  })
})

it('counts a request at most once, and only for what its pod served at both ends', () => {
  const revision = fc.constantFrom<Report['revisions']>(OLD, NEW, { [KEY]: null }, {})
  const one = fc.record({
    pod: fc.constantFrom('proxy-0', 'proxy-1'),
    instance: fc.constantFrom('a', 'a', 'a', 'b'),
    sequence: fc.nat(20),
    revision,
    count: fc.nat(9),
  })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 40 }), fc.nat(40), (reports, since) => {
      const figures = new Figures()
      const last = new Map<string, { instance: string; revision: string | null | undefined; at: number }>()
      const expected = new Map<string | null | undefined, number>()
      let all = 0
      reports.forEach((next, at) => {
        const made = report(next.sequence, next.revision, hits(next.count), next.instance)
        if (!figures.add(next.pod, 0, made, at)) return
        const before = last.get(next.pod)
        const now = next.revision[KEY]
        if (before !== undefined && before.at >= since) {
          all += next.count
          if (before.instance === next.instance && before.revision === now) {
            expected.set(now, (expected.get(now) ?? 0) + next.count)
          }
        }
        last.set(next.pod, { instance: next.instance, revision: now, at })
      })
      const found = ['r1', 'r2', null].map(of => requests(figures, of, since))
      expect(found).toEqual(['r1', 'r2', null].map(of => expected.get(of) ?? 0))
      expect(found.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(all)
    }),
  )
})

describe('bunched', () => {
  /** Two pods that report every second, half a second apart, a hundred requests each; so many of them are slow. */
  const pods = (slow: (second: number) => number): Figures => {
    const figures = new Figures()
    for (let i = 0; i <= 6; i++) {
      for (const [ordinal, offset] of [0, 400].entries()) {
        const latency = EMPTY_AGGREGATE.latency.map((_, at) => (at === 4 ? 100 - slow(i) : at === 9 ? slow(i) : 0))
        const hosts = { [HOST]: { ...counters(100), latency } } as Report['hosts']
        figures.add(`proxy-${ordinal}`, ordinal, report(i, NEW, hosts), i * 1_000 + offset)
      }
    }
    return figures
  }

  it.each<[string, (second: number) => number, number, number]>([
    ['as slow in every second', () => 10, 1, 1],
    ['slow in one second, on all pods', second => (second === 3 ? 60 : 0), 20, 30],
  ])('%s', (_, slow, least, most) => {
    const figures = pods(slow)
    const found = figures.bunched(KEY, 'r2', [HOST, HOST], 0, 100)
    expect(found).toBeGreaterThanOrEqual(least)
    expect(found).toBeLessThanOrEqual(most)
    // What was counted of others, or before, or is not slow, makes none.
    for (const args of [
      ['r1', 0, 100],
      ['r2', 3_500, 100],
      ['r2', 0, 1],
    ] as const) {
      expect(figures.bunched(KEY, args[0], [HOST], args[1], args[2])).toBeLessThan(1.01)
    }
  })

  it.each<[string, (second: number) => number, number]>([
    ['as slow in every second', () => 10, 60],
    ['slow in one second, on all pods', second => (second === 3 ? 60 : 0), 0],
  ])('%s, and without its worst moment', (_, slow, expected) => {
    // Six seconds of two pods: three are left.
    expect(pods(slow).calm(KEY, 'r2', [HOST, HOST], 0, 100)).toEqual({ count: expect.closeTo(expected, 5), total: 600 })
    expect(pods(slow).calm(KEY, 'r1', [HOST], 0, 100)).toEqual({ count: 0, total: 0 })
    expect(pods(slow).calm(KEY, 'r2', [HOST], 0, 1).total).toBe(600)
  })

  it('is without the moment of one pod beside another', () => {
    const figures = new Figures()
    for (let i = 0; i <= 8; i++) {
      for (const ordinal of [0, 1]) {
        const slow = ordinal === 1 && (i === 4 || i === 5) ? 50 : 0
        const latency = EMPTY_AGGREGATE.latency.map((_, at) => (at === 4 ? 100 - slow : at === 9 ? slow : 0))
        const hosts = { [HOST]: { ...counters(100), latency } } as Report['hosts']
        figures.add(`proxy-${ordinal}`, ordinal, report(i, NEW, hosts), i * 1_000)
      }
    }
    expect(figures.calm(KEY, 'r2', [HOST], 0, 100)).toEqual({ count: 0, total: 1_000 })
  })
})
