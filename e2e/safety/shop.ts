/** The backends and the policy that all kinds share. Pure. */
import { backend } from '../echo/manifests.ts'
import type { BackendOptions, Manifest } from '../echo/manifests.ts'
import { ingress, policy } from '../node/harness/manifests.ts'
import type { IngressOptions } from '../node/harness/manifests.ts'
import type { Place } from './kind.ts'

/** An Ingress with this label has a policy of its own, which selects it by its name. */
export const OWN_POLICY = 'safety/own-policy'
export const KIND = 'safety/kind'

/** Versions of the backends by what they do; each is the Service `echo-<version>`. */
const BACKENDS: readonly Omit<BackendOptions, 'namespace' | 'image'>[] = [
  { version: 'v1', replicas: 2 },
  { version: 'v2', replicas: 2 },
  { version: 'noisy', env: { ECHO_ERRORS_PER_MILLE: '10' }, replicas: 2 },
  { version: 'errors-2', env: { ECHO_ERRORS_PER_MILLE: '20' } },
  { version: 'errors-5', env: { ECHO_ERRORS_PER_MILLE: '50' } },
  { version: 'errors-20', env: { ECHO_ERRORS_PER_MILLE: '200' } },
  { version: 'fails', status: 500 },
  { version: 'unavailable', status: 503 },
  { version: 'missing', status: 404 },
  { version: 'login', status: 401 },
  { version: 'forbidden', status: 403 },
  { version: 'loop', status: 302 },
  { version: 'other' },
  { version: 'slow', env: { ECHO_DELAY_MS: '400' } },
  { version: 'hangs', env: { ECHO_DELAY_MS: '600000' } },
  { version: 'long-head', env: { ECHO_HEADER_BYTES: '100000' } },
  { version: 'closes', env: { ECHO_BREAKS_OFF: 'head' } },
  { version: 'cuts', env: { ECHO_BREAKS_OFF: 'body' } },
  { version: 'empty', replicas: 0 },
]

export interface Addresses {
  /** Of something that speaks TLS alone, written in Go, and of something that is written in Node. */
  readonly tlsGo: { readonly address: string; readonly port: number }
  readonly tlsNode: { readonly address: string; readonly port: number }
}

export function shop(namespace: string, image: string, { tlsGo, tlsNode }: Addresses): readonly Manifest[] {
  return [
    ...BACKENDS.flatMap(one => backend({ ...one, namespace, image })),
    // Nothing listens on this port of the pods of v1.
    service(namespace, 'closed-port', {
      selector: { app: 'echo-v1' },
      ports: [{ name: 'http', port: 80, targetPort: 9 }],
    }),
    ...outside(namespace, 'tls-go', tlsGo),
    ...outside(namespace, 'tls-node', tlsNode),
  ]
}

function service(namespace: string, version: string, spec: object): Manifest {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name: `echo-${version}`, namespace }, spec }
}

/** A Service whose one endpoint is no pod of the namespace. */
function outside(namespace: string, version: string, { address, port }: Addresses['tlsGo']): readonly Manifest[] {
  const name = `echo-${version}`
  return [
    service(namespace, version, { ports: [{ name: 'http', port: 80, targetPort: port }] }),
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port, protocol: 'TCP' }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    },
  ]
}

export type WebOptions = Partial<Omit<IngressOptions, 'namespace'>> & { readonly ownPolicy?: boolean }

/** The Ingress of a kind. */
export function web(at: Place, { ownPolicy = false, ...options }: WebOptions = {}): Manifest {
  const { namespace, name, host } = at
  const labels = { [KIND]: name, ...(ownPolicy ? { [OWN_POLICY]: 'true' } : {}) }
  return ingress({ ...{ namespace, name, host }, ...options, labels })
}

/** The gates of the README, and the two that it leaves out: those for slow answers and for redirects. */
export const ANALYSIS = {
  minRequests: 50,
  latencyP99: { maxRise: '100%' },
  redirectRate: { maxRise: 25 },
  deadline: '2m',
}
const SETTINGS = { batches: [{ pods: 1 }, { pods: '50%' }, { pods: '100%' }], bakeTime: '5s', analysis: ANALYSIS }

/** Governs every Ingress of the namespace but those with a policy of their own. */
export function mainPolicy(namespace: string): Manifest {
  const objectSelector = { matchExpressions: [{ key: OWN_POLICY, operator: 'DoesNotExist' }] }
  return policyFor(namespace, namespace, objectSelector, ANALYSIS)
}

/** Governs the Ingress of one kind; `analysis` in place of the usual one. */
export function ownPolicy(at: Place, analysis: object = ANALYSIS): Manifest {
  return policyFor(ownPolicyName(at), at.namespace, { matchLabels: { [KIND]: at.name } }, analysis)
}

export const ownPolicyName = ({ namespace, name }: Place): string => `${namespace}-${name}`

/** What belongs to no namespace has this label with the namespace of the kinds. */
export const LABEL = 'safety'

/** Limits that nothing can fail. */
export const LENIENT = {
  minRequests: 1,
  successRate: { min: 0 },
  notFoundRate: { maxRise: 100 },
  clientErrorRate: { maxRise: 100 },
  redirectRate: { maxRise: 100 },
  connectFailureRate: { maxRise: 100 },
  tlsFailureRate: { maxRise: 100, minHandshakes: 1 },
  deadline: '2m',
}

function policyFor(name: string, namespace: string, objectSelector: object, analysis: object): Manifest {
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } }
  const selector = { namespaceSelector, objectSelector }
  const manifest = policy({ name, namespace, ...SETTINGS, analysis, spec: { selector } })
  return { ...manifest, metadata: { name, labels: { [LABEL]: namespace } } }
}
