import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:https'
import { join, relative } from 'node:path'
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
/** Of the operator's ServiceAccount. */
let token: string | undefined

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

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** One request with the operator's own token, as it sends them: kubectl asks for more than it is told to write. */
async function asOperator(method: string, path: string, body?: object): Promise<Answer> {
  token ??= (await kubectl('create', 'token', 'sluice-operator', '-n', NAMESPACE)).stdout.trim()
  return await ask(token, method, path, body)
}

async function ask(bearer: string, method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/merge-patch+json' }
  return await new Promise((resolve, reject) => {
    const asked = request(`${server.address}${path}`, { method, headers, rejectUnauthorized: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }))
    })
    asked.on('error', reject)
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
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
    'ValidatingAdmissionPolicy',
    'ValidatingAdmissionPolicyBinding',
    'PriorityClass',
    'PriorityLevelConfiguration',
    'FlowSchema',
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
    ['have a priority of their own', pod => pod.priorityClassName, name],
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

describe('priority', () => {
  const get = async (kind: string, name: string): Promise<Readonly<Record<string, unknown>>> =>
    JSON.parse((await kubectl('get', kind, name, '-o', 'json')).stdout) as Readonly<Record<string, unknown>>

  it('of proxies is above that of operators, both below the cluster’s own and above all that have none', async () => {
    const values = await Promise.all(
      ['sluice-proxy', 'sluice-operator'].map(async name => (await get('priorityclass', name))['value'] as number),
    )
    const [proxy = 0, operator = 0] = values
    const system = (await get('priorityclass', 'system-cluster-critical'))['value'] as number
    expect([0 < operator, operator < proxy, proxy < system]).toEqual([true, true, true])
    // Nobody gets it without asking.
    expect((await get('priorityclass', 'sluice-proxy'))['globalDefault'] ?? false).toBe(false)
  })

  it('is what a pod gets', async () => {
    const metadata = { name: 'probe', namespace: NAMESPACE }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: podOf('sluice-proxy') }
    const file = join(folder, 'pod.yaml')
    await writeFile(file, stringify(pod))
    const made = await kubectl('apply', '--server-side', '--dry-run=server', '-f', file, '-o', 'json')
    expect(JSON.parse(made.stdout)).toMatchObject({ spec: { priority: 900_000_000 } })
  })

  it('of the operator’s requests is its own, and that of everybody else’s is not', async () => {
    const uidOf = async (kind: string): Promise<string> =>
      ((await get(kind, 'sluice-operator'))['metadata'] as { readonly uid: string }).uid
    const wanted = [await uidOf('flowschema'), await uidOf('prioritylevelconfiguration')]
    const assigned = ({ headers }: Answer): readonly unknown[] => [
      headers['x-kubernetes-pf-flowschema-uid'],
      headers['x-kubernetes-pf-prioritylevel-uid'],
    ]
    // What was just made counts a moment later.
    for (;;) {
      const { headers } = await asOperator('GET', '/apis/networking.k8s.io/v1/ingresses')
      if (headers['x-kubernetes-pf-flowschema-uid'] === wanted[0]) break
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    const paths = ['/apis/networking.k8s.io/v1/ingresses', `/api/v1/namespaces/${NAMESPACE}/secrets`]
    for (const path of paths) expect(assigned(await asOperator('GET', path))).toEqual(wanted)
    const patched = await asOperator('PATCH', '/apis/networking.k8s.io/v1/namespaces/shop/ingresses/none', {})
    expect([patched.status, assigned(patched)]).toEqual([404, wanted])
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/sluice-operator`
    expect(assigned(await asOperator('GET', lease))).toEqual(wanted)
    const other = (await kubectl('create', 'token', 'sluice-proxy', '-n', NAMESPACE)).stdout.trim()
    expect(assigned(await ask(other, 'GET', paths[0] ?? ''))[0]).not.toBe(wanted[0])
  }, 60_000)
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
    ['patch', 'ingresses.networking.k8s.io/status', 'shop'],
    ['watch', 'endpointslices.discovery.k8s.io', 'shop'],
    ['list', 'namespaces', ''],
    ['watch', 'ingressclasses.networking.k8s.io', ''],
    ['create', 'ingressrollouts.tengine.taobao.org', 'shop'],
    ['patch', 'ingressrollouts.tengine.taobao.org/status', 'shop'],
    ['watch', 'ingressrolloutpolicies.tengine.taobao.org', ''],
    ['patch', 'ingressrolloutpolicies.tengine.taobao.org/status', ''],
    ['list', 'ingresschecksums.tengine.taobao.org', 'shop'],
    ['create', 'events', 'shop'],
    ['create', 'tokenreviews.authentication.k8s.io', ''],
    ['create', 'ingresschecksums.tengine.taobao.org', NAMESPACE],
    ['create', 'secrets', NAMESPACE],
    ['update', 'secrets', NAMESPACE],
    ['patch', 'configmaps', NAMESPACE],
    ['watch', 'pods', NAMESPACE],
    ['update', 'leases.coordination.k8s.io', NAMESPACE],
  ])('the operator may %s %s in "%s"', async (verb, resource, namespace) => {
    expect(await may('sluice-operator', verb, resource, namespace)).toBe('yes')
  })

  it.each([
    ['create', 'secrets', 'shop'],
    ['update', 'secrets', 'shop'],
    ['patch', 'secrets', 'shop'],
    ['patch', 'secrets', ''],
    ['delete', 'secrets', 'shop'],
    ['delete', 'secrets', NAMESPACE],
    ['patch', 'secrets', NAMESPACE],
    ['update', 'ingresses.networking.k8s.io', 'shop'],
    ['update', 'ingresses.networking.k8s.io/status', 'shop'],
    ['update', 'ingressrollouts.tengine.taobao.org', 'shop'],
    ['delete', 'configmaps', NAMESPACE],
    ['get', 'statefulsets.apps', NAMESPACE],
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

  const as = `--as=system:serviceaccount:${NAMESPACE}:sluice-operator`
  const patch = (kind: string, body: object, ...args: readonly string[]): Promise<unknown> =>
    kubectl('-n', 'fields', 'patch', kind, 'one', '--type=merge', '-p', JSON.stringify(body), as, ...args)
  /** A policy that was just made is in force a moment later. */
  const inForce = async (attempt: () => Promise<unknown>): Promise<void> => {
    for (;;) {
      try {
        await attempt()
      } catch (error) {
        if (String(error).includes('ValidatingAdmissionPolicy')) return
        throw error
      }
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
  const backend = { service: { name: 'web', port: { number: 80 } } }
  const path = { path: '/', pathType: 'Prefix', backend }
  const prefix = 'nginx.ingress.kubernetes.io'

  describe('of an Ingress the operator', () => {
    const foreign = { labels: { a: 'b' }, annotations: { theirs: 'x' }, finalizers: ['example.com/theirs'] }
    beforeAll(async () => {
      const metadata = { name: 'one', namespace: 'fields', ...foreign }
      const spec = { rules: [{ host: 'a.example', http: { paths: [path] } }] }
      await apply([
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fields' } },
        { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', metadata, spec },
      ])
      await inForce(() => patch('ingress', { metadata: { labels: { probe: 'x' } } }, '--dry-run=server'))
    }, 60_000)

    const status = { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } }
    it.each<[string, object]>([
      ['its stamp', { metadata: { annotations: { [`${prefix}/ingress-rollout-index-id`]: '1' } } }],
      ['the stamp of another prefix', { metadata: { annotations: { 'x.example/ingress-rollout': 'true' } } }],
      ['its conditions', { metadata: { annotations: { 'tengine.taobao.org/conditions': '[]' } } }],
      ['its finalizer', { metadata: { finalizers: ['example.com/theirs', 'tengine.taobao.org/rollout'] } }],
      ['that they are gone', { metadata: { annotations: { [`${prefix}/ingress-rollout-index-id`]: null } } }],
      ['that its finalizer is gone', { metadata: { finalizers: ['example.com/theirs'] } }],
    ])('may write %s', async (_, body) => {
      await patch('ingress', body)
    })

    it('may write the address, and nothing else by way of its status', async () => {
      const path = '/apis/networking.k8s.io/v1/namespaces/fields/ingresses/one/status'
      const written = await asOperator('PATCH', path, { status })
      expect([written.status, JSON.parse(written.body)]).toMatchObject([200, { status }])
      const more = await asOperator('PATCH', path, { status, metadata: { labels: { c: 'd' } } })
      expect([more.status, more.body]).toEqual([422, expect.stringContaining('the operator changes neither labels')])
    })

    it.each<[string, object]>([
      ['its rules', { spec: { rules: [{ host: 'b.example', http: { paths: [path] } }] } }],
      ['its class', { spec: { ingressClassName: 'other' } }],
      ['an annotation that it has', { metadata: { annotations: { theirs: 'y' } } }],
      ['away an annotation', { metadata: { annotations: { theirs: null } } }],
      ['an annotation that means something', { metadata: { annotations: { [`${prefix}/rewrite-target`]: '/' } } }],
      ['its labels', { metadata: { labels: { a: null } } }],
      ['away the finalizer of another', { metadata: { finalizers: [] } }],
      ['the finalizer of another', { metadata: { finalizers: ['example.com/theirs', 'example.com/new'] } }],
    ])('may not write %s', async (_, body) => {
      await expect(patch('ingress', body)).rejects.toThrow('the operator changes')
    })

    it('and everybody else may', async () => {
      await kubectl('-n', 'fields', 'label', 'ingress', 'one', 'e=f')
    })
  })

  describe('with components/secrets-by-hand the operator', () => {
    beforeAll(async () => {
      const folderOfOverlay = join(folder, 'by-hand')
      await mkdir(folderOfOverlay)
      const [component, resource] = ['components/secrets-by-hand', 'base'].map(part =>
        relative(folderOfOverlay, join(deploy, part)),
      )
      const header = { apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization' }
      const overlay = stringify({ ...header, resources: [resource], components: [component] })
      await writeFile(join(folderOfOverlay, 'kustomization.yaml'), overlay)
      const known = new Set(base.map(({ kind, metadata }) => `${kind}/${metadata.name}`))
      const all = await render(server.kubectl, folderOfOverlay)
      const added = all.filter(({ kind, metadata }) => !known.has(`${kind}/${metadata.name}`))
      expect(added).toHaveLength(4)
      await apply([
        ...added,
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fields' } },
        {
          ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'one', namespace: 'fields' } },
          stringData: { a: 'b' },
        },
      ])
      await inForce(() => patch('secret', { metadata: { labels: { probe: 'x' } } }, '--dry-run=server'))
    }, 60_000)
    afterAll(async () => {
      await kubectl('delete', 'clusterrolebinding', 'sluice-operator-secrets-by-hand')
    })

    it('may write annotations of a Secret that are its own', async () => {
      await patch('secret', { metadata: { annotations: { [`${prefix}/secret-rollout-index-id`]: '1' } } })
    })

    it.each<[string, object]>([
      ['what is in it', { stringData: { a: 'c' } }],
      ['other annotations', { metadata: { annotations: { theirs: 'x' } } }],
      ['finalizers', { metadata: { finalizers: ['tengine.taobao.org/rollout'] } }],
    ])('may not write %s', async (_, body) => {
      await expect(patch('secret', body)).rejects.toThrow('the operator changes')
    })
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
