/**
 * Says to the leader what this pod serves and what it saw: every interval, and at once when a rollout waits for it. A
 * report that may not have arrived is sent again as it is, under its number, so that it counts once and nothing is lost.
 */
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import type { ObserveMessage, Refusal, Report } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import { describe } from '../errors.ts'
import type { ProbeSource } from '../probe/prober.ts'
import type { CounterSource } from '../report/counter-source.ts'
import { parseAddress } from './address.ts'
import type { Address } from './address.ts'
import { Backoff } from './backoff.ts'
import { StreamError } from './errors.ts'
import type { StreamLog } from './log.ts'
import { RetryLog } from './retry-log.ts'
import type { Served } from './served.ts'
import type { Answer, Transport } from './transport.ts'

/** Milliseconds, all of them. */
export interface ReporterTimings {
  /** Between reports, until the operator says otherwise. */
  readonly interval: number
  /** What happens within this time goes into one urgent report. */
  readonly coalesce: number
  /** From one report to the next urgent one. */
  readonly gap: number
  readonly answer: number
  readonly retryFirst: number
  readonly retryMost: number
  /** For the last report of a proxy that ends. */
  readonly farewell: number
}

export const REPORTER_TIMINGS: ReporterTimings = {
  ...{ interval: 10_000, coalesce: 50, gap: 200, answer: 5_000, retryFirst: 250, retryMost: 5_000, farewell: 2_000 },
}

export interface ReporterParts {
  readonly pod: string
  /** Different for every start of the process. */
  readonly instance: string
  readonly counters: CounterSource
  readonly probes: Pick<ProbeSource, 'take'>
  readonly served: Served
  readonly refusals: () => readonly Refusal[]
  readonly transport: Pick<Transport, 'report'>
  readonly log: StreamLog
  readonly timings?: Partial<ReporterTimings>
}

/** Made, and not known to have arrived. */
interface Pending {
  readonly sequence: number
  readonly body: string
}

export class Reporter {
  readonly #parts: ReporterParts
  readonly #timings: ReporterTimings
  readonly #retries: RetryLog
  readonly #backoff: Backoff
  #observed: ReadonlySet<ObjectKey> = new Set()
  #interval: number
  #sequence = 0
  #pending: Pending | null = null
  /** What the stream said last; a 421 may know better for a while. */
  #announced: string | null = null
  #leader: Address | null = null
  #inFlight: AbortController | null = null
  #source: Served['source'] = 'none'
  /** Monotonic milliseconds. */
  #dueAt = 0
  #retryAt = 0
  #sentAt = -Infinity
  #wake: (() => void) | null = null
  #closing = false
  #running: Promise<void> | null = null

  constructor(parts: ReporterParts) {
    this.#parts = parts
    this.#timings = { ...REPORTER_TIMINGS, ...parts.timings }
    this.#interval = this.#timings.interval
    this.#retries = new RetryLog(parts.log)
    this.#backoff = new Backoff({ first: this.#timings.retryFirst, most: this.#timings.retryMost })
  }

  start(): void {
    this.#running ??= this.#run()
  }

  observe({ objects, intervalMs }: Pick<ObserveMessage, 'objects' | 'intervalMs'>): void {
    const before = this.#observed
    this.#observed = new Set(objects)
    this.#interval = intervalMs
    this.#dueAt = Math.min(this.#dueAt, this.#sentAt + intervalMs)
    // Whoever begins to look at an object waits to hear of it, also where nothing changes any more.
    if (objects.some(key => !before.has(key))) this.#soon()
    else this.#wake?.()
  }

