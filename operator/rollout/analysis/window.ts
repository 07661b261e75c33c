/** Windows of figures from reports. Pure but for its own memory, which is bounded. */
import type { Report } from '../../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../../protocol/objects.ts'
import type { Aggregate, Baseline } from '../machine/figures.ts'

export { percentile } from '../machine/figures.ts'

export class Figures {
  /** A report that was counted before (same instance, not a higher sequence) is ignored: false. */
  add(pod: string, ordinal: number, report: Report, nowMs: number): boolean {
    throw new Error(`not yet: ${pod} ${ordinal} ${report.sequence} ${nowMs}`)
  }

  /** What pods counted while they served this revision of the object from end to end of a report, since `sinceMs`. */
  serving(key: ObjectKey, revision: Revision | null, hosts: readonly string[], sinceMs: number): Aggregate {
    throw new Error(`not yet: ${key} ${revision ?? ''} ${hosts.length} ${sinceMs}`)
  }

  /** The last minute before `nowMs` on all pods; null: nobody counted anything. */
  baseline(hosts: readonly string[], nowMs: number): Baseline | null {
    throw new Error(`not yet: ${hosts.length} ${nowMs}`)
  }
}
