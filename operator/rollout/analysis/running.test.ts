import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { EMPTY_AGGREGATE, addAggregates } from '../machine/figures.ts'
import type { Aggregate } from '../machine/figures.ts'
import { RunningSums } from './running.ts'
import { MOST_COUNTS, Samples } from './samples.ts'
import type { Sample } from './samples.ts'
import { counters } from './testing.ts'

const KEY = 'Ingress/shop/web'
const servesIt = (sample: Sample): boolean => sample.serves.get(KEY) === 'r1'

function plain(
  hosts: readonly string[],
  pods: readonly Samples[],
  since: number,
  counts: (sample: Sample) => boolean,
): Aggregate {
  const counted = pods.flatMap(samples => samples.since(since).filter(counts))
  return counted
    .flatMap(sample => hosts.flatMap(host => sample.hosts.get(host) ?? []))
    .reduce(addAggregates, EMPTY_AGGREGATE)
}

describe('running sums', () => {
  it('are what a plain sum is, whatever is asked in which order, also where samples become coarser or are forgotten', () => {
    const count = fc.record({
      ...{ requests: fc.nat(100), notFound: fc.nat(3), upstreamErrors: fc.nat(3), tlsHandshakes: fc.nat(3) },
      ...{ tlsFailures: fc.nat(3), closed: fc.option(fc.nat(3), { freq: 20 }) },
    })
    const event = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          ...{ pod: fc.nat(2), serves: fc.constantFrom('r1', 'r1', 'r2'), count },
          ...{ hosts: fc.subarray(['a', 'b', 'c']), ms: fc.nat(3), times: fc.constantFrom(1, 1, 2, 900) },
        }),
      },
      { weight: 1, arbitrary: fc.record({ busy: fc.nat(2) }) },
      {
        weight: 4,
        arbitrary: fc.record({
          ...{ back: fc.integer({ min: -5, max: 3_000 }), hosts: fc.constantFrom(['a'], ['a', 'b'], []) },
          whole: fc.boolean(),
        }),
      },
      { weight: 1, arbitrary: fc.record({ forgets: fc.nat(40_000) }) },
      { weight: 1, arbitrary: fc.record({ replaced: fc.nat(2) }) },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), events => {
        const sums = new RunningSums()
        const pods = [new Samples(), new Samples(), new Samples()]
        let now = 0
        for (const one of events) {
          if ('busy' in one) {
            const hosts = new Map(Array.from({ length: MOST_COUNTS / 2 + 1 }, (_, i) => [`h${i}`, counters(1)]))
            pods[one.busy]?.add({ begin: now, end: now, serves: new Map(), hosts })
          } else if ('forgets' in one) {
            now += one.forgets
            sums.forget(now)
          } else if ('replaced' in one) pods[one.replaced] = new Samples()
          else if ('back' in one) {
            const since = now - one.back
            const counts = one.whole ? (): boolean => true : servesIt
            const name = `${String(one.whole)} ${one.hosts.join()}`
            const question = { name, hosts: one.hosts, counts }
            expect(sums.of(question, pods, since, now)).toEqual(plain(one.hosts, pods, since, counts))
            // And where the window goes on with what came.
            expect(sums.of(question, pods, since + 3, now)).toEqual(plain(one.hosts, pods, since + 3, counts))
          } else {
            for (let i = 0; i < one.times; i++) {
              const counted = counters(one.count.requests, one.count as object)
              const hosts = new Map(one.hosts.map(host => [host, counted]))
              const begin = now
              now += one.ms
              pods[one.pod]?.add({ begin, end: now, serves: new Map([[KEY, one.serves]]), hosts })
            }
          }
        }
      }),
      { numRuns: 100 },
    )
  })

  it('looks at a sample once while it is in both windows, and once more when it leaves the shorter one', () => {
    const sums = new RunningSums()
    const samples = new Samples()
    const hosts = new Map([['a', counters(1)]])
    let looks = 0
    const counts = (): boolean => ++looks > 0
    const question = { name: 'a', hosts: ['a'], counts }
    for (let now = 0; now < 1_000; now++) {
      samples.add({ begin: now, end: now + 1, serves: new Map(), hosts })
      expect(sums.of(question, [samples], 0, now).requests).toBe(now + 1)
      if (now >= 100) expect(sums.of(question, [samples], now - 60, now).requests).toBe(61)
    }
    expect(looks).toBeLessThan(3_500)
  })

  it('remembers what is exact only', () => {
    const sums = new RunningSums()
    const samples = new Samples()
    const question = { name: 'a', hosts: ['a'], counts: () => true }
    const add = (begin: number, requests: number): void =>
      samples.add({ begin, end: begin + 1, serves: new Map(), hosts: new Map([['a', counters(requests)]]) })
    for (const count of [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 3]) add(samples.length, count)
    sums.of(question, [samples], 0, 0)
    expect(sums.of(question, [samples], 2, 0).requests).toBe(3)
  })

  it('forgets what nobody asks for', () => {
    const sums = new RunningSums()
    for (const name of ['a', 'b']) sums.of({ name, hosts: [], counts: () => true }, [], 0, name === 'a' ? 0 : 25_000)
    sums.forget(30_001)
    expect(sums.size).toBe(1)
  })
})
