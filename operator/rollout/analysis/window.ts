/** Windows of figures from reports. Pure but for its own memory, which is bounded. */
import type { Report } from '../../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import type { ObjectKey, Revision } from '../../../protocol/objects.ts'
import { EMPTY_AGGREGATE, addAggregates, baselineOf, slowerThan, tlsAttempts } from '../machine/figures.ts'
import type { Aggregate, Baseline, Before, EventClass, PodBefore } from '../machine/figures.ts'
import type { Sample as Share } from '../machine/statistics.ts'
import type { ProbeSeen, WindowFigures } from '../machine/types.ts'
import { BLOCK_MS, bunchesIn, dispersionOf, slowestOf, withoutWorst } from './dispersion.ts'
import type { Blocks } from './dispersion.ts'
import { KEPT_MS, Samples, agreed } from './samples.ts'
import type { Sample } from './samples.ts'
import { Probed } from './probed.ts'
import { RunningSums } from './running.ts'
import { stableMeanwhile } from './side-by-side.ts'
import type { Piece } from './side-by-side.ts'
import type { Question } from './probed.ts'
import { Use } from './use.ts'

export { percentile } from '../machine/figures.ts'

/** A baseline covers so much. Milliseconds. */
const BASELINE_MS = 60_000
/** What a pod always shows, it shows in so long. Milliseconds. */
export const BEFORE_MS = 15 * 60_000
/** Of a pod's earlier processes; a report of one of them may still be under way. */
const FORMER = 8
/** How often sums that nobody asks for are looked for. Milliseconds. */
const FORGET_EVERY_MS = 10_000

/** The last report of a pod, and what it counted before. */
interface Heard {
  readonly ordinal: number
  readonly instance: string
  readonly sequence: number
  readonly at: number
  /** As the report had them, and as a map. */
  readonly said: Report['revisions']
  readonly revisions: ReadonlyMap<ObjectKey, Revision | null>
  readonly former: readonly string[]
  readonly samples: Samples
}

/** Of whom, since when, and what is slow, in milliseconds. */
export type InSeconds = readonly [
  key: ObjectKey,
  revision: Revision | null,
  hosts: readonly string[],
  sinceMs: number,
  slowerThanMs: number,
]

export interface SideBySide {
  readonly key: ObjectKey
  readonly update: Revision | null
  readonly stable: Revision | null
  readonly hosts: readonly string[]
  readonly sinceMs: number
  readonly untilMs: number
  readonly events: EventClass
}

export class Figures {
  readonly #pods = new Map<string, Heard>()
  readonly #use = new Use()
  readonly #probed = new Probed()
  readonly #sums = new RunningSums()
  /** When the last report came, and sums were last forgotten. Monotonic milliseconds. */
  #now = -Infinity
  #forgotAt = -Infinity

