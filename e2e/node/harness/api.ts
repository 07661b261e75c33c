/**
 * One long-lived client of the API server. Polling and hundreds of changes go through it, because a kubectl that is
 * spawned costs a tenth of a second of processor time each.
 */
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { parse } from 'yaml'
import { HarnessError } from './errors.ts'
import type { Manifest } from '../../echo/manifests.ts'

export interface KubeObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly resourceVersion: string
    readonly annotations?: Readonly<Record<string, string>>
    readonly finalizers?: readonly string[]
    readonly deletionTimestamp?: string
  }
  readonly [field: string]: unknown
}

interface Kubeconfig {
  readonly clusters: readonly [{ readonly cluster: Readonly<Record<string, string>> }]
  readonly users: readonly [{ readonly user: Readonly<Record<string, string>> }]
}

export interface ApiResponse {
  readonly status: number
  readonly body: unknown
}

/** `/api/v1` or `/apis/<group>/<version>`, then the plural; namespaced by default. */
const RESOURCES = {
  namespaces: '/api/v1',
  pods: '/api/v1',
  services: '/api/v1',
  secrets: '/api/v1',
  configmaps: '/api/v1',
  events: '/api/v1',
  ingresses: '/apis/networking.k8s.io/v1',
  deployments: '/apis/apps/v1',
  ingressrollouts: '/apis/tengine.taobao.org/v1alpha1',
  ingressrolloutpolicies: '/apis/tengine.taobao.org/v1alpha1',
  ingresschecksums: '/apis/tengine.taobao.org/v1',
  secretchecksums: '/apis/tengine.taobao.org/v1',
} as const

export type Plural = keyof typeof RESOURCES

export class Api {
  readonly #server: string
  readonly #agent: Agent
  readonly #headers: Readonly<Record<string, string>>

  private constructor(server: string, agent: Agent, headers: Readonly<Record<string, string>>) {
    this.#server = server
    this.#agent = agent
    this.#headers = headers
  }

  /** As the user of the kubeconfig; with a bearer token as whoever that is. */
  static async connect(kubeconfig: string, token: string | null = null): Promise<Api> {
    const { clusters, users } = parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig
    const { cluster } = clusters[0]
    const { user } = users[0]
    const data = (text: string | undefined): Buffer | undefined =>
      text === undefined ? undefined : Buffer.from(text, 'base64')
    const client =
      token === null ? { cert: data(user['client-certificate-data']), key: data(user['client-key-data']) } : {}
    const bearer = token ?? user['token']
    const ca = data(cluster['certificate-authority-data'])
    const agent = new Agent({ keepAlive: true, maxSockets: 16, ...(ca === undefined ? {} : { ca }), ...client })
    return new Api(cluster['server'] ?? '', agent, bearer === undefined ? {} : { authorization: `Bearer ${bearer}` })
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Rejects only if there is no answer. */
  call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<ApiResponse> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...this.#headers,
      accept: 'application/json',
      ...(text === undefined ? {} : { 'content-type': type }),
    }
    return new Promise((resolve, reject) => {
      const call = request(`${this.#server}${path}`, { method, agent: this.#agent, headers, timeout: 10_000 })
      call.on('response', response => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk: string) => void (answer += chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(answer) }))
      })
      call.on('timeout', () => call.destroy(new HarnessError('E2E_API', `${method} ${path}: no answer in 10 s`)))
      call.on('error', reject)
      call.end(text)
    })
  }

  /** Null: there is none. @throws HarnessError */
  async get(plural: Plural, name: string, namespace?: string): Promise<KubeObject | null> {
    const { status, body } = await this.call('GET', pathOf(plural, namespace, name))
    return status === 404 ? null : expectOk(status, body, `GET ${plural} ${name}`)
  }

  /** All namespaces without one. @throws HarnessError */
  async list(plural: Plural, namespace?: string): Promise<readonly KubeObject[]> {
    const { status, body } = await this.call('GET', pathOf(plural, namespace))
    return (expectOk(status, body, `LIST ${plural}`) as unknown as { readonly items: readonly KubeObject[] }).items
  }

  /** @throws HarnessError */
  async create(plural: Plural, manifest: Manifest): Promise<void> {
    const { status, body } = await this.call('POST', pathOf(plural, manifest.metadata.namespace), manifest)
    expectOk(status, body, `POST ${plural} ${manifest.metadata.name}`)
  }

  /** A merge patch. Resolves when the API server answered. @throws HarnessError */
  async patch(plural: Plural, name: string, namespace: string, patch: object): Promise<void> {
    const path = pathOf(plural, namespace, name)
    const { status, body } = await this.call('PATCH', path, patch, 'application/merge-patch+json')
    expectOk(status, body, `PATCH ${plural} ${name}`)
  }
}

export function pathOf(plural: Plural, namespace?: string, name?: string): string {
  const scope = namespace === undefined ? '' : `/namespaces/${namespace}`
  return `${RESOURCES[plural]}${scope}/${plural}${name === undefined ? '' : `/${name}`}`
}

function expectOk(status: number, body: unknown, what: string): KubeObject {
  if (status < 200 || status > 299) throw new HarnessError('E2E_API', `${what}: ${status} ${JSON.stringify(body)}`)
  return body as KubeObject
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
