/** Sums over records. Pure. */
import { failed } from './record.ts'
import type { LoadRecord } from './record.ts'

export interface Summary {
  readonly requests: number
  readonly failures: number
  /** How often each `status 500`, `ECONNRESET`, … of the failures. */
  readonly reasons: Readonly<Record<string, number>>
  /** Milliseconds; 0 without requests. */
  readonly p50: number
  readonly p99: number
  /** Ordinals that answered, by the backend's version. */
  readonly ordinalsByVersion: Readonly<Record<string, readonly number[]>>
}

export function summarize(records: readonly LoadRecord[]): Summary {
  const reasons: Record<string, number> = {}
  const ordinals = new Map<string, Set<number>>()
  let failures = 0
  for (const record of records) {
    if (record.version !== null) {
      ordinals.set(record.version, (ordinals.get(record.version) ?? new Set()).add(record.ordinal))
    }
    if (!failed(record)) continue
    failures++
    const reason = reasonOf(record)
    reasons[reason] = (reasons[reason] ?? 0) + 1
  }
  const times = Float64Array.from(records, record => record.ms).sort()
  return {
    requests: records.length,
    failures,
    reasons,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    ordinalsByVersion: Object.fromEntries(
      [...ordinals].map(([version, set]) => [version, [...set].sort((a, b) => a - b)]),
    ),
  }
}

export function reasonOf(record: LoadRecord): string {
  return record.error ?? `status ${record.status ?? 0}`
}

/** Nearest rank; `sorted` ascending. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? 0
}

/**
 * Between these lies the median of all that could have been measured, 95 of 100 times, whatever its distribution: two order statistics
 * (normal approximation of the binomial). Of a handful it is all there is. `sorted` ascending.
 */
export function medianBetween(sorted: Float64Array): readonly [number, number] {
  const { length } = sorted
  const half = 1.96 * Math.sqrt(length) * 0.5
  const low = Math.max(1, Math.floor(length / 2 - half))
  const high = Math.min(length, Math.ceil(1 + length / 2 + half))
  return [sorted[low - 1] ?? 0, sorted[high - 1] ?? 0]
}
