/** Which Ingresses are ours. Kubernetes "Ingress class", TENGINE.md §7. */
import { compileSchema } from './metadata.ts'
import type { IngressSpec } from './types.ts'

export const CONTROLLER_NAME = 'tengine.taobao.org/sluice'
const LEGACY_ANNOTATION = 'kubernetes.io/ingress.class'
const DEFAULT_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class'

interface RawClass {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> }
  readonly spec?: { readonly controller?: string }
}

const validate = compileSchema<RawClass>({
  type: 'object',
  required: ['metadata'],
  properties: {
    metadata: {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string' },
        annotations: { type: 'object', additionalProperties: { type: 'string' } },
      },
    },
    spec: { type: 'object', properties: { controller: { type: 'string' } } },
  },
})

/** The class that an Ingress names, by its field or else by the old annotation; null: none, it leaves that to the default. */
export function askedClass(spec: IngressSpec, annotations: Readonly<Record<string, string>>): string | null {
  return spec.ingressClassName ?? annotations[LEGACY_ANNOTATION] ?? null
}

export interface ClassDecision {
  readonly ours: boolean
  readonly className: string | null
  /** The class by which it is ours does not exist (any more). */
  readonly missing: boolean
}

/**
 * spec.ingressClassName names a class of our controller; else the old annotation does; else, if neither is there,
 * a class of ours is marked default (of several the first by name, as Kubernetes leaves that open).
 *
 * A class object that is gone changes nothing for what is served: it is the most global configuration that there is, and
 * whoever replaces it (`helm upgrade`, `kubectl replace --force`) deletes it for a moment. An Ingress leaves when it names another
 * class itself, or when the class comes back with another controller.
 * @param servedBy the class it asked for when it was last served, null for none; undefined: it is not served
 */
export function decideClass(
  spec: IngressSpec,
  annotations: Readonly<Record<string, string>>,
  classes: Iterable<unknown>,
  controller: string = CONTROLLER_NAME,
  servedBy?: string | null,
): ClassDecision {
  const asked = askedClass(spec, annotations)
  const defaults: string[] = []
  let isThere = false
  for (const raw of classes) {
    if (!validate(raw)) continue
    const { name, annotations: marks = {} } = raw.metadata
    const isDefault = marks[DEFAULT_ANNOTATION] === 'true'
    if (asked === null ? isDefault : name === asked) isThere = true
    if (raw.spec?.controller !== controller) continue
    if (name === asked) return { ours: true, className: name, missing: false }
    if (isDefault) defaults.push(name)
  }
  const missing = !isThere && servedBy === asked
  if (asked !== null) return { ours: missing, className: asked, missing }
  const byDefault = defaults.sort()[0] ?? null
  return { ours: byDefault !== null || missing, className: byDefault, missing }
}
