/** How often pods report while something is rolled out. Pure. */

/** A second is what a bad change harms at least; below it reports are too small to tell much. Milliseconds. */
const SHORTEST_MS = 1_000
/** However many pods there are: what is decided waits for all of them. Milliseconds. */
const LONGEST_MS = 2_000
/** The leader reads and judges so many a second beside all else that it does (docs/adr/0045-a-report-a-second.md). */
const REPORTS_PER_SECOND = 200

/** Time between two reports of a pod, in milliseconds. @param pods of the whole fleet */
export function reportIntervalMs(pods: number): number {
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, Math.ceil((pods / REPORTS_PER_SECOND) * 1_000)))
}
