/** Notices silence. Its limits are monotonic time, so a clock that jumps neither kills nor spares a watch. */
import type { Cancel, Clock } from './clock.ts'

export class Watchdog {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #silent: () => void
  #heard: number
  #cancel: Cancel

  constructor(clock: Clock, limitMs: number, silent: () => void) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#silent = silent
    this.#heard = clock.now()
    this.#cancel = this.#arm(limitMs)
  }

  /** Cheap enough for every chunk: no timer is touched. */
  heard(): void {
    this.#heard = this.#clock.now()
  }

  stop(): void {
    this.#cancel()
  }

  #arm(ms: number): Cancel {
    return this.#clock.setTimeout(() => {
      const left = this.#heard + this.#limitMs - this.#clock.now()
      if (left > 0) this.#cancel = this.#arm(left)
      else this.#silent()
    }, ms)
  }
}
