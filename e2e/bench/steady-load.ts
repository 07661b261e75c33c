/**
 * Clients that ask at an even pace, in a thread of their own, and look at every byte: how long answers take, which requests are cut,
 * which connections closed. A request's time begins when it was due, so that one slow answer hides none behind it.
 */
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { Connection, expectBody } from './http-answer.ts'

export interface SteadyOptions {
  readonly port: number
  readonly host: string
  readonly body: string
  readonly connections: number
  readonly perSecond: number
}

export interface SteadyFigures {
  readonly requests: number
  /** Without a whole and right answer. */
  readonly cut: number
  /** Connections that the other side closed. */
  readonly closed: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** The slowest whole answer. */
  readonly most: number
}

/** Of one phase. A timer may come some microseconds early. */
class Phase {
  readonly times: number[] = []
  cut = 0
  closed = 0

  get figures(): SteadyFigures {
    const sorted = Float64Array.from(this.times).sort()
    const at = (share: number): number => Math.max(0, sorted[Math.floor(sorted.length * share)] ?? 0)
    const { cut, closed } = this
    const most = Math.max(0, sorted.at(-1) ?? 0)
    return { requests: this.times.length + cut, cut, closed, p50: at(0.5), p99: at(0.99), most }
  }
}

export class SteadyLoad {
  readonly #worker: Worker

  constructor(options: SteadyOptions) {
    this.#worker = new Worker(fileURLToPath(import.meta.url), { workerData: options })
  }

  /** What was seen since the last call. */
  figures(): Promise<SteadyFigures> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject)
      this.#worker.once('message', (figures: SteadyFigures) => {
        this.#worker.off('error', reject)
        resolve(figures)
      })
      this.#worker.postMessage('figures')
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}

/** One connection after the other, one request at a time. */
async function client(options: SteadyOptions, index: number, phase: () => Phase): Promise<never> {
  const { port, host, body, connections, perSecond } = options
  const every = (1_000 * connections) / perSecond
  let connection: Connection | null = null
  for (let due = performance.now() + (every * index) / connections; ; due += every) {
    const wait = due - performance.now()
    if (wait > 0) await new Promise(resolve => setTimeout(resolve, wait))
    if (connection?.closed === true) {
      phase().closed++
      connection = null
    }
    try {
      connection ??= await Connection.open(port)
      const answer = await connection.ask(host)
      expectBody(answer, body)
      phase().times.push(performance.now() - due)
      if (answer.last) {
        phase().closed++
        connection.end()
        connection = null
      }
    } catch {
      phase().cut++
      connection?.end()
      connection = null
    }
  }
}

function run(options: SteadyOptions): void {
  let current = new Phase()
  parentPort?.on('message', () => {
    const { figures } = current
    current = new Phase()
    parentPort?.postMessage(figures)
  })
  for (let i = 0; i < options.connections; i++) void client(options, i, () => current)
}

if (!isMainThread && parentPort !== null) run(workerData as SteadyOptions)
