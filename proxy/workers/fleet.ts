/** The main thread's side of the workers: starts them, replaces those that end or hang, keeps their tables the same. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'
import { DataPlaneError, describe, errorCode } from '../errors.ts'
import type { CountsDelta } from '../report/counts.ts'
import type { TicketSecrets } from '../frontdoor/ticket-keys.ts'
import type { Objects } from '../table/objects.ts'
import type { ReadStored, StoredTable } from '../table/stored.ts'
import type { Published, TableSink, TableUpdate, TicketSink } from '../table/update.ts'
import type { UpstreamCounts } from '../upstream/endpoint-counters.ts'
import type { ProbeAnswer, ProbeRequest } from '../probe/self.ts'
import { inPortions } from '../turns.ts'
import type { HostDescription } from './describe-host.ts'
import type { Explained, Question } from './explain.ts'
import { MasterTable } from './master-table.ts'
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts'
import { LogCredit } from '../log/lines.ts'
import { BEAT_MS, Vitals, type Open } from './heartbeat.ts'
import { SILENT_MS, WATCH_MS, hangs, listen, patience } from './watchdog.ts'

export interface FleetLog {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface FleetParts {
  readonly setup: Omit<WorkerSetup, 'table' | 'vitals' | 'logCredit'>
  /** Makes a thread that runs proxy/worker.ts with this workerData. */
  readonly spawn: (setup: WorkerSetup) => Worker
  readonly onCounts: (delta: CountsDelta) => void
  readonly onUpstream: (worker: number, counts: UpstreamCounts) => void
  /** A worker ended, with all connections that it had. Its successor has the same number. */
  readonly onGone: (worker: number) => void
  /** Lines of the access log; `done` is called when they are written or dropped. */
  readonly onLines: (data: Uint8Array, lines: number, done: () => void) => void
  readonly log: FleetLog
}

/** A worker as metrics tell of it. */
export interface WorkerState {
  /** From 0; its successors have the same. */
  readonly number: number
  /** The longest lag of its event loop since this was last asked, in seconds; one that hangs: for how long by now. */
  readonly lagSeconds: number
  readonly heapBytes: number
  /** As it was a moment ago. */
  readonly open: Open
}

/** What workers say. */
export interface Answers<A> {
  /** How many were asked: none before the first table. */
  readonly asked: number
  readonly answers: readonly A[]
}

/** Services of one message: some milliseconds of a worker's time. */
const MESSAGE_SERVICES = 500
/** A worker that hangs keeps the next piece from the others for so long at most, in milliseconds. */
const PIECE_WAIT_MS = 1_000

interface Slot {
  readonly number: number
  worker: Worker | null
  vitals: Vitals
  logCredit: LogCredit
  /** Vitals.beats when it was last looked at. */
  beats: number
  /** Time without a beat, in milliseconds; only time in which this thread ran. */
  silent: number
  started: boolean
  /** It is being given the table. */
  loading: boolean
  /** It was told to listen. */
  invited: boolean
  /** It hung, and is being ended. */
  stalled: boolean
  /** It serves what is wrong, and is being ended. */
  withdrawn: boolean
  /** Newest update that it confirmed. */
  applied: number
  /** Of the table, that it serves at least: what only older ones lead to is not for it. */
  generation: number
  flushed: number
  listening: boolean
  drained: boolean
  startedAt: number
  retry: NodeJS.Timeout | null
}

/** A worker's answer to a probe comes so much later than that of its backend at most, in milliseconds. */
const PROBE_SLACK_MS = 1_000

/** A worker that died this soon after its start is replaced only after a pause, in milliseconds. */
const CRASH_LOOP_MS = 1_000

export class WorkerFleet implements TableSink, TicketSink {
  #table = new MasterTable()
  readonly #parts: FleetParts
  readonly #slots: Slot[] = []
  #waiters: { readonly done: () => boolean; readonly resolve: () => void }[] = []
  #sequence = 0
  /** Ends when the update before is on its way, with all of its pieces. */
  #turn: Promise<unknown> = Promise.resolve()
  /** Of the newest update. */
  #written: Promise<unknown> = Promise.resolve()
  #flushSequence = 0
  #questionSequence = 0
  readonly #questions = new Map<number, (slot: Slot, answer: unknown) => void>()
  #probeSequence = 0
  readonly #probes = new Map<number, (answer: ProbeAnswer) => void>()
  #crashes = 0
  #stalls = 0
  #outOfMemory = 0
  #logDropped = 0
  #watch: NodeJS.Timeout | null = null
  #ports: { httpPort: number; httpsPort: number }
  #ticketSecrets: TicketSecrets
  #ticketsOfFleet = false
  #started: Promise<void> | null = null
  #broken: DataPlaneError | null = null
  #draining: 'no' | 'announced' | 'draining' = 'no'
  #stopped = false
  #starting = false
  /** There is a table: workers are to listen. */
  #open = false
  #appliedAt: number | null = null
  readonly #opened = Promise.withResolvers<void>()

