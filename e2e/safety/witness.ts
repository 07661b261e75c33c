/**
 * What clients of a host saw while a change of it was under way, and what was done to backends and proxies meanwhile: a verdict on a
 * good change that does not complete is either ours to mend or the noise's, and these lines say which.
 */
import type { LoadRecord } from '../load/record.ts'
import { failed } from '../load/record.ts'
import { podsInWords } from '../../operator/rollout/machine/gates/gate.ts'

/** What was done to backends and proxies. `at`: milliseconds of performance.now(), as of records. */
export interface Disturbance {
  readonly at: number
  readonly what: string
}

/** Of a host no more is kept: some minutes of sixty requests a second, of which one in twenty stands out. */
const MOST = 2_000
/** Slower is worth a line, in milliseconds: backends answer in less, but for a moment of 200 ms in every ten seconds. */
export const SLOW_MS = 400
/** What was done so long before a change may still be felt, in milliseconds. */
const BEFORE_MS = 20_000

export class Witness {
  readonly #odd: LoadRecord[] = []
  readonly #counts = new Map<string, number>()

  /** Failures and slow answers are kept, the last ones. */
  saw(record: LoadRecord): void {
    const isFailure = failed(record)
    if (isFailure) {
      const kind = kindOf(record)
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
    }
    if (!isFailure && record.ms < SLOW_MS) return
    if (this.#odd.push(record) > MOST) this.#odd.splice(0, MOST / 2)
  }

  /** How many failed so, most first. */
  get failures(): ReadonlyMap<string, number> {
    return this.#counts
  }

  /** Lines for people: what happened between two moments, in seconds since the first. */
  story(from: number, until: number, disturbances: readonly Disturbance[]): readonly string[] {
    const odd = this.#odd.filter(({ at, ms }) => at + ms >= from && at <= until)
    const lines = new Map<string, Line>()
    for (const record of odd) {
      // By when it ended: that is when a proxy counts it.
      const end = record.at + record.ms
      const name = `${seconds(end, from)}  ${failed(record) ? kindOf(record) : 'slow'}`
      const { at, pods, count, slowest } = lines.get(name) ?? { at: end, pods: [], count: 0, slowest: 0 }
      lines.set(name, {
        ...{ at, count: count + 1, slowest: Math.max(slowest, record.ms) },
        pods: [...pods, record.ordinal],
      })
    }
    const seen = [...lines].map(([name, { at, pods, count, slowest }]) => ({
      at,
      text: `${name}: ${count} on ${podsInWords([...new Set(pods)])}, up to ${slowest.toFixed(0)} ms`,
    }))
    const done = disturbances
      .filter(({ at }) => at >= from - BEFORE_MS && at <= until)
      .map(({ at, what }) => ({ at, text: `${seconds(at, from)}  ${what}` }))
    return [...seen, ...done].sort((a, b) => a.at - b.at).map(({ text }) => text)
  }
}

interface Line {
  readonly at: number
  readonly pods: readonly number[]
  readonly count: number
  readonly slowest: number
}

function seconds(at: number, from: number): string {
  return `${String(Math.floor((at - from) / 1_000)).padStart(4)} s`
}

function kindOf({ error, status }: LoadRecord): string {
  return error ?? String(status)
}

/** Of all hosts together, most first. */
export function failuresText(witnesses: Iterable<Witness>): string {
  const all = new Map<string, number>()
  for (const { failures } of witnesses) for (const [kind, n] of failures) all.set(kind, (all.get(kind) ?? 0) + n)
  return [...all]
    .sort(([, a], [, b]) => b - a)
    .map(([kind, n]) => `${n} ${kind}`)
    .join(', ')
}