  /** A report that was counted before (same instance, not a higher sequence) is ignored: false. */
  add(pod: string, ordinal: number, report: Report, nowMs: number): boolean {
    const before = this.#pods.get(pod)
    if (before === undefined) this.#forgetSilent(nowMs)
    this.#forgetSums(nowMs)
    if (before !== undefined && isOld(report, before)) return false
    this.#use.add(pod, report, nowMs)
    this.#probed.add(pod, report, nowMs)
    const { instance, sequence } = report
    const same = before?.instance === instance
    const revisions = revisionsOf(report, before)
    const samples = before?.samples ?? new Samples()
    // A first report says nothing of when it began, and that of a new process nothing of what was served between.
    if (before !== undefined) {
      const serves = same ? agreed(before.revisions, revisions) : new Map<ObjectKey, null>()
      samples.add({ begin: before.at, end: nowMs, serves, hosts: hostsOf(report) })
    }
    const former = before === undefined || same ? (before?.former ?? []) : [before.instance, ...before.former]
    this.#pods.set(pod, {
      ...{ ordinal, instance, sequence, at: nowMs, said: report.revisions, revisions, samples },
      former: former.slice(0, FORMER),
    })
    return true
  }

  /** What pods counted while they served this revision of the object from end to end of a report, since `sinceMs`. */
  serving(key: ObjectKey, revision: Revision | null, hosts: readonly string[], sinceMs: number): Aggregate {
    return this.#sum(hosts, sinceMs, serves(key, revision), `${key} ${revision ?? ABSENT_REVISION}`)
  }

  /**
   * What pods counted of the update since `sinceMs`, in reports that came until `untilMs`, and what pods counted of the stable revision
   * in the same time, at its worst where their reports do not show when.
   */
  sideBySide({ key, update, stable, hosts, sinceMs, untilMs, events }: SideBySide): WindowFigures {
    const asked = [...new Set(hosts)]
    const pods = [...this.#pods.values()]
    const pieces = (samples: readonly Sample[], revision: Revision | null): readonly Piece[] => {
      const isIt = serves(key, revision)
      return samples
        .filter(one => one.end > one.begin && isIt(one))
        .map(({ begin, end, hosts: counts }) => ({ begin, end, counted: countedOn(asked, counts) }))
    }
    const updated = pods.map(({ samples }) =>
      pieces(
        samples.since(sinceMs).filter(({ end }) => end <= untilMs),
        update,
      ),
    )
    const seen = updated.flat()
    const [first, last] = seen.reduce(
      ([from, to], { begin, end }) => [Math.min(from, begin), Math.max(to, end)],
      [Infinity, -Infinity],
    )
    const others = pods.flatMap(({ samples }) => pieces(samples.meanwhile(first, last), stable))
    return {
      update: seen.map(({ counted }) => counted).reduce(addAggregates, EMPTY_AGGREGATE),
      stable: stableMeanwhile(updated, others, events),
    }
  }

  /** WindowFigures.bunched, of what pods counted while they served this revision, since `sinceMs`. */
  bunched(...question: InSeconds): number {
    return bunchesIn([...this.#inSeconds(...question).values()])
  }

  /** WindowFigures.calm, of the same. */
  calm(...question: InSeconds): Share {
    return withoutWorst(this.#inSeconds(...question))
  }

  /** What pods counted while they served this revision, by the second that they reported it in, and what of it took longer. */
  #inSeconds(...[key, revision, hosts, sinceMs, slowerThanMs]: InSeconds): ReadonlyMap<number, Share> {
    const asked = [...new Set(hosts)]
    const isIt = serves(key, revision)
    const seconds = new Map<number, Share>()
    for (const { samples } of this.#pods.values()) {
      for (const sample of samples.since(sinceMs)) {
        if (!isIt(sample)) continue
        const second = Math.floor(sample.end / 1_000)
        const { latency, requests } = countedOn(asked, sample.hosts)
        const { count, total } = seconds.get(second) ?? { count: 0, total: 0 }
        seconds.set(second, { count: count + slowerThan(latency, slowerThanMs), total: total + requests })
      }
    }
    return seconds
  }

  /** More pods than before serve the object and count its requests. */
  began(key: ObjectKey, nowMs: number): void {
    this.#use.began(key, nowMs)
  }

  /** Requests that these pods answered for the object in the last minute; null: it was not counted for so long on all of them. */
  use(key: ObjectKey, pods: Iterable<string>, nowMs: number): number | null {
    return this.#use.of(key, pods, nowMs)
  }

  /** What pods saw of their probes for an object. */
  probed(question: Question): readonly ProbeSeen[] {
    return this.#probed.of(question)
  }

  /** The last minute before `nowMs` on all pods, not before `sinceMs`; null: nobody counted anything. */
  baseline(hosts: readonly string[], nowMs: number, sinceMs = -Infinity): Baseline | null {
    const sum = this.#sum(hosts, Math.max(sinceMs, nowMs - BASELINE_MS), () => true, '')
    return sum.requests === 0 && tlsAttempts(sum) === 0 ? null : baselineOf(sum)
  }

  /** The last quarter of an hour before `nowMs`, whatever was served, not before `sinceMs`; null: nobody counted anything. */
  before(hosts: readonly string[], nowMs: number, sinceMs = -Infinity): Before | null {
    const from = Math.max(sinceMs, nowMs - BEFORE_MS)
    const asked = [...new Set(hosts)]
    const pods = new Map<string, PodBefore>()
    const blocks: Blocks[] = []
    let begin = nowMs
    for (const [pod, { ordinal, samples }] of this.#pods) {
      const ofPod = blocksOf(samples.since(from), asked)
      if (ofPod.size === 0) continue
      pods.set(pod, { ordinal, counted: [...ofPod.values()].reduce(addAggregates) })
      begin = Math.min(begin, ...samples.since(from).map(one => one.begin))
      blocks.push(ofPod)
    }
    return pods.size === 0
      ? null
      : { pods, ms: nowMs - begin, dispersion: dispersionOf(blocks), slowestMs: slowestOf(blocks) }
  }

  /** @param name of what is counted, whatever the hosts */
  #sum(hosts: readonly string[], since: number, counts: (sample: Sample) => boolean, name: string): Aggregate {
    const asked = [...new Set(hosts)]
    const question = { name: [name, ...asked].join('\n'), hosts: asked, counts }
    return this.#sums.of(question, this.#samples(), since, this.#now)
  }

  *#samples(): Iterable<Samples> {
    for (const { samples } of this.#pods.values()) yield samples
  }

  #forgetSums(nowMs: number): void {
    this.#now = nowMs
    if (nowMs < this.#forgotAt + FORGET_EVERY_MS) return
    this.#forgotAt = nowMs
    this.#sums.forget(nowMs)
  }

  #forgetSilent(nowMs: number): void {
    for (const [pod, { at }] of this.#pods) {
      if (at >= nowMs - KEPT_MS) continue
      this.#pods.delete(pod)
      this.#use.forget(pod)
      this.#probed.forget(pod)
    }
  }
}

