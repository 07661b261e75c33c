/** A revision goes out again: what is written on its IngressRollout first. */
import type { KubeClient } from '../kube/client.ts'
import type { KubeObject } from '../kube/objects.ts'
import { resources } from '../kube/resources.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { forKstatus } from '../rollout/conditions.ts'
import { SUPERSEDED_ANNOTATION } from './rollouts.ts'
import type { Rollout } from './rollouts.ts'

/**
 * The commands of the attempt before are consumed, then its status gives way to that of the attempt to come: whoever stops between
 * the two finds the rollout as it was, and does both again. All of it precedes the stamp, so a waiting `kubectl wait` sees no old Complete.
 * @returns the IngressRollout as it is then
 */
export async function resetForAttempt(
  client: Pick<KubeClient, 'applyStatus' | 'mergePatch'>,
  rollout: Rollout,
  attempt: number,
  stable: string | null,
  wall: Date,
  supersededBefore = 0,
): Promise<KubeObject> {
  const { namespace, name } = rollout
  const spec = { approvedBatches: 0, abort: false, promote: false }
  const annotations = { [SUPERSEDED_ANNOTATION]: supersededBefore === 0 ? null : String(supersededBefore) }
  const patch = { metadata: { annotations }, spec }
  const { metadata } = await client.mergePatch(resources.ingressRollouts, { namespace, name }, patch)
  const generation = metadata.generation ?? rollout.generation
  const condition = (type: string, holds = false): NonNullable<IngressRolloutStatus['conditions']>[number] => ({
    type,
    status: holds ? 'True' : 'False',
    reason: 'NewAttempt',
    message: `attempt ${attempt} begins`,
    observedGeneration: generation,
    lastTransitionTime: wall.toISOString(),
  })
  const { policy } = rollout.status ?? {}
  const status: IngressRolloutStatus = {
    phase: 'Pending',
    message: `attempt ${attempt} begins`,
    attempt,
    ...(policy === undefined ? {} : { policy }),
    ...(stable === null ? {} : { stableRevision: stable }),
    observedRetry: rollout.spec.retry,
    index: 0,
    batch: 1,
    observedGeneration: generation,
    conditions: [
      ...forKstatus('reconciling').map(([type, holds]) => condition(type, holds)),
      ...['Progressing', 'Complete', 'RolledBack', 'Paused'].map(type => condition(type)),
    ],
  }
  return await client.applyStatus(resources.ingressRollouts, { namespace, name }, status)
}
