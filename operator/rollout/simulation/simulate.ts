/**
 * One rollout of the real machine with clients that are drawn at random: how often is a good change taken back, and how soon is a
 * bad one? docs/rollout-policy.md has the table; a short version is a test.
 */
import { BLOCK_MS, dispersionOf, slowestOf } from '../analysis/dispersion.ts'
import { EMPTY_AGGREGATE, addAggregates, baselineOf } from '../machine/figures.ts'
import type { Aggregate, Before } from '../machine/figures.ts'
import { RECENT_MS } from '../machine/judge.ts'
import { initialState, step } from '../machine/step.ts'
import type { Observation, PodObservation, Settings, State, WindowFigures } from '../machine/types.ts'
import type { Random } from './random.ts'

export interface Scenario {
  readonly pods: number
  /** Requests per second and pod. */
  readonly rate: number
  /** Share of requests that fail on every pod, whatever it serves; 0 to 1. */
  readonly errors: number
  /** One client that is stuck to one pod, drawn at random, makes so many requests of it more, each of which fails; share of the pod's. */
  readonly stuck: number
  /** All its requests of so many milliseconds come at once; 0: evenly. */
  readonly bunchedMs: number
  /** What fails more on the update; share of its requests. */
  readonly fault: number
  /** Which of the failures are of backends that were not reached: all, or those of the fault only. */
  readonly unreached: 'none' | 'fault' | 'all'
  /** The fault begins so long after the first batch passed; 0: with the update. Milliseconds. */
  readonly faultAfterMs: number
  /** How long the person takes who approves the second batch; 0: nobody is asked. Milliseconds. */
  readonly waitMs: number
  /** Between two looks while somebody waits; while a batch bakes it is 2 s. Milliseconds. */
  readonly waitLookMs: number
  /** At night there is a quarter of the requests of the day on which it begins; the stuck client never sleeps. */
  readonly nights: boolean
  /** How long the pods were seen before it began. Milliseconds. */
  readonly pastMs: number
  /** A leader took over before it began: nothing is known from before the rollout. */
  readonly unknownPast: boolean
}

export const QUIET: Scenario = {
  ...{ pods: 5, rate: 4, errors: 0.005, stuck: 0, bunchedMs: 0, fault: 0, faultAfterMs: 0 },
  ...{ unreached: 'none', waitMs: 0, waitLookMs: 60_000, nights: false, pastMs: 15 * 60_000, unknownPast: false },
}

export interface Outcome {
  /** `stuck`: a person has to decide. */
  readonly end: 'complete' | 'taken back' | 'stuck'
  readonly why: string
  /** Since the first batch went out, or since the fault began, if that was later. Milliseconds. */
  readonly afterMs: number
  /** Pods that served the update at most. */
  readonly reached: number
  /** Requests to the update in the window that decided. */
  readonly requests: number
  /** Minutes that were judged while it waited, and those in which a gate failed: two in a row take the change back. */
  readonly minutes: number
  readonly oddMinutes: number
}

const DAY_MS = 24 * 3_600_000
const LOOK_MS = 2_000
const NO_COMMANDS = { paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 } as const

/** The policy of README. With somebody who waits, the pause after the second batch is for an approval. */
export function readmePolicy(waits: boolean): Settings {
  return {
    batches: [
      { pods: { count: 1 }, pause: { type: 'none' } },
      { pods: { percent: 25 }, pause: waits ? { type: 'approval' } : { type: 'time', forMs: 120_000 } },
      { pods: { percent: 100 }, pause: { type: 'none' } },
    ],
    ...{ bakeMs: 30_000, ackDeadlineMs: 30_000, intervalMs: 5_000, minRequests: 100, deadlineMs: 600_000 },
    gates: {
      successRate: { min: 99, maxDrop: 0.5 },
      notFoundRate: { maxRise: 0.5 },
      clientErrorRate: { maxRise: 25 },
      redirectRate: null,
      connectFailureRate: { maxRise: 1 },
      latencyP99: null,
      tlsFailureRate: { maxRise: 1, minHandshakes: 20 },
    },
    ...{ onInconclusive: 'Pause', automaticRollback: true },
  }
}

