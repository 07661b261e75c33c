/**
 * What the annotations of an Ingress set for its routes (RouteSettings), topic by topic: a topic is a file beside this one, with its
 * names and a function that reads them. docs/requests.md is for people.
 */
import type { ObjectKey, RouteSettings } from '../../../protocol/objects.ts'
import { AnnotationReader } from '../annotation-reader.ts'
import { isCanary } from '../canary.ts'
import type { IngressContent, Problem } from '../types.ts'
import { REQUEST_ANNOTATIONS, requestSettings } from './requests.ts'

/** Without prefix. */
export const SETTING_ANNOTATIONS: ReadonlySet<string> = new Set(REQUEST_ANNOTATIONS)

export interface ParsedSettings {
  /** What is right, also where a Problem refuses the content for what is not; null: nothing is set. */
  readonly settings: RouteSettings | null
  readonly problems: readonly Problem[]
}

/** A value that is wrong refuses the content. Of a canary: what is set for its main path counts for its requests, too (NGINX.md 13). */
export function routeSettingsOf(key: ObjectKey, content: IngressContent): ParsedSettings {
  const from = new AnnotationReader(key, content)
  if (isCanary(content)) {
    for (const name of REQUEST_ANNOTATIONS) from.unused(name, 'has no effect on a canary: its main path decides')
    return { settings: null, problems: from.problems }
  }
  const settings: RouteSettings = requestSettings(from)
  return { settings: Object.keys(settings).length === 0 ? null : settings, problems: from.problems }
}