  /** Every worker serves a new state; these revisions changed. */
  served(revisions: ReadonlyMap<ObjectKey, Revision | null>): void {
    const { source } = this.#parts.served
    const moved = source !== this.#source
    this.#source = source
    if (moved || [...this.#observed].some(key => revisions.has(key))) this.#soon()
  }

  refused(): void {
    this.#soon()
  }

  /** The stream names it with every message that can; the same name again is no news. */
  leader(announced: string | null): void {
    if (announced === this.#announced) return
    this.#announced = announced
    if (!this.#goTo(announced)) return
    this.#retryAt = 0
    this.#soon()
    this.#inFlight?.abort(MOVED)
  }

  /** Ends with a last report, if somebody takes it in time. */
  async close(): Promise<void> {
    this.#closing = true
    this.#wake?.()
    const late = new AbortController()
    const timer = setTimeout(() => {
      late.abort()
      this.#inFlight?.abort(CLOSED)
    }, this.#timings.farewell)
    await this.#running
    if (this.#pending !== null && !late.signal.aborted) await this.#deliver(this.#pending)
    if (this.#pending === null && this.#leader !== null && !late.signal.aborted) {
      await this.#deliver(await this.#make())
    }
    clearTimeout(timer)
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#untilDue()
      if (this.#closing) return
      await this.#deliver(this.#pending ?? (await this.#make()))
    }
  }

  async #untilDue(): Promise<void> {
    while (!this.#closing) {
      const at = this.#pending === null ? this.#dueAt : this.#retryAt
      const wait = this.#leader === null ? null : at - performance.now()
      if (wait !== null && wait <= 0) return
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#wake = resolve
        if (wait !== null) timer = setTimeout(resolve, wait)
      })
      this.#wake = null
      clearTimeout(timer)
    }
  }

  #soon(): void {
    const { coalesce, gap } = this.#timings
    this.#dueAt = Math.min(this.#dueAt, Math.max(performance.now() + coalesce, this.#sentAt + gap))
    this.#wake?.()
  }

  async #make(): Promise<Pending> {
    const { pod, instance, counters, probes, served } = this.#parts
    const counts = await counters.take()
    // From here to the end without a pause: what happens later makes the next report due.
    this.#dueAt = performance.now() + this.#interval
    const probed = probes.take()
    const report: Report = {
      type: 'report',
      protocol: PROTOCOL_VERSION,
      pod,
      instance,
      sequence: ++this.#sequence,
      stateHash: served.stateHash,
      source: served.source,
      checksums: served.checksums,
      refused: this.#parts.refusals(),
      revisions: Object.fromEntries([...this.#observed].map(key => [key, served.revision(key)])),
      hosts: counts.hosts,
      objects: counts.objects,
      ...(Object.keys(probed).length === 0 ? {} : { probes: probed }),
    }
    this.#pending = { sequence: report.sequence, body: JSON.stringify(report) }
    return this.#pending
  }

  /** One attempt. Never rejects. */
  async #deliver(pending: Pending): Promise<void> {
    const to = this.#leader
    if (to === null) return
    const abort = new AbortController()
    this.#inFlight = abort
    this.#sentAt = performance.now()
    const late = new StreamError('SLUICE_STREAM_TIMEOUT', `no answer within ${this.#timings.answer} ms`)
    const timer = setTimeout(() => abort.abort(late), this.#timings.answer)
    try {
      this.#answered(pending, await this.#parts.transport.report(to, pending.body, abort.signal))
    } catch (error) {
      if (abort.signal.reason !== MOVED) this.#failed(pending, describe(error))
    } finally {
      clearTimeout(timer)
      this.#inFlight = null
    }
  }

  #answered(pending: Pending, { status, body }: Answer): void {
    if (status >= 200 && status < 300) {
      this.#pending = null
      this.#backoff.reset()
      this.#retries.succeeded()
      return
    }
    if (status === 400 || status === 413) {
      // It will never be taken, and those behind it must be.
      this.#pending = null
      this.#parts.log.error({ status, sequence: pending.sequence }, `report dropped: ${body.slice(0, 300)}`)
      return
    }
    const elsewhere = status === 421 ? leaderOf(body) : null
    if (elsewhere === null) {
      this.#failed(pending, `the operator answered ${status}: ${body.slice(0, 300)}`)
      return
    }
    this.#goTo(elsewhere)
    // At once, but two replicas that name each other must not be asked as fast as they answer.
    this.#retryAt = performance.now() + this.#backoff.next() / 10
  }

  #failed(pending: Pending, reason: string): void {
    this.#retryAt = performance.now() + this.#backoff.next()
    if (this.#closing) return
    // Whoever a 421 named may be gone; the stream knows who leads now.
    if (this.#announced !== null) this.#leader = parseAddress(this.#announced)
    this.#retries.failed({ sequence: pending.sequence }, `report not delivered: ${reason}; trying again`)
  }

  /** True: there is one, and it is another one. */
  #goTo(text: string | null): boolean {
    const to = text === null ? null : parseAddress(text)
    if (text !== null && to === null) this.#parts.log.warn({ leader: text }, 'report: not the address of a leader')
    const same = to?.host === this.#leader?.host && to?.port === this.#leader?.port
    this.#leader = to
    return to !== null && !same
  }
}

function leaderOf(body: string): string | null {
  try {
    const answer: unknown = JSON.parse(body)
    const leader = typeof answer === 'object' && answer !== null && 'leader' in answer ? answer.leader : null
    return typeof leader === 'string' ? leader : null
  } catch {
    return null
  }
}

const MOVED = new StreamError('SLUICE_STREAM_CLOSED', 'somebody else leads now')
const CLOSED = new StreamError('SLUICE_STREAM_CLOSED', 'the proxy ends')
