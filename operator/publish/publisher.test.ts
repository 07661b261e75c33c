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

  function publisher(options: { leader?: boolean; burst?: number } = {}): {
    written: string[]
    failures: unknown[]
    control: { leader: boolean; fail: boolean; takesMs: number }
    publisher: ChecksumPublisher
  } {
    const written: string[] = []
    const failures: unknown[] = []
    const control = { leader: options.leader ?? true, fail: false, takesMs: 0 }
    return {
      written,
      failures,
      control,
      publisher: new ChecksumPublisher({
        write: s => {
          if (control.fail) return Promise.reject(new Error('away'))
          written.push(s.checksum)
          return control.takesMs === 0
            ? Promise.resolve()
            : new Promise(resolve => setTimeout(resolve, control.takesMs))
        },
        mayWrite: () => control.leader,
        failed: e => failures.push(e),
        now: () => jest.now(),
        ...{ burst: options.burst ?? 1, refillMs: 100 },
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

  it('writes once what is wanted many times in a turn of the event loop', async () => {
    const { publisher: p, written, control } = publisher({ burst: 10 })
    control.takesMs = 20
    for (const checksum of ['a', 'b', 'c']) p.want(() => state(checksum))
    expect(written).toEqual([])
    await jest.advanceTimersByTimeAsync(10_000)
    expect(written).toEqual(['c'])
  })

  it('writes nothing after its end', async () => {
    const { publisher: p, written } = publisher()
    p.want(() => state('a'))
    p.stop()
    p.want(() => state('b'))
    await jest.advanceTimersByTimeAsync(10_000)
    expect(written).toEqual([])
  })

  it('says when what is wanted is written, or could not be, and lets nobody wait for its turn', async () => {
    const { publisher: p, written, control } = publisher({ burst: 4 })
    const settled = async (): Promise<readonly string[]> => {
      await p.settled()
      return [...written]
    }
    const wanted = async (checksum: string): Promise<readonly string[]> => {
      p.want(() => state(checksum))
      const answer = settled()
      await jest.advanceTimersByTimeAsync(1)
      return answer
    }
    expect(await settled()).toEqual([])
    expect(await wanted('a')).toEqual(['a'])
    expect(await wanted('b')).toEqual(['a', 'b'])
    expect(await wanted('b')).toEqual(['a', 'b'])
    control.fail = true
    expect(await wanted('c')).toEqual(['a', 'b'])
    control.fail = false
    await jest.advanceTimersByTimeAsync(1_000)
    for (const checksum of ['d', 'e', 'f', 'g']) await wanted(checksum)
    // Its turn comes later.
    expect(await wanted('h')).not.toContain('h')
    await jest.advanceTimersByTimeAsync(1_000)
    expect(written).toContain('h')
    p.want(() => state('i'))
    const stopped = settled()
    p.stop()
    expect(await stopped).not.toContain('i')
  })

  it('writes a few states at once, and goes on at its rate when that is used up', async () => {
    const { publisher: p, written } = publisher({ burst: 3 })
    for (let i = 0; i < 40; i++) {
      p.want(() => state(`s${i}`))
      await jest.advanceTimersByTimeAsync(10)
    }
    // Three at once, and one more after 100, 200 and 300 ms: the newest of its moment each.
    expect(written).toHaveLength(6)
    expect(written.slice(0, 3)).toEqual(['s0', 's1', 's2'])
    await jest.advanceTimersByTimeAsync(200)
    expect(written.at(-1)).toBe('s39')
    await jest.advanceTimersByTimeAsync(1_000)
    for (const name of ['x', 'y', 'z']) {
      p.want(() => state(name))
      await jest.advanceTimersByTimeAsync(1)
    }
    expect(written.slice(-3)).toEqual(['x', 'y', 'z'])
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

  it('corrects what somebody changed after a write took effect and before its answer was here', async () => {
    for (const change of ['other', null]) {
      const { publisher: p, written, control } = publisher({ burst: 10 })
      control.takesMs = 50
      p.want(() => state('a'))
      await jest.advanceTimersByTimeAsync(10)
      // Of the time before it.
      p.seen('older')
      p.seen('a')
      p.seen(change)
      await jest.advanceTimersByTimeAsync(1_000)
      expect(written).toEqual(['a', 'a'])
      p.seen('a')
      await jest.advanceTimersByTimeAsync(1_000)
      expect(written).toEqual(['a', 'a'])
    }
  })

  it('writes once what only an older event comes beside', async () => {
    const { publisher: p, written, control } = publisher({ burst: 10 })
    control.takesMs = 50
    p.want(() => state('a'))
    await jest.advanceTimersByTimeAsync(10)
    p.seen('older')
    await jest.advanceTimersByTimeAsync(100)
    p.seen('a')
    await jest.advanceTimersByTimeAsync(1_000)
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
