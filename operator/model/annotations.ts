/**
 * What an Ingress's annotations mean to us. An annotation that is not supported is never silently
 * ignored: what protects something closes its paths.
 */
import type { ObjectKey, ObjectKind } from '../../protocol/objects.ts'
import { CANARY_ANNOTATIONS, canaryRuleOf, isCanary } from './canary.ts'
import { HARMLESS, OFF, PROTECTIVE, PROTECTIVE_FAMILIES, PROTECTIVE_SNIPPET, SNIPPETS } from './known-annotations.ts'
import { SETTING_ANNOTATIONS, routeSettingsOf } from './routes/settings.ts'
import { DEFAULT_ANNOTATION_PREFIX, stampNames } from './stamp.ts'
import type { IngressContent, Problem } from './types.ts'

/**
 * The annotations that belong to the content: all under the prefix, without the rollout annotations and `version`
 * (which names a content and is none). Unsupported ones are in, so that a later version that supports one
 * computes the same revisions and an upgrade of the operator starts no rollouts.
 */
export function contentAnnotations(
  annotations: Readonly<Record<string, string>>,
  prefix: string = DEFAULT_ANNOTATION_PREFIX,
): Readonly<Record<string, string>> {
  const left = new Set([
    `${prefix}/version`,
    ...stampAnnotations('Ingress', prefix),
    ...stampAnnotations('Secret', prefix),
  ])
  const kept: Record<string, string> = {}
  for (const name of Object.keys(annotations).sort()) {
    const value = annotations[name]
    if (value !== undefined && name.startsWith(`${prefix}/`) && !left.has(name)) kept[name] = value
  }
  return kept
}

export function stampAnnotations(kind: ObjectKind, prefix: string): readonly string[] {
  return Object.values(stampNames(kind, prefix))
}

/**
 * `normal`; `canary`: the Ingress serves nothing by itself, it takes requests of others (canary.ts); a value that does not parse
 * counts as canary, because taking over the main path would be worse.
 */
export function roleOf(content: IngressContent): 'normal' | 'canary' {
  return isCanary(content) ? 'canary' : 'normal'
}

/** One Problem per annotation that asks for what this version does not do, or that is wrong. */
export function annotationProblems(key: ObjectKey, content: IngressContent): readonly Problem[] {
  const byShortName = new Map(Object.entries(content.annotations).map(([name, value]) => [shortName(name), value]))
  const of = (name: string): string | undefined => byShortName.get(name)
  const role = roleOf(content)
  const others = Object.entries(content.annotations).flatMap(([name, value]): readonly Problem[] => {
    const short = shortName(name)
    if (short === 'canary' || CANARY_ANNOTATIONS.has(short) || SETTING_ANNOTATIONS.has(short)) return []
    if (Object.hasOwn(OFF, short) && OFF[short]?.(value, of) === true) return []
    const field = `metadata.annotations[${name}]`
    const protects = protection(short, value)
    if (protects !== null) {
      // What is kept from others on the main path a canary must not let in, nor refuse what the main path takes.
      const instead = role === 'canary' ? 'this canary takes no request' : 'all paths of this Ingress answer 503'
      const message = `${name} protects ${protects} and is not supported: ${instead} until the annotation is removed`
      return [{ key, field, reason: 'UnsupportedAnnotation', message, effect: 'close' }]
    }
    const known = HARMLESS.has(short)
    return [
      {
        key,
        field,
        reason: known ? 'UnsupportedAnnotation' : 'UnknownAnnotation',
        message: known
          ? `${name} is not supported and has no effect; the rest of this Ingress works`
          : `${name} is not an annotation that Sluice knows (a typing error?) and has no effect; the rest of this Ingress works`,
        effect: 'warn',
      },
    ]
  })
  return [...canaryRuleOf(key, content).problems, ...routeSettingsOf(key, content).problems, ...others]
}

/** What the annotation would protect; null: nothing. */
function protection(short: string, value: string): string | null {
  if (Object.hasOwn(PROTECTIVE, short)) return PROTECTIVE[short] ?? null
  if (short === 'backend-protocol') {
    return ['HTTPS', 'GRPCS'].includes(value.trim().toUpperCase()) ? 'the connection to the backend by TLS' : null
  }
  if (SNIPPETS.has(short)) return PROTECTIVE_SNIPPET.test(value) ? 'access by configuration text' : null
  // The longest family names best what is protected.
  const family = Object.keys(PROTECTIVE_FAMILIES)
    .filter(start => short.startsWith(start))
    .sort((a, b) => b.length - a.length)[0]
  return family === undefined ? null : (PROTECTIVE_FAMILIES[family] ?? null)
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
