/** kubectl as a person would use it, and as a watch. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { DocumentSplitter } from './documents.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Outcome {
  /** Null: ended by a signal. */
  readonly code: number | null
  readonly output: string
}

export class Kubectl {
  readonly #env: Environment
  readonly #children = new Set<ChildProcess>()
  #closed = false

  constructor(env: Environment) {
    this.#env = env
  }

  /** Never rejects for what kubectl says; output is both of its streams. */
  run(args: readonly string[], signal?: AbortSignal): Promise<Outcome> {
    const child = this.#spawn(args)
    let output = ''
    const collect = (chunk: string): void => void (output += chunk)
    child.stdout?.setEncoding('utf8').on('data', collect)
    child.stderr?.setEncoding('utf8').on('data', collect)
    signal?.addEventListener('abort', () => end(child))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', code => resolve({ code, output: output.trimEnd() }))
    })
  }

  /** Calls with every watch event; starts again if the watch ends, until close(). */
  watch(args: readonly string[], onDocument: (document: unknown) => void): void {
    if (this.#closed) return
    const splitter = new DocumentSplitter()
    const child = this.#spawn(['get', ...args, '--watch', '--output-watch-events', '-o', 'json'])
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      for (const document of splitter.push(chunk)) onDocument(document)
    })
    child.on('close', () => setTimeout(() => this.watch(args, onDocument), 500))
  }

  close(): void {
    this.#closed = true
    for (const child of this.#children) end(child)
  }

  #spawn(args: readonly string[]): ChildProcess {
    // A group of its own: Ctrl-C is for the demo, which then ends its children.
    const child = spawn('kubectl', args, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#children.add(child)
    child.on('close', () => this.#children.delete(child))
    child.on('error', () => this.#children.delete(child))
    return child
  }
}

/** The child and what it started. */
function end(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGTERM')
  } catch {
    // Gone in the meantime.
  }
}
