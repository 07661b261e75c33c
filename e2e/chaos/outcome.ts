/** What came of the changes while leaders died. Pure. */
import { lossesIn } from '../load/losses.ts'
import type { LoadRecord } from '../load/record.ts'
import { failed } from '../load/record.ts'
import type { Write } from './audit.ts'
import { countsOf, isDecision, leadersIn, strayWrites } from './audit.ts'

export interface Change {
  readonly host: number
  readonly n: number
  /** Its backend answers 500. */
  readonly bad: boolean
  /** The phase that it ended in; what it was in when the time was over. */
  readonly phase: string
  readonly message: string
  readonly ms: number
}

export interface Outcome {
  readonly changes: readonly Change[]
  readonly records: readonly LoadRecord[]
  readonly writes: readonly Write[]
  readonly killed: number
  readonly stopped: number
  /** Hosts of which some proxy serves in the end what it should not, and what that is. */
  readonly wrong: readonly string[]
}

/** The version of the backend that answers 500. */
export const BAD = 'bad'
const FIRST_BATCH = 1

/** What is not as it should be, in words; empty: nothing. */
export function problemsOf({ changes, records, writes, wrong, killed, stopped }: Outcome): readonly string[] {
  const ends = changes.flatMap(({ host, n, bad, phase, message }) => {
    const wanted = bad ? 'RolledBack' : 'Complete'
    return phase === wanted ? [] : [`change ${n} of host ${host} is ${phase}, not ${wanted}: ${message}`]
  })
  const spread = records.filter(({ version, ordinal }) => version === BAD && ordinal >= FIRST_BATCH)
  const others = records.filter(record => failed(record) && record.version !== BAD)
  const stray = strayWrites(writes)
  const isProved = killed + stopped > 0 && leadersIn(writes).length > 1 && writes.some(isDecision)
  return [
    ...ends,
    ...wrong,
    ...(isProved ? [] : ['nobody was disturbed, or the audit log says nothing of who decided: this proves nothing']),
    ...(spread.length === 0 ? [] : [`${spread.length} answers of a bad change came from pods beyond the first batch`]),
    ...(others.length === 0
      ? []
      : [`requests failed that no bad change answered, ${lossesIn(records.filter(one => one.version !== BAD))}`]),
    ...stray.map(
      one => `${one.pod} did not lead and wrote ${one.verb} ${one.resource} ${one.namespace}/${one.name} (${one.code})`,
    ),
  ]
}

export function textOf({ changes, records, writes, killed, stopped }: Outcome): string {
  const count = (phase: string): number => changes.filter(one => one.phase === phase).length
  const sorted = changes.map(({ ms }) => ms).sort((a, b) => a - b)
  const median = ((sorted[Math.floor(sorted.length / 2)] ?? 0) / 1_000).toFixed(0)
  const harmed = records.filter(({ version }) => version === BAD).length
  const decisions = countsOf(writes)
  const total = decisions.reduce((sum, one) => sum + one.count, 0)
  const each = (total / Math.max(1, changes.length)).toFixed(0)
  return (
    `${changes.length} changes (${changes.filter(({ bad }) => bad).length} bad): ${count('Complete')} complete, ${count('RolledBack')} taken back, ` +
    `half of them within ${median} s; ${killed} leaders killed, ${stopped} stopped for a while, ${leadersIn(writes).length} terms; ` +
    `${records.length} requests, ${harmed} answered by a bad change; ${each} writes per change ` +
    `(${decisions.map(one => `${one.count} × ${one.resource}`).join(', ')})`
  )
}
