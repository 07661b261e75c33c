/** The main thread's side of the workers: starts them, replaces them, keeps their tables the same. */
import type { Worker } from 'node:worker_threads'
import { DataPlaneError } from '../errors.ts'
import type { CountsDelta } from '../report/counts.ts'
import type { TableSink, TableUpdate } from '../table/update.ts'
import { MasterTable } from './master-table.ts'
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts'

export interface FleetLog {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface FleetParts {
  readonly setup: Omit<WorkerSetup, 'httpPort' | 'httpsPort'>
  /** Makes a thread that runs proxy/worker.ts with this workerData. */
  readonly spawn: (setup: WorkerSetup) => Worker
  readonly onCounts: (delta: CountsDelta) => void
  readonly log: FleetLog
}

interface Slot {
  worker: Worker | null
  /** Newest update that it confirmed. */
  applied: number
  flushed: number
  listening: boolean
  drained: boolean
  startedAt: number
  retry: NodeJS.Timeout | null
}

/** A worker that died this soon after its start is replaced only after a pause, in milliseconds. */
const CRASH_LOOP_MS = 1_000

export class WorkerFleet implements TableSink {
  readonly table = new MasterTable()
  readonly #parts: FleetParts
  readonly #slots: Slot[] = []
  #waiters: { readonly done: () => boolean; readonly resolve: () => void }[] = []
  #sequence = 0
  #flushSequence = 0
  #crashes = 0
  #ports: { httpPort: number; httpsPort: number }
  #started: Promise<void> | null = null
  #draining: 'no' | 'announced' | 'draining' = 'no'
  #stopped = false
  #starting = false
  #appliedAt: number | null = null

  constructor(parts: FleetParts) {
    this.#parts = parts
    const { httpPort, httpsPort } = parts.setup.config
    this.#ports = { httpPort, httpsPort }
  }

  /** Workers that crashed and were replaced. */
  get crashes(): number {
    return this.#crashes
  }

  get ports(): { readonly httpPort: number; readonly httpsPort: number } {
    return this.#ports
  }

  get listening(): number {
    return this.#slots.filter(slot => slot.listening).length
  }

  /** A table was applied from outside, and somebody serves it: while a worker is replaced the others do. */
  get ready(): boolean {
    return this.#appliedAt !== null && this.listening > 0
  }

  /** When the newest update was served by every worker, in milliseconds since the epoch; null: never. */
  get appliedAt(): number | null {
    return this.#appliedAt
  }

  /** Starts the workers with the table as it is; resolves when all listen. @throws if one cannot start at all */
  start(): Promise<void> {
    this.#started ??= this.#startAll()
    return this.#started
  }

  /** Resolves when every worker serves the update. Workers that are being replaced start from a table that has it. */
  async apply(update: TableUpdate): Promise<void> {
    this.table.apply(update)
    const sequence = ++this.#sequence
    this.#send({ type: 'update', sequence, update })
    await this.#until(() => this.#slots.every(slot => slot.worker === null || slot.applied >= sequence))
    this.#appliedAt = Date.now()
  }

  /** Resolves when every worker sent what it counted, or after the time (milliseconds): a busy worker sends it later. */
  async flush(withinMs: number): Promise<void> {
    const sequence = ++this.#flushSequence
    this.#send({ type: 'flush', sequence })
    const flushed = this.#until(() => this.#slots.every(slot => slot.worker === null || slot.flushed >= sequence))
    let timer: NodeJS.Timeout | undefined
    await Promise.race([flushed, new Promise(resolve => (timer = setTimeout(resolve, withinMs)))])
    clearTimeout(timer)
  }