interface Tick {
  readonly begin: number
  readonly pod: number
  readonly updated: boolean
  readonly requests: number
  readonly failures: number
  readonly unreached: number
}

export function simulate(scenario: Scenario, random: Random, settings = readmePolicy(scenario.waitMs > 0)): Outcome {
  const clients = clientsOf(scenario, random)
  const past = pastOf(scenario, clients)
  const updated = new Array<boolean>(scenario.pods).fill(false)
  let state: State = initialState(1, 0)
  let [now, index, requests, waitingSince, faultSince] = [1_000_000, 0, 0, -1, -1]
  let ticks: Tick[] = []
  let [minutes, oddMinutes] = [0, 0]
  const began = now
  for (;;) {
    const waits = state.step.name === 'waiting' && scenario.waitMs > 0
    if (waits && waitingSince < 0) waitingSince = now
    const look = waits ? scenario.waitLookMs : LOOK_MS
    if (scenario.fault > 0 && faultSince < 0 && now - began >= scenario.faultAfterMs) faultSince = now
    for (let pod = 0; pod < scenario.pods; pod++) {
      const isUpdate = updated[pod] === true
      const drawn = clients(pod, look, now, isUpdate && faultSince >= 0)
      ticks.push({ begin: now, pod, updated: isUpdate, ...drawn })
    }
    now += look
    for (let pod = 0; pod < scenario.pods; pod++) updated[pod] = index === -1 || pod < index
    // While somebody waits for days only the last minute may surprise; what is older is cut, as the operator's memory is.
    const kept = now - Math.max(RECENT_MS * 30, settings.deadlineMs)
    if (ticks.length > 20_000) ticks = ticks.filter(one => one.begin >= kept)
    const approved = waitingSince >= 0 && now - waitingSince >= scenario.waitMs
    const observation = observe(state, { now, updated, ticks, past, approved })
    const made = step(state, observation, settings)
    const late = made.state.spent?.late ?? null
    if (late !== null && late.at === now) {
      minutes++
      if (late.failed.length > 0) oddMinutes++
    }
    state = made.state
    requests = observation.figures.update.requests
    for (const command of made.commands) {
      if (command.type === 'setIndex') index = command.index
      if (command.type === 'release') index = -1
    }
    const ended = endOf(state)
    if (ended === null) continue
    const why = state.cause?.message ?? state.blocked?.message ?? state.message
    const reached = state.reached === -1 ? scenario.pods : state.reached
    return { end: ended, why, afterMs: now - Math.max(began, faultSince), reached, requests, minutes, oddMinutes }
  }
}

function endOf({ phase, blocked }: State): Outcome['end'] | null {
  if (phase === 'RollingBack' || phase === 'RolledBack') return 'taken back'
  if (phase === 'Complete') return 'complete'
  return blocked === null ? null : 'stuck'
}

type Clients = (
  pod: number,
  ms: number,
  now: number,
  faulty: boolean,
) => Pick<Tick, 'requests' | 'failures' | 'unreached'>

function clientsOf(
  { rate, errors, stuck, bunchedMs, fault, pods, nights, unreached: which }: Scenario,
  { next, poisson }: Random,
): Clients {
  const unlucky = Math.floor(next() * pods)
  const binomial = (of: number, part: number): number =>
    Array.from({ length: of }, () => (next() < part ? 1 : 0)).reduce((sum: number, one) => sum + one, 0)
  return (pod, ms, now, faulty) => {
    const all = (rate * ms) / 1_000
    const awake = nights ? 0.625 + 0.375 * Math.cos((2 * Math.PI * now) / DAY_MS) : 1
    const share = Math.min(1, errors + (faulty ? fault : 0))
    const failed = poisson(all * awake * share)
    const requests = failed + poisson(all * awake * (1 - share))
    const ofFault = which === 'fault' && faulty ? binomial(failed, fault / share) : 0
    const unreached = which === 'all' ? failed : ofFault
    if (pod !== unlucky || stuck === 0) return { requests, failures: failed, unreached }
    const bunches = bunchedMs === 0 ? 0 : Math.floor((now + ms) / bunchedMs) - Math.floor(now / bunchedMs)
    const more = bunchedMs === 0 ? poisson(all * stuck) : bunches * poisson((rate * stuck * bunchedMs) / 1_000)
    const both = which === 'all' ? unreached + more : unreached
    return { requests: requests + more, failures: failed + more, unreached: both }
  }
}

