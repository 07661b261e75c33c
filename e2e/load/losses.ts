/** Requests that were lost, told so that one can look for what else happened then and there. Pure. */
import { failed } from './record.ts'
import type { LoadRecord } from './record.ts'

/** `3 of 90: http TIMEOUT × 3 to pods 0, 4, begun 12.1 to 12.9 s after the first`; nothing lost: `0 of 90`. */
export function lossesIn(records: readonly LoadRecord[]): string {
  const lost = records.filter(failed)
  const first = records.reduce((least, { at }) => Math.min(least, at), Infinity)
  const seconds = (at: number): string => ((at - first) / 1_000).toFixed(1)
  const wayOf = ({ kind, error, status }: LoadRecord): string => `${kind} ${error ?? status ?? 'no answer'}`
  const words = [...new Set(lost.map(wayOf))].map(way => {
    const same = lost.filter(record => wayOf(record) === way)
    const pods = [...new Set(same.map(({ ordinal }) => ordinal))].sort((a, b) => a - b)
    const begun = same.map(({ at }) => at).sort((a, b) => a - b)
    return `${way} × ${same.length} to pods ${pods.join(', ')}, begun ${seconds(begun[0] ?? 0)} to ${seconds(begun.at(-1) ?? 0)} s after the first`
  })
  return [`${lost.length} of ${records.length}`, ...(words.length === 0 ? [] : [words.join('; ')])].join(': ')
}
