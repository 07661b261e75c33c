/** Clients and backend in a thread of their own, and what the driving thread says to them. */
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { randomOf } from '../../protocol/testing/random.ts'
import { Backend } from './backend.ts'
import { Clients } from './clients.ts'
import type { ClientFigures, Ports } from './clients.ts'
import { SoakError } from './errors.ts'
import { Truth } from './truth.ts'
import type { Fact } from './truth.ts'

export interface TrafficOptions {
  /** PEM: who signs all certificates. */
  readonly authority: string
  readonly seed: number
}

export interface TrafficFigures extends ClientFigures {
  readonly inFlight: number
  /** From the proxy to the backend. */
  readonly connections: number
  /** Of these, so far: those that were still open some seconds after the proxy had confirmed that their address is gone. */
  readonly kept: number
}

type Message =
  | { readonly type: 'open'; readonly ip: string }
  | { readonly type: 'retire'; readonly addresses: readonly string[] }
  | { readonly type: 'allow' | 'forbid'; readonly facts: readonly Fact[] }
  | { readonly type: 'begin'; readonly ports: Ports }
  | { readonly type: 'pace'; readonly perSecond: number }
  | { readonly type: 'lie'; readonly host: string }
  | { readonly type: 'figures' }

/** No request takes longer: what was not right any more by then is forgotten. */
const LONGEST_MS = 60_000

export class Traffic {
  readonly #worker: Worker
  readonly #waiting: { readonly resolve: (answer: unknown) => void; readonly reject: (error: unknown) => void }[] = []
  #failure: Error | null = null

  constructor(options: TrafficOptions) {
    this.#worker = new Worker(fileURLToPath(import.meta.url), { workerData: options })
    // It answers in the order in which it is asked.
    this.#worker.on('message', (answer: unknown) => this.#waiting.shift()?.resolve(answer))
    this.#worker.on('error', (error: unknown) => this.#fail(new SoakError('SLUICE_SOAK_TRAFFIC', String(error))))
    this.#worker.on('exit', () => this.#fail(new SoakError('SLUICE_SOAK_TRAFFIC', 'the clients have ended')))
  }

  /** An address behind the proxy, on this `ip` of the loopback. @returns `ip:port` */
  open(ip: string): Promise<string> {
    return this.#ask({ type: 'open', ip }) as Promise<string>
  }

  async retire(addresses: readonly string[]): Promise<void> {
    await this.#ask({ type: 'retire', addresses })
  }

  /** Once this resolves, answers by these facts are right, too. */
  async allow(facts: readonly Fact[]): Promise<void> {
    await this.#ask({ type: 'allow', facts })
  }

  /** Answers to requests that are sent from now on are wrong by these facts. */
  async forbid(facts: readonly Fact[]): Promise<void> {
    await this.#ask({ type: 'forbid', facts })
  }

  async begin(ports: Ports): Promise<void> {
    await this.#ask({ type: 'begin', ports })
  }

  /** Requests a second. */
  async pace(perSecond: number): Promise<void> {
    await this.#ask({ type: 'pace', perSecond })
  }

  async lie(host: string): Promise<void> {
    await this.#ask({ type: 'lie', host })
  }

  /** What was seen since the last call. */
  figures(): Promise<TrafficFigures> {
    return this.#ask({ type: 'figures' }) as Promise<TrafficFigures>
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  /** @throws SoakError SLUICE_SOAK_TRAFFIC */
  #ask(message: Message): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure)
        return
      }
      this.#waiting.push({ resolve, reject })
      this.#worker.postMessage(message)
    })
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
  }
}

function run({ authority, seed }: TrafficOptions): void {
  const [backend, truth] = [new Backend(), new Truth()]
  let clients: Clients | null = null
  // What was said before there were clients.
  const early: Fact[] = []
  const answer = async (message: Message): Promise<unknown> => {
    const now = performance.now()
    switch (message.type) {
      case 'open':
        return backend.open(message.ip)
      case 'retire':
        for (const one of message.addresses) backend.retire(one)
        return
      case 'allow':
      case 'forbid':
        truth.forget(now - LONGEST_MS)
        for (const fact of message.facts) {
          if (message.type === 'allow') truth.allow(fact)
          else truth.forbid(fact, now)
          if (clients === null) early.push(fact)
          else clients.notice(fact)
        }
        return
      case 'begin': {
        const started = new Clients(truth, message.ports, authority, randomOf(seed))
        for (const fact of early.splice(0)) started.notice(fact)
        clients = started
        return
      }
      case 'pace':
        if (clients !== null) clients.pace = message.perSecond
        return
      case 'lie':
        backend.lie(message.host)
        return
      case 'figures': {
        if (clients === null) throw new SoakError('SLUICE_SOAK_TRAFFIC', 'no client has begun')
        const { connections, kept } = backend
        return { ...clients.figures(), inFlight: clients.inFlight, connections, kept }
      }
    }
  }
  let turn = Promise.resolve()
  parentPort?.on('message', (message: Message) => {
    turn = turn.then(async () => parentPort?.postMessage(await answer(message)))
  })
}

if (!isMainThread && parentPort !== null) run(workerData as TrafficOptions)
