/**
 * When something that was not released was last on pods, by host. What pods showed until then is no measure of what comes next: a
 * second bad change would be excused by the first. What the first one was compared with still is one: on a single pod there is nothing else.
 */
import type { Baseline, Before } from '../rollout/machine/figures.ts'

/** From before what was taken back. */
export interface Measure {
  readonly baseline: Baseline | null
  readonly before: Before | null
}

interface Note {
  readonly at: number
  /** UID of the rollout that was on the pods. */
  readonly by: string
  /** The hosts that the measure is of, all of them. */
  readonly hosts: string
  readonly measure: Measure
  /** Of another rollout on the host before. */
  readonly former: Note | null
}

export class TakenBack {
  readonly #notes = new Map<string, Note>()
  readonly #keptMs: number
  #pruned = -Infinity

  /** @param keptMs how far back anybody looks, in milliseconds */
  constructor(keptMs: number) {
    this.#keptMs = keptMs
  }

  get size(): number {
    return this.#notes.size
  }

  /** @param by UID of the rollout @param now monotonic milliseconds */
  note(by: string, hosts: readonly string[], now: number, measure: Measure): void {
    if (now - this.#pruned > this.#keptMs / 10) {
      this.#pruned = now
      for (const [host, { at }] of this.#notes) if (at < now - this.#keptMs) this.#notes.delete(host)
    }
    const all = named(hosts)
    for (const host of hosts) {
      const known = this.#notes.get(host) ?? null
      const before = known?.by === by ? known.former : known
      // Of one further back nobody would need to know for long.
      const former = before === null ? null : { ...before, former: null }
      this.#notes.set(host, { at: now, by, hosts: all, measure, former })
    }
  }

  /** It rested with its content on pods, and is released after all: what pods showed is as good a measure as any. */
  withdraw(by: string, hosts: readonly string[]): void {
    for (const host of hosts) {
      const note = this.#notes.get(host)
      if (note?.by !== by) continue
      if (note.former === null) this.#notes.delete(host)
      else this.#notes.set(host, note.former)
    }
  }

  /** Monotonic milliseconds; -Infinity: not in so long. */
  lastOn(hosts: Iterable<string>): number {
    let last = -Infinity
    for (const host of hosts) last = Math.max(last, this.#notes.get(host)?.at ?? -Infinity)
    return last
  }

  /** What the last one was measured by, where it was on just these hosts. @param now monotonic milliseconds */
  measureOf(hosts: readonly string[], now: number): Measure | null {
    const notes = hosts.map(host => this.#notes.get(host))
    const [first] = notes
    if (first === undefined || first.at < now - this.#keptMs || first.hosts !== named(hosts)) return null
    return notes.every(note => note?.by === first.by && note.at === first.at) ? first.measure : null
  }
}

function named(hosts: readonly string[]): string {
  return [...new Set(hosts)].sort().join(' ')
}
