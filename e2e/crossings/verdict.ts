/** Whether a crossing went as it should: from what was seen alone. */
import type { Scenario, Seen } from './scenario.ts'

/** What a policy may cost beside no policy at all. */
export const GRACE_SECONDS = 30

export interface Verdict {
  readonly fine: boolean
  readonly seconds: number | null
  /** Null: the scenario that it is measured by was not played, or did not end. */
  readonly allowed: number | null
  /** In words; empty: it is fine. */
  readonly problems: readonly string[]
}

/** `others`: how long the scenarios took that were played already, by name. */
export function judge(
  { within }: Pick<Scenario, 'within'>,
  seen: Seen,
  others: ReadonlyMap<string, number | null>,
): Verdict {
  const allowed = allowedOf(within, others)
  const { seconds, broke } = seen
  const failed = seen.checks.filter(one => !one.held)
  const problems = [
    ...(broke === null ? [] : [broke]),
    ...(broke === null && seconds === null ? ['it did not end without a person'] : []),
    ...(seconds !== null && allowed !== null && seconds > allowed
      ? [`it took ${seconds.toFixed(0)} s, allowed are ${allowed.toFixed(0)} s`]
      : []),
    ...(allowed === null && within.by !== 'seconds' ? [`${within.scenario} gives nothing to measure by`] : []),
    ...failed.map(one => `not so: ${one.what}${one.seen === '' ? '' : ` (${one.seen})`}`),
  ]
  return { fine: problems.length === 0, seconds, allowed, problems }
}

function allowedOf(within: Scenario['within'], others: ReadonlyMap<string, number | null>): number | null {
  if (within.by === 'seconds') return within.seconds
  const other = others.get(within.scenario) ?? null
  if (other === null) return null
  return other + GRACE_SECONDS
}
