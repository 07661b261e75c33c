/** go/health: what kstatus and Argo CD say of objects. */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Question {
  readonly object: unknown
  /** A health rule of Argo CD, if there is one. */
  readonly lua?: string
  readonly openLibs?: boolean
}

export interface Health {
  /** kstatus' word. */
  readonly kstatus: string
  /** Argo CD's with the rule. */
  readonly rule: string
  readonly error?: string
}

export class HealthProgram {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: ((health: Health) => void)[] = []

  constructor(file: string) {
    this.#child = spawn(file)
    this.#child.stdin.on('error', () => undefined)
    createInterface({ input: this.#child.stdout }).on('line', line => {
      this.#waiting.shift()?.(JSON.parse(line) as Health)
    })
    this.#child.on('close', () => {
      for (const answer of this.#waiting.splice(0)) answer({ kstatus: '', rule: '', error: 'it has ended' })
    })
  }

  ask(question: Question): Promise<Health> {
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      this.#child.stdin.write(`${JSON.stringify({ lua: '', openLibs: false, ...question })}\n`)
    })
  }

  close(): void {
    this.#child.stdin.end()
  }
}
