/** Windows of figures from reports. Pure but for its own memory, which is bounded. */
import type { Report } from '../../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import type { ObjectKey, Revision } from '../../../protocol/objects.ts'
import { EMPTY_AGGREGATE, addAggregates, baselineOf, tlsAttempts } from '../machine/figures.ts'
import type { Aggregate, Baseline, Before, PodBefore } from '../machine/figures.ts'
import type { LatencyReport, ProbeSeen, WindowFigures } from '../machine/types.ts'
import { BLOCK_MS, dispersionOf, slowestOf } from './dispersion.ts'
import type { Blocks } from './dispersion.ts'
import { KEPT_MS, Samples, agreed } from './samples.ts'
import type { Sample } from './samples.ts'
import { Probed } from './probed.ts'
import type { Question } from './probed.ts'
import { Use } from './use.ts'

export { percentile } from '../machine/figures.ts'

/** A baseline covers so much. Milliseconds. */
const BASELINE_MS = 60_000
/** What a pod always shows, it shows in so long. Milliseconds. */
export const BEFORE_MS = 15 * 60_000
/** Of a pod's earlier processes; a report of one of them may still be under way. */
const FORMER = 8

/** Of the object that is rolled out. */
interface Revisions {
  readonly update: Revision | null
  readonly stable: Revision | null
}

/** The last report of a pod, and what it counted before. */
interface Heard {
  readonly ordinal: number
  readonly instance: string
  readonly sequence: number
  readonly at: number
  readonly revisions: ReadonlyMap<ObjectKey, Revision | null>
  readonly former: readonly string[]
  readonly samples: Samples
}

export class Figures {
  readonly #pods = new Map<string, Heard>()
  readonly #use = new Use()
  readonly #probed = new Probed()

  /** A report that was counted before (same instance, not a higher sequence) is ignored: false. */
  add(pod: string, ordinal: number, report: Report, nowMs: number): boolean {
    const before = this.#pods.get(pod)
    if (before === undefined) this.#forgetSilent(nowMs)
    if (before !== undefined && isOld(report, before)) return false
    this.#use.add(pod, report, nowMs)
    this.#probed.add(pod, report, nowMs)
    const { instance, sequence } = report
    const same = before?.instance === instance
    const revisions = revisionsOf(report, before?.revisions)
    const samples = before?.samples ?? new Samples()
    // A first report says nothing of when it began, and that of a new process nothing of what was served between.
    if (before !== undefined) {
      const serves = same ? agreed(before.revisions, revisions) : new Map<ObjectKey, null>()
      samples.add({ begin: before.at, end: nowMs, serves, hosts: hostsOf(report) })
    }
    const former = before === undefined || same ? (before?.former ?? []) : [before.instance, ...before.former]
    this.#pods.set(pod, {
      ...{ ordinal, instance, sequence, at: nowMs, revisions, samples },
      former: former.slice(0, FORMER),
    })
    return true
  }

  /**
   * What pods counted since `sinceMs`, while they served the update of the object, or what is stable, from end to end of a report.
   * @param revisions null: it does not exist
   */
  window(key: ObjectKey, revisions: Revisions, hosts: readonly string[], sinceMs: number): WindowFigures {
    const [onUpdate, onStable] = [revisions.update, revisions.stable].map(one => (one === ABSENT_REVISION ? null : one))
    const asked = [...new Set(hosts)]
    let [update, stable] = [EMPTY_AGGREGATE, EMPTY_AGGREGATE]
    const updateReports: (readonly LatencyReport[])[] = []
    for (const { samples } of this.#pods.values()) {
      const reports: LatencyReport[] = []
      for (const sample of samples.since(sinceMs)) {
        const serves = sample.serves.get(key)
        if (serves !== onUpdate && serves !== onStable) continue
        const { begin, end } = sample
        const counted = countedOf(sample, asked)
        if (serves === onStable) stable = addAggregates(stable, counted)
        if (serves !== onUpdate) continue
        update = addAggregates(update, counted)
        reports.push({ begin, end, latency: counted.latency })
      }
      if (reports.length > 0) updateReports.push(reports)
    }
    return { update, stable, updateReports }
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
    const sum = this.#sum(hosts, Math.max(sinceMs, nowMs - BASELINE_MS))
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

  #sum(hosts: readonly string[], since: number): Aggregate {
    const asked = [...new Set(hosts)]
    const samples = [...this.#pods.values()].flatMap(one => one.samples.since(since))
    return samples.reduce((sum, sample) => addAggregates(sum, countedOf(sample, asked)), EMPTY_AGGREGATE)
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

/** Of these hosts, each once. */
function countedOf({ hosts }: Sample, asked: readonly string[]): Aggregate {
  const [first, ...rest] = asked.flatMap(host => hosts.get(host) ?? [])
  return first === undefined ? EMPTY_AGGREGATE : rest.reduce(addAggregates, first)
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
function revisionsOf(
  report: Report,
  before: ReadonlyMap<ObjectKey, Revision | null> | undefined,
): ReadonlyMap<ObjectKey, Revision | null> {
  const now = new Map(Object.entries(report.revisions))
  const same = before?.size === now.size && [...now].every(([key, revision]) => before.get(key) === revision)
  return same ? before : now
}

function hostsOf(report: Report): ReadonlyMap<string, Aggregate> {
  return new Map(
    Object.entries(report.hosts).map(([host, counters]) => [host, { ...counters, closed: counters.closed ?? null }]),
  )
}
