/** Waiting for a state, and seeing that one stays. On failure the message shows what was seen last. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { HarnessError, messageOf } from './errors.ts'

export interface WaitOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
}

type Probe<T> = () => T | Promise<T>

/** Polls until `accept` says yes and returns that value. A probe that throws counts as not yet. @throws HarnessError */
export async function waitFor<T>(
  what: string,
  probe: Probe<T>,
  accept: (value: T) => boolean,
  { timeoutMs = 20_000, everyMs = 200 }: WaitOptions = {},
): Promise<T> {
  const until = performance.now() + timeoutMs
  for (;;) {
    let last: string
    let cause: unknown
    try {
      const value = await probe()
      if (accept(value)) return value
      last = show(value)
    } catch (error) {
      cause = error
      last = `error: ${messageOf(error)}`
    }
    if (performance.now() >= until) {
      throw new HarnessError('E2E_TIMEOUT', `${what}: not after ${timeoutMs / 1000} s. Last seen: ${last}`, { cause })
    }
    await sleep(everyMs)
  }
}

/** Polls for so long; the first value that is not accepted ends it. @throws HarnessError */
export async function stays<T>(
  what: string,
  forMs: number,
  probe: Probe<T>,
  accept: (value: T) => boolean,
  everyMs = 200,
): Promise<void> {
  const started = performance.now()
  do {
    const value = await probe()
    if (!accept(value)) {
      const after = ((performance.now() - started) / 1000).toFixed(1)
      throw new HarnessError('E2E_CHANGED', `${what}: no longer so after ${after} s: ${show(value)}`)
    }
    await sleep(everyMs)
  } while (performance.now() - started < forMs)
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : inspect(value, { depth: 6, breakLength: 120, maxStringLength: 2_000 })
}
