/**
 * What one pod counted, in intervals between two of its reports. Memory is bounded by making the older half coarser:
 * the longer ago a moment, the less precisely it can be found. A window that begins inside a piece goes without it,
 * which leaves less evidence but never wrong evidence.
 */
import type { ObjectKey, Revision } from '../../../protocol/objects.ts'
import { addAggregates } from '../machine/figures.ts'
import type { Aggregate } from '../machine/figures.ts'

export interface Sample {
  /** Monotonic milliseconds. */
  readonly begin: number
  readonly end: number
  /** What the pod served from begin to end of each observed object; null: none. No entry: not known, or it changed. */
  readonly serves: ReadonlyMap<ObjectKey, Revision | null>
  /** Of every host that was counted. */
  readonly hosts: ReadonlyMap<string, Aggregate>
}

/** Older samples are forgotten: the longest bake time, and some. Milliseconds. */
export const KEPT_MS = 25 * 60 * 60_000
/** An hour of reports every 2 s stays as it came. */
export const MOST_SAMPLES = 2_000
/** Of one host in one sample. A busy pod reports a thousand hosts at a time; about 400 bytes each. */
export const MOST_COUNTS = 30_000

export class Samples {
  /** In order of time. */
  #samples: Sample[] = []
  #counts = 0
  #epoch = 0

  get size(): { readonly samples: number; readonly counts: number } {
    return { samples: this.#samples.length, counts: this.#counts }
  }

  add(sample: Sample): void {
    if (sample.hosts.size === 0) return
    const first = this.#samples.findIndex(one => one.end >= sample.end - KEPT_MS)
    if (first !== 0) this.#replace(first < 0 ? [] : this.#samples.slice(first))
    this.#samples.push(sample)
    this.#counts += sample.hosts.size
    if (this.#samples.length > MOST_SAMPLES || this.#counts > MOST_COUNTS) this.#thin()
  }

  /** Those that began at or after `since`. */
  since(since: number): readonly Sample[] {
    return this.#samples.slice(this.indexSince(since))
  }

  /** Another one when something else happened than that samples were added behind the others. */
  get epoch(): number {
    return this.#epoch
  }

  get length(): number {
    return this.#samples.length
  }

  at(index: number): Sample | undefined {
    return this.#samples[index]
  }

  /** Of the first that began at or after `since`; `length`: none did. */
  indexSince(since: number): number {
    return this.#first(({ begin }) => begin >= since)
  }

  /** Those that have a moment between `from` and `until`. */
  meanwhile(from: number, until: number): readonly Sample[] {
    return this.#samples.slice(
      this.#first(({ end }) => end > from),
      this.#first(({ begin }) => begin >= until),
    )
  }

  /** Index of the first of which that is so; of those after it, it is, too. */
  #first(isSo: (sample: Sample) => boolean): number {
    let [low, high] = [0, this.#samples.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const sample = this.#samples[middle]
      if (sample !== undefined && !isSo(sample)) low = middle + 1
      else high = middle
    }
    return low
  }

  #thin(): void {
    const half = Math.ceil(this.#samples.length / 2)
    this.#replace([...inPairs(this.#samples.slice(0, half)), ...this.#samples.slice(half)])
    // Hosts that differ from report to report do not add up to fewer.
    if (this.#counts > MOST_COUNTS) this.#replace(this.#samples.slice(Math.ceil(this.#samples.length / 4)))
  }

  #replace(samples: readonly Sample[]): void {
    this.#epoch++
    this.#samples = [...samples]
    this.#counts = samples.reduce((sum, one) => sum + one.hosts.size, 0)
  }
}

function inPairs(samples: readonly Sample[]): readonly Sample[] {
  const pairs: Sample[] = []
  for (let i = 0; i < samples.length; i += 2) {
    const [first, second] = [samples[i], samples[i + 1]]
    if (first !== undefined) pairs.push(second === undefined ? first : merged(first, second))
  }
  return pairs
}

function merged(first: Sample, second: Sample): Sample {
  const hosts = new Map(first.hosts)
  for (const [host, counts] of second.hosts) {
    const before = hosts.get(host)
    hosts.set(host, before === undefined ? counts : addAggregates(before, counts))
  }
  return { begin: first.begin, end: second.end, serves: agreed(first.serves, second.serves), hosts }
}

/** What both say alike: a pod served an object from end to end only if it did so at both ends. */
export function agreed(
  before: ReadonlyMap<ObjectKey, Revision | null>,
  after: ReadonlyMap<ObjectKey, Revision | null>,
): ReadonlyMap<ObjectKey, Revision | null> {
  if (before === after) return after
  return new Map([...after].filter(([key, revision]) => before.get(key) === revision))
}
