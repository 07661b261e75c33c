/**
 * Not a gate that a policy could ask for: what takes the place of requests where every path of the revision answers 503,
 * because its protection is not supported (docs/annotations.md). Says so in the status.
 */
import { verdict } from './gate.ts'
import type { Gate } from './gate.ts'

export const CLOSED_NAME = 'closed'

export const closedPaths: Gate = ({ closed, update }) => {
  if (closed === null) return null
  const figures = update.closed === null ? {} : { closed: update.closed }
  return verdict(CLOSED_NAME, 'pass', 'Closed', closedWords(closed), figures)
}

/** @param reason Observation.closed */
export function closedWords(reason: string): string {
  return `closed: ${reason}`
}
