import { expect, it } from '@jest/globals'
import { LOOK_MS, LoopLag } from './loop-lag.ts'

it('LoopLag adds up for how long the loop was late, and whoever comes right after a stall waited through it', () => {
  let now = 1_000
  const lag = new LoopLag(() => now)
  const pass = (milliseconds: number): void => {
    now += milliseconds
    lag.look()
  }
  const first = lag.mark()
  pass(LOOK_MS)
  expect(lag.since(first)).toBe(0)
  now += LOOK_MS + 300
  // Not looked at yet.
  expect(lag.since(first)).toBe(300)
  lag.look()
  const second = lag.mark()
  expect([lag.since(first), lag.since(second)]).toEqual([300, 300])
  pass(LOOK_MS)
  const third = lag.mark()
  pass(LOOK_MS + 50)
  expect([lag.since(first), lag.since(second), lag.since(third)]).toEqual([350, 350, 50])
  // A loop at work is late by a little at every look: that is no stall, however long it goes on.
  for (let i = 0; i < 1_000; i++) pass(LOOK_MS + 49)
  expect(lag.since(third)).toBe(50)
})
