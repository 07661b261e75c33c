/**
 * Loaded before the proxy under test (`--import`), in its main thread and in its workers. On SIGUSR2 each thread says how
 * long its event loop stood still at most since the last time, collects its garbage, and says what it holds; the main
 * thread writes it all as one line. Only where memory and stalls are measured: not for row A.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads'

export interface ThreadFigures {
  readonly thread: number
  /** Bytes, after garbage collection. */
  readonly heapUsed: number
  /** Bytes outside the heap that belong to its objects. */
  readonly external: number
  /** Of these: what buffers hold. Memory that threads share is not among them. */
  readonly arrayBuffers: number
  /** Milliseconds. */
  readonly longestStall: number
  /** Milliseconds of its own processor time between two looks at its timers: what it did itself, whoever else had the core. */
  readonly longestTurn: number
}

export interface ProbeLine {
  readonly probe: readonly ThreadFigures[]
}

type Message =
  | { readonly type: 'here'; readonly thread: number }
  | { readonly type: 'ask' }
  | { readonly type: 'figures'; readonly figures: ThreadFigures }

const RESOLUTION_MS = 2
const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delays.enable()

/** The longest turn of this thread's event loop, in milliseconds of its processor time. */
class Turns {
  #longest = 0
  #before = process.threadCpuUsage()

  constructor() {
    setInterval(() => this.#look(), RESOLUTION_MS).unref()
  }

  /** The longest one so far; the one that it is asked in counts. */
  longest(): number {
    this.#look()
    return this.#longest
  }

  forget(): void {
    this.#longest = 0
    this.#before = process.threadCpuUsage()
  }

  #look(): void {
    const now = process.threadCpuUsage()
    this.#longest = Math.max(this.#longest, (now.user + now.system - this.#before.user - this.#before.system) / 1_000)
    this.#before = now
  }
}
const turns = new Turns()

function figures(): ThreadFigures {
  const longestStall = delays.max / 1e6
  const longestTurn = turns.longest()
  // Twice: what the first run finds dead may hold more.
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  delays.reset()
  turns.forget()
  return { thread: threadId, heapUsed, external, arrayBuffers, longestStall, longestTurn }
}

const channel = new BroadcastChannel('sluice-bench')
channel.unref()
const say = (message: Message): void => channel.postMessage(message)

if (isMainThread) {
  const threads = new Set<number>()
  let collected: ThreadFigures[] = []
  channel.onmessage = ({ data }: { readonly data: unknown }) => {
    const message = data as Message
    if (message.type === 'here') threads.add(message.thread)
    if (message.type !== 'figures') return
    collected.push(message.figures)
    if (collected.length > threads.size) report()
  }
  const report = (): void => {
    const line: ProbeLine = { probe: collected.toSorted((a, b) => a.thread - b.thread) }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  process.on('SIGUSR2', () => {
    collected = [figures()]
    if (threads.size === 0) report()
    else say({ type: 'ask' })
  })
} else {
  channel.onmessage = ({ data }: { readonly data: unknown }) => {
    if ((data as Message).type === 'ask') say({ type: 'figures', figures: figures() })
  }
  say({ type: 'here', thread: threadId })
}
