/** Machine state ⇄ IngressRollout. */
import { createHash } from 'node:crypto'
import type { ObjectKind, Revision } from '../../protocol/objects.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { conditionsOf } from './conditions.ts'
import type { Baseline } from './machine/figures.ts'
import { readyBelow, serves } from './machine/gates/acknowledgement.ts'
import type { Remembered } from './machine/resume.ts'
import { pausedReason } from './machine/state.ts'
import type { Cause, Observation, Phase, Settings, State, Verdict } from './machine/types.ts'

type Gate = NonNullable<IngressRolloutStatus['gates']>[number]
type BaselineStatus = NonNullable<IngressRolloutStatus['baseline']>

/** `<ing|sec>-<object>-<revision>`: a name that a pipeline can compute. Of an object with more than 200 letters the name is cut, with a hash. */
export function rolloutName(kind: ObjectKind, objectName: string, revision: Revision): string {
  return `${kind === 'Ingress' ? 'ing' : 'sec'}-${cutName(objectName)}-${revision}`
}

/** Two long names may begin alike, and a deletion has the same revision for all. */
function cutName(name: string): string {
  if (name.length <= LONGEST_NAME) return name
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 10)
  return `${name.slice(0, LONGEST_NAME - 11).replace(/[^a-z0-9]+$/, '')}-${hash}`
}

/** Of an object, in the name of its rollout; beside it there is room for prefix and revision. */
const LONGEST_NAME = 200

export interface StatusContext {
  /** The status as it is; undefined: none yet. Of another attempt: its conditions do not count. */
  readonly previous: IngressRolloutStatus | undefined
  /** metadata.generation that the commands were read from. */
  readonly generation: number
  /** Under which it began, or is to; null: not known. */
  readonly policy: string | null
}

/** The whole status: what is absent in it is to be absent in the object too. */
export function toStatus(
  state: State,
  observation: Observation,
  settings: Settings,
  { previous, generation, policy }: StatusContext,
): IngressRolloutStatus {
  const batches = settings.batches.length
  const { stable } = observation
  return {
    ...{ phase: state.phase, message: state.message.slice(0, 4096) },
    ...{ observedGeneration: generation, attempt: state.attempt, observedRetry: state.observedRetry },
    ...{ batch: state.batch + 1, batches, summary: `${state.batch + 1}/${batches}`, index: state.index },
    pods: podsOf(state, observation),
    ...timesOf(state),
    ...(policy === null ? {} : { policy }),
    ...(stable === null ? {} : { stableRevision: stable }),
    gates: state.verdicts.slice(0, 32).map(gateOf),
    ...(state.baseline === null ? {} : { baseline: baselineStatus(state.baseline) }),
    conditions: conditionsOf(state, {
      // `kubectl wait` must not see the Complete of another attempt.
      previous: previous?.attempt === state.attempt ? previous.conditions : undefined,
      generation,
      now: time(observation.wall),
    }),
  }
}

function podsOf(state: State, { pods, revision }: Observation): NonNullable<IngressRolloutStatus['pods']> {
  const ready = readyBelow(pods, -1).length
  const updated = readyBelow(pods, state.index)
  const acknowledged = updated.filter(pod => serves(pod, revision)).length
  return { ready, updated: updated.length, acknowledged, summary: `${updated.length}/${ready}` }
}

function timesOf(
  state: State,
): Pick<IngressRolloutStatus, 'startedAt' | 'batchStartedAt' | 'pauseEndsAt' | 'finishedAt'> {
  const { startedAt, batchStartedAt, finishedAt, step } = state
  const waits = pausedReason(state) === 'WaitingForTime' && step.name === 'waiting' ? step.until : null
  return {
    ...(startedAt === null ? {} : { startedAt: time(startedAt) }),
    ...(batchStartedAt === null ? {} : { batchStartedAt: time(batchStartedAt) }),
    ...(waits === null ? {} : { pauseEndsAt: time(waits.wall) }),
    ...(finishedAt === null ? {} : { finishedAt: time(finishedAt) }),
  }
}

function gateOf({ name, verdict, reason, message, figures }: Verdict): Gate {
  // JSON has no word for what is not finite, and the API server refuses null.
  const finite = Object.entries(figures).filter(([, value]) => Number.isFinite(value))
  return {
    ...{ name, verdict, reason: reason.slice(0, 128), message: message.slice(0, 1024) },
    figures: Object.fromEntries(finite.slice(0, 32)),
  }
}

function baselineStatus({ latencyP99Ms, clientErrorRate, redirectRate, ...others }: Baseline): BaselineStatus {
  const { connectFailureRate, ...rest } = others
  return {
    ...rest,
    ...(clientErrorRate === null ? {} : { clientErrorRate }),
    ...(redirectRate === null ? {} : { redirectRate }),
    ...(connectFailureRate === null ? {} : { connectFailureRate }),
    ...(latencyP99Ms === null ? {} : { latencyP99Ms }),
  }
}

/** RFC 3339. */
function time(ms: number): string {
  return new Date(ms).toISOString()
}

/** Null: the status is empty, the rollout has not begun. */
export function fromStatus(status: IngressRolloutStatus | undefined): Remembered | null {
  const { phase, baseline, conditions } = status ?? {}
  if (status === undefined || phase === undefined) return null
  return {
    phase,
    attempt: Math.max(1, status.attempt ?? 1),
    observedRetry: status.observedRetry ?? 0,
    batch: Math.max(0, (status.batch ?? 1) - 1),
    index: status.index ?? 0,
    message: status.message ?? '',
    cause: causeOf(phase, conditions),
    baseline: baseline === undefined ? null : baselineOf(baseline),
    startedAt: milliseconds(status.startedAt),
    batchStartedAt: milliseconds(status.batchStartedAt),
    finishedAt: milliseconds(status.finishedAt),
  }
}

function causeOf(phase: Phase, conditions: IngressRolloutStatus['conditions']): Cause | null {
  if (phase !== 'RollingBack' && phase !== 'RolledBack' && phase !== 'Held') return null
  const back = conditions?.find(one => one.type === 'RolledBack')
  return back === undefined ? null : { reason: back.reason, message: back.message }
}

/** Handshakes are unknown where an older operator wrote the status: such a reference decides nothing about TLS. */
function baselineOf(status: BaselineStatus): Baseline {
  const { requests = 0, successRate = 100, notFoundRate = 0, tlsFailureRate = 0, latencyP99Ms = null } = status
  const { clientErrorRate = null, redirectRate = null, connectFailureRate = null } = status
  const tlsHandshakes = status.tlsHandshakes ?? 0
  return {
    ...{ requests, successRate, notFoundRate, clientErrorRate, redirectRate, connectFailureRate },
    ...{ tlsHandshakes, tlsFailureRate, latencyP99Ms },
  }
}

function milliseconds(text: string | undefined): number | null {
  const at = text === undefined ? NaN : Date.parse(text)
  return Number.isNaN(at) ? null : at
}
