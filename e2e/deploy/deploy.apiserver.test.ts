import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { stringify } from 'yaml'
import { startApiServer } from '../apiserver/apiserver.ts'
import type { Container, Manifest, PodSpec } from './render.ts'
import { render, workloads } from './render.ts'

const NAMESPACE = 'sluice-system'
const deploy = join(__dirname, '../../deploy')

let server: Awaited<ReturnType<typeof startApiServer>>
let base: readonly Manifest[]
let folder: string

async function kubectl(...args: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return await promisify(execFile)(server.kubectl, ['--kubeconfig', server.kubeconfig, ...args], {
    maxBuffer: 64 * 1024 * 1024,
  })
}

/** Applies manifests by way of a file. */
async function apply(manifests: readonly unknown[], ...args: readonly string[]): Promise<string> {
  const file = join(folder, 'manifests.yaml')
  await writeFile(file, manifests.map(manifest => stringify(manifest)).join('---\n'))
  const { stdout, stderr } = await kubectl('apply', '--server-side', '-f', file, ...args)
  return stdout + stderr
}

const podOf = (name: string): PodSpec => {
  const found = workloads(base).find(workload => workload.metadata.name === name)
  if (found === undefined) throw new Error(`deploy/base holds no ${name}`)
  return found.spec.template.spec
}
const containerOf = (name: string): Container => podOf(name).containers[0]!
const one = (kind: string, name: string): Manifest & { readonly spec: Readonly<Record<string, unknown>> } => {
  const found = base.find(manifest => manifest.kind === kind && manifest.metadata.name === name)
  if (found === undefined) throw new Error(`deploy/base holds no ${kind} ${name}`)
  return found as Manifest & { readonly spec: Readonly<Record<string, unknown>> }
}

beforeAll(async () => {
  server = await startApiServer()
  folder = await mkdtemp(join(tmpdir(), 'sluice-deploy-'))
  base = await render(server.kubectl, join(deploy, 'base'))
  // Only what has no effect without controllers: a namespace, accounts and their permissions, the class and the CRDs.
  const kinds = [
    'Namespace',
    'ServiceAccount',
    'ClusterRole',
    'ClusterRoleBinding',
    'Role',
    'RoleBinding',
    'IngressClass',
  ]
  await apply(base.filter(manifest => [...kinds, 'CustomResourceDefinition'].includes(manifest.kind)))
}, 600_000)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await server.stop()
})

describe.each(['sluice-operator', 'sluice-proxy'])('the pods of %s', name => {
  const all = (pod: PodSpec): readonly Container[] => [...pod.containers, ...(pod.initContainers ?? [])]
  const rules: readonly (readonly [string, (pod: PodSpec) => unknown, unknown])[] = [
    ['do not run as root', pod => pod.securityContext?.runAsNonRoot, true],
    ['run as 65532', pod => pod.securityContext?.runAsUser, 65532],
    ['have the default seccomp profile', pod => pod.securityContext?.seccompProfile?.type, 'RuntimeDefault'],
    ['share nothing with the host', pod => [pod.hostNetwork, pod.hostPID, pod.hostIPC].some(Boolean), false],
    ['mount no folder of the host', pod => (pod.volumes ?? []).some(volume => 'hostPath' in volume), false],
    ['cannot gain privileges', pod => all(pod).map(c => c.securityContext?.allowPrivilegeEscalation), [false]],
    ['are not privileged', pod => all(pod).some(c => c.securityContext?.privileged), false],
    ['have a read-only root', pod => all(pod).map(c => c.securityContext?.readOnlyRootFilesystem), [true]],
    ['drop all capabilities', pod => all(pod).map(c => c.securityContext?.capabilities), [{ drop: ['ALL'] }]],
    ['request memory', pod => all(pod).map(c => c.resources?.requests?.['memory']), ['256Mi']],
    ['limit memory and not CPU', pod => all(pod).map(c => c.resources?.limits), [{ memory: '1Gi' }]],
    ['start with a probe', pod => all(pod).map(c => c.startupProbe?.httpGet), [{ path: '/healthz', port: 'admin' }]],
    ['are probed alive', pod => all(pod).map(c => c.livenessProbe?.httpGet), [{ path: '/healthz', port: 'admin' }]],
    ['are probed ready', pod => all(pod).map(c => c.readinessProbe?.httpGet), [{ path: '/readyz', port: 'admin' }]],
    [
      'spread over nodes',
      pod => pod.topologySpreadConstraints?.some(c => c.topologyKey === 'kubernetes.io/hostname'),
      true,
    ],
    ['have an account of their own', pod => pod.serviceAccountName, name],
  ]
  it.each(rules)('%s', (_, read, expected) => expect(read(podOf(name))).toEqual(expected))

  it('are admitted by the restricted standard', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', namespace: NAMESPACE }, spec: podOf(name) }
    expect(await apply([pod], '--dry-run=server')).toBe('pod/probe serverside-applied (server dry run)\n')
    const root = { ...pod, spec: { ...podOf(name), securityContext: { runAsUser: 0 } } }
    await expect(apply([root], '--dry-run=server')).rejects.toThrow('violates PodSecurity "restricted:latest"')
  })
})

