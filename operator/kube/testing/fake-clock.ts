/** A clock that moves when a test says so. */
import type { Cancel, Clock } from '../clock.ts'

interface Timer {
  readonly at: number
  readonly run: () => void
}

export class FakeClock implements Clock {
  #now = 1_000
  #wall = Date.UTC(2026, 0, 1)
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  wall(): Date {
    return new Date(this.#wall)
  }

  setTimeout(run: () => void, ms: number): Cancel {
    const timer = { at: this.#now + Math.max(0, ms), run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  get timers(): number {
    return this.#timers.size
  }

  /** Moves time, running what falls due in order, and lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const due = [...this.#timers].filter(t => t.at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#wall += due.at - this.#now
      this.#now = due.at
      due.run()
      await settle()
    }
    this.#wall += end - this.#now
    this.#now = end
    await settle()
  }

  /** Time passes and no timer runs: a process that was suspended. */
  freeze(ms: number): void {
    this.#now += ms
  }

  /** A wall clock that somebody sets. */
  jump(ms: number): void {
    this.#wall += ms
  }
}

/** Enough turns for promise chains; real input and output is not waited for. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
}

/** Polls a condition in real time. */
export async function until(what: string, condition: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
    await new Promise<void>(resolve => setTimeout(resolve, 5))
  }
}
