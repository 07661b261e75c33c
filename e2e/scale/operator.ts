/** The operator under test: its bundle as a process, as in the image, with the permissions of deploy/base. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuOfTree } from '../bench/proc.ts'
import { SYSTEM } from './pods.ts'

const MAIN = join(import.meta.dirname, '../../dist/operator/main.js')
const LONGEST_MS = 600_000

export interface OperatorPlace {
  readonly folder: string
  readonly kubeconfig: string
  readonly streamPort: number
  readonly adminPort: number
  /** Options of Node, for a profile. */
  readonly nodeOptions: readonly string[]
}

interface State {
  readonly leading: boolean
  readonly queues: Readonly<Record<'objects' | 'status', { readonly queued: number; readonly active: number }>>
}

export class OperatorProcess {
  readonly #place: OperatorPlace
  readonly #child: ChildProcess
  readonly startedAt = performance.now()
  #ended = false

  private constructor(place: OperatorPlace) {
    this.#place = place
    const log = openSync(join(place.folder, 'operator.log'), 'a')
    const { streamPort, adminPort, kubeconfig, nodeOptions } = place
    this.#child = spawn(process.execPath, [...nodeOptions, '--max-semi-space-size=16', MAIN], {
      stdio: ['ignore', log, log],
      cwd: place.folder,
      env: {
        ...{ PATH: process.env['PATH'], HOME: process.env['HOME'], KUBECONFIG: kubeconfig },
        ...{ POD_NAME: 'sluice-operator-0', POD_NAMESPACE: SYSTEM, POD_IP: '127.0.0.1' },
        ...{ STREAM_PORT: String(streamPort), ADMIN_PORT: String(adminPort) },
      },
    })
    this.#child.once('exit', () => (this.#ended = true))
    process.once('exit', () => this.#child.kill('SIGKILL'))
  }

  static start(place: OperatorPlace): OperatorProcess {
    return new OperatorProcess(place)
  }

  /** Milliseconds since it was started. */
  get age(): number {
    return performance.now() - this.startedAt
  }

  get cpuMs(): number {
    return cpuOfTree(this.#child.pid ?? 0) / 1000
  }

  /** Bytes: now, and at most so far. */
  get memory(): { readonly now: number; readonly most: number } {
    const text = readFileSync(`/proc/${this.#child.pid ?? 0}/status`, 'latin1')
    const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
    return { now: of('VmRSS'), most: of('VmHWM') }
  }

  /** The longest time that its event loop took for one turn, since this was last asked. Milliseconds. */
  async takeLongest(): Promise<number> {
    const { body = '' } = (await this.#get('metrics')) ?? {}
    return Number(/^nodejs_eventloop_lag_max_seconds ([0-9.e+-]+)$/m.exec(body)?.[1] ?? NaN) * 1_000
  }

  /** CPU time in these milliseconds, per cent of a core. */
  async cpuAtRest(ms: number): Promise<number> {
    const before = this.cpuMs
    await sleep(ms)
    return ((this.cpuMs - before) * 100) / ms
  }

  /** Everything is read, and is given out. */
  async ready(): Promise<void> {
    await this.#until('ready', async () => (await this.#get('readyz'))?.status === 200)
  }

  /** It leads, and has nothing left to do. */
  async atRest(): Promise<void> {
    let quiet = 0
    await this.#until('at rest', async () => {
      const answer = await this.#get('state')
      const { leading, queues } = JSON.parse(answer?.body ?? '{"queues":{"objects":{"queued":1}}}') as State
      const isQuiet = leading && queues.objects.queued === 0 && queues.objects.active === 0
      quiet = isQuiet ? quiet + 1 : 0
      return quiet > 10
    })
  }

  async leads(): Promise<void> {
    await this.#until('leading', async () => {
      const answer = await this.#get('state')
      return answer !== null && (JSON.parse(answer.body) as State).leading
    })
  }

  /** Resolves when the process is gone. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#ended) return
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exited
  }

  async #until(what: string, is: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + LONGEST_MS
    while (!(await is())) {
      if (this.#ended) throw new Error(`the operator ended before it was ${what}`)
      if (performance.now() > end) throw new Error(`the operator is not ${what} after ${LONGEST_MS / 1_000} s`)
      await sleep(50)
    }
  }

  #get(path: string): Promise<{ readonly status: number; readonly body: string } | null> {
    return new Promise(resolve => {
      const url = `http://127.0.0.1:${this.#place.adminPort}/${path}`
      get(url, { agent: false, timeout: LONGEST_MS }, response => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => (body += text))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        response.on('error', () => resolve(null))
      }).on('error', () => resolve(null))
    })
  }
}
