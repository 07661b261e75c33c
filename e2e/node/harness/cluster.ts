/** The node that is up with Sluice on it, as `.sluice/env` describes it, and how to disturb it. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseTargets } from '../../load/targets.ts'
import type { Target } from '../../load/targets.ts'
import { Api } from './api.ts'
import { HarnessError } from './errors.ts'
import { Kubectl } from './kubectl.ts'

export const ROOT = join(import.meta.dirname, '../../..')
export const SYSTEM = 'sluice-system'
const SCRIPT = join(ROOT, 'e2e/cluster/cluster')
const SOCKET = join(ROOT, '.sluice/node/run/containerd.sock')
const execute = promisify(execFile)

export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubelet'

export interface ClusterParts {
  readonly env: Readonly<Record<string, string>>
  readonly http: readonly Target[]
  readonly https: readonly Target[]
  readonly admin: readonly Target[]
  readonly echoImage: string
  readonly api: Api
}

export class Cluster {
  readonly env: Readonly<Record<string, string>>
  /** By ordinal of the proxy. */
  readonly http: readonly Target[]
  readonly https: readonly Target[]
  readonly admin: readonly Target[]
  readonly echoImage: string
  readonly api: Api
  readonly kubectl: Kubectl

  private constructor(parts: ClusterParts) {
    this.env = parts.env
    this.http = parts.http
    this.https = parts.https
    this.admin = parts.admin
    this.echoImage = parts.echoImage
    this.api = parts.api
    this.kubectl = new Kubectl(parts.env)
  }

  /** @throws HarnessError if no node is up */
  static async connect(): Promise<Cluster> {
    const env = await environment()
    const images = await readFile(join(ROOT, '.sluice/images'), 'utf8').catch(() => '')
    const echoImage = process.env['SLUICE_IMAGE_ECHO'] ?? /^SLUICE_IMAGE_ECHO=(.+)$/m.exec(images)?.[1]
    if (echoImage === undefined) throw new HarnessError('E2E_NODE', 'no image of the echo backend in .sluice/images')
    return new Cluster({
      env,
      http: parseTargets(env['SLUICE_HTTP'] ?? ''),
      https: parseTargets(env['SLUICE_HTTPS'] ?? ''),
      admin: parseTargets(env['SLUICE_ADMIN'] ?? ''),
      echoImage,
      api: await Api.connect(env['KUBECONFIG'] ?? ''),
    })
  }

  get ordinals(): readonly number[] {
    return this.http.map(target => target.ordinal)
  }

  close(): void {
    this.api.close()
  }

  /** Runs `e2e/cluster/cluster`. @throws HarnessError with what it said */
  async script(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    try {
      const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }
      const { stdout, stderr } = await execute(SCRIPT, args, options)
      return stdout + stderr
    } catch (error) {
      throw new HarnessError('E2E_NODE', `cluster ${args.join(' ')} failed: ${said(error)}`, { cause: error })
    }
  }

  async hold(component: Component): Promise<void> {
    await this.script(['hold', component])
  }

  async release(component: Component): Promise<void> {
    await this.script(['release', component])
  }

  /** Process of a pod's container as the node sees it; needs no API server. Null: it does not run. */
  async pidOf(pod: string, container: string): Promise<string | null> {
    const id = await this.containerOf(pod, container)
    if (id === null) return null
    const tasks = await this.containerd(['tasks', 'ls'])
    return new RegExp(`^${id}\\s+([0-9]+)\\s+RUNNING`, 'm').exec(tasks)?.[1] ?? null
  }

  /** Id of the container that runs now; earlier ones of the same pod stay listed for a while. */
  async containerOf(pod: string, container: string): Promise<string | null> {
    const labels = `labels."io.kubernetes.pod.name"==${pod},labels."io.kubernetes.container.name"==${container}`
    const ids = (await this.containerd(['containers', 'ls', '-q', labels])).split('\n').filter(id => id !== '')
    const tasks = await this.containerd(['tasks', 'ls'])
    return ids.find(id => new RegExp(`^${id}\\s+[0-9]+\\s+RUNNING`, 'm').test(tasks)) ?? null
  }

  /** SIGKILL to a container's process: kubelet starts it again, in the same pod with the same volumes. */
  async killContainer(pod: string, container: string): Promise<boolean> {
    const pid = await this.pidOf(pod, container)
    if (pid === null) return false
    await this.script(['in-node', 'kill', '-9', pid])
    return true
  }

  containerd(args: readonly string[]): Promise<string> {
    return this.script(['in-node', 'ctr', '-a', SOCKET, '-n', 'k8s.io', ...args])
  }
}

/** What `.sluice/env` sets, over our own environment. */
async function environment(): Promise<Readonly<Record<string, string>>> {
  const command = ['-c', '. "$1" && env -0', 'bash', join(ROOT, '.sluice/env')]
  const { stdout } = await execute('bash', command).catch((error: unknown) => {
    throw new HarnessError('E2E_NODE', 'no local node is up: make up', { cause: error })
  })
  const pairs = stdout.split('\0').filter(line => line.includes('='))
  return Object.fromEntries(pairs.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

function said(error: unknown): string {
  return typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : String(error)
}
