import { beforeEach, describe, expect, it } from '@jest/globals'
import { KubeError } from './errors.ts'
import { TerminalError, WorkQueue } from './queue.ts'
import type { QueueOptions, ReconcileResult } from './queue.ts'
import { FakeClock, settle } from './testing/fake-clock.ts'

interface Work {
  readonly key: string
  readonly finish: (result?: ReconcileResult) => Promise<void>
  readonly fail: (error: Error) => Promise<void>
}

let clock: FakeClock
/** What is under way, until the test ends it. */
let works: Work[]
let begun: string[]

beforeEach(() => {
  clock = new FakeClock()
  works = []
  begun = []
})

function queueOf(options: Partial<QueueOptions> = {}): WorkQueue {
  const queue = new WorkQueue(
    key =>
      new Promise((resolve, reject) => {
        begun.push(key)
        works.push({
          key,
          finish: async result => {
            resolve(result)
            await settle()
          },
          fail: async error => {
            reject(error)
            await settle()
          },
        })
      }),
    { name: 'test', clock, backoff: { minMs: 100, maxMs: 1_000, random: () => 0.999_999 }, ...options },
  )
  queue.start()
  return queue
}

describe('what is urgent', () => {
  const isUrgent = (key: string): boolean => key.startsWith('!')

  it('comes before what is not, and finds a worker whatever else is under way', async () => {
    const queue = queueOf({ workers: 4, isUrgent })
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
    await settle()
    expect(begun).toEqual(['a', 'b'])
    for (const key of ['!e', '!f', '!g']) queue.add(key)
    await settle()
    expect(begun.slice(2)).toEqual(['!e', '!f'])
    expect(queue.status()).toMatchObject({ queued: 3, active: 4 })
    await works[0]!.finish()
    expect(begun.slice(4)).toEqual(['!g'])
  })

  it('leaves a worker, and a fourth of the work, to what is not', async () => {
    const queue = queueOf({ workers: 4, isUrgent })
    const urgent = Array.from({ length: 20 }, (_, i) => `!${i}`)
    for (const key of [...urgent, 'a', 'b', 'c']) queue.add(key)
    await settle()
    expect(begun).toEqual(['!0', '!1', '!2', 'a'])
    // What is urgent is urgent again at once, as what waits for days is with every report.
    for (let i = 0; i < 12; i++) {
      const { key, finish } = works[i]!
      if (isUrgent(key)) queue.add(key)
      await finish()
    }
    expect(begun.filter(key => !isUrgent(key))).toEqual(['a', 'b', 'c'])
  })

  it('is what a key becomes that is added again meanwhile, and is worked on once', async () => {
    let urgent = false
    const queue = queueOf({ workers: 3, isUrgent: key => urgent && key === 'c' })
    for (const key of ['a', 'b', 'c']) queue.add(key)
    await settle()
    expect(begun).toEqual(['a'])
    urgent = true
    queue.add('c')
    await settle()
    expect(begun).toEqual(['a', 'c'])
    for (const { finish } of [...works]) await finish()
    await works[2]!.finish()
    expect(begun).toEqual(['a', 'c', 'b'])
    expect(queue.status()).toMatchObject({ queued: 0, active: 0 })
  })

  it('is forgotten with the rest when the queue is stopped, and waits out its backoff', async () => {
    const queue = queueOf({ workers: 3, isUrgent })
    queue.add('!a')
    await settle()
    queue.add('!a')
    await works[0]!.fail(new Error('no'))
    expect(begun).toEqual(['!a'])
    await clock.advance(100)
    expect(begun).toEqual(['!a', '!a'])
    queue.add('!b')
    queue.add('!c')
    queue.add('!d')
    queue.add('!e')
    const stopped = queue.stop()
    for (const { finish } of works.slice(1)) await finish()
    await stopped
    expect(queue.status()).toMatchObject({ queued: 0, active: 0 })
  })
})

it('leaves the event loop to others while it has much to do that waits for nothing', async () => {
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const queue = new WorkQueue(
    () => {
      const end = performance.now() + 2
      while (performance.now() < end);
      return Promise.resolve()
    },
    { name: 'test' },
  )
  for (let i = 0; i < 60; i++) queue.add(String(i))
  queue.start()
  await queue.drain()
  isDone = true
  expect(turns).toBeGreaterThanOrEqual(5)
})

describe('order', () => {
  it('a burst for one key is one piece of work; keys come in the order of their first event', async () => {
    const queue = queueOf()
    for (const key of ['a', 'b', 'a', 'c', 'b', 'a']) queue.add(key)
    await settle()
    expect(begun).toEqual(['a'])
    await works[0]!.finish()
    await works[1]!.finish()
    await works[2]!.finish()
    expect(begun).toEqual(['a', 'b', 'c'])
    expect(queue.status()).toEqual({ queued: 0, active: 0, delayed: 0, failing: 0, errors: 0 })
  })

  it('a key added during its own work is worked on again afterwards, never at the same time', async () => {
    const queue = queueOf({ workers: 3 })
    queue.add('a')
    await settle()
    queue.add('a')
    queue.add('a')
    queue.add('b')
    await settle()
    expect(begun).toEqual(['a', 'b'])
    await works[0]!.finish()
    expect(begun).toEqual(['a', 'b', 'a'])
    await works[2]!.finish()
    expect(begun).toEqual(['a', 'b', 'a'])
  })

  it('no more keys at once than there are workers', async () => {
    const queue = queueOf({ workers: 2 })
    for (const key of ['a', 'b', 'c']) queue.add(key)
    await settle()
    expect(queue.status()).toMatchObject({ active: 2, queued: 1 })
    await works[1]!.finish()
    expect(begun).toEqual(['a', 'b', 'c'])
  })
})

