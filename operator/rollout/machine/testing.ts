/** Settings, figures and a fleet for the tests of the rollout. */
import type { Revision } from '../../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { EMPTY_AGGREGATE, addAggregates, scaleAggregate } from './figures.ts'
import type { Aggregate, Dispersion } from './figures.ts'
import { memoryOf } from './memory.ts'
import { resume } from './resume.ts'
import type { RecordView, Remembered } from './resume.ts'
import { initialState, step } from './step.ts'
import type { Command, Commands, Observation, PodObservation, Settings, State, StepResult } from './types.ts'

export const OLD: Revision = 'r1'
export const NEW: Revision = 'r2'

const NO_PAUSE = { type: 'none' } as const

/** One pod, two pods, all: with every gate, bakes of 30 s, ten minutes at most. */
export const SETTINGS: Settings = {
  batches: [
    { pods: { count: 1 }, pause: NO_PAUSE },
    { pods: { count: 2 }, pause: NO_PAUSE },
    { pods: { percent: 100 }, pause: NO_PAUSE },
  ],
  ...{ bakeMs: 30_000, ackDeadlineMs: 30_000, intervalMs: 5_000, minRequests: 100, deadlineMs: 600_000 },
  gates: {
    successRate: { min: 99, maxDrop: 0.5 },
    notFoundRate: { maxRise: 0.5 },
    clientErrorRate: { maxRise: 10 },
    redirectRate: { maxRise: 10 },
    connectFailureRate: { maxRise: 1 },
    latencyP99: { maxRise: 50 },
    tlsFailureRate: { maxRise: 1, minHandshakes: 20 },
  },
  ...{ onInconclusive: 'Pause', automaticRollback: true },
}

export const NO_COMMANDS: Commands = { paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 }

export interface Counted {
  readonly requests?: number
  readonly failures?: number
  readonly notFound?: number
  /** Answers of the backend. */
  readonly clientErrors?: number
  readonly redirects?: number
  /** Part of the failures. */
  readonly connectFailures?: number
  readonly handshakes?: number
  readonly tlsFailures?: number
  /** Not part of the requests. Null: by a proxy that does not count them apart. */
  readonly closed?: number | null
  /** Bucket of LATENCY_BUCKETS_MS in which the answers lie. */
  readonly bucket?: number
}

export function counted(of: Counted): Aggregate {
  const { requests = 0, failures = 0, notFound = 0, handshakes = 0, tlsFailures = 0, bucket = 4 } = of
  const { clientErrors = 0, redirects = 0, connectFailures = 0, closed = 0 } = of
  return {
    ...{ requests, notFound, upstreamErrors: connectFailures, tlsHandshakes: handshakes, tlsFailures, closed },
    status: [
      ...([0, requests - failures - notFound - clientErrors - redirects] as const),
      ...([redirects, notFound + clientErrors, failures] as const),
    ],
    latency: EMPTY_AGGREGATE.latency.map((_, i) => (i === bucket ? requests : 0)),
  }
}

/** What every pod counts in a second. */
/** Nothing comes in bunches. */
export const EVEN: Dispersion = {
  ...{ failures: 1, notFound: 1, clientErrors: 1, redirects: 1, connectFailures: 1, tlsFailures: 1, slow: 1 },
}

export const HEALTHY: Counted = { requests: 50, handshakes: 10 }
export const BROKEN: Counted = { requests: 50, failures: 10, handshakes: 10 }

export function pod(ordinal: number, serves: Revision | null, change: Partial<PodObservation> = {}): PodObservation {
  return { name: `proxy-${ordinal}`, ordinal, ready: true, serves, lastReportAgeMs: 500, refuses: null, ...change }
}

/** Everything counted until then. */
interface Total {
  readonly at: number
  readonly update: Aggregate
  readonly stable: Aggregate
}

const NOTHING: Total = { at: -Infinity, update: EMPTY_AGGREGATE, stable: EMPTY_AGGREGATE }

/**
 * A fleet that does as the record says, a record that does as the machine says, and clients. Its fields may be changed
 * between two looks; `log` is what the machine did, without messages.
 */
export class World {
  state: State = initialState(1, 0)
  settings: Settings = SETTINGS
  now = 1_000
  wall = Date.parse('2026-01-01T00:00:00Z')
  commands: Commands = NO_COMMANDS
  record: RecordView = { current: OLD, update: NEW, index: 0, refused: [] }
  revision: Revision = NEW
  size = 5
  readonly notReady = new Set<number>()
  /** These go on serving what they served. */
  readonly stuck = new Set<number>()
  /** These are silent. */
  readonly silent = new Set<number>()
  /** These say that they cannot serve it. */
  readonly refusing = new Set<number>()
  onUpdate: Counted = HEALTHY
  onStable: Counted = HEALTHY
  change: Partial<Observation> = {}
  /** What the machine looked at last. */
  seen: Observation | null = null
  readonly log: string[] = []
  readonly results: StepResult[] = []
  readonly #serves = new Map<number, Revision | null>()
  #totals: Total[] = [NOTHING]
  /** From when on figures count: the batch was raised, or confirmed. */
  #since = 0

  /** The record's word for a pod. */
  assigned(ordinal: number): Revision | null {
    const { current, update, index } = this.record
    const revision = index === -1 || ordinal < index ? update : current
    return revision === null ? null : served(revision)
  }

  serves(ordinal: number): Revision | null {
    return this.#serves.has(ordinal) ? (this.#serves.get(ordinal) ?? null) : this.record.current
  }

