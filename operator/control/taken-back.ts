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
  /** Whose content was on the pods. */
  readonly by: string
  /** The hosts that the measure is of, all of them. */
  readonly hosts: string
  readonly measure: Measure
}

export class TakenBack {
  /** By host, the newest last; one for each that was there. */
  readonly #notes = new Map<string, readonly Note[]>()
  readonly #keptMs: number
  #pruned = -Infinity

  /** @param keptMs how far back anybody looks, in milliseconds */
  constructor(keptMs: number) {
    this.#keptMs = keptMs
  }

  get size(): number {
    return this.#notes.size
  }

  /** @param by may be withdrawn under this name @param now monotonic milliseconds */
  note(by: string, hosts: readonly string[], now: number, measure: Measure): void {
    if (now - this.#pruned > this.#keptMs / 10) {
      this.#pruned = now
      for (const host of this.#notes.keys()) this.#set(host, this.#notesOf(host, now))
    }
    const note = { at: now, by, hosts: named(hosts), measure }
    for (const host of hosts) this.#set(host, [...this.#notesOf(host, now).filter(one => one.by !== by), note])
  }

  /** It rested with its content on pods, and passed: what they showed is as good a measure as any. On whatever hosts: once released it has others. */
  withdraw(by: string): void {
    for (const [host, notes] of this.#notes) {
      if (notes.some(one => one.by === by))
        this.#set(
          host,
          notes.filter(one => one.by !== by),
        )
    }
  }

  /** Monotonic milliseconds; -Infinity: not in so long. */
  lastOn(hosts: Iterable<string>): number {
    let last = -Infinity
    for (const host of hosts) last = Math.max(last, this.#notesOf(host).at(-1)?.at ?? -Infinity)
    return last
  }

  /** What the last one was measured by, where it was on just these hosts. @param now monotonic milliseconds */
  measureOf(hosts: readonly string[], now: number): Measure | null {
    const notes = hosts.map(host => this.#notesOf(host, now).at(-1))
    const [first] = notes
    if (first === undefined || first.hosts !== named(hosts)) return null
    return notes.every(note => note?.by === first.by && note.at === first.at) ? first.measure : null
  }

  #notesOf(host: string, now = -Infinity): readonly Note[] {
    return (this.#notes.get(host) ?? []).filter(({ at }) => at >= now - this.#keptMs)
  }

  #set(host: string, notes: readonly Note[]): void {
    if (notes.length === 0) this.#notes.delete(host)
    else this.#notes.set(host, notes)
  }
}

function named(hosts: readonly string[]): string {
  return [...new Set(hosts)].sort().join(' ')
}
