/**
 * When to ask for a full snapshot after a refusal. The first time at once: most refusals come of a lost step. Then ever
 * later, as a snapshot is megabytes that somebody must compile into lines; and sooner where something changed meanwhile,
 * but never as fast as changes come. Pure: the caller has the clock.
 */
import { Backoff } from './backoff.ts'
import type { BackoffOptions } from './backoff.ts'

/** A change shortens the wait to this part of it. */
const SOONER = 8

export class SnapshotPacing {
  readonly #backoff: Backoff
  readonly #least: number
  #refused = false
  #refusedAt = 0
  #wait = 0

  constructor(options: BackoffOptions) {
    this.#backoff = new Backoff(options)
    this.#least = options.first / 2
  }

  /** A full snapshot is needed. @returns the time to ask for it */
  refused(now: number): number {
    this.#wait = this.#refused ? this.#backoff.next() : 0
    this.#refused = true
    this.#refusedAt = now
    return now + this.#wait
  }

  /** Something changed after the refusal. @returns the time to ask, which is not later than before */
  changed(): number {
    return this.#refusedAt + Math.min(this.#wait, Math.max(this.#least, this.#wait / SOONER))
  }

  /** The state is verified. */
  reset(): void {
    this.#refused = false
    this.#backoff.reset()
  }
}