interface Past {
  readonly before: Before | null
  readonly baseline: Observation['baseline']
}

function pastOf({ pods, pastMs, unknownPast }: Scenario, clients: Clients): Past {
  const blocks = Array.from({ length: pods }, (_, pod) =>
    Array.from({ length: pastMs / BLOCK_MS }, (__, block) => {
      const { requests, failures, unreached } = clients(pod, BLOCK_MS, block * BLOCK_MS, false)
      return figures(requests, failures, unreached)
    }),
  )
  const before: Before = {
    pods: new Map(blocks.map((ofPod, pod) => [`proxy-${pod}`, { ordinal: pod, counted: ofPod.reduce(addAggregates) }])),
    ms: pastMs,
    dispersion: dispersionOf(blocks.map(ofPod => new Map(ofPod.entries()))),
    slowestMs: slowestOf(blocks.map(ofPod => new Map(ofPod.entries()))),
  }
  const lastMinute = blocks.flatMap(ofPod => ofPod.slice(-60_000 / BLOCK_MS)).reduce(addAggregates)
  return { before: unknownPast ? null : before, baseline: baselineOf(lastMinute) }
}

interface Look {
  readonly now: number
  readonly updated: readonly boolean[]
  readonly ticks: readonly Tick[]
  readonly past: Past
  readonly approved: boolean
}

function observe(state: State, { now, updated, ticks, past, approved }: Look): Observation {
  const pods = updated.map((isUpdate, ordinal): PodObservation => {
    return {
      name: `proxy-${ordinal}`,
      ordinal,
      ready: true,
      serves: isUpdate ? 'r2' : 'r1',
      lastReportAgeMs: 500,
      refuses: null,
    }
  })
  const since = state.batchSince
  return {
    ...{ now, wall: now, kind: 'Ingress', revision: 'r2', stable: 'r1', deletion: false, pods },
    figures: windowOf(ticks, since),
    recent: now - since > RECENT_MS ? windowOf(ticks, now - RECENT_MS) : null,
    ...past,
    commands: { ...NO_COMMANDS, approvedBatches: approved ? state.batch + 1 : 0 },
    ...{ superseded: null, endpoints: { update: true, stable: true }, manualIndex: null, isItsTurn: true },
    ...{ lacksCertificates: null, renewal: null },
    ...{ closed: null, moves: { requests: true, handshakes: true }, use: null, takenOver: false },
  }
}

function windowOf(ticks: readonly Tick[], since: number): WindowFigures {
  const sums: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0]
  for (let i = ticks.length - 1; i >= 0; i--) {
    const tick = ticks[i]
    if (tick === undefined || tick.begin < since) break
    const first = tick.updated ? 0 : 3
    sums[first] += tick.requests
    sums[first === 0 ? 1 : 4] += tick.failures
    sums[first === 0 ? 2 : 5] += tick.unreached
  }
  return { update: figures(sums[0], sums[1], sums[2]), stable: figures(sums[3], sums[4], sums[5]) }
}

/** Every answer as fast as any other, a handshake for each ten requests. */
function figures(requests: number, failures: number, upstreamErrors: number): Aggregate {
  return {
    ...EMPTY_AGGREGATE,
    ...{
      upstreamErrors,
      requests,
      status: [0, requests - failures, 0, 0, failures],
      tlsHandshakes: Math.ceil(requests / 10),
    },
    latency: EMPTY_AGGREGATE.latency.map((_, bucket) => (bucket === 4 ? requests : 0)),
  }
}
