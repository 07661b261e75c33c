/** IngressRolloutPolicies: the ones that can be read, and their status. */
import type { Revision } from '../../protocol/objects.ts'
import { hashOf, releasedOf } from '../assign/revisions.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { KubeClient } from '../kube/client.ts'
import { NotLeaderError, isKubeError } from '../kube/errors.ts'
import type { KubeObject, SpecObject } from '../kube/objects.ts'
import { as, resources } from '../kube/resources.ts'
import { ModelError } from '../model/errors.ts'
import type { Condition, IngressRolloutPolicySpec, IngressRolloutPolicyStatus } from '../model/generated/crds.ts'
import { parsePolicy } from '../model/policy.ts'
import type { Policy } from '../model/policy.ts'
import type { Batch } from '../model/settings.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { forKstatus } from '../rollout/conditions.ts'
import { condition } from '../status/condition.ts'

export const policyResource = as<SpecObject<IngressRolloutPolicySpec, IngressRolloutPolicyStatus>>(
  resources.ingressRolloutPolicies,
)

interface Known {
  readonly raw: SpecObject<IngressRolloutPolicySpec, IngressRolloutPolicyStatus>
  /** The last version that could be read; null: none yet. */
  readonly policy: Policy | null
  readonly error: ModelError | null
}

export class Policies {
  readonly #known = new Map<string, Known>()
  readonly #written = new Map<string, string>()

  /**
   * A version that cannot be read leaves the last one in force: to govern nothing would let every change through.
   *
   * @returns false: it is the policy that is known, with another status
   */
  upsert(object: KubeObject): boolean {
    const raw = object as Known['raw']
    const { name, uid, generation } = object.metadata
    const before = this.#known.get(name)
    const { metadata } = before?.raw ?? {}
    if (
      before !== undefined &&
      generation !== undefined &&
      metadata?.uid === uid &&
      metadata?.generation === generation
    ) {
      this.#known.set(name, { ...before, raw })
      return false
    }
    try {
      this.#known.set(name, { raw, policy: parsePolicy(object), error: null })
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      this.#known.set(name, { raw, policy: before?.policy ?? null, error })
    }
    return true
  }

  remove(object: KubeObject): void {
    this.#known.delete(object.metadata.name)
    this.#written.delete(object.metadata.name)
  }

  get all(): readonly Policy[] {
    return [...this.#known.values()].flatMap(({ policy }) => policy ?? [])
  }

  /** Names of those that nobody could ever read here: what they govern is not known, and it is not nothing. */
  get unread(): ReadonlySet<string> {
    return new Set([...this.#known].flatMap(([name, { policy }]) => (policy === null ? [name] : [])))
  }

  /** A new leader writes every status again. */
  lead(): void {
    this.#written.clear()
  }

  /**
   * @param now RFC 3339
   * @param paused rollouts that wait, by policy
   * @throws KubeError
   */
  async writeStatus(
    client: Pick<KubeClient, 'applyStatus'>,
    views: Iterable<ObjectView>,
    mayWrite: () => boolean,
    now: string,
    paused: ReadonlyMap<string, number> = new Map(),
  ): Promise<void> {
    // Else all that there is would be counted whenever something changed, for nobody.
    if (this.#known.size === 0) return
    const governed = new Map<string, number>()
    const refused = new Map<string, number>()
    for (const { governance, source, record } of views) {
      if (governance.by !== 'policy' || source === null || !(source.ours || record?.governed === true)) continue
      // A Secret that nothing serves is governed by nobody: its policy is found through the Ingresses that refer to it.
      governed.set(governance.policy, (governed.get(governance.policy) ?? 0) + 1)
      if (isHeldBack(record, source.revision)) refused.set(governance.policy, (refused.get(governance.policy) ?? 0) + 1)
    }
    for (const [name, { raw, policy, error }] of this.#known) {
      const counts = {
        governedObjects: governed.get(name) ?? 0,
        pausedRollouts: paused.get(name) ?? 0,
        refusedObjects: refused.get(name) ?? 0,
      }
      const status = statusOf(raw, policy, error, counts, now)
      const text = JSON.stringify([status.observedGeneration, counts, status.batches, error?.message])
      if (this.#written.get(name) === text) continue
      if (!mayWrite()) throw new NotLeaderError('this replica does not lead any more')
      try {
        await client.applyStatus(policyResource, { name }, status)
      } catch (failure) {
        if (!isKubeError(failure, 'KUBE_NOT_FOUND')) throw failure
      }
      this.#written.set(name, text)
    }
  }
}

/** The content that it has was taken back. */
function isHeldBack(record: ReleaseRecord | null, revision: Revision): boolean {
  return record !== null && record.refused.includes(revision) && hashOf(record, releasedOf(record)) !== revision
}

function statusOf(
  raw: Known['raw'],
  policy: Policy | null,
  error: ModelError | null,
  counts: Required<Pick<IngressRolloutPolicyStatus, 'governedObjects' | 'pausedRollouts' | 'refusedObjects'>>,
  now: string,
): IngressRolloutPolicyStatus {
  const observedGeneration = raw.metadata.generation ?? 0
  const accepted = error === null
  const { governedObjects } = counts
  const message = accepted
    ? `governs ${governedObjects} ${governedObjects === 1 ? 'object' : 'objects'}`
    : `${error.message}${policy === null ? '' : '; the last version that could be read stays in force'}`
  const made = (type: string, holds: boolean): Condition =>
    condition(raw.status?.conditions, {
      ...{ type, status: holds ? 'True' : 'False', reason: accepted ? 'Accepted' : 'Malformed', message },
      ...{ observedGeneration, lastTransitionTime: now },
    })
  return {
    observedGeneration,
    ...counts,
    ...(policy === null ? {} : { batches: policy.settings.batches.map(batchText).join(', ').slice(0, 256) }),
    conditions: [
      ...forKstatus(accepted ? 'ready' : 'stalled').map(([type, holds]) => made(type, holds)),
      made('Accepted', accepted),
    ],
  }
}

function batchText({ pods }: Batch): string {
  return 'count' in pods ? String(pods.count) : `${pods.percent}%`
}