  constructor(parts: FleetParts) {
    this.#parts = parts
    const { httpPort, httpsPort } = parts.setup.config
    this.#ports = { httpPort, httpsPort }
    this.#ticketSecrets = parts.setup.ticketSecrets
  }

  /** Another one where one was withdrawn. */
  get table(): MasterTable {
    return this.#table
  }

  /** Sessions that begin here resume at other pods: the operator said the fleet's secrets. */
  get ticketsOfFleet(): boolean {
    return this.#ticketsOfFleet
  }

  setTicketSecrets(secrets: TicketSecrets): void {
    this.#ticketSecrets = secrets
    this.#ticketsOfFleet = true
    this.#send({ type: 'ticket-secrets', secrets })
  }

  /** Workers that crashed and were replaced. */
  get crashes(): number {
    return this.#crashes
  }

  /** Workers that hung and were replaced. */
  get stalls(): number {
    return this.#stalls
  }

  /** Workers whose heap was full; part of the crashes. */
  get outOfMemory(): number {
    return this.#outOfMemory
  }

  /** Lines of the access log that workers dropped: the main thread could not write them in time. */
  get logDropped(): number {
    for (const { logCredit } of this.#slots) this.#logDropped += logCredit.takeDropped()
    return this.#logDropped
  }

  /** What the workers listen on; before they do: as set, 0 where any free port will be taken. */
  get ports(): { readonly httpPort: number; readonly httpsPort: number } {
    return this.#ports
  }

  get listening(): number {
    return this.#slots.filter(slot => slot.listening).length
  }

  /** Workers that listen and gave a sign of life lately. */
  get serving(): number {
    return this.#slots.filter(slot => slot.listening && slot.silent < SILENT_MS).length
  }

  /** A table was applied from outside, and somebody serves it: while a worker is replaced the others do. */
  get ready(): boolean {
    return this.#appliedAt !== null && this.serving > 0
  }

  /** A worker hangs where no thread can be ended, inside of native code: only a new process helps. */
  get stuck(): boolean {
    const { workerStallTimeout } = this.#parts.setup.config
    return this.#slots.some(
      slot => slot.stalled && slot.silent > patience(slot, workerStallTimeout) + CRASH_LOOP_MS * 10,
    )
  }

