/** A process that never outlives the test that started it, whatever becomes of the test. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'

/**
 * Runs "$@" until it ends or our end of the pipe is closed, which the kernel does for us if we are killed. SIGKILL in
 * either case: a test's data need no good end, and a crash is what the tests are after.
 */
const GUARD = `exec 3<&0
"$@" 3<&- </dev/null & component=$!
{ read -r _ <&3; kill -9 "$component"; } 2>/dev/null & guard=$!
exec 3<&-
wait "$component"; code=$?
kill "$guard" 2>/dev/null
exit "$code"`

export class Component {
  readonly #command: readonly string[]
  readonly #log: string
  #child: ChildProcess | null = null
  #ended: Promise<void> = Promise.resolve()

  /** `log` is a file; every start goes on in it. */
  constructor(command: readonly string[], log: string) {
    this.#command = command
    this.#log = log
  }

  get running(): boolean {
    return this.#child !== null
  }

  /** Does nothing while it runs. */
  async start(): Promise<void> {
    if (this.#child !== null) return
    const log = await open(this.#log, 'a')
    const child = spawn('sh', ['-c', GUARD, 'sh', ...this.#command], { stdio: ['pipe', log.fd, log.fd] })
    this.#child = child
    this.#ended = new Promise(resolve => {
      const ended = (): void => {
        if (this.#child === child) this.#child = null
        resolve()
      }
      child.once('close', ended)
      child.once('error', ended)
    })
    await log.close()
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.stdin?.destroy()
    await this.#ended
  }

  /** The last lines it wrote, for the message of an error. */
  async lastWords(lines = 5): Promise<string> {
    const text = await readFile(this.#log, 'utf8').catch(() => '')
    return text.trimEnd().split('\n').slice(-lines).join('\n')
  }
}
