/** Views of one object, as the pipeline would make them, for tests of what is decided from them. */
import type { ReleaseRecord } from '../assign/types.ts'
import { NOBODY, POLICY, ingress, planOf, record } from '../assign/testing.ts'
import type { StampTexts } from '../assign/testing.ts'
import { stampNames } from '../model/stamp.ts'
import { parsePolicy } from '../model/policy.ts'
import type { Policy } from '../model/policy.ts'
import type { SourceObject } from '../model/types.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { policy } from '../pipeline/testing.ts'

/** Prefix of the annotations that operator/assign/testing.ts writes. */
export const X = 'x'

export interface ViewOf extends Partial<
  Pick<ObjectView, 'governance' | 'invalid' | 'namespaceTerminating' | 'problems'>
> {
  /** Revision of the object's content; null: there is no object. */
  readonly content?: string | null
  readonly texts?: StampTexts
  readonly source?: Partial<SourceObject>
  readonly record?: Partial<ReleaseRecord> | null
  /** Default: the record is stored. */
  readonly stored?: Partial<ReleaseRecord> | null
  readonly policy?: Policy | null
  /** Annotations apart from the stamp. */
  readonly annotations?: Readonly<Record<string, string>>
}

export const DEFAULT_POLICY = parsePolicy(policy())

/** Governed by a policy, of released content v1, unless told otherwise. */
export function viewOf(of: ViewOf = {}): ObjectView {
  const { content = 'v1', texts = {}, invalid = false, namespaceTerminating = false, problems = [] } = of
  const governance = of.governance ?? POLICY
  const source = content === null ? null : ingress(content, texts, of.source)
  const named = governance.by === 'policy' ? { policy: governance.policy } : {}
  const kept = of.record === null ? null : record({ ...named, ...of.record })
  const stored = of.stored === undefined ? kept : of.stored === null ? null : record(of.stored)
  const key = source?.key ?? kept?.key ?? 'Ingress/shop/web'
  const plan = planOf(source, governance, kept, { invalid, namespaceTerminating })
  const names = stampNames(key.startsWith('Secret/') ? 'Secret' : 'Ingress', X)
  const stamp = (['flag', 'current', 'update', 'index'] as const).flatMap((part): [string, string][] => {
    const text = texts[part]
    return text === undefined ? [] : [[names[part], text]]
  })
  const annotations = { ...Object.fromEntries(stamp), ...of.annotations }
  return {
    ...{ key, source, governance, record: kept, stored, plan, invalid, problems, namespaceTerminating },
    raw: source === null ? null : { metadata: { name: 'web', namespace: 'shop', annotations } },
    policy: of.policy ?? (governance.by === NOBODY.by ? null : DEFAULT_POLICY),
    hold: plan.hold,
  }
}