  /** The workers that run. Asking resets their lag. */
  states(): readonly WorkerState[] {
    return this.#slots.flatMap(({ number, worker, vitals, silent }) => {
      if (!worker) return []
      const lag = Math.max(vitals.takeLag(), silent - BEAT_MS * 2)
      return [{ number, lagSeconds: lag / 1_000, heapBytes: vitals.heapBytes, open: vitals.open }]
    })
  }

  /** Why the table takes no update any more, until the process starts anew; null: it does. */
  get broken(): string | null {
    return this.#broken === null ? null : describe(this.#broken)
  }

  /** Resolves when the first table is served. */
  get opened(): Promise<void> {
    return this.#opened.promise
  }

  /** When the newest update was served by every worker, in milliseconds since the epoch; null: never. */
  get appliedAt(): number | null {
    return this.#appliedAt
  }

  /**
   * Starts the workers; resolves when all take messages. They listen when there is a table: until then connections are
   * refused, and nobody takes a 404 for an answer. @throws if one cannot start at all
   */
  start(): Promise<void> {
    this.#started ??= this.#startAll()
    return this.#started
  }

  /**
   * Resolves with its generation when every worker serves the update. Workers that are being replaced start from a table that has
   * it. The first one is the first table, and lets the workers listen.
   */
  async apply(update: TableUpdate): Promise<number> {
    const written = this.#turn.then(() => this.#write(update))
    this.#written = written
    return this.#serve(written)
  }

  async restore<S extends StoredTable>(
    read: ReadStored<S>,
  ): Promise<{ readonly stored: S; readonly generation: number } | null> {
    const taken = this.#turn.then(() => this.table.restore(read, MESSAGE_SERVICES))
    this.#turn = taken.catch(() => undefined)
    const restored = await taken
    if (restored === null) return null
    const { stored, pieces } = restored
    return { stored, generation: await this.#serve(Promise.resolve(pieces)) }
  }

  /** Ends the workers, as what they have made of the table is as wrong as that; their successors start from a new one. */
  async withdraw(): Promise<void> {
    await this.#turn
    this.#table = new MasterTable()
    ;[this.#sequence, this.#open, this.#appliedAt] = [0, false, null]
    for (const slot of this.#slots) {
      slot.withdrawn = true
      void slot.worker?.terminate()
    }
    const isNew = ({ worker, started, withdrawn }: Slot): boolean => worker !== null && started && !withdrawn
    await this.#until(() => this.#stopped || this.#draining === 'draining' || this.#slots.every(isNew))
  }

  /** @returns the generation of what was written, when every worker serves it */
  async #serve(written: Promise<readonly Published[]>): Promise<number> {
    const sent = written.then(pieces => this.#sendInTurn(pieces))
    // An update that could not be sent must not keep the next ones back.
    this.#turn = sent.catch(() => undefined)
    const { sequence, generation } = await sent
    await this.#servedByAll(sequence)
    this.#appliedAt = Date.now()
    if (this.listening > 0) this.#opened.resolve()
    return generation
  }

  async written(): Promise<void> {
    await this.#written
  }

  objects(): Objects {
    return this.table.objects()
  }

  /** Resolves when every worker sent what it counted, or after the time (milliseconds): a busy worker sends it later. */
  async flush(withinMs: number): Promise<void> {
    const sequence = ++this.#flushSequence
    this.#send({ type: 'flush', sequence })
    await this.#within(withinMs, () => this.#slots.every(slot => slot.worker === null || slot.flushed >= sequence))
  }

  /** Where a request would go, as #askAll. */
  async explain(question: Question, withinMs: number): Promise<Answers<Explained>> {
    return await this.#askAll(sequence => ({ type: 'explain', sequence, question }), withinMs)
  }

  /** What there is of a host, as #askAll. @param name lower case */
  async describeHost(name: string, withinMs: number): Promise<Answers<HostDescription | null>> {
    return await this.#askAll(sequence => ({ type: 'describe-host', sequence, name }), withinMs)
  }

  /** Asks every worker that has a table; those that do not answer in time (milliseconds) are left out. */
  async #askAll<A>(question: (sequence: number) => ToWorker, withinMs: number): Promise<Answers<A>> {
    const sequence = ++this.#questionSequence
    const asked = this.#slots
      .filter(({ worker, applied }) => worker !== null && applied > 0)
      .map(slot => ({ slot, worker: slot.worker, answers: [] as A[] }))
    // What comes under the number of a question is an answer to it.
    this.#questions.set(sequence, (slot, answer) => {
      for (const one of asked) if (one.slot === slot) one.answers = [answer as A]
    })
    for (const { worker } of asked) if (worker) post(worker, question(sequence))
    await this.#within(withinMs, () =>
      asked.every(({ slot, worker, answers }) => answers.length > 0 || slot.worker !== worker),
    )
    this.#questions.delete(sequence)
    return { asked: asked.length, answers: asked.flatMap(({ answers }) => answers) }
  }

  /**
   * Lets a worker ask itself, the next one each time. What was applied before is in what it serves.
   * @returns null: there is none that serves, or it did not say anything: no word of the backend
   */
  async probe(probe: ProbeRequest): Promise<ProbeAnswer | null> {
    const serving = this.#slots.filter(
      ({ worker, listening, loading, stalled }) => worker && listening && !loading && !stalled,
    )
    const sequence = ++this.#probeSequence
    const { worker = null } = serving[sequence % Math.max(1, serving.length)] ?? {}
    if (worker === null || this.#draining === 'draining') return null
    let answer: ProbeAnswer | null = null
    this.#probes.set(sequence, said => (answer = said))
    post(worker, { type: 'probe', sequence, probe })
    await this.#within(probe.timeoutMs + PROBE_SLACK_MS, () => answer !== null || this.#stopped)
    this.#probes.delete(sequence)
    return answer
  }

  /** Callers that wait for something of workers, for tests. */
  get waiting(): number {
    return this.#waiters.length
  }

  announceDrain(): void {
    if (this.#draining === 'no') this.#draining = 'announced'
    this.#send({ type: 'announce-drain' })
  }

  /** Stops accepting; resolves when the last request and tunnel ended, at the latest after the time. */
  async drain(withinMs: number): Promise<void> {
    this.#draining = 'draining'
    this.#wake()
    this.#send({ type: 'drain' })
    await this.#within(withinMs, () => this.#slots.every(slot => slot.worker === null || slot.drained))
  }

  /** Cuts what is still open and ends the workers. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#watch) clearInterval(this.#watch)
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
    for (let number = 0; number < workers; number++) {
      const slot: Slot = {
        ...{ number, worker: null, vitals: new Vitals(), logCredit: new LogCredit(), beats: 0, silent: 0 },
        ...{
          started: false,
          loading: false,
          invited: false,
          stalled: false,
          withdrawn: false,
          applied: 0,
          generation: 0,
          flushed: 0,
          listening: false,
          drained: false,
          startedAt: 0,
          retry: null,
        },
      }
      this.#slots.push(slot)
      this.#spawn(slot)
    }
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref()
    await this.#until(() => this.#slots.every(slot => slot.started || slot.worker === null))
    // At the very start a worker that dies is no crash to recover from: the build is broken.
    if (!this.#slots.every(slot => slot.started)) {
      await this.stop()
      throw new DataPlaneError(
        'SLUICE_WORKER_START',
        'a worker ended before it had started; its error is in the log above',
      )
    }
    this.#starting = false
  }

  /**
   * Tells the workers what is written; of many Services in many messages, each when the one before is taken: between two a worker
   * serves traffic.
   * @returns the number of the last message, and the generation that it is of
   */
  async #sendInTurn(pieces: readonly Published[]): Promise<{ readonly sequence: number; readonly generation: number }> {
    const { generation } = this.table
    let wait = false
    for (const published of pieces) {
      const sent = this.#sequence
      if (wait) await this.#within(PIECE_WAIT_MS, () => this.#took(sent))
      wait = true
      this.#send({ type: 'update', sequence: ++this.#sequence, update: published })
    }
    // Only now: half of a first table is worse than none.
    if (this.#draining === 'no') this.#open = true
    this.#invite()
    return { sequence: this.#sequence, generation }
  }

  /**
   * What could not be written whole is never shown, nor is what would come after it: what is served stays.
   * @throws DataPlaneError SLUICE_TABLE_BROKEN
   */
  async #write(update: TableUpdate): Promise<readonly Published[]> {
    const before = this.#broken
    if (before !== null) throw before
    try {
      return await inPortions(this.table.steps(update, this.#served, MESSAGE_SERVICES))
    } catch (cause) {
      this.#broken = new DataPlaneError(
        'SLUICE_TABLE_BROKEN',
        'an update could not be written to the table: what was served before is served on, and no update is taken until the pod starts anew',
        { cause },
      )
      throw this.#broken
    }
  }

  /** The generation of the table that every worker serves, or a later one. */
  get #served(): number {
    return this.#slots.reduce(
      (least, { worker, generation }) => (worker === null ? least : Math.min(least, generation)),
      this.table.generation,
    )
  }

  /** Every worker has taken the update of this number, whether it listens yet or not. */
  #took(sequence: number): boolean {
    return this.#slots.every(slot => slot.worker === null || slot.applied >= sequence)
  }

  #servedByAll(sequence: number): Promise<void> {
    return this.#until(() =>
      this.#slots.every(
        slot =>
          slot.worker === null || (slot.applied >= sequence && !slot.loading && (slot.listening || !this.#accepting)),
      ),
    )
  }

  #spawn(slot: Slot): void {
    // New memory: one that is being ended may still write into the old one.
    const vitals = new Vitals()
    this.#logDropped += slot.logCredit.takeDropped()
    const logCredit = new LogCredit()
    const memory = { table: this.table.memory, vitals: vitals.memory, logCredit: logCredit.memory }
    const worker = this.#parts.spawn({ ...this.#parts.setup, ticketSecrets: this.#ticketSecrets, ...memory })
    Object.assign(slot, {
      ...{ worker, vitals, logCredit, beats: 0, silent: 0, started: false, invited: false, stalled: false },
      withdrawn: false,
      ...{
        applied: 0,
        generation: this.table.generation,
        flushed: 0,
        listening: false,
        drained: false,
        startedAt: performance.now(),
      },
      loading: this.#sequence > 0,
    })
    worker.on('message', (message: FromWorker) => this.#receive(slot, message))
    worker.on('error', error => this.#failed(slot, error))
    worker.once('exit', code => this.#ended(slot, worker, code))
    if (this.#sequence > 0) void this.#load(slot, worker)
    if (this.#draining !== 'no') post(worker, { type: 'announce-drain' })
    this.#invite()
  }

  /**
   * Gives a worker that starts all that is not in memory, in pieces: 100 000 Services in one message would hold up this thread, and with
   * it probes and the stream. Updates that come meanwhile reach the worker between the pieces. It serves when it has all.
   */
  async #load(slot: Slot, worker: Worker): Promise<void> {
    for (const update of this.table.pieces(MESSAGE_SERVICES)) {
      post(worker, { type: 'update', sequence: this.#sequence, update })
      await nextTurn()
      if (slot.worker !== worker) return
    }
    slot.loading = false
    this.#invite()
    this.#wake()
  }

  get #accepting(): boolean {
    return this.#open && this.#draining !== 'draining' && !this.#stopped
  }

  /** Tells workers to listen. Where the settings say port 0 the others need the port that the first one got. */
  #invite(): void {
    if (!this.#accepting) return
    const { httpPort, httpsPort } = this.#ports
    for (const slot of this.#slots) {
      if (!slot.worker || slot.invited || slot.loading) continue
      const known = httpPort !== 0 && httpsPort !== 0
      if (!known && this.#slots.some(other => other.worker !== null && other.invited)) return
      slot.invited = true
      post(slot.worker, { type: 'listen', httpPort, httpsPort })
    }
  }

  /**
   * Replaces workers that hang: the kernel goes on giving them their share of the connections, and no update is ever
   * confirmed.
   */
  #look(): void {
    const { workerStallTimeout } = this.#parts.setup.config
    for (const slot of this.#slots) {
      if (!slot.worker) continue
      listen(slot, slot.vitals.beats)
      if (slot.stalled || !hangs(slot, workerStallTimeout)) continue
      slot.stalled = true
      this.#stalls++
      this.#parts.log.error(
        { worker: slot.number, thread: slot.worker.threadId, milliseconds: slot.silent },
        `worker ${slot.number} hangs: it is ended and replaced`,
      )
      void slot.worker.terminate()
    }
  }

  #receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'started':
        slot.started = true
        break
      case 'applied':
        slot.applied = message.sequence
        slot.generation = message.generation
        break
      case 'listening': {
        const { httpPort, httpsPort } = message
        this.#ports = { httpPort, httpsPort }
        slot.listening = true
        this.#invite()
        if (this.#appliedAt !== null) this.#opened.resolve()
        break
      }
      case 'counts':
        this.#parts.onCounts(message.delta)
        return
      case 'upstream':
        this.#parts.onUpstream(slot.number, message.counts)
        return
      case 'flushed':
        slot.flushed = message.sequence
        break
      case 'explained':
        this.#questions.get(message.sequence)?.(slot, message.explained)
        break
      case 'host-described':
        this.#questions.get(message.sequence)?.(slot, message.host)
        break
      case 'probed':
        this.#probes.get(message.sequence)?.(message.answer)
        break
      case 'drained':
        slot.drained = true
        break
      case 'lines': {
        const { data, lines } = message
        const { logCredit } = slot
        this.#parts.onLines(data, lines, () => logCredit.release(data.length))
        return
      }
      case 'log':
        this.#parts.log[message.level]({ worker: slot.number, stack: message.stack }, message.message)
        return
    }
    this.#wake()
  }

  #failed({ number }: Slot, error: unknown): void {
    if (errorCode(error) !== 'ERR_WORKER_OUT_OF_MEMORY') {
      this.#parts.log.error({ worker: number, err: error }, 'a worker failed')
      return
    }
    this.#outOfMemory++
    const { workerHeap } = this.#parts.setup.config
    this.#parts.log.error(
      { worker: number, mebibytes: workerHeap },
      `the heap of worker ${number} is full: more than WORKER_HEAP=${workerHeap} allows`,
    )
  }

  #ended(slot: Slot, worker: Worker, code: number): void {
    if (slot.worker !== worker) return
    const early = !slot.started
    Object.assign(slot, { worker: null, listening: false })
    this.#parts.onGone(slot.number)
    if (!this.#stopped) {
      if (!slot.stalled && !slot.withdrawn) this.#crashes++
      this.#parts.log.error({ worker: slot.number, code }, 'a worker ended; its connections are lost')
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

  /** As #until, but for so many milliseconds at most. */
  async #within(milliseconds: number, done: () => boolean): Promise<void> {
    if (done()) return
    await new Promise<void>(resolve => {
      const waiter = {
        done,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      }
      const timer = setTimeout(() => {
        // Nobody waits any more, whether it comes true or not.
        this.#waiters = this.#waiters.filter(other => other !== waiter)
        resolve()
      }, milliseconds)
      this.#waiters.push(waiter)
    })
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
