/** From an IngressRolloutPolicy's spec to the machine's settings. */
import type { IngressRolloutPolicySpec } from '../../model/generated/crds.ts'
import type { Batch, GateSettings, Settings } from './types.ts'

export class SettingsError extends Error {
  readonly code = 'ROLLOUT_SETTINGS_INVALID'
  override readonly name = 'SettingsError'
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** `1h30m` in milliseconds, as the CRD's pattern allows. Throws SettingsError. */
export function durationMs(text: string, field: string): number {
  if (!/^(\d+(ms|s|m|h))+$/.test(text)) {
    throw new SettingsError(`${field}: ${JSON.stringify(text)} is not a duration; write for example 30s or 1h30m`)
  }
  let sum = 0
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|s|m|h)/g)) {
    sum += Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS]
  }
  return sum
}

/** Fields that the API server defaults are read as they are; what does not parse throws SettingsError, naming the field. */
export function settingsOf(spec: IngressRolloutPolicySpec): Settings {
  const { analysis } = spec
  return {
    batches: withLast(spec.batches.map((batch, i) => batchOf(batch, `spec.batches[${i}]`))),
    bakeMs: durationMs(spec.bakeTime, 'spec.bakeTime'),
    ackDeadlineMs: durationMs(spec.ackDeadline, 'spec.ackDeadline'),
    intervalMs: durationMs(analysis.interval, 'spec.analysis.interval'),
    minRequests: analysis.minRequests,
    gates: gatesOf(analysis),
    onInconclusive: analysis.onInconclusive,
    deadlineMs: durationMs(analysis.deadline, 'spec.analysis.deadline'),
    automaticRollback: spec.rollback.automatic,
  }
}

function gatesOf(analysis: IngressRolloutPolicySpec['analysis']): GateSettings {
  const { successRate, notFoundRate, latencyP99, tlsFailureRate } = analysis
  return {
    successRate:
      successRate === undefined ? null : { min: successRate.min ?? null, maxDrop: successRate.maxDrop ?? null },
    notFoundRate: notFoundRate ?? null,
    latencyP99:
      latencyP99 === undefined
        ? null
        : { maxRise: percentOf(latencyP99.maxRise, 'spec.analysis.latencyP99.maxRise', 9999) },
    tlsFailureRate: tlsFailureRate ?? null,
  }
}

function batchOf(batch: IngressRolloutPolicySpec['batches'][number], field: string): Batch {
  const { pods, pause } = batch
  return {
    pods: typeof pods === 'number' ? { count: pods } : { percent: percentOf(pods, `${field}.pods`, 100) },
    pause:
      pause === undefined
        ? { type: 'none' }
        : pause.for === undefined
          ? { type: 'approval' }
          : { type: 'time', forMs: durationMs(pause.for, `${field}.pause.for`) },
  }
}

function percentOf(text: string, field: string, max: number): number {
  const value = /^(\d{1,4})%$/.exec(text)?.[1]
  if (value === undefined || Number(value) > max) {
    throw new SettingsError(`${field}: ${JSON.stringify(text)} is not a percentage up to ${max}%`)
  }
  return Number(value)
}

const ALL: Batch = { pods: { percent: 100 }, pause: { type: 'none' } }

function withLast(batches: readonly Batch[]): readonly Batch[] {
  const last = batches.at(-1)
  return last !== undefined && 'percent' in last.pods && last.pods.percent >= 100 ? batches : [...batches, ALL]
}
