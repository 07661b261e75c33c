/**
 * The fields of an Ingress's spec (networking.k8s.io/v1, as it has been since Kubernetes 1.19) that are its content. A later Kubernetes that defaults
 * one more field in every object would else change every revision, and start as many rollouts
 * (docs/adr/0035-known-fields.md).
 */
import type { IngressSpec, SourceObject } from './types.ts'

/** `value`: as it is; a list: each of its items; else the fields of an object. */
type Shape = 'value' | readonly [Shape] | { readonly [field: string]: Shape }

const backend: Shape = {
  service: { name: 'value', port: { number: 'value', name: 'value' } },
  resource: { apiGroup: 'value', kind: 'value', name: 'value' },
}

const SPEC: Shape = {
  ingressClassName: 'value',
  defaultBackend: backend,
  rules: [{ host: 'value', http: { paths: [{ path: 'value', pathType: 'value', backend }] } }],
  tls: [{ hosts: 'value', secretName: 'value' }],
}

export interface KnownSpec {
  /** The same object if it has no other field. */
  readonly spec: IngressSpec
  /** The others, for example `spec.rules[].http.paths[].headers`; none twice. */
  readonly unknown: readonly string[]
}

export function knownFields(spec: IngressSpec): KnownSpec {
  const unknown = new Set<string>()
  const known = pick(spec, SPEC, 'spec', unknown) as IngressSpec
  return { spec: unknown.size === 0 ? spec : known, unknown: [...unknown] }
}

function pick(value: unknown, shape: Shape, path: string, unknown: Set<string>): unknown {
  if (shape === 'value' || typeof value !== 'object' || value === null) return value
  if (isList(shape)) return (value as readonly unknown[]).map(item => pick(item, shape[0], `${path}[]`, unknown))
  const known: Record<string, unknown> = {}
  for (const [field, content] of Object.entries(value)) {
    const at = `${path}.${field}`
    const inner = Object.hasOwn(shape, field) ? shape[field] : undefined
    if (inner === undefined) unknown.add(at)
    else known[field] = pick(content, inner, at, unknown)
  }
  return known
}

function isList(shape: Exclude<Shape, 'value'>): shape is readonly [Shape] {
  return Array.isArray(shape)
}

/** How many objects have each of them: for a metric. */
export function countUnknown(
  sources: Iterable<Pick<SourceObject, 'unknownFields'> | null>,
): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const source of sources) {
    for (const field of source?.unknownFields ?? []) counts.set(field, (counts.get(field) ?? 0) + 1)
  }
  return Object.fromEntries(counts)
}
