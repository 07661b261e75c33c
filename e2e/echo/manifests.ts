/** The echo backend as a Deployment and its Service, ready for the Pod Security Standard `restricted`: for demo and tests. */

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

export interface BackendOptions {
  readonly namespace: string
  readonly version: string
  readonly image: string
  /** Answers everything with this status. */
  readonly status?: number
  readonly replicas?: number
  /** More settings of config.ts. */
  readonly env?: Readonly<Record<string, string>>
}

export function backend(options: BackendOptions): readonly [Manifest, Manifest] {
  const { namespace, version, image, status = 200, replicas = 1, env = {} } = options
  const name = `echo-${version}`
  const labels = { app: name }
  const container = {
    name: 'echo',
    image,
    imagePullPolicy: 'IfNotPresent',
    ports: [{ name: 'http', containerPort: 8080 }],
    env: [
      { name: 'ECHO_VERSION', value: version },
      { name: 'ECHO_STATUS', value: String(status) },
      ...Object.entries(env).map(([key, value]) => ({ name: key, value })),
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
    readinessProbe: {
      httpGet: { path: '/healthz', port: 'http' },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: 5,
    },
    resources: { requests: { cpu: '20m', memory: '48Mi' } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
  }
  const template = {
    metadata: { labels },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [container],
    },
  }
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace },
      spec: { replicas, selector: { matchLabels: labels }, template },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
  ]
}
