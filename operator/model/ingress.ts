/** networking.k8s.io/v1 Ingress as JSON → SourceObject. */
import { objectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { contentAnnotations } from './annotations.ts'
import { splitChallenges } from './challenges.ts'
import { CONTROLLER_NAME, decideClass } from './ingress-class.ts'
import { knownFields } from './known-fields.ts'
import { checked, compileSchema, metadataSchema, millisecondsOf } from './metadata.ts'
import type { Metadata } from './metadata.ts'
import { revisionOf } from './revision.ts'
import { DEFAULT_ANNOTATION_PREFIX, parseStamp } from './stamp.ts'
import type { IngressContent, IngressSpec, SourceObject } from './types.ts'

interface RawIngress {
  readonly metadata: Metadata
  readonly spec?: IngressSpec
}

const backend = {
  type: 'object',
  properties: {
    service: {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string' },
        port: { type: 'object', properties: { number: { type: 'integer' }, name: { type: 'string' } } },
      },
    },
    resource: { type: 'object' },
  },
} as const

const validate = compileSchema<RawIngress>({
  type: 'object',
  required: ['metadata'],
  properties: {
    metadata: metadataSchema,
    spec: {
      type: 'object',
      properties: {
        ingressClassName: { type: 'string' },
        defaultBackend: backend,
        rules: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              host: { type: 'string' },
              http: {
                type: 'object',
                required: ['paths'],
                properties: {
                  paths: {
                    type: 'array',
                    items: {
                      type: 'object',
                      required: ['pathType', 'backend'],
                      properties: { path: { type: 'string' }, pathType: { type: 'string' }, backend },
                    },
                  },
                },
              },
            },
          },
        },
        tls: {
          type: 'array',
          items: {
            type: 'object',
            properties: { hosts: { type: 'array', items: { type: 'string' } }, secretName: { type: 'string' } },
          },
        },
      },
    },
  },
})

export interface IngressOptions {
  /** The IngressClasses of the cluster, as JSON. */
  readonly classes: Iterable<unknown>
  readonly controller?: string
  /** The class it asked for when it was last served, null for none; left out: it is not served. */
  readonly servedBy?: string | null
  readonly prefix?: string
}

/**
 * Throws ModelError for an object without the shape of an Ingress. What is well-shaped and wrong (an invalid host)
 * is found by validateIngress.
 */
export function parseIngress(raw: unknown, options: IngressOptions): SourceObject {
  const { prefix = DEFAULT_ANNOTATION_PREFIX, controller = CONTROLLER_NAME } = options
  const { metadata, spec = {} } = checked('Ingress', raw, validate)
  const annotations = metadata.annotations ?? {}
  const { classes, servedBy } = options
  const { ours, className, missing } = decideClass(spec, annotations, classes, controller, servedBy)
  const deleting = metadata.deletionTimestamp !== undefined
  const known = knownFields(spec)
  const kept = contentAnnotations(annotations, prefix)
  const whole: IngressContent = { kind: 'Ingress', annotations: kept, spec: known.spec }
  const { content, challenges } = splitChallenges(whole)
  return {
    key: objectKey('Ingress', metadata.namespace, metadata.name),
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    createdAt: millisecondsOf('Ingress', raw, 'metadata.creationTimestamp', metadata.creationTimestamp),
    deleting,
    ours,
    className,
    ...(missing ? { classMissing: true } : {}),
    labels: metadata.labels ?? {},
    finalizers: metadata.finalizers ?? [],
    content,
    ...(challenges.length === 0 ? {} : { challenges: { paths: challenges, asContent: revisionOf(whole) } }),
    ...(known.unknown.length === 0 ? {} : { unknownFields: known.unknown }),
    revision: deleting || !ours ? ABSENT_REVISION : revisionOf(content),
    stamp: parseStamp(annotations, 'Ingress', prefix),
  }
}
