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

export interface ClassDecision {
  readonly ours: boolean
  readonly className: string | null
}

/**
 * spec.ingressClassName names a class of our controller; else the old annotation does; else, if neither is there,
 * a class of ours is marked default (of several the first by name, as Kubernetes leaves that open).
 */
export function decideClass(
  spec: IngressSpec,
  annotations: Readonly<Record<string, string>>,
  classes: Iterable<unknown>,
  controller: string = CONTROLLER_NAME,
): ClassDecision {
  const asked = spec.ingressClassName ?? annotations[LEGACY_ANNOTATION]
  const defaults: string[] = []
  for (const raw of classes) {
    if (!validate(raw) || raw.spec?.controller !== controller) continue
    const { name } = raw.metadata
    if (name === asked) return { ours: true, className: name }
    if (raw.metadata.annotations?.[DEFAULT_ANNOTATION] === 'true') defaults.push(name)
  }
  if (asked !== undefined) return { ours: false, className: asked }
  const byDefault = defaults.sort()[0] ?? null
  return { ours: byDefault !== null, className: byDefault }
}
