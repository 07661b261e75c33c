/** Content → what a proxy serves from. Pure: the same content compiles to the same bytes on every replica. */
import { objectKey, parseObjectKey } from '../../protocol/ids.ts'
import type {
  Backend,
  Certificate,
  Fragment,
  HostFragment,
  ObjectKey,
  PathFragment,
  PathType,
  Revision,
  TlsFragment,
} from '../../protocol/objects.ts'
import { normaliseRoutePath } from '../../protocol/path.ts'
import { roleOf } from '../model/annotations.ts'
import { inspectCertificate } from '../model/certificate.ts'
import type { IngressBackend, IngressContent, Problem, SecretContent } from '../model/types.ts'
import { validateIngress } from '../model/validate.ts'
import { hostsOf, serviceOfBackend } from './references.ts'

export interface CompiledObject {
  readonly key: ObjectKey
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/**
 * The fragment of an Ingress's content. Null if a Problem rejects it; with every path closed (503) if a Problem
 * closes it; without hosts if it is a canary.
 */
export function compileIngress(
  object: CompiledObject,
  revision: Revision,
  content: IngressContent,
  governed: boolean,
): { readonly fragment: Fragment | null; readonly problems: readonly Problem[] } {
  const { key, createdAt } = object
  const problems = validateIngress(key, content)
  if (problems.some(problem => problem.effect === 'reject')) return { fragment: null, problems }
  const closed = problems.find(problem => problem.effect === 'close')
  const inert = roleOf(content) === 'canary'
  const { namespace } = parseObjectKey(key)
  const fragment: Fragment = {
    key,
    revision,
    createdAt,
    governed,
    hosts: inert ? [] : hostFragments(namespace, content, closed?.message ?? null),
    tls: inert ? [] : tlsFragments(namespace, content),
  }
  return { fragment, problems }
}

/**
 * The certificate of a TLS Secret's content; null if a Problem rejects it.
 *
 * @param now Wall clock in milliseconds; null for a content that was released before: its dates are not held against it.
 */
export function compileSecret(
  object: CompiledObject,
  revision: Revision,
  content: SecretContent,
  governed: boolean,
  now: number | null,
): { readonly certificate: Certificate | null; readonly problems: readonly Problem[] } {
  const { problems, keyType } = inspectCertificate(object.key, content, now)
  if (keyType === null || problems.some(problem => problem.effect === 'reject')) return { certificate: null, problems }
  const { chain, privateKey } = content
  return { certificate: { key: object.key, revision, governed, chain, privateKey, keyType }, problems }
}

function hostFragments(namespace: string, content: IngressContent, closed: string | null): readonly HostFragment[] {
  const { rules = [], defaultBackend } = content.spec
  const backendOf = (backend: IngressBackend): Backend => {
    if (closed !== null) return { status: 503, reason: closed }
    const service = serviceOfBackend(namespace, backend)
    return service === null ? { status: 503, reason: 'resource backends are not supported' } : { service }
  }
  return hostsOf(content).map(host => {
    const paths = new Map<string, PathFragment>()
    for (const rule of rules) {
      if ((rule.host ?? '').toLowerCase() !== host) continue
      for (const path of rule.http?.paths ?? []) {
        const type = path.pathType as PathType
        // Here once, and not in every worker of every proxy at every update.
        const text = normaliseRoutePath(path.path === undefined || path.path === '' ? '/' : path.path)
        const identity = `${type} ${text}`
        // Of the same path twice the first counts, as the Problem DuplicatePath says.
        if (!paths.has(identity)) paths.set(identity, { type, path: text, backend: backendOf(path.backend) })
      }
    }
    if (defaultBackend !== undefined) {
      paths.set('Default', { type: 'Default', path: '/', backend: backendOf(defaultBackend) })
    }
    return { host, paths: [...paths.values()] }
  })
}

/** An entry without hosts stands for all named hosts of the rules, one without a Secret for nothing. */
function tlsFragments(namespace: string, content: IngressContent): readonly TlsFragment[] {
  const named = hostsOf(content).filter(host => host !== '')
  return (content.spec.tls ?? []).flatMap(({ hosts = [], secretName }) => {
    const covered = hosts.length === 0 ? named : [...new Set(hosts.map(host => host.toLowerCase()))]
    return secretName === undefined || secretName === '' || covered.length === 0
      ? []
      : [{ hosts: covered, secret: objectKey('Secret', namespace, secretName) }]
  })
}
