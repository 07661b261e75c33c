/** Status of an IngressCheckSum or SecretCheckSum: who agrees with what was published, and who does not. Pure. */
import type { Mismatch } from '../../protocol/messages.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { CheckSumMismatch, IngressCheckSumStatus as CheckSumStatus } from '../model/generated/crds.ts'
import { condition } from './condition.ts'

export interface ChecksumStatusInput {
  readonly kind: 'Ingress' | 'Secret'
  readonly published: string
  readonly generation: number
  /** IDs that take part, as this replica counts them. */
  readonly objects: number
  readonly pods: readonly FleetPod[]
  /** Name of this replica, and how its own computation differs; null: it agrees. */
  readonly replica: string
  readonly own: Mismatch | null
  readonly previous: CheckSumStatus | undefined
  /** RFC 3339. */
  readonly now: string
}

export function checksumStatus(input: ChecksumStatusInput): CheckSumStatus {
  const field = input.kind === 'Ingress' ? 'ingress' : 'secret'
  const consistent = input.pods.filter(pod => pod.report?.checksums[field] === input.published).length
  const total = input.pods.length
  const mismatches: CheckSumMismatch[] = []
  if (input.own !== null) {
    const { missing, unexpected, message } = input.own
    mismatches.push({ source: input.replica, missing, unexpected, message })
  }
  for (const pod of input.pods) {
    for (const refusal of pod.report?.refused ?? []) {
      mismatches.push({
        source: pod.name,
        message: `${refusal.reason}${refusal.object === null ? '' : ` ${refusal.object}`}: ${refusal.message}`.slice(
          0,
          1000,
        ),
      })
    }
  }
  const agreed = consistent === total && mismatches.length === 0
  const silent = input.pods.filter(pod => pod.report === null).map(pod => pod.name)
  const message = agreed
    ? `all ${total} pods serve the published state`
    : mismatches[0] !== undefined
      ? `${mismatches[0].source}: ${mismatches[0].message}`
      : silent.length > 0
        ? `${consistent} of ${total} pods serve the published state; nothing heard from ${silent.slice(0, 5).join(', ')}`
        : `${consistent} of ${total} pods serve the published state; the others are on their way`
  const reason = agreed ? 'Consistent' : mismatches.length > 0 ? 'Mismatch' : 'Converging'
  return {
    objects: input.objects,
    observedChecksum: input.published,
    pods: { total, consistent, summary: `${consistent}/${total}` },
    mismatches: mismatches.slice(0, 20),
    conditions: [
      condition(input.previous?.conditions, {
        type: 'Consistent',
        status: agreed ? 'True' : 'False',
        reason,
        message: message.slice(0, 1024),
        observedGeneration: input.generation,
        lastTransitionTime: input.now,
      }),
    ],
  }
}