  announceDrain(): void {
    if (this.#draining === 'no') this.#draining = 'announced'
    this.#send({ type: 'announce-drain' })
  }

  /** Stops accepting; resolves when the last request and tunnel ended, at the latest after the time. */
  async drain(withinMs: number): Promise<void> {
    this.#draining = 'draining'
    this.#send({ type: 'drain' })
    const drained = this.#until(() => this.#slots.every(slot => slot.worker === null || slot.drained))
    let timer: NodeJS.Timeout | undefined
    await Promise.race([drained, new Promise(resolve => (timer = setTimeout(resolve, withinMs)))])
    clearTimeout(timer)
  }

  /** Cuts what is still open and ends the workers. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const slot of this.#slots) if (slot.retry) clearTimeout(slot.retry)
    this.#send({ type: 'stop' })
    const ended = this.#until(() => this.#slots.every(slot => slot.worker === null))
    const timer = setTimeout(() => {
      for (const slot of this.#slots) void slot.worker?.terminate()
    }, 2_000)
    await ended
    clearTimeout(timer)
  }

  async #startAll(): Promise<void> {
    const { workers } = this.#parts.setup.config
    this.#starting = true
    // The first one alone: where the settings say port 0 the others need the port that it got.
    for (let i = 0; i < workers; i++) {
      const slot: Slot = {
        worker: null,
        applied: 0,
        flushed: 0,
        listening: false,
        drained: false,
        startedAt: 0,
        retry: null,
      }
      this.#slots.push(slot)
      this.#spawn(slot)
      if (i === 0) await this.#listened(slot)
    }
    for (const slot of this.#slots) await this.#listened(slot)
    this.#starting = false
  }

  /** At the very start a worker that dies is no crash to recover from: a port is taken, or the build is broken. */
  async #listened(slot: Slot): Promise<void> {
    await this.#until(() => slot.listening || slot.worker === null)
    if (!slot.listening) {
      await this.stop()
      throw new DataPlaneError(
        'SLUICE_WORKER_START',
        'a worker ended before it listened; its error is in the log above',
      )
    }
  }

  #spawn(slot: Slot): void {
    const worker = this.#parts.spawn({ ...this.#parts.setup, ...this.#ports })
    Object.assign(slot, {
      worker,
      applied: 0,
      flushed: 0,
      listening: false,
      drained: false,
      startedAt: performance.now(),
    })
    worker.on('message', (message: FromWorker) => this.#receive(slot, message))
    worker.on('error', error => this.#parts.log.error({ err: error }, 'a worker failed'))
    worker.once('exit', code => this.#ended(slot, worker, code))
    // Updates that come from now on queue up behind it.
    post(worker, { type: 'update', sequence: this.#sequence, update: this.table.snapshot() })
    if (this.#draining !== 'no') post(worker, { type: 'announce-drain' })
  }

  #receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'applied':
        slot.applied = message.sequence
        break
      case 'listening': {
        const { httpPort, httpsPort } = message
        this.#ports = { httpPort, httpsPort }
        slot.listening = true
        break
      }
      case 'counts':
        this.#parts.onCounts(message.delta)
        return
      case 'flushed':
        slot.flushed = message.sequence
        break
      case 'drained':
        slot.drained = true
        break
      case 'log':
        this.#parts.log[message.level]({ worker: slot.worker?.threadId, stack: message.stack }, message.message)
        return
    }
    this.#wake()
  }

  #ended(slot: Slot, worker: Worker, code: number): void {
    if (slot.worker !== worker) return
    const early = !slot.listening
    Object.assign(slot, { worker: null, listening: false })
    if (!this.#stopped) {
      this.#crashes++
      this.#parts.log.error({ code }, 'a worker ended; its connections are lost')
      // While draining nobody needs a new one; and one that never listened at the start fails the start.
      if (this.#draining !== 'draining' && !(early && this.#starting)) {
        const wait = performance.now() - slot.startedAt < CRASH_LOOP_MS ? CRASH_LOOP_MS : 0
        slot.retry = setTimeout(() => {
          slot.retry = null
          this.#spawn(slot)
        }, wait)
      }
    }
    this.#wake()
  }

  #send(message: ToWorker): void {
    for (const { worker } of this.#slots) if (worker) post(worker, message)
  }

  #until(done: () => boolean): Promise<void> {
    if (done()) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push({ done, resolve }))
  }

  #wake(): void {
    const ready = this.#waiters.filter(waiter => waiter.done())
    this.#waiters = this.#waiters.filter(waiter => !ready.includes(waiter))
    for (const { resolve } of ready) resolve()
  }
}

function post(worker: Worker, message: ToWorker): void {
  worker.postMessage(message)
}
