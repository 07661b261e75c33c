import { beforeEach, expect, it } from '@jest/globals'
import { Delivery } from './delivery.ts'
import { silentLog } from './log.ts'
import type { ConfigMap } from './objects.ts'
import { FakeClock } from './testing/fake-clock.ts'

let clock: FakeClock
let calls: string[]
let broken: boolean
let failures: number
let delivery: Delivery<ConfigMap>

const at = (v: string): ConfigMap => ({ metadata: { name: 'a', namespace: 'ns', resourceVersion: v }, data: { v } })
const v = (object: ConfigMap | undefined): string => object?.data?.['v'] ?? '-'

beforeEach(() => {
  clock = new FakeClock()
  calls = []
  broken = false
  failures = 0
  const call = (text: string): void => {
    if (broken) throw new Error('not now')
    calls.push(text)
  }
  delivery = new Delivery<ConfigMap>(
    { upsert: (object, old) => call(`${v(old)}>${v(object)}`), remove: object => call(`${v(object)}>gone`) },
    {
      name: 'test',
      clock,
      log: silentLog,
      backoff: { minMs: 100, maxMs: 100, random: () => 0 },
      failed: () => failures++,
    },
  )
  delivery.start()
})

it('hands over at once', () => {
  delivery.upsert('ns/a', at('1'), undefined)
  delivery.upsert('ns/a', at('2'), at('1'))
  delivery.remove('ns/a', at('2'))
  expect(calls).toEqual(['->1', '1>2', '2>gone'])
  expect([failures, delivery.outstanding, clock.timers]).toEqual([0, 0, 0])
})

it('what was refused comes again as the newest state, with what was accepted before', async () => {
  delivery.upsert('ns/a', at('1'), undefined)
  broken = true
  delivery.upsert('ns/a', at('2'), at('1'))
  delivery.upsert('ns/a', at('3'), at('2'))
  await clock.advance(1_000)
  expect(failures).toBeGreaterThan(5)
  expect(delivery.outstanding).toBe(1)
  broken = false
  await clock.advance(100)
  expect(calls).toEqual(['->1', '1>3'])
  expect([delivery.outstanding, clock.timers]).toEqual([0, 0])
})

it('a newer event that is accepted makes the repetition needless', async () => {
  broken = true
  delivery.upsert('ns/a', at('1'), undefined)
  broken = false
  delivery.upsert('ns/a', at('2'), at('1'))
  await clock.advance(10_000)
  // Never accepted before: to the handler the object is new.
  expect(calls).toEqual(['->2'])
})

it('an object that goes while it is refused is removed, as its handler last saw it being handed over', async () => {
  delivery.upsert('ns/a', at('1'), undefined)
  broken = true
  delivery.upsert('ns/a', at('2'), at('1'))
  delivery.remove('ns/a', at('2'))
  broken = false
  await clock.advance(100)
  expect(calls).toEqual(['->1', '2>gone'])
})

it('a removal that was refused and then undone is a change', async () => {
  delivery.upsert('ns/a', at('1'), undefined)
  broken = true
  delivery.remove('ns/a', at('1'))
  broken = false
  delivery.upsert('ns/a', at('2'), undefined)
  await clock.advance(1_000)
  expect(calls).toEqual(['->1', '1>2'])
})

it('stop keeps what is owed, start hands it over', async () => {
  broken = true
  delivery.upsert('ns/a', at('1'), undefined)
  await delivery.stop()
  broken = false
  await clock.advance(10_000)
  expect(calls).toEqual([])
  expect(delivery.outstanding).toBe(1)
  delivery.start()
  await clock.advance(0)
  expect(calls).toEqual(['->1'])
})
