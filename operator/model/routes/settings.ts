/**
 * What the annotations of an Ingress set for its routes (RouteSettings), topic by topic: a topic is a file beside this one, with its
 * names and a function that reads them. docs/requests.md is for people.
 */
import type { AffinitySettings, BalanceSettings, ObjectKey, RouteSettings } from '../../../protocol/objects.ts'
import { AnnotationReader } from '../annotation-reader.ts'
import { isCanary } from '../canary.ts'
import type { IngressContent, Problem } from '../types.ts'
import { AFFINITY_ANNOTATIONS, affinitySettings } from './affinity.ts'
import { BALANCE_ANNOTATIONS, balanceSettings } from './balance.ts'
import { REQUEST_ANNOTATIONS, requestSettings } from './requests.ts'

/** Without prefix. */
export const SETTING_ANNOTATIONS: ReadonlySet<string> = new Set([
  ...REQUEST_ANNOTATIONS,
  ...BALANCE_ANNOTATIONS,
  ...AFFINITY_ANNOTATIONS,
])

export interface ParsedSettings {
  /** What is right, also where a Problem refuses the content for what is not; null: nothing is set. */
  readonly settings: RouteSettings | null
  readonly problems: readonly Problem[]
}

/**
 * A value that is wrong refuses the content. Of a canary: what is set for its main path counts for its requests, too (NGINX.md 13), but for
 * how its endpoints are chosen.
 */
export function routeSettingsOf(key: ObjectKey, content: IngressContent): ParsedSettings {
  const from = new AnnotationReader(key, content)
  if (isCanary(content)) {
    const mainDecides = [...REQUEST_ANNOTATIONS, ...AFFINITY_ANNOTATIONS]
    for (const name of mainDecides) from.unused(name, 'has no effect on a canary: its main path decides')
    return parsed(from, settingsOf(null, balanceSettings(from), {}))
  }
  const affinity = affinitySettings(from)
  const balance = balanceSettings(from)
  if (affinity !== null && balance !== null) {
    for (const name of BALANCE_ANNOTATIONS) from.unused(name, 'has no effect beside affinity')
  }
  return parsed(from, settingsOf(affinity, affinity === null ? balance : null, requestSettings(from)))
}

function settingsOf(
  affinity: AffinitySettings | null,
  balance: BalanceSettings | null,
  ofRequests: RouteSettings,
): RouteSettings {
  return {
    ...ofRequests,
    ...(balance === null ? {} : { balance }),
    ...(affinity === null ? {} : { affinity }),
  }
}

function parsed({ problems }: AnnotationReader, settings: RouteSettings): ParsedSettings {
  return { settings: Object.keys(settings).length === 0 ? null : settings, problems }
}
