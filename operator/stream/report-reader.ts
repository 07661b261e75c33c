/**
 * Reports as they come. Most say what the pod's last one said, under another number: while nothing is asked of a pod that is all that
 * changes. Such a one is the last one again, and whoever compares the two sees without a look into them that they say the same.
 */
import type { Report } from '../../protocol/messages.ts'
import { parseReport } from '../../protocol/schemas.ts'

/** Characters. A longer one names what was counted, which is something else each time. */
const LONGEST = 16_384
/** Above the number of pods of any fleet. */
const MOST_PODS = 10_000

/** A quotation mark within a text has a backslash before it, so this is a field; one of another object than the report is no number. */
const SEQUENCE = /"sequence":(0|[1-9][0-9]{0,14})(?=[,}])/

interface Known {
  readonly before: string
  readonly after: string
  readonly report: Report
}

export class ReportReader {
  readonly #known = new Map<string, Known>()

  /**
   * @param pod by whose token it came
   * @throws ProtocolError SLUICE_SCHEMA
   */
  read(pod: string, text: string): Report {
    const found = text.length > LONGEST ? null : SEQUENCE.exec(text)
    if (found === null) return parseReport(text)
    const [field, digits = ''] = found
    const [before, after] = [text.slice(0, found.index), text.slice(found.index + field.length)]
    const sequence = Number(digits)
    const known = this.#known.get(pod)
    const isSame = known?.before === before && known.after === after
    const report = isSame ? { ...known.report, sequence } : parseReport(text)
    // Where it is there twice the last one counts.
    if (report.sequence === sequence && !after.includes('"sequence":')) this.#keep(pod, { before, after, report })
    return report
  }

  #keep(pod: string, known: Known): void {
    this.#known.set(pod, known)
    const [oldest] = this.#known.size > MOST_PODS ? this.#known.keys() : []
    if (oldest !== undefined) this.#known.delete(oldest)
  }
}
