/** Child processes of the test run: each a group of its own, so that an interrupted run can end all of what it started. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Keeps the output and hands it back instead of showing it. */
  readonly quiet?: boolean
}

export interface RunResult {
  /** Null: ended by a signal. */
  readonly code: number | null
  readonly output: string
}

const KILL_AFTER_MS = 15_000

export class Processes {
  readonly #cwd: string
  readonly #running = new Set<ChildProcess>()

  constructor(cwd: string) {
    this.#cwd = cwd
  }

  run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        cwd: this.#cwd,
        env: { ...process.env, ...options.env },
        stdio: options.quiet === true ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
        detached: true,
      })
      this.#running.add(child)
      let output = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text))
      child.on('error', reject)
      child.on('close', code => {
        this.#running.delete(child)
        resolve({ code, output })
      })
    })
  }

  /** Asks everything that runs to end, and waits for it; what does not listen is killed. */
  async end(): Promise<void> {
    const children = [...this.#running]
    for (const child of children) signal(child, 'SIGTERM')
    const timer = setTimeout(() => {
      for (const child of children) signal(child, 'SIGKILL')
    }, KILL_AFTER_MS)
    await Promise.all(
      children.filter(c => this.#running.has(c)).map(c => new Promise(resolve => c.once('close', resolve))),
    )
    clearTimeout(timer)
  }
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, name)
  } catch {
    // Gone already.
  }
}