describe('the proxy', () => {
  it('has no token for the API server, only one for the stream', () => {
    expect(podOf('sluice-proxy').automountServiceAccountToken).toBe(false)
    const sources = (podOf('sluice-proxy').volumes ?? []).flatMap(
      ({ projected }) => (projected as { readonly sources: readonly object[] } | undefined)?.sources ?? [],
    )
    expect(sources).toEqual([
      { serviceAccountToken: { audience: 'sluice-stream', expirationSeconds: 3600, path: 'token' } },
    ])
  })

  it('keeps its last good table in memory alone', () => {
    const writable = (containerOf('sluice-proxy').volumeMounts ?? []).filter(mount => mount.readOnly !== true)
    expect(writable).toEqual([{ name: 'state', mountPath: '/var/lib/sluice' }])
    const state = podOf('sluice-proxy').volumes?.find(volume => volume.name === 'state')
    expect(state?.['emptyDir']).toEqual({ medium: 'Memory', sizeLimit: '256Mi' })
  })

  it('knows itself before the address of the operator is made from it', () => {
    const names = (containerOf('sluice-proxy').env ?? []).map(({ name }) => name)
    expect(names).toEqual(['POD_NAME', 'POD_NAMESPACE', 'SLUICE_OPERATOR', 'WORKERS'])
    expect(containerOf('sluice-proxy').env?.[2]?.value).toBe('sluice-operator.$(POD_NAMESPACE).svc:8443')
  })

  it('comes up in parallel, under the names of its headless Service', () => {
    expect(one('StatefulSet', 'sluice-proxy').spec).toMatchObject({
      podManagementPolicy: 'Parallel',
      serviceName: 'sluice-proxy-headless',
    })
    expect(one('Service', 'sluice-proxy-headless').spec['clusterIP']).toBe('None')
  })

  it('reaches pods, the operator and DNS, and nothing else', () => {
    const labels = { 'app.kubernetes.io/name': 'sluice', 'app.kubernetes.io/component': 'operator' }
    expect(one('NetworkPolicy', 'sluice-proxy').spec['egress']).toEqual([
      { ports: ['UDP', 'TCP'].map(protocol => ({ port: 53, protocol })) },
      { to: [{ podSelector: { matchLabels: labels } }], ports: [{ port: 8443 }] },
      { to: [{ namespaceSelector: {} }] },
    ])
  })
})

describe('every Service, budget and policy', () => {
  it('selects the pods of its component', () => {
    const selectors = base.flatMap(manifest => {
      const spec = (manifest['spec'] ?? {}) as Readonly<Record<string, { matchLabels?: unknown }>>
      if (manifest.kind === 'Service') return [[manifest, spec['selector']] as const]
      if (manifest.kind === 'PodDisruptionBudget') return [[manifest, spec['selector']?.matchLabels] as const]
      if (manifest.kind === 'NetworkPolicy') return [[manifest, spec['podSelector']?.matchLabels] as const]
      return []
    })
    expect(selectors.map(([{ kind, metadata }]) => `${kind}/${metadata.name}`).sort()).toEqual([
      'NetworkPolicy/sluice-operator',
      'NetworkPolicy/sluice-proxy',
      'PodDisruptionBudget/sluice-operator',
      'PodDisruptionBudget/sluice-proxy',
      'Service/sluice-operator',
      'Service/sluice-proxy',
      'Service/sluice-proxy-headless',
    ])
    for (const [manifest, selector] of selectors) {
      const workload = workloads(base).find(w => manifest.metadata.name.startsWith(w.metadata.name))
      expect(selector).toEqual(workload?.spec.template.metadata.labels)
      expect(selector).toEqual(workload?.spec.selector.matchLabels)
    }
  })

  it('names ports that the containers have', () => {
    for (const manifest of base.filter(({ kind }) => kind === 'Service')) {
      const { ports } = manifest['spec'] as { readonly ports: readonly { readonly targetPort: string }[] }
      const workload = workloads(base).find(w => manifest.metadata.name.startsWith(w.metadata.name))
      const known = workload?.spec.template.spec.containers[0]?.ports?.map(({ name }) => name)
      expect(known).toEqual(expect.arrayContaining(ports.map(({ targetPort }) => targetPort)))
    }
  })
})

it('deploy/base is accepted by the API server without a warning', async () => {
  const out = await apply(base, '--dry-run=server')
  expect(out).not.toContain('Warning')
  expect(out.trim().split('\n')).toHaveLength(base.length)
})

