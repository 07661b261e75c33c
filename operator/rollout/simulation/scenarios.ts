/** What is simulated, and the rows of the table in docs/rollout-policy.md. */
import type { Settings } from '../machine/types.ts'
import { NO_GATES } from '../../model/settings.ts'
import { seeded } from './random.ts'
import { QUIET, readmePolicy, simulate } from './simulate.ts'
import type { Outcome, Scenario } from './simulate.ts'

export interface Row {
  readonly name: string
  readonly scenario: Partial<Scenario>
  /** Instead of README's. */
  readonly policy?: Settings
  /** Runs of this row for each run that is asked for: weekends are long. */
  readonly part?: number
}

export const RATES: readonly number[] = [1, 4, 20, 50]
export const ERRORS: readonly number[] = [0.001, 0.005, 0.01, 0.03]

const HOUR = 3_600_000
const README = readmePolicy(false)

/** README's policy without its minimum, and nobody is asked: with 3 % errors a minimum of 99 % lets nothing go on. */
export const RELATIVE: Settings = {
  ...README,
  gates: { ...README.gates, successRate: { min: null, maxDrop: 0.5 } },
  onInconclusive: 'Promote',
}

/** One point more is looked for, with as many requests as that takes; nobody is asked. */
export const CLOSELY: Settings = {
  ...README,
  ...{ minRequests: 4_000, deadlineMs: 600_000, onInconclusive: 'Promote' },
  gates: { ...README.gates, successRate: { min: null, maxDrop: 0.1 } },
}

/** What a pod is known by that has not been there for long. */
const SHORT_PAST_MS = 150_000

/** Nothing but the gate on connect failures could fail; nobody is asked. */
export const CONNECT: Settings = {
  ...README,
  gates: { ...NO_GATES, connectFailureRate: { maxRise: 1 } },
  onInconclusive: 'Promote',
}

const each = (row: (errors: number, rate: number) => Row): readonly Row[] =>
  ERRORS.flatMap(errors => RATES.map(rate => row(errors, rate)))
const words = (errors: number, rate: number): string => `${errors * 100} % errors, ${rate} requests/s`

/** The update is as good as what it replaces. */
export const GOOD_CHANGES: readonly Row[] = [
  ...each((errors, rate) => ({ name: words(errors, rate), scenario: { errors, rate } })),
  ...each((errors, rate) => ({
    name: `without minimum: ${words(errors, rate)}`,
    ...{ scenario: { errors, rate }, policy: RELATIVE },
  })),
  ...RATES.map(rate => ({ name: `stuck client, ${rate} requests/s`, scenario: { errors: 0.002, rate, stuck: 0.04 } })),
  ...RATES.map(rate => ({
    name: `stuck client, its requests every 20 s, ${rate} requests/s`,
    scenario: { errors: 0.002, rate, stuck: 0.04, bunchedMs: 20_000 },
  })),
  ...RATES.map(rate => ({
    name: `stuck client that hardly shows, seen for 150 s, 1 % errors, ${rate} requests/s`,
    ...{ scenario: { errors: 0.01, rate, stuck: 0.008, pastMs: SHORT_PAST_MS }, policy: RELATIVE },
  })),
  ...each((errors, rate) => ({
    name: `connect failures: ${words(errors, rate)}`,
    ...{ scenario: { errors, rate, unreached: 'all' }, policy: CONNECT },
  })),
  ...RATES.map((rate): Row => ({
    name: `connect failures of a stuck client, ${rate} requests/s`,
    ...{ scenario: { errors: 0.002, rate, stuck: 0.04, unreached: 'all' }, policy: CONNECT },
  })),
  ...RATES.map((rate): Row => ({
    name: `connect failures of a stuck client every 20 s, ${rate} requests/s`,
    ...{ scenario: { errors: 0.002, rate, stuck: 0.04, bunchedMs: 20_000, unreached: 'all' }, policy: CONNECT },
  })),
  ...RATES.map(rate => ({
    name: `nothing known from before, 1 % errors, ${rate} requests/s`,
    scenario: { errors: 0.01, rate, unknownPast: true },
  })),
  ...each((errors, rate) => ({
    name: `a weekend: ${words(errors, rate)}`,
    ...{ scenario: { errors, rate, waitMs: 64 * HOUR }, part: 0.1 },
    policy: { ...readmePolicy(true), gates: RELATIVE.gates, onInconclusive: 'Promote' },
  })),
  ...RATES.map(rate => ({
    name: `a weekend with quiet nights and a stuck client, ${rate} requests/s`,
    ...{ scenario: { errors: 0.002, rate, stuck: 0.04, nights: true, waitMs: 64 * HOUR }, part: 0.1 },
    policy: { ...readmePolicy(true), gates: RELATIVE.gates, onInconclusive: 'Promote' },
  })),
]

/** So many requests a second are a thousand in a bake. */
const THOUSAND_A_BAKE = 36

export const FAULTS: readonly Row[] = [
  ...ERRORS.map(errors => ({
    name: `2 points more, ${errors * 100} % errors, 1 000 requests a bake`,
    scenario: { errors, rate: THOUSAND_A_BAKE, fault: 0.02 },
    policy: RELATIVE,
  })),
  ...[SHORT_PAST_MS, 2 * SHORT_PAST_MS, QUIET.pastMs].map(pastMs => ({
    name: `1 point more looked for closely, seen for ${pastMs / 1_000} s, 1 % errors, 30 requests/s`,
    ...{ scenario: { errors: 0.01, rate: 30, fault: 0.01, pastMs }, policy: CLOSELY, part: 0.2 },
  })),
  ...ERRORS.map((errors): Row => ({
    name: `connect failures: 2 points more, ${errors * 100} % other errors, 1 000 requests a bake`,
    ...{ scenario: { errors, rate: THOUSAND_A_BAKE, fault: 0.02, unreached: 'fault' }, policy: CONNECT },
  })),
  ...RATES.map((rate): Row => ({
    name: `connect failures: 10 points more, ${rate} requests/s`,
    ...{ scenario: { rate, fault: 0.1, unreached: 'fault' }, policy: CONNECT },
  })),
  ...RATES.map(rate => ({
    name: `10 points more in a late minute, ${rate} requests/s`,
    scenario: { rate, fault: 0.1, faultAfterMs: 900_000, waitMs: HOUR, waitLookMs: 2_000 },
    part: 0.1,
  })),
  ...RATES.map(rate => ({
    name: `50 points more in a late minute, ${rate} requests/s`,
    scenario: { rate, fault: 0.5, faultAfterMs: 900_000, waitMs: HOUR, waitLookMs: 2_000 },
    part: 0.1,
  })),
]

export function played({ scenario, policy }: Row, runs: number, seed: number): readonly Outcome[] {
  const of = { ...QUIET, ...scenario }
  return Array.from({ length: runs }, (_, run) =>
    simulate(of, seeded(seed + run * 104_729), policy ?? readmePolicy(of.waitMs > 0)),
  )
}

export function count(outcomes: readonly Outcome[], end: Outcome['end']): number {
  return outcomes.filter(one => one.end === end).length
}

/** The value below which the share `q` of all lies; NaN: there are none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
