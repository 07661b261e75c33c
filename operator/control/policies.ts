/** IngressRolloutPolicies: the ones that can be read, and their status. */
import type { KubeClient } from '../kube/client.ts'
import { NotLeaderError, isKubeError } from '../kube/errors.ts'
import type { KubeObject, SpecObject } from '../kube/objects.ts'
import { as, resources } from '../kube/resources.ts'
import { ModelError } from '../model/errors.ts'
import type { IngressRolloutPolicySpec, IngressRolloutPolicyStatus } from '../model/generated/crds.ts'
import { parsePolicy } from '../model/policy.ts'
import type { Policy } from '../model/policy.ts'
import type { Batch } from '../model/settings.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
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

  /** A version that cannot be read leaves the last one in force: to govern nothing would let every change through. */
  upsert(object: KubeObject): void {
    const raw = object as Known['raw']
    const { name } = object.metadata
    try {
      this.#known.set(name, { raw, policy: parsePolicy(object), error: null })
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      this.#known.set(name, { raw, policy: this.#known.get(name)?.policy ?? null, error })
    }
  }

  remove(object: KubeObject): void {
    this.#known.delete(object.metadata.name)
    this.#written.delete(object.metadata.name)
  }

  get all(): readonly Policy[] {
    return [...this.#known.values()].flatMap(({ policy }) => policy ?? [])
  }

  /** A new leader writes every status again. */
  lead(): void {
    this.#written.clear()
  }

  /** @throws KubeError */
  async writeStatus(
    client: Pick<KubeClient, 'applyStatus'>,
    views: Iterable<ObjectView>,
    mayWrite: () => boolean,
    now: string,
  ): Promise<void> {
    const governed = new Map<string, number>()
    for (const { governance, source, record } of views) {
      if (governance.by !== 'policy' || source === null || !(source.ours || record?.governed === true)) continue
      // A Secret that nothing serves is governed by nobody: its policy is found through the Ingresses that refer to it.
      governed.set(governance.policy, (governed.get(governance.policy) ?? 0) + 1)
    }
    for (const [name, { raw, policy, error }] of this.#known) {
      const status = statusOf(raw, policy, error, governed.get(name) ?? 0, now)
      const text = JSON.stringify([status.observedGeneration, status.governedObjects, status.batches, error?.message])
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

function statusOf(
  raw: Known['raw'],
  policy: Policy | null,
  error: ModelError | null,
  governedObjects: number,
  now: string,
): IngressRolloutPolicyStatus {
  const observedGeneration = raw.metadata.generation ?? 0
  return {
    observedGeneration,
    governedObjects,
    ...(policy === null ? {} : { batches: policy.settings.batches.map(batchText).join(', ').slice(0, 256) }),
    conditions: [
      condition(raw.status?.conditions, {
        type: 'Accepted',
        status: error === null ? 'True' : 'False',
        reason: error === null ? 'Accepted' : 'Malformed',
        message:
          error === null
            ? `governs ${governedObjects} ${governedObjects === 1 ? 'object' : 'objects'}`
            : `${error.message}${policy === null ? '' : '; the last version that could be read stays in force'}`,
        observedGeneration,
        lastTransitionTime: now,
      }),
    ],
  }
}

function batchText({ pods }: Batch): string {
  return 'count' in pods ? String(pods.count) : `${pods.percent}%`
}
