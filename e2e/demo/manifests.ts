/** What the demo applies, as a person would write it. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { backend } from '../echo/manifests.ts'
import type { Manifest } from '../echo/manifests.ts'
import { Authority } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'
import { CAST } from './events.ts'

const { namespace, host } = CAST

function ingress(version: string): Manifest {
  const service = { name: `echo-${version}`, port: { name: 'http' } }
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: CAST.ingress, namespace },
    spec: {
      ingressClassName: 'sluice',
      tls: [{ hosts: [host], secretName: CAST.secret }],
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service } }] } }],
    },
  }
}

function secret(leaf: Leaf): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: CAST.secret, namespace },
    stringData: { 'tls.crt': leaf.chain, 'tls.key': leaf.privateKey },
  }
}

/** `gates` false: thresholds that nothing can fail, to prove that the demo notices. */
export function policy(gates: boolean): Manifest {
  return {
    apiVersion: 'tengine.taobao.org/v1alpha1',
    kind: 'IngressRolloutPolicy',
    metadata: { name: CAST.policy },
    spec: {
      selector: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      batches: [{ pods: 1 }, { pods: 2 }, { pods: '100%' }],
      bakeTime: '5s',
      ackDeadline: '20s',
      analysis: {
        interval: '1s',
        minRequests: 50,
        successRate: gates ? { min: 99, maxDrop: 0.5 } : { min: 0 },
        ...(gates ? { notFoundRate: { maxRise: 0.5 } } : {}),
        tlsFailureRate: { maxRise: gates ? 5 : 100, minHandshakes: 10 },
        deadline: '1m',
      },
    },
  }
}

export interface Files {
  readonly folder: string
  /** PEM of the authority that the clients trust. */
  readonly ca: string
}

/** Writes the manifests; the names are those that the demo shows. */
export async function writeManifests(folder: string, image: string, gates: boolean): Promise<Files> {
  const trusted = await Authority.root('Demo Trust')
  const unknown = await Authority.root('Nobody Knows Me')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  const files: Readonly<Record<string, readonly Manifest[]>> = {
    'namespace.yaml': [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } }],
    'backends.yaml': [
      ...backend({ namespace, image, version: CAST.before, replicas: 2 }),
      ...backend({ namespace, image, version: CAST.good, replicas: 2 }),
      ...backend({ namespace, image, version: CAST.bad, status: 500 }),
    ],
    'policy.yaml': [policy(gates)],
    'web-v1.yaml': [ingress(CAST.before)],
    'web-v2.yaml': [ingress(CAST.good)],
    'web-v3.yaml': [ingress(CAST.bad)],
    'tls-good.yaml': [secret(await trusted.issue({ hosts: [host] }))],
    'tls-untrusted.yaml': [secret(await unknown.issue({ hosts: [host] }))],
    'tls-wrong-host.yaml': [secret(await trusted.issue({ hosts: ['blog.example.test'] }))],
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const [name, manifests] of Object.entries(files)) {
    await writeFile(join(folder, name), manifests.map(manifest => stringify(manifest)).join('---\n'), { mode: 0o600 })
  }
  return { folder, ca: trusted.pem }
}
