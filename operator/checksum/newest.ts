/** CheckSum objects as JSON, and which of several counts. DESIGN "The consistency check". */
import { ModelError } from '../model/errors.ts'
import type { IngressCheckSumSpec } from '../model/generated/crds.ts'
import { ingressCheckSumSpecSchema, secretCheckSumSpecSchema } from '../model/generated/schemas.ts'
import { checked, compileSchema, metadataSchema, millisecondsOf } from '../model/metadata.ts'
import type { Metadata } from '../model/metadata.ts'
import type { Published } from './diff.ts'

export interface CheckSumObject {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  /** spec.timestamp in milliseconds since the epoch. */
  readonly timestamp: number
  /** metadata.creationTimestamp in milliseconds since the epoch. */
  readonly createdAt: number
  readonly published: Published
}

interface RawCheckSum {
  readonly metadata: Metadata
  readonly spec: IngressCheckSumSpec
}

const schemaOf = (spec: object): object => ({
  type: 'object',
  required: ['metadata', 'spec'],
  properties: { metadata: metadataSchema, spec },
})

const validators = {
  Ingress: compileSchema<RawCheckSum>(schemaOf(ingressCheckSumSpecSchema)),
  Secret: compileSchema<RawCheckSum>(schemaOf(secretCheckSumSpecSchema)),
} as const

/** Throws ModelError for an object that the CRD's schema would refuse. */
export function parseCheckSum(kind: 'Ingress' | 'Secret', raw: unknown): CheckSumObject {
  const name = `${kind}CheckSum`
  const { metadata, spec } = checked(name, raw, validators[kind])
  const timestamp = Date.parse(spec.timestamp)
  if (Number.isNaN(timestamp)) {
    throw new ModelError(`${name} ${metadata.namespace}/${metadata.name}`, 'spec.timestamp', 'is not a time')
  }
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    timestamp,
    createdAt: millisecondsOf(name, raw, 'metadata.creationTimestamp', metadata.creationTimestamp),
    published: { checksum: spec.checksum, ids: spec.ids, buckets: spec.buckets },
  }
}

/** Only the newest counts: by timestamp, then by creation, then the last by namespace and name. Null: there is none. */
export function newestCheckSum(objects: Iterable<CheckSumObject>): CheckSumObject | null {
  let newest: CheckSumObject | null = null
  for (const object of objects) if (newest === null || compare(object, newest) > 0) newest = object
  return newest
}

function compare(a: CheckSumObject, b: CheckSumObject): number {
  const names = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`] as const
  return (
    a.timestamp - b.timestamp || a.createdAt - b.createdAt || (names[0] < names[1] ? -1 : names[0] > names[1] ? 1 : 0)
  )
}
