/** Content → what a proxy serves from. Pure: the same content compiles to the same bytes on every replica. */
import { parseObjectKey, serviceKey } from '../../protocol/ids.ts'
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
import { normaliseRoutePath } from '../../protocol/normalise-path.ts'
import { annotationProblems, roleOf } from '../model/annotations.ts'
import { canaryRuleOf } from '../model/canary.ts'
import { routeSettingsOf } from '../model/routes/settings.ts'
import { inspectCertificate } from '../model/certificate.ts'
import { challengesKey } from '../model/challenges.ts'
import { revisionOfChallenges } from '../model/revision.ts'
import type { ChallengePath, Content, IngressBackend, IngressContent, Problem, SecretContent } from '../model/types.ts'
import { validateIngress } from '../model/validate.ts'
import { hostsOf, namedHosts, serviceOfBackend, tlsClaims, tlsHosts } from './references.ts'

export interface CompiledObject {
  readonly key: ObjectKey
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** What is known of certificates while an Ingress is compiled. */
export interface KnownCertificates {
  /** Whether the certificate that is served of the Secret names the host; null: there is none, or none yet. */
  readonly covers: (secret: ObjectKey, host: string) => boolean | null
  readonly hasDefault: boolean
}

/** Nothing is protected by it: its 503 are failures of whatever revision asks for it. */
const NO_BACKEND: Backend = { status: 503, reason: 'resource backends are not supported', protects: false }

const NONE_KNOWN: KnownCertificates = { covers: () => null, hasDefault: false }

/**
 * The fragment of an Ingress's content. Null if a Problem rejects it; with every path closed (503) if a Problem
 * closes it. Of a canary: without hosts of its own, and as if it were none of anything if a Problem closes it.
 *
 * @param released It is served already: what is wrong with a setting is left out of it, as an operator did that did not know the setting.
 */
export function compileIngress(
  object: CompiledObject,
  revision: Revision,
  content: IngressContent,
  governed: boolean,
  known: KnownCertificates = NONE_KNOWN,
  released = false,
): { readonly fragment: Fragment | null; readonly problems: readonly Problem[] } {
  const { key, createdAt } = object
  const problems = validateIngress(key, content, known.hasDefault)
  const { settings, problems: ofSettings } = routeSettingsOf(key, content)
  const pardoned = new Set(released ? ofSettings.map(({ field }) => field) : [])
  if (problems.some(({ effect, field }) => effect === 'reject' && !pardoned.has(field))) {
    return { fragment: null, problems }
  }
  const closed = problems.find(problem => problem.effect === 'close')
  const { namespace } = parseObjectKey(key)
  if (roleOf(content) === 'canary') {
    const { rule } = canaryRuleOf(key, content)
    const canary =
      rule === null || closed !== undefined ? null : { rule, hosts: hostFragments(namespace, content, null) }
    const fragment: Fragment = {
      ...{ key, revision, createdAt, governed, hosts: [], tls: [] },
      ...(canary === null ? {} : { canary, ...(settings === null ? {} : { settings }) }),
    }
    return { fragment, problems }
  }
  const tls = tlsFragments(namespace, content, known)
  const withCertificate = new Set(tls.flatMap(({ hosts }) => hosts))
  const defaultTls = tlsHosts(content).filter(host => !withCertificate.has(host))
  const fragment: Fragment = {
    key,
    revision,
    createdAt,
    governed,
    hosts: hostFragments(namespace, content, closed?.message ?? null),
    tls,
    ...(defaultTls.length === 0 ? {} : { defaultTls }),
    ...(settings === null ? {} : { settings }),
  }
  return { fragment, problems }
}

/**
 * The fragment of an Ingress's challenges. Nothing that the Ingress asks for protects them: an authority answers to no login,
 * and comes by plain HTTP. They fit themselves alone, and hide nothing (Fragment.challenges).
 */
export function compileChallenges({ key, createdAt }: CompiledObject, paths: readonly ChallengePath[]): Fragment {
  const { namespace } = parseObjectKey(key)
  const hosts = Map.groupBy(paths, ({ host }) => host)
  return {
    ...{ key: challengesKey(key), revision: revisionOfChallenges(paths), createdAt, governed: false },
    hosts: [...hosts].map(([host, all]) => ({
      host,
      // Of the same path twice the first counts.
      paths: [...new Map(all.toReversed().map(one => [one.path, one])).values()]
        .toReversed()
        .map(({ path, service, port }) => ({
          ...{ type: 'Exact', path },
          backend: { service: serviceKey(namespace, service, port) },
        })),
    })),
    tls: [],
    challenges: true,
  }
}

/**
 * Why compileIngress closes every path of the content; null: it does not. Without all the rest, for those who ask every
 * few seconds: nothing but annotations closes.
 */
export function closedBy(key: ObjectKey, content: Content): string | null {
  if (content.kind !== 'Ingress' || roleOf(content) === 'canary') return null
  return annotationProblems(key, content).find(({ effect }) => effect === 'close')?.message ?? null
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
): {
  readonly certificate: Certificate | null
  readonly problems: readonly Problem[]
  /** When time alone changes the answer next, in milliseconds; null: never. */
  readonly nextDate: number | null
} {
  const { problems, keyType, chain, nextDate } = inspectCertificate(object.key, content, now)
  if (keyType === null || chain === null || problems.some(problem => problem.effect === 'reject')) {
    return { certificate: null, problems, nextDate }
  }
  const { privateKey } = content
  return { certificate: { key: object.key, revision, governed, chain, privateKey, keyType }, problems, nextDate }
}

function hostFragments(namespace: string, content: IngressContent, closed: string | null): readonly HostFragment[] {
  const { rules = [], defaultBackend } = content.spec
  const backendOf = (backend: IngressBackend): Backend => {
    if (closed !== null) return { status: 503, reason: closed }
    const service = serviceOfBackend(namespace, backend)
    return service === null ? NO_BACKEND : { service }
  }
  return namedHosts(content).map(host => {
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

/**
 * A certificate that is there and does not name a host is not used for it (the default certificate is). One that is not
 * there (yet) counts as if it did, for hosts that the Ingress serves: when it comes it is served without another
 * fragment, and until then the name is no younger Ingress's. Hosts without a rule are left to those that have one.
 */
function tlsFragments(
  namespace: string,
  content: IngressContent,
  { covers }: KnownCertificates,
): readonly TlsFragment[] {
  const served = new Set(hostsOf(content))
  return tlsClaims(namespace, content).flatMap(({ secret, hosts, offered }) => {
    const asked = hosts.filter(host => covers(secret, host) ?? served.has(host))
    const covered = [...asked, ...offered.filter(host => covers(secret, host) === true)]
    return covered.length === 0 ? [] : [{ hosts: covered, secret }]
  })
}
