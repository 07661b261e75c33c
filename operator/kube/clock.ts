/** Time as the operator uses it. Deadlines are judged by the monotonic clock alone; the wall clock is for people. */
import { performance } from 'node:perf_hooks'

/** What cancels a timer; calling it late or twice does nothing. */
export type Cancel = () => void

export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin: never set back, never compared between processes. */
  now(): number
  /** Wall clock, for timestamps that people read. */
  wall(): Date
  /** Calls `run` once, after at least `ms` milliseconds. */
  setTimeout(run: () => void, ms: number): Cancel
}

/** setTimeout counts in 32 bits: a longer delay would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => new Date(),
  setTimeout: (run, ms) => {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS))
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`, or at once when the signal aborts (true: it slept to the end). Never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false)
  return new Promise(resolve => {
    const finish = (whole: boolean): void => {
      cancel()
      signal?.removeEventListener('abort', aborted)
      resolve(whole)
    }
    const aborted = (): void => finish(false)
    const cancel = clock.setTimeout(() => finish(true), ms)
    signal?.addEventListener('abort', aborted, { once: true })
  })
}
