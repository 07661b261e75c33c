/** Durations as Kubernetes and Go write them, as far as the CRDs allow: `500ms`, `30s`, `1h30m`. */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds; null for a text that is no duration. */
export function durationMs(text: string): number | null {
  if (!/^([0-9]+(ms|s|m|h))+$/.test(text)) return null
  let sum = 0
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|s|m|h)/g)) {
    sum += Number(digits) * (UNITS[unit ?? ''] ?? 0)
  }
  return Number.isSafeInteger(sum) ? sum : null
}
