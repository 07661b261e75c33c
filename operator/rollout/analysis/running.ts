/**
 * Sums over the samples of all pods that are asked for again and again, each time a little later: what came since the last time is added,
 * what began before the window by now is taken away. Counts are whole numbers, so that no sum drifts. Pure but for its own memory.
 */
import { EMPTY_AGGREGATE } from '../machine/figures.ts'
import type { Aggregate } from '../machine/figures.ts'
import type { Sample, Samples } from './samples.ts'

/** What is summed up. */
export interface Counted {
  /** Equal for the same hosts and the same `counts`. */
  readonly name: string
  /** Each once. */
  readonly hosts: readonly string[]
  readonly counts: (sample: Sample) => boolean
}

/** Windows of one question that are kept: since the batch began, and the last minute. */
const WINDOWS = 2
/** Whoever judges a rollout asks several times a second: what nobody asked for so long is forgotten. Milliseconds. */
const FORGET_MS = 30_000

const STATUS = 1
const REST = STATUS + EMPTY_AGGREGATE.status.length
const CLOSED = REST + 4
/** How many had no count of closed paths. */
const UNKNOWN = CLOSED + 1
const LATENCY = UNKNOWN + 1
const FIELDS = LATENCY + EMPTY_AGGREGATE.latency.length

/** Of one pod: samples `from` to before `to` of those that it had in that epoch. */
interface PodSum {
  epoch: number
  from: number
  to: number
  readonly totals: number[]
}

interface Window {
  since: number
  /** By the pod's samples: a pod that is forgotten is forgotten here, too. */
  readonly pods: WeakMap<Samples, PodSum>
}

interface Question {
  askedAt: number
  readonly windows: Window[]
}

export class RunningSums {
  readonly #questions = new Map<string, Question>()

  /** How many questions are remembered. */
  get size(): number {
    return this.#questions.size
  }

  /**
   * The sum of what these pods counted since then, as `addAggregates` of all of it would be.
   * @param sinceMs Samples that began before do not count; monotonic milliseconds, as `nowMs`
   */
  of({ name, hosts, counts }: Counted, pods: Iterable<Samples>, sinceMs: number, nowMs: number): Aggregate {
    const window = this.#window(name, sinceMs, nowMs)
    const all = zeros()
    for (const samples of pods) {
      let sum = window.pods.get(samples)
      if (sum === undefined) {
        if (samples.length === 0) continue
        window.pods.set(samples, (sum = { epoch: samples.epoch, from: 0, to: 0, totals: zeros() }))
      }
      advance(sum, samples, samples.indexSince(sinceMs), (sample, sign) => {
        if (counts(sample)) addHosts(sum.totals, sample, hosts, sign)
      })
      for (let i = 0; i < FIELDS; i++) all[i] = (all[i] ?? 0) + (sum.totals[i] ?? 0)
    }
    return aggregateOf(all)
  }

  /** What nobody asks for any more. */
  forget(nowMs: number): void {
    for (const [name, { askedAt }] of this.#questions) if (askedAt < nowMs - FORGET_MS) this.#questions.delete(name)
  }

  /** The one that has to go the shortest way forward; none goes back. */
  #window(name: string, since: number, nowMs: number): Window {
    const question = this.#questions.get(name) ?? { askedAt: nowMs, windows: [] }
    this.#questions.set(name, question)
    question.askedAt = nowMs
    const { windows } = question
    const near = windows.filter(one => one.since <= since).sort((a, b) => b.since - a.since)[0]
    if (near !== undefined) {
      near.since = since
      return near
    }
    const window = { since, pods: new WeakMap<Samples, PodSum>() }
    windows.push(window)
    if (windows.length > WINDOWS) windows.shift()
    return window
  }
}

/** Counts from `first` to the last of the samples there are. */
function advance(sum: PodSum, samples: Samples, first: number, count: (sample: Sample, sign: 1 | -1) => void): void {
  const { length, epoch } = samples
  // Of what cannot be counted exactly nothing can be taken away again.
  const isExact = sum.totals.every(Number.isSafeInteger)
  if (sum.epoch !== epoch || first < sum.from || (first > sum.from && !isExact)) {
    sum.totals.fill(0)
    sum.from = sum.to = first
    sum.epoch = epoch
  }
  for (; sum.from < first; sum.from++) {
    const sample = samples.at(sum.from)
    if (sum.from < sum.to && sample !== undefined) count(sample, -1)
  }
  sum.to = Math.max(sum.to, sum.from)
  for (; sum.to < length; sum.to++) {
    const sample = samples.at(sum.to)
    if (sample !== undefined) count(sample, 1)
  }
}

function zeros(): number[] {
  return new Array<number>(FIELDS).fill(0)
}

function addHosts(totals: number[], sample: Sample, hosts: readonly string[], sign: 1 | -1): void {
  for (const host of hosts) {
    const counted = sample.hosts.get(host)
    if (counted !== undefined) addTo(totals, counted, sign)
  }
}

function addTo(totals: number[], of: Aggregate, sign: 1 | -1): void {
  const add = (field: number, count: number): void => {
    totals[field] = (totals[field] ?? 0) + sign * count
  }
  add(0, of.requests)
  for (let i = 0; i < of.status.length; i++) add(STATUS + i, of.status[i] ?? 0)
  add(REST, of.notFound)
  add(REST + 1, of.upstreamErrors)
  add(REST + 2, of.tlsHandshakes)
  add(REST + 3, of.tlsFailures)
  add(CLOSED, of.closed ?? 0)
  add(UNKNOWN, of.closed === null ? 1 : 0)
  // What it has beyond our buckets is no count of ours, as in addAggregates.
  for (let i = LATENCY; i < FIELDS; i++) add(i, of.latency[i - LATENCY] ?? 0)
}

function aggregateOf(totals: readonly number[]): Aggregate {
  const at = (field: number): number => totals[field] ?? 0
  return {
    requests: at(0),
    status: [at(STATUS), at(STATUS + 1), at(STATUS + 2), at(STATUS + 3), at(STATUS + 4)],
    notFound: at(REST),
    upstreamErrors: at(REST + 1),
    tlsHandshakes: at(REST + 2),
    tlsFailures: at(REST + 3),
    latency: totals.slice(LATENCY),
    closed: at(UNKNOWN) > 0 ? null : at(CLOSED),
  }
}
