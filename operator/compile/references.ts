/** What a content refers to: Services, Secrets and hosts. Independent of whether they exist. */
import { objectKey, serviceKey } from '../../protocol/ids.ts'
import { normaliseRoutePath } from '../../protocol/normalise-path.ts'
import type { ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { roleOf } from '../model/annotations.ts'
import { CHALLENGES } from '../model/challenges.ts'
import type { Content, IngressBackend, IngressContent } from '../model/types.ts'

export interface References {
  readonly secrets: readonly ObjectKey[]
  readonly services: readonly ServiceKey[]
}

/** References of a content of an object in this namespace, without duplicates. A Secret refers to nothing. */
export function referencesOf(namespace: string, content: Content): References {
  if (content.kind !== 'Ingress') return { secrets: [], services: [] }
  const { defaultBackend, rules = [], tls: asked = [] } = content.spec
  // Handshakes are the main Ingress's matter, of which a canary takes requests alone.
  const tls = roleOf(content) === 'canary' ? [] : asked
  const backends = [defaultBackend, ...rules.flatMap(rule => (rule.http?.paths ?? []).map(path => path.backend))]
  return {
    secrets: [
      ...new Set(
        tls.flatMap(({ secretName }) =>
          secretName === undefined || secretName === '' ? [] : [objectKey('Secret', namespace, secretName)],
        ),
      ),
    ],
    services: [...new Set(backends.flatMap(backend => serviceOfBackend(namespace, backend) ?? []))],
  }
}

/** Its host, type and path each, as a text that can be compared with that of another. */
export function routesOf({ spec: { defaultBackend, rules = [] } }: IngressContent): readonly string[] {
  const paths = rules.flatMap(({ host = '', http }) =>
    (http?.paths ?? []).map(
      ({ path = '/', pathType }) => `${host.toLowerCase()} ${pathType} ${normaliseRoutePath(path)}`,
    ),
  )
  return defaultBackend === undefined ? paths : [...paths, 'default']
}

/**
 * Nothing of the content serves anything but ACME challenges: what cert-manager makes, or somebody who answers all of them
 * (`Prefix` on the folder). Those of one token are not in the content at all (model/challenges.ts).
 */
export function isForChallenges(content: Content): boolean {
  // A canary on the path of challenges takes them from whoever answers them.
  if (content.kind !== 'Ingress' || roleOf(content) === 'canary') return false
  const { defaultBackend, rules = [], tls = [] } = content.spec
  const paths = rules.flatMap(rule => (rule.http?.paths ?? [{ path: '' }]).map(({ path = '' }) => path))
  // As requests are compared with them: whatever an encoded dot segment leads to is no challenge.
  const only = paths.every(path => normaliseRoutePath(path).startsWith(CHALLENGES))
  return only && defaultBackend === undefined && tls.length === 0
}

/** What one entry of `tls` asks for. Only entries with a Secret and rules or hosts make one. */
export interface TlsClaim {
  /** JSON path of its secretName. */
  readonly field: string
  readonly secret: ObjectKey
  /** Named by the entry; for one without hosts those of the rules that no entry names. Lower case, wildcards allowed. */
  readonly hosts: readonly string[]
  /** Of rules, named by no entry: they get the certificate if it names them (ingress-nginx, extractTLSSecretName). */
  readonly offered: readonly string[]
}

/** What the content asks of certificates, as ingress-nginx reads it (NGINX.md 139): by entry. */
export function tlsClaims(namespace: string, content: IngressContent): readonly TlsClaim[] {
  const { tls = [] } = content.spec
  const named = namedByTls(content)
  const unnamed = hostsOf(content).filter(host => host !== '' && !named.has(host))
  return tls.flatMap(({ hosts = [], secretName }, i) => {
    if (secretName === undefined || secretName === '' || roleOf(content) === 'canary') return []
    const own = [...new Set(hosts.map(host => host.toLowerCase()))]
    const claim = { field: `spec.tls[${i}].secretName`, secret: objectKey('Secret', namespace, secretName) }
    return own.length === 0 ? [{ ...claim, hosts: unnamed, offered: [] }] : [{ ...claim, hosts: own, offered: unnamed }]
  })
}

/**
 * Hosts of rules that an entry of `tls` stands for, with or without a Secret. Their certificates are this Ingress's
 * matter: where its own do not name them they get the default one, not that of a younger Ingress (ingress-nginx,
 * createServers: the first Ingress with `tls` sets the certificate of a server, were it the default one). A host that
 * no rule serves is nobody's in that sense.
 */
export function tlsHosts(content: IngressContent): readonly string[] {
  const { tls = [] } = content.spec
  const named = namedByTls(content)
  const forAll = tls.some(({ hosts = [] }) => hosts.length === 0)
  return hostsOf(content).filter(host => host !== '' && (forAll || named.has(host)))
}

/** Lower case. */
function namedByTls({ spec }: IngressContent): ReadonlySet<string> {
  return new Set((spec.tls ?? []).flatMap(({ hosts = [] }) => hosts.map(host => host.toLowerCase())))
}

/** Where the content first names each of its Services: the JSON path of the backend's `service`. */
export function serviceFields(namespace: string, { spec }: IngressContent): ReadonlyMap<ServiceKey, string> {
  const fields = new Map<ServiceKey, string>()
  const note = (backend: IngressBackend | undefined, field: string): void => {
    const service = serviceOfBackend(namespace, backend)
    if (service !== null && !fields.has(service)) fields.set(service, `${field}.service`)
  }
  for (const [i, rule] of (spec.rules ?? []).entries()) {
    for (const [j, { backend }] of (rule.http?.paths ?? []).entries()) {
      note(backend, `spec.rules[${i}].http.paths[${j}].backend`)
    }
  }
  note(spec.defaultBackend, 'spec.defaultBackend')
  return fields
}

/** Null for a backend without a Service and a port. */
export function serviceOfBackend(namespace: string, backend: IngressBackend | undefined): ServiceKey | null {
  const service = backend?.service
  const port = service?.port?.number ?? service?.port?.name
  return service === undefined || service.name === '' || port === undefined || port === ''
    ? null
    : serviceKey(namespace, service.name, port)
}

/** Hosts that the rules of a content serve, lower case, without duplicates; empty text: every other host. None of a canary. */
export function hostsOf(content: IngressContent): readonly string[] {
  return roleOf(content) === 'canary' ? [] : namedHosts(content)
}

/** Hosts that the rules of a content name, as hostsOf: it serves their requests, or takes some of them as a canary. */
export function namedHosts(content: IngressContent): readonly string[] {
  const hosts = (content.spec.rules ?? []).map(rule => (rule.host ?? '').toLowerCase())
  return [...new Set(hosts.length === 0 && content.spec.defaultBackend !== undefined ? [''] : hosts)]
}
