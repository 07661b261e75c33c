/** Who governs an object: a policy, annotations written by hand, or nobody. DESIGN "Which revision does a pod serve?" */
import type { Policy } from '../model/policy.ts'
import type { SourceObject } from '../model/types.ts'
import { isSecret, stampText } from './left.ts'
import type { Governance, Hold, ReleaseRecord } from './types.ts'

export interface GovernanceDecision {
  readonly governance: Governance
  /** What the flag asks for and does not get. */
  readonly hold: Hold | null
}

/**
 * A policy governs what it selects, whatever the flag says, unless the flag is false and the policy allows opting out.
 * Without a policy the flag decides. A flag that does not parse holds what is served, as if it were true. A flag that
 * is missing where somebody drives by hand was lost and is restored (`kubectl replace` removes what it does not know);
 * a flag that is true only because our own stamp is still there, after the policy is gone, governs nothing.
 */
export function governanceOf(
  object: SourceObject,
  policy: Pick<Policy, 'name' | 'allowOptOut' | 'allowManualIndex'> | null,
  record: ReleaseRecord | null,
): GovernanceDecision {
  const { flag } = object.stamp
  const invalid: Hold | null =
    flag.state === 'invalid'
      ? {
          reason: 'InvalidFlag',
          message: `the rollout flag ${JSON.stringify(flag.text.slice(0, 40))} is neither true nor false: what is served stays`,
        }
      : null
  if (policy !== null) {
    // Nobody could drive beside the operator there: it writes no annotation on a Secret under a policy.
    const manual = policy.allowManualIndex && !isSecret(object)
    const governance = { by: 'policy', policy: policy.name, manual } as const
    if (flag.state !== 'valid' || flag.value) return { governance, hold: invalid }
    if (policy.allowOptOut) return { governance: { by: 'none' }, hold: null }
    return {
      governance,
      hold: {
        reason: 'OptOutRefused',
        message: `the rollout flag false is refused: policy ${policy.name} governs this object and does not allow opting out`,
      },
    }
  }
  if (flag.state === 'invalid') return { governance: { by: 'hand' }, hold: invalid }
  if (flag.state === 'valid') {
    return { governance: flag.value && !leftBehind(object, record) ? { by: 'hand' } : { by: 'none' }, hold: null }
  }
  return record?.governed === true && record.byHand
    ? {
        governance: { by: 'hand' },
        hold: {
          reason: 'StampMissing',
          message: 'the rollout flag is gone; it is restored. Write false to end the governance',
        },
      }
    : { governance: { by: 'none' }, hold: null }
}

/** The stamp is one from a time when a policy governed, which does not govern the object any more. */
function leftBehind(object: SourceObject, record: ReleaseRecord | null): boolean {
  if (record?.left !== undefined && record.left === stampText(object)) return true
  if (record === null || record.byHand || (!record.governed && record.seen === null)) return false
  const { update } = object.stamp
  if (update.state === 'absent') return record.update !== null
  return update.state === 'valid' && (update.value in record.revisions || record.refused.includes(update.value))
}
