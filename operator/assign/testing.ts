/** Objects and records for the tests of this folder. */
import type { Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { parseStamp } from '../model/stamp.ts'
import type { SourceObject, Stamp } from '../model/types.ts'
import { plan, revisionFor } from './plan.ts'
import type { PlanOptions } from './plan.ts'
import type { Governance, Plan, ReleaseRecord } from './types.ts'

/** Whose annotations people may drive, too. */
export const POLICY: Governance = { by: 'policy', policy: 'default', manual: true }
export const CLOSED_POLICY: Governance = { by: 'policy', policy: 'default', manual: false }
export const HAND: Governance = { by: 'hand' }
export const NOBODY: Governance = { by: 'none' }
export const AS_IS: PlanOptions = { invalid: false, namespaceTerminating: false }

export interface StampTexts {
  readonly flag?: string | undefined
  readonly current?: string | undefined
  readonly update?: string | undefined
  readonly index?: string | undefined
}

/** The stamp of annotations with these texts; what is left out is absent. */
export function stamped(texts: StampTexts, kind: 'Ingress' | 'Secret' = 'Ingress'): Stamp {
  const stem = `x/${kind.toLowerCase()}-rollout`
  const all = {
    [stem]: texts.flag,
    [`${stem}-current-revision`]: texts.current,
    [`${stem}-update-revision`]: texts.update,
    [`${stem}-index-id`]: texts.index,
  }
  const present = Object.entries(all).flatMap(([name, text]): [string, string][] =>
    text === undefined ? [] : [[name, text]],
  )
  return parseStamp(Object.fromEntries(present), kind, 'x')
}

/** An Ingress whose content has this hash. */
export function ingress(revision: Revision, texts: StampTexts = {}, change: Partial<SourceObject> = {}): SourceObject {
  return {
    key: 'Ingress/shop/web',
    uid: 'u1',
    resourceVersion: '1',
    createdAt: 1,
    deleting: revision === ABSENT_REVISION,
    ours: true,
    className: 'sluice',
    labels: {},
    finalizers: [],
    content: { kind: 'Ingress', annotations: { content: revision }, spec: {} },
    revision,
    stamp: stamped(texts),
    ...change,
  }
}

export function secret(revision: Revision, texts: StampTexts = {}): SourceObject {
  return ingress(
    revision,
    {},
    {
      key: 'Secret/shop/tls',
      className: null,
      content: { kind: 'Secret', chain: revision, privateKey: '' },
      stamp: stamped(texts, 'Secret'),
    },
  )
}

/** A governed record; the revisions that it names are stored, each under its hash. */
export function record(change: Partial<ReleaseRecord> = {}): ReleaseRecord {
  const made: ReleaseRecord = {
    uid: 'u1',
    key: 'Ingress/shop/web',
    createdAt: 1,
    governed: true,
    byHand: false,
    seen: null,
    current: 'v1',
    update: null,
    index: -1,
    refused: [],
    revisions: {},
    ...change,
  }
  const revisions: Record<string, ReleaseRecord['revisions'][string]> = {}
  for (const name of [made.current, made.update]) {
    if (name === null) continue
    const content = name === ABSENT_REVISION ? null : ingress(name).content
    revisions[name] = { hash: name, content }
  }
  return { ...made, revisions: { ...revisions, ...change.revisions } }
}

/** What pods 0 to 4 and one without an ordinal serve. */
export function served(made: Plan): readonly (Revision | null)[] {
  return [0, 1, 2, 3, 4, -1].map(ordinal => revisionFor(made, ordinal))
}

export function planOf(
  object: SourceObject | null,
  governance: Governance,
  of: ReleaseRecord | null,
  options: Partial<PlanOptions> = {},
): Plan {
  return plan(object, governance, of, { ...AS_IS, ...options })
}
