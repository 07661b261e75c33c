/** Secret with a certificate, of any type, as JSON → SourceObject. Nothing here may put a value of the Secret into a message. */
import { objectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { checked, compileSchema, metadataSchema, millisecondsOf } from './metadata.ts'
import type { Metadata } from './metadata.ts'
import { revisionOf } from './revision.ts'
import { DEFAULT_ANNOTATION_PREFIX, parseStamp } from './stamp.ts'
import type { SecretContent, SourceObject } from './types.ts'

/** What cert-manager and `kubectl create secret tls` make. Others count as well, by their keys, as at ingress-nginx (NGINX.md 138). */
export const TLS_SECRET_TYPE = 'kubernetes.io/tls'

interface RawSecret {
  readonly metadata: Metadata
  readonly data?: Readonly<Record<string, string>> | null
}

const validate = compileSchema<RawSecret>({
  type: 'object',
  required: ['metadata'],
  properties: {
    metadata: metadataSchema,
    data: { type: 'object', nullable: true, additionalProperties: { type: 'string' } },
  },
})

/** Throws ModelError for an object without the shape of a Secret. Bad and missing certificates are found by inspectCertificate. */
export function parseSecret(raw: unknown, options: { readonly prefix?: string } = {}): SourceObject {
  const { prefix = DEFAULT_ANNOTATION_PREFIX } = options
  const { metadata, data } = checked('Secret', raw, validate)
  const deleting = metadata.deletionTimestamp !== undefined
  const content: SecretContent = {
    kind: 'Secret',
    chain: decode(data?.['tls.crt']),
    privateKey: decode(data?.['tls.key']),
  }
  return {
    key: objectKey('Secret', metadata.namespace, metadata.name),
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    createdAt: millisecondsOf('Secret', raw, 'metadata.creationTimestamp', metadata.creationTimestamp),
    deleting,
    ours: true,
    className: null,
    labels: metadata.labels ?? {},
    finalizers: metadata.finalizers ?? [],
    content,
    revision: deleting ? ABSENT_REVISION : revisionOf(content),
    stamp: parseStamp(metadata.annotations ?? {}, 'Secret', prefix),
  }
}

function decode(base64: string | undefined): string {
  return base64 === undefined ? '' : Buffer.from(base64, 'base64').toString('utf8')
}
