/** The cluster under the demo, through the same commands that `make` has. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { execFile } from 'node:child_process'
import { DemoError } from './journal.ts'
import type { Environment } from './kubectl.ts'

const execute = promisify(execFile)

export class Cluster {
  readonly #root: string
  readonly #script: string

  constructor(root: string) {
    this.#root = root
    this.#script = join(root, 'e2e/cluster/cluster')
  }

  async isUp(): Promise<boolean> {
    const { stdout } = await execute(this.#script, ['status'])
    return stdout.trim() === 'up'
  }

  /** Shows its progress. @throws DemoError if it fails; it has said why by then */
  up(proxies: number, operators?: number): Promise<void> {
    const more = operators === undefined ? {} : { OPERATORS: String(operators) }
    return this.#run(['up'], { PROXIES: String(proxies), ...more })
  }

  down(): Promise<void> {
    return this.#run(['down'], {})
  }

  /** What `.sluice/env` sets, over our own environment. */
  async environment(): Promise<Environment> {
    const file = join(this.#root, '.sluice/env')
    const { stdout } = await execute('bash', ['-c', '. "$1" && env -0', 'bash', file])
    const pairs = stdout.split('\0').filter(line => line.includes('='))
    return Object.fromEntries(pairs.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
  }

  /** The image of the echo backend: SLUICE_IMAGE_ECHO, else the one that `up` built. @throws DemoError */
  async echoImage(): Promise<string> {
    const given = process.env['SLUICE_IMAGE_ECHO']
    if (given) return given
    const text = await readFile(join(this.#root, '.sluice/images'), 'utf8').catch(() => '')
    const image = /^SLUICE_IMAGE_ECHO=(.+)$/m.exec(text)?.[1]
    if (image === undefined)
      throw new DemoError('no image of the echo backend: set SLUICE_IMAGE_ECHO to one that the cluster can pull')
    return image
  }

  #run(args: readonly string[], env: Environment): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#script, args, { env: { ...process.env, ...env }, stdio: 'inherit' })
      child.on('error', error => reject(new DemoError(`${this.#script} cannot be run`, { cause: error })))
      child.on('close', code => {
        if (code === 0) resolve()
        else reject(new DemoError(`cluster ${args.join(' ')} failed`))
      })
    })
  }
}
