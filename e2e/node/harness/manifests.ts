/** What the tests apply, as a person would write it. Pure. */
import type { Manifest } from '../../echo/manifests.ts'
import type { Leaf } from '../../pki/pki.ts'

export interface PathOptions {
  readonly path: string
  /** Version of the backend; its Service is called `echo-<version>`. */
  readonly to: string
  /** Default: Prefix. */
  readonly type?: 'Prefix' | 'Exact'
  /** Default: the port `http` of the Service. */
  readonly port?: { readonly name: string } | { readonly number: number }
}

export interface IngressOptions {
  readonly namespace: string
  readonly name: string
  readonly host: string
  /** Short for one path `/`. */
  readonly to?: string
  readonly paths?: readonly PathOptions[]
  readonly secret?: string
  readonly className?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

export function ingress(options: IngressOptions): Manifest {
  const { namespace, name, host, secret, className = 'sluice', annotations, labels } = options
  const paths = options.paths ?? [{ path: '/', to: options.to ?? 'v1' }]
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      ...{ name, namespace },
      ...(annotations === undefined ? {} : { annotations }),
      ...(labels === undefined ? {} : { labels }),
    },
    spec: {
      ingressClassName: className,
      ...(secret === undefined ? {} : { tls: [{ hosts: [host], secretName: secret }] }),
      rules: [
        {
          host,
          http: {
            paths: paths.map(({ path, to, type = 'Prefix', port }) => ({
              ...{ path, pathType: type, backend: backendRef(to, port) },
            })),
          },
        },
      ],
    },
  }
}

/** A merge patch that sends the only path of an Ingress to another backend. */
export function pointAt(host: string, to: string): object {
  const paths = [{ path: '/', pathType: 'Prefix', backend: backendRef(to) }]
  return { spec: { rules: [{ host, http: { paths } }] } }
}

function backendRef(version: string, port: PathOptions['port'] = { name: 'http' }): object {
  return { service: { name: `echo-${version}`, port } }
}

export function tlsSecret(namespace: string, name: string, leaf: Leaf): Manifest {
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace },
    data: { 'tls.crt': encode(leaf.chain), 'tls.key': encode(leaf.privateKey) },
  }
}

export interface PolicyOptions {
  readonly name: string
  readonly namespace: string
  readonly batches?: readonly object[]
  readonly bakeTime?: string
  readonly analysis?: object
  readonly spec?: object
}

/** Governs the namespace. Batches of 1, 2 and all; every gate that a bad change of these tests could fail. */
export function policy(options: PolicyOptions): Manifest {
  return {
    apiVersion: 'tengine.taobao.org/v1alpha1',
    kind: 'IngressRolloutPolicy',
    metadata: { name: options.name },
    spec: {
      selector: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': options.namespace } } },
      batches: options.batches ?? [{ pods: 1 }, { pods: 2 }, { pods: '100%' }],
      bakeTime: options.bakeTime ?? '2s',
      ackDeadline: '20s',
      analysis: {
        interval: '1s',
        minRequests: 30,
        successRate: { min: 99, maxDrop: 0.5 },
        notFoundRate: { maxRise: 0.5 },
        tlsFailureRate: { maxRise: 5, minHandshakes: 10 },
        deadline: '1m',
        ...options.analysis,
      },
      ...options.spec,
    },
  }
}
