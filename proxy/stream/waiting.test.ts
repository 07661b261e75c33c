import { describe, expect, it } from '@jest/globals'
import { Backoff } from './backoff.ts'
import { SnapshotPacing } from './pacing.ts'
import { RetryLog } from './retry-log.ts'
import { FakeLog } from './testing/messages.ts'

const longest = () => 1
const shortest = () => 0

describe('Backoff', () => {
  it('doubles up to the limit', () => {
    const backoff = new Backoff({ first: 100, most: 5_000, random: longest })
    expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  })

  it('waits at least half of it', () => {
    const backoff = new Backoff({ first: 100, most: 5_000, random: shortest })
    expect([backoff.next(), backoff.next()]).toEqual([50, 100])
  })

  it('begins anew after a reset, and never overflows', () => {
    const backoff = new Backoff({ first: 100, most: 5_000, random: longest })
    for (let i = 0; i < 5_000; i++) backoff.next()
    expect(backoff.next()).toBe(5_000)
    backoff.reset()
    expect(backoff.next()).toBe(100)
  })
})

describe('SnapshotPacing', () => {
  const pacing = (): SnapshotPacing => new SnapshotPacing({ first: 1_000, most: 60_000, random: longest })

  it('asks at once, then ever later', () => {
    const waits = pacing()
    expect([0, 0, 0, 0].map(now => waits.refused(now))).toEqual([0, 1_000, 2_000, 4_000])
  })

  it('asks sooner after a change, but not at once again', () => {
    const waits = pacing()
    for (let i = 0; i < 20; i++) waits.refused(0)
    expect(waits.refused(100_000)).toBe(160_000)
    expect(waits.changed()).toBe(107_500)
    expect(waits.changed()).toBe(107_500)
  })

  it('a change never makes it later', () => {
    const waits = new SnapshotPacing({ first: 1_000, most: 60_000, random: shortest })
    waits.refused(0)
    expect(waits.refused(10)).toBe(510)
    expect(waits.changed()).toBe(510)
  })

  it('with a change after every refusal there are still few snapshots', () => {
    const waits = pacing()
    let now = 0
    let snapshots = 0
    for (; now < 600_000; snapshots++) {
      const due = waits.refused(now)
      now = Math.max(now + 1, Math.min(due, waits.changed()))
    }
    expect(snapshots).toBeLessThan(100)
    expect(snapshots).toBeGreaterThan(50)
  })

  it('begins anew after a verified state', () => {
    const waits = pacing()
    waits.refused(0)
    waits.refused(0)
    waits.reset()
    expect(waits.refused(7)).toBe(7)
  })
})

describe('RetryLog', () => {
  it('tells the first failure, another one, and the same one now and then with their number', () => {
    const log = new FakeLog()
    let now = 0
    const retries = new RetryLog(log, () => now)
    for (let i = 0; i < 20; i++) {
      retries.failed({}, 'refused')
      now += 3_000
    }
    retries.failed({}, 'timeout')
    retries.succeeded()
    retries.failed({}, 'timeout')
    expect(log.lines).toEqual([
      'warn refused {"attempts":1}',
      'warn refused {"attempts":11}',
      'warn timeout {"attempts":21}',
      'warn timeout {"attempts":1}',
    ])
  })
})