describe('failure', () => {
  it('is tried again with growing delays until it succeeds; then the count starts anew', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    for (const delay of [100, 200, 400, 800, 1_000, 1_000]) {
      const before = begun.length
      await works.at(-1)!.fail(new Error('no'))
      await clock.advance(delay - 2)
      expect(begun).toHaveLength(before)
      await clock.advance(2)
      expect(begun).toHaveLength(before + 1)
    }
    expect(queue.failures('a')).toBe(6)
    await works.at(-1)!.finish()
    expect(queue.failures('a')).toBe(0)
    expect(queue.status()).toMatchObject({ failing: 0, errors: 6, delayed: 0 })
  })

  it('is not tried again at every change meanwhile, and a second later if there was one', async () => {
    const queue = queueOf({ backoff: { minMs: 4_000, maxMs: 8_000, random: () => 0.999_999 } })
    queue.add('a')
    await settle()
    // One while it is worked on, too.
    queue.add('a')
    await works[0]!.fail(new Error('no'))
    for (let i = 0; i < 9; i++) {
      await clock.advance(100)
      queue.add('a')
      await settle()
    }
    expect(begun).toHaveLength(1)
    await clock.advance(100)
    expect(begun).toHaveLength(2)
    await works[1]!.finish()
    queue.add('a')
    await settle()
    expect(begun).toHaveLength(3)
  })

  it('is tried when a throttling server wants it, and no change makes that sooner', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    await works[0]!.fail(new KubeError('KUBE_THROTTLED', 'slow down', { retryAfterMs: 5_000 }))
    queue.add('a')
    await clock.advance(4_999)
    expect(begun).toHaveLength(1)
    await clock.advance(1)
    expect(begun).toHaveLength(2)
  })

  it('does not wait for hours because a server wants it', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    await works[0]!.fail(new KubeError('KUBE_THROTTLED', 'slow down', { retryAfterMs: 3_600_000 }))
    await clock.advance(30_000)
    expect(begun).toHaveLength(2)
  })

  it('keeps no other key waiting', async () => {
    const queue = queueOf()
    queue.add('a')
    queue.add('b')
    await settle()
    await works[0]!.fail(new Error('no'))
    expect(begun).toEqual(['a', 'b'])
  })

  it('waits as long as a throttling server asks', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    await works[0]!.fail(new KubeError('KUBE_THROTTLED', 'slow down', { retryAfterMs: 5_000 }))
    await clock.advance(4_999)
    expect(begun).toHaveLength(1)
    await clock.advance(1)
    expect(begun).toHaveLength(2)
  })

  it('that no repetition can mend waits for the next event', async () => {
    const outcomes: string[] = []
    const queue = queueOf({ hooks: { done: (_, outcome) => void outcomes.push(outcome) } })
    queue.add('a')
    await settle()
    await works[0]!.fail(new TerminalError('wrong input'))
    await clock.advance(600_000)
    expect(begun).toEqual(['a'])
    expect(clock.timers).toBe(0)
    queue.add('a')
    await settle()
    await works[1]!.finish({ requeueAfterMs: 1 })
    await clock.advance(1)
    await works[2]!.fail(new Error('no'))
    await clock.advance(1_000)
    await works[3]!.finish()
    expect(outcomes).toEqual(['terminal', 'requeue', 'error', 'success'])
  })
})

describe('time', () => {
  it('of two times for one key the earlier wins', async () => {
    const queue = queueOf()
    queue.addAfter('a', 500)
    queue.addAfter('a', 100)
    queue.addAfter('a', 900)
    await clock.advance(99)
    expect(begun).toEqual([])
    await clock.advance(1)
    expect(begun).toEqual(['a'])
    await works[0]!.finish()
    await clock.advance(10_000)
    expect(begun).toEqual(['a'])
  })

  it('work may ask to be called again', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    await works[0]!.finish({ requeueAfterMs: 3_000 })
    expect(queue.status().delayed).toBe(1)
    await clock.advance(3_000)
    expect(begun).toEqual(['a', 'a'])
  })

  it('a key that is forgotten has neither failures nor appointments', async () => {
    const queue = queueOf()
    queue.add('a')
    await settle()
    await works[0]!.fail(new Error('no'))
    queue.forget('a')
    await clock.advance(10_000)
    expect(begun).toEqual(['a'])
    expect(queue.failures('a')).toBe(0)
  })
})

describe('start and stop', () => {
  it('keys added before start wait for it', async () => {
    const queue = new WorkQueue(key => Promise.resolve(void begun.push(key)), { name: 'test', clock })
    queue.add('a')
    await settle()
    expect(begun).toEqual([])
    queue.start()
    await settle()
    expect(begun).toEqual(['a'])
  })

  it('stop waits for what is under way, and begins nothing new', async () => {
    const queue = queueOf()
    queue.add('a')
    queue.add('b')
    queue.addAfter('c', 10)
    await settle()
    let stopped = false
    const stop = queue.stop().then(() => (stopped = true))
    await clock.advance(1_000)
    expect(stopped).toBe(false)
    await works[0]!.fail(new Error('no'))
    await stop
    await clock.advance(10_000)
    expect(begun).toEqual(['a'])
    expect(clock.timers).toBe(0)
  })

  it('drain waits for the queued, not for the delayed', async () => {
    const queue = queueOf()
    queue.add('a')
    queue.add('b')
    queue.addAfter('c', 1_000)
    await settle()
    let drained = false
    const drain = queue.drain().then(() => (drained = true))
    await works[0]!.finish()
    expect(drained).toBe(false)
    await works[1]!.finish()
    await drain
    expect(queue.status().delayed).toBe(1)
  })
})
