/** A revision goes out again: what is written on its IngressRollout first. */
import type { KubeClient } from '../kube/client.ts'
import { resources } from '../kube/resources.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { forKstatus } from '../rollout/conditions.ts'
import { SUPERSEDED_ANNOTATION } from './rollouts.ts'
import type { Rollout } from './rollouts.ts'

/** The status of the attempt to come, then its spec: the order in which a waiting `kubectl wait` sees no old Complete. */
export async function resetForAttempt(
  client: Pick<KubeClient, 'applyStatus' | 'mergePatch'>,
  rollout: Rollout,
  attempt: number,
  stable: string | null,
  wall: Date,
  supersededBefore = 0,
): Promise<void> {
  const { namespace, name, generation } = rollout
  const condition = (type: string, holds = false): NonNullable<IngressRolloutStatus['conditions']>[number] => ({
    type,
    status: holds ? 'True' : 'False',
    reason: 'NewAttempt',
    message: `attempt ${attempt} begins`,
    observedGeneration: generation,
    lastTransitionTime: wall.toISOString(),
  })
  const status: IngressRolloutStatus = {
    phase: 'Pending',
    message: `attempt ${attempt} begins`,
    attempt,
    observedRetry: rollout.spec.retry,
    index: 0,
    batch: 0,
    // The patch of spec below makes a generation that this status has not observed, until the attempt is looked at.
    observedGeneration: generation,
    conditions: [
      ...forKstatus('reconciling').map(([type, holds]) => condition(type, holds)),
      ...['Progressing', 'Complete', 'RolledBack', 'Paused'].map(type => condition(type)),
    ],
  }
  await client.applyStatus(resources.ingressRollouts, { namespace, name }, status)
  await client.mergePatch(
    resources.ingressRollouts,
    { namespace, name },
    {
      metadata: { annotations: { [SUPERSEDED_ANNOTATION]: supersededBefore === 0 ? null : String(supersededBefore) } },
      spec: { attempt, approvedBatch: 0, abort: false, promote: false, stableRevision: stable },
    },
  )
}