  pods(): readonly PodObservation[] {
    return Array.from({ length: this.size }, (_, ordinal) =>
      pod(ordinal, this.serves(ordinal), {
        ready: !this.notReady.has(ordinal),
        lastReportAgeMs: this.silent.has(ordinal) ? 60_000 : 500,
        refuses: this.refusing.has(ordinal) ? 'the content that came is not the one that was compiled' : null,
      }),
    )
  }

  observe(): Observation {
    const { now, wall, commands } = this
    const since = this.#since
    return {
      ...{ now, wall, kind: 'Ingress', revision: this.revision, stable: this.record.current, deletion: false },
      closed: null,
      pods: this.pods(),
      figures: this.#window(since),
      recent: now - since > 60_000 ? this.#window(now - 60_000) : null,
      ...{ lacksCertificates: null, renewal: null },
      ...{ baseline: null, before: null, commands, superseded: null, endpoints: { update: true, stable: true } },
      moves: { requests: true, handshakes: true },
      ...{ use: null, takenOver: false },
      ...{ manualIndex: null, isItsTurn: true },
      ...this.change,
    }
  }

  /** A second goes by, clients and pods do theirs, the machine looks. */
  look(ms = 1_000): StepResult {
    this.now += ms
    this.wall += ms
    this.#count(ms / 1_000)
    for (let i = 0; i < this.size; i++) {
      if (!this.#serves.has(i)) this.#serves.set(i, this.record.current)
      if (!this.stuck.has(i) && !this.notReady.has(i)) this.#serves.set(i, this.assigned(i))
    }
    return this.decide()
  }

  /** The machine looks, no time goes by. */
  decide(): StepResult {
    this.seen = this.observe()
    const made = step(this.state, this.seen, this.settings)
    this.adopt(made)
    return made
  }

  adopt(made: StepResult): void {
    const [was, is] = [this.state.step, made.state.step]
    const again = is.name === 'acknowledging' && (was.name !== is.name || was.since !== is.since)
    const rested = is.name === 'waiting' && made.state.batchSince !== this.state.batchSince
    if (again || rested || (was.name !== is.name && is.name === 'baking')) this.#since = this.now
    this.state = made.state
    this.results.push(made)
    for (const command of made.commands) this.#obey(command)
    const memory = memoryOf(this.state, this.revision)
    if (memory !== null && this.record.update === this.revision) this.record = { ...this.record, rollout: memory }
  }

  /** Looks every second until the predicate holds, or fails. */
  until(what: (state: State) => boolean, seconds = 3_000): State {
    for (let i = 0; i < seconds; i++) {
      if (what(this.state)) return this.state
      this.look()
    }
    throw new Error(`still ${this.state.phase} (${this.state.message}) after ${seconds} s`)
  }

  seconds(count: number): State {
    for (let i = 0; i < count; i++) this.look()
    return this.state
  }

  /** Another process takes over: its clock is another, and it has seen nothing. */
  newLeader(remembered: Remembered | null): void {
    this.now = 77_000
    this.#totals = [NOTHING]
    this.#since = this.now
    const clock = { now: this.now, wall: this.wall }
    this.state = resume(remembered, this.record, this.revision, this.settings, clock)
  }

  /** Commands since the last time, without requeues; events by their reason. */
  takeLog(): readonly string[] {
    return this.log.splice(0)
  }

  #obey(command: Command): void {
    const { record, revision } = this
    const { attempt, cause } = this.state
    switch (command.type) {
      case 'setIndex':
        this.record = { ...record, index: command.index }
        this.log.push(`index ${command.index}`)
        return
      case 'release':
        this.record = { current: revision, update: revision, index: -1, refused: [] }
        this.log.push('release')
        return
      case 'takeBack':
        this.record = {
          ...{ current: record.current, update: record.current, index: 0 },
          refused: command.refuse ? [revision] : record.refused,
          ...(cause === null || !command.refuse ? {} : { takenBack: { revision, attempt, cause } }),
        }
        this.log.push('take back')
        return
      case 'begin':
        this.record = { current: record.current, update: revision, index: 0, refused: [] }
        this.commands = { ...this.commands, approvedBatches: 0, abort: false, promote: false }
        this.log.push(`begin ${command.attempt}`)
        return
      case 'event':
        this.log.push(command.reason)
        return
      case 'requeue':
        return
    }
  }

  #count(seconds: number): void {
    let { update, stable } = this.#totals.at(-1) ?? NOTHING
    for (let i = 0; i < this.size; i++) {
      if (this.notReady.has(i) || this.silent.has(i)) continue
      if (this.serves(i) === served(this.revision))
        update = addAggregates(update, scaleAggregate(counted(this.onUpdate), seconds))
      else stable = addAggregates(stable, scaleAggregate(counted(this.onStable), seconds))
    }
    this.#totals.push({ at: this.now, update, stable })
  }

  #window(since: number): { readonly update: Aggregate; readonly stable: Aggregate } {
    const before = this.#totals.findLast(one => one.at <= since) ?? NOTHING
    const { update, stable } = this.#totals.at(-1) ?? NOTHING
    return { update: difference(update, before.update), stable: difference(stable, before.stable) }
  }
}

function difference(a: Aggregate, b: Aggregate): Aggregate {
  return addAggregates(a, scaleAggregate(b, -1))
}

function served(revision: Revision): Revision | null {
  return revision === ABSENT_REVISION ? null : revision
}
