import { describe, expect, it } from '@jest/globals'
import { WATCH_MS, hangs, listen, type Watched } from './watchdog.ts'

const after = (rounds: number, applied = 1): Watched => {
  const worker = { beats: 7, silent: 0, applied }
  for (let i = 0; i < rounds; i++) listen(worker, 7)
  return worker
}

describe('a worker', () => {
  it('hangs when it was silent for the time, counted in rounds', () => {
    expect([3, 4].map(rounds => hangs(after(rounds), 4 * WATCH_MS))).toEqual([false, true])
  })

  it('has six times as long before its first table', () => {
    expect([23, 24].map(rounds => hangs(after(rounds, 0), 4 * WATCH_MS))).toEqual([false, true])
  })

  it('begins anew with each beat, and never hangs where no time is set', () => {
    const worker = after(3)
    listen(worker, 8)
    expect(worker).toEqual({ beats: 8, silent: 0, applied: 1 })
    expect(hangs(after(1_000), 0)).toBe(false)
  })
})
