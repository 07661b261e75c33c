/**
 * Many hosts as the operator's stream would bring them: keys, times and revisions have the lengths that they have in a cluster, for
 * memory and bytes on the wire are made of them. Pure.
 */
import { revisionOf } from '../../operator/model/revision.ts'
import type { Certificate, Fragment, ServiceKey } from '../../protocol/objects.ts'
import { fragment, host, path, tls } from '../../proxy/table/testing/fixtures.ts'
import type { KeyType, Leaf } from '../pki/pki.ts'

/** Each has one Service. */
const NAMESPACES = 100
/** When the first Ingress was created, in milliseconds since the epoch; each further one a second later. */
const FIRST_CREATED = 1_700_000_000_000
const DIGITS = 7

export function hostName(i: number): string {
  return `host-${i}.bench.example`
}

/** All of one length: what certificates are copied for. */
export function tlsHostName(i: number): string {
  return `tls-${String(i).padStart(DIGITS, '0')}.bench.example`
}

export interface HostOptions {
  /** Default: hostName. */
  readonly name?: string
  /** Each is a content of its own. Default: 1. */
  readonly edition?: number
  /** Name of the Service, in the namespace of the Ingress. Default: web. */
  readonly service?: string
}

/** One host in an Ingress of its own, with the path / to the Service of its namespace. Ungoverned. */
export function plainHost(i: number, options: HostOptions = {}): Fragment {
  const { name = hostName(i), edition = 1, service = 'web' } = options
  const namespace = namespaceOf(i)
  const backend = { service: { name: service, port: { number: 80 } } }
  const rule = { host: name, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }
  const revision = revisionOf({
    ...{ kind: 'Ingress', annotations: edition === 1 ? {} : { edition: String(edition) }, spec: { rules: [rule] } },
  })
  return fragment(`web-${i}`, [host(name, path('Prefix /', `${namespace}/${service}:80`))], {
    ...{ key: `Ingress/${namespace}/web-${i}`, revision, createdAt: FIRST_CREATED + i * 1_000, governed: false },
  })
}

/** The same with TLS, and a certificate for it in a Secret of its own. */
export function tlsHost(i: number, leaf: Leaf, keyType: KeyType): readonly [Fragment, Certificate] {
  const name = tlsHostName(i)
  const secret = `Secret/${namespaceOf(i)}/web-${i}-tls`
  const { chain, privateKey } = leaf
  // Of the text alone: for a Secret the operator checks the certificate first, which takes a millisecond and more.
  const revision = revisionOf({ kind: 'Ingress', annotations: { chain }, spec: {} })
  return [
    { ...plainHost(i, { name }), tls: [{ ...tls('', name), secret }] },
    { key: secret, revision, governed: false, chain, privateKey, keyType },
  ]
}

/** Of all Services that such hosts lead to. */
export function endpointsOf(address: string): readonly (readonly [ServiceKey, readonly string[]])[] {
  return Array.from({ length: NAMESPACES }, (_, i) => [`${namespaceOf(i)}/web:80`, [address]])
}

function namespaceOf(i: number): string {
  return `tenant-${i % NAMESPACES}`
}
