import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { ChecksumPublisher } from './publisher.ts'
import type { PublishedState } from './publisher.ts'

const state = (checksum: string): PublishedState => ({ checksum, count: 1, ids: [checksum], buckets: [] })

describe('ChecksumPublisher', () => {
  beforeEach(() => {
    jest.useFakeTimers()
  })
  afterEach(() => {
    jest.useRealTimers()
  })

  function publisher(options: { leader?: boolean } = {}): {
    written: string[]
    failures: unknown[]
    control: { leader: boolean; fail: boolean }
    publisher: ChecksumPublisher
  } {
    const written: string[] = []
    const failures: unknown[] = []
    const control = { leader: options.leader ?? true, fail: false }
    return {
      written,
      failures,
      control,
      publisher: new ChecksumPublisher({
        write: s => {
          if (control.fail) return Promise.reject(new Error('away'))
          written.push(s.checksum)
          return Promise.resolve()
        },
        mayWrite: () => control.leader,
        failed: e => failures.push(e),
        now: () => jest.now(),
      }),
    }
  }

  it('writes the first state at once and then the newest of each interval', async () => {
    const { publisher: p, written } = publisher()
    p.want(() => state('a'))
    await jest.advanceTimersByTimeAsync(0)
    expect(written).toEqual(['a'])
    p.want(() => state('b'))
    p.want(() => state('c'))
    await jest.advanceTimersByTimeAsync(99)
    expect(written).toEqual(['a'])
    await jest.advanceTimersByTimeAsync(1)
    expect(written).toEqual(['a', 'c'])
    await jest.advanceTimersByTimeAsync(10_000)
    expect(written).toEqual(['a', 'c'])
  })

  it('tries again after a failure', async () => {
    const { publisher: p, written, control, failures } = publisher()
    control.fail = true
    p.want(() => state('a'))
    await jest.advanceTimersByTimeAsync(10)
    expect(failures).toHaveLength(1)
    control.fail = false
    await jest.advanceTimersByTimeAsync(1000)
    expect(written).toEqual(['a'])
  })

  it('writes nothing while another replica leads, and everything when it takes over', async () => {
    const { publisher: p, written, control } = publisher({ leader: false })
    p.want(() => state('a'))
    await jest.advanceTimersByTimeAsync(1000)
    expect(written).toEqual([])
    control.leader = true
    p.reset()
    await jest.advanceTimersByTimeAsync(0)
    expect(written).toEqual(['a'])
  })

  it('corrects a foreign edit and a deletion of its object', async () => {
    const { publisher: p, written } = publisher()
    p.want(() => state('a'))
    await jest.advanceTimersByTimeAsync(300)
    p.seen('a')
    await jest.advanceTimersByTimeAsync(300)
    expect(written).toEqual(['a'])
    p.seen('other')
    await jest.advanceTimersByTimeAsync(300)
    p.seen(null)
    await jest.advanceTimersByTimeAsync(300)
    expect(written).toEqual(['a', 'a', 'a'])
  })
})