it('the local overlay sets pull policy, replica counts, DRAIN_DELAY, the proxies’ processor time and the published address, and nothing else', async () => {
  const neutral = (manifests: readonly Manifest[]): unknown =>
    JSON.parse(
      JSON.stringify(manifests, (field, value: unknown) => {
        if (['imagePullPolicy', 'replicas'].includes(field)) return null
        if (field !== 'env') return value
        return (value as readonly { readonly name: string }[]).filter(({ name }) => name !== 'DRAIN_DELAY')
      }),
    )
  const address = '198.19.0.80'
  const expected = JSON.parse(JSON.stringify(base)) as readonly Manifest[]
  const find = (kind: string, name: string): Manifest =>
    expected.find(manifest => manifest.kind === kind && manifest.metadata.name === name)!
  Object.assign(find('Service', 'sluice-proxy')['spec'] as object, { clusterIP: address })
  const env = workloads(expected).find(({ metadata }) => metadata.name === 'sluice-operator')?.spec.template.spec
    .containers[0]?.env as object[]
  env.push({ name: 'PUBLISH_STATUS_ADDRESS', value: address })
  const requests = workloads(expected).find(({ metadata }) => metadata.name === 'sluice-proxy')?.spec.template.spec
    .containers[0]?.resources?.requests
  Object.assign(requests as object, { cpu: '50m' })
  expect(neutral(await render(server.kubectl, join(deploy, 'overlays/local')))).toEqual(neutral(expected))
})

describe('permissions', () => {
  /** What kubectl answers to the question whether the ServiceAccount may: yes or no. */
  async function may(account: string, verb: string, resource: string, namespace: string): Promise<string> {
    const as = `--as=system:serviceaccount:${NAMESPACE}:${account}`
    const [type = '', part] = resource.split('/')
    const subresource = part === undefined ? [] : [`--subresource=${part}`]
    const question = kubectl('auth', 'can-i', verb, type, ...subresource, '-n', namespace, as)
    // kubectl exits with 1 on "no"; anything else it says is no answer.
    const { stdout } = await question.catch((error: unknown) => error as { readonly stdout: string })
    return stdout.trim()
  }

  it.each([
    ['list', 'secrets', 'shop'],
    ['watch', 'ingresses.networking.k8s.io', 'shop'],
    ['patch', 'ingresses.networking.k8s.io', 'shop'],
    ['update', 'secrets', 'shop'],
    ['patch', 'ingresses.networking.k8s.io/status', 'shop'],
    ['watch', 'endpointslices.discovery.k8s.io', 'shop'],
    ['list', 'namespaces', ''],
    ['watch', 'ingressclasses.networking.k8s.io', ''],
    ['create', 'ingressrollouts.tengine.taobao.org', 'shop'],
    ['patch', 'ingressrollouts.tengine.taobao.org/status', 'shop'],
    ['watch', 'ingressrolloutpolicies.tengine.taobao.org', ''],
    ['update', 'ingressrolloutpolicies.tengine.taobao.org/status', ''],
    ['list', 'ingresschecksums.tengine.taobao.org', 'shop'],
    ['create', 'events', 'shop'],
    ['create', 'events.events.k8s.io', 'shop'],
    ['create', 'tokenreviews.authentication.k8s.io', ''],
    ['create', 'ingresschecksums.tengine.taobao.org', NAMESPACE],
    ['create', 'secrets', NAMESPACE],
    ['delete', 'configmaps', NAMESPACE],
    ['watch', 'pods', NAMESPACE],
    ['get', 'statefulsets.apps', NAMESPACE],
    ['update', 'leases.coordination.k8s.io', NAMESPACE],
  ])('the operator may %s %s in "%s"', async (verb, resource, namespace) => {
    expect(await may('sluice-operator', verb, resource, namespace)).toBe('yes')
  })

  it.each([
    ['create', 'secrets', 'shop'],
    ['delete', 'secrets', 'shop'],
    ['create', 'ingresses.networking.k8s.io', 'shop'],
    ['delete', 'ingresses.networking.k8s.io', 'shop'],
    ['list', 'configmaps', 'shop'],
    ['list', 'pods', 'shop'],
    ['create', 'ingresschecksums.tengine.taobao.org', 'shop'],
    ['patch', 'ingressrolloutpolicies.tengine.taobao.org', ''],
    ['create', 'pods', NAMESPACE],
    ['create', 'pods/exec', NAMESPACE],
    ['create', 'serviceaccounts/token', NAMESPACE],
    ['update', 'statefulsets.apps', NAMESPACE],
    ['delete', 'namespaces', ''],
    ['create', 'clusterrolebindings.rbac.authorization.k8s.io', ''],
  ])('the operator may not %s %s in "%s"', async (verb, resource, namespace) => {
    expect(await may('sluice-operator', verb, resource, namespace)).toBe('no')
  })

  it('the proxy may do what every account may, and no more', async () => {
    const list = async (account: string): Promise<readonly string[]> => {
      const as = `--as=system:serviceaccount:${NAMESPACE}:${account}`
      return (await kubectl('auth', 'can-i', '--list', '-n', NAMESPACE, as)).stdout.split('\n').sort()
    }
    expect(await list('sluice-proxy')).toEqual(await list('nobody-special'))
    expect(await may('sluice-proxy', 'list', 'secrets', NAMESPACE)).toBe('no')
  })
})
