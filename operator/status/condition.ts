/** Conditions as the API conventions ask for. */
import type { Condition } from '../model/generated/crds.ts'

/** Keeps lastTransitionTime while status stays what it was (API conventions, "Typical status properties"). */
export function condition(previous: readonly Condition[] | undefined, next: Condition): Condition {
  const before = previous?.find(c => c.type === next.type)
  return before?.status === next.status ? { ...next, lastTransitionTime: before.lastTransitionTime } : next
}