/** One addition less than hosts: most objects have one. */
function countedOn(hosts: readonly string[], counts: ReadonlyMap<string, Aggregate>): Aggregate {
  let sum: Aggregate | null = null
  for (const host of hosts) {
    const counted = counts.get(host)
    if (counted !== undefined) sum = sum === null ? counted : addAggregates(sum, counted)
  }
  return sum ?? EMPTY_AGGREGATE
}

function serves(key: ObjectKey, revision: Revision | null): (sample: Sample) => boolean {
  const wanted = revision === ABSENT_REVISION ? null : revision
  return sample => sample.serves.get(key) === wanted
}

function blocksOf(samples: readonly Sample[], hosts: readonly string[]): Blocks {
  const blocks = new Map<number, Aggregate>()
  for (const { begin, hosts: counts } of samples) {
    const block = Math.floor(begin / BLOCK_MS)
    for (const host of hosts) {
      const counted = counts.get(host)
      if (counted !== undefined) blocks.set(block, addAggregates(blocks.get(block) ?? EMPTY_AGGREGATE, counted))
    }
  }
  return blocks
}

function isOld({ instance, sequence }: Report, before: Heard): boolean {
  return instance === before.instance ? sequence <= before.sequence : before.former.includes(instance)
}

/** The map of the report before where it says the same: reports that change nothing share one. */
function revisionsOf(report: Report, before: Heard | undefined): ReadonlyMap<ObjectKey, Revision | null> {
  if (before?.said === report.revisions) return before.revisions
  const now = new Map(Object.entries(report.revisions))
  const known = before?.revisions
  const same = known?.size === now.size && [...now].every(([key, revision]) => known.get(key) === revision)
  return same ? known : now
}

function hostsOf(report: Report): ReadonlyMap<string, Aggregate> {
  return new Map(
    Object.entries(report.hosts).map(([host, counters]) => [host, { ...counters, closed: counters.closed ?? null }]),
  )
}
