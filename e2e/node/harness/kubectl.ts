/** kubectl as a person uses it: spawned, with manifests on standard input. */
import { spawn } from 'node:child_process'
import { HarnessError } from './errors.ts'
import type { Manifest } from '../../echo/manifests.ts'

export interface KubectlResult {
  /** Null: ended by a signal. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Annotations = Readonly<Record<string, string | null>>

export class Kubectl {
  readonly #env: Readonly<Record<string, string | undefined>>

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env
  }

  /** Never rejects for what kubectl says. */
  run(args: readonly string[], input = ''): Promise<KubectlResult> {
    const child = spawn('kubectl', args, { env: this.#env, stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => void (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (stderr += chunk))
    // kubectl may end before it read everything.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    return new Promise((resolve, reject) => {
      child.on('error', error => reject(new HarnessError('E2E_KUBECTL', 'kubectl cannot be run', { cause: error })))
      child.on('close', code => resolve({ code, stdout, stderr }))
    })
  }

  /** Standard output. @throws HarnessError with what kubectl said */
  async ok(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input)
    if (code !== 0) throw new HarnessError('E2E_KUBECTL', `kubectl ${args.join(' ')}: ${stderr || stdout}`)
    return stdout
  }

  async apply(...manifests: readonly Manifest[]): Promise<void> {
    await this.ok(['apply', '-f', '-'], list(manifests))
  }

  /** For what should be refused: returns what the API server said. */
  tryApply(...manifests: readonly Manifest[]): Promise<KubectlResult> {
    return this.run(['apply', '-f', '-'], list(manifests))
  }

  /** Takes away every annotation that the manifest does not hold. */
  async replace(manifest: Manifest): Promise<void> {
    await this.ok(['replace', '-f', '-'], JSON.stringify(manifest))
  }

  /** Null takes an annotation away. */
  async annotate(namespace: string, object: string, annotations: Annotations): Promise<void> {
    const words = Object.entries(annotations).map(([name, value]) => (value === null ? `${name}-` : `${name}=${value}`))
    await this.ok(['-n', namespace, 'annotate', object, '--overwrite', ...words])
  }

  async patch(namespace: string, object: string, patch: object): Promise<void> {
    await this.ok(['-n', namespace, 'patch', object, '--type=merge', '-p', JSON.stringify(patch)])
  }

  async delete(namespace: string, object: string): Promise<void> {
    await this.ok(['-n', namespace, 'delete', object, '--wait=false', '--ignore-not-found'])
  }
}

function list(manifests: readonly Manifest[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests })
}
