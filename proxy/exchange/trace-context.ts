/** The trace that a request belongs to, as W3C Trace Context says it. Read for the log alone: the fields go on as they came. */
import type { Fields } from '../http1/contract.ts'

/** https://www.w3.org/TR/trace-context/#traceparent-header-field-values; a later version may have more behind a dash. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/

/** @returns the trace-id of `traceparent`, 32 hex digits; null: there is none, more than one, or it is malformed */
export function traceIdOf(fields: Fields): string | null {
  let found: string | null = null
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (name.length !== 11 || name.toLowerCase() !== 'traceparent') continue
    if (found !== null) return null
    found = fields[i + 1] ?? ''
  }
  const [, version, trace, more] = (found === null ? null : TRACEPARENT.exec(found)) ?? []
  return trace === undefined || (version === '00' && more !== undefined) ? null : trace
}
