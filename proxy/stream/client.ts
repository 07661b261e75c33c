/**
 * Keeps one stream open to the operator, and feeds the receiver. Everything that goes wrong ends in trying again: at once
 * where that can help, later where it cannot, with jitter always. The table is served whatever happens here.
 */
import { isProtocolError } from '../../protocol/errors.ts'
import type { ProtocolError } from '../../protocol/errors.ts'
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import type { Refusal, StreamMessage } from '../../protocol/messages.ts'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import { describe } from '../errors.ts'
import { Backoff } from './backoff.ts'
import { StreamError } from './errors.ts'
import type { StreamLog } from './log.ts'
import { SnapshotPacing } from './pacing.ts'
import { readLines } from './read-lines.ts'
import type { Received, Receiver } from './receiver.ts'
import { RetryLog } from './retry-log.ts'
import type { Transport } from './transport.ts'

/** Milliseconds, all of them. */
export interface ClientTimings {
  /** To reconnect: the first wait, and the longest. */
  readonly retryFirst: number
  readonly retryMost: number
  /** To ask for a snapshot again that was refused. */
  readonly snapshotFirst: number
  readonly snapshotMost: number
  /** From the start of a connection to the head of the answer. */
  readonly connect: number
  /** The operator pings every 5 s: four times that is silence. */
  readonly silence: number
  /** A connection that lived so long was a good one, whatever came over it. */
  readonly lived: number
  /** A verified state makes a good connection too, unless it ends before this: two who take turns must not race. */
  readonly livedVerified: number
  /** Before asking an operator again that speaks another version. */
  readonly unsupported: number
}

export const CLIENT_TIMINGS: ClientTimings = {
  ...{ retryFirst: 100, retryMost: 5_000, snapshotFirst: 1_000, snapshotMost: 60_000 },
  ...{ connect: 10_000, silence: 20_000, lived: 30_000, livedVerified: 1_000, unsupported: 60_000 },
}

export interface ClientParts {
  readonly receiver: Receiver
  readonly transport: Pick<Transport, 'open'>
  readonly log: StreamLog
  readonly timings?: Partial<ClientTimings>
}

/** How a connection ended: `again` at once, or after a pause. */
type Ending = 'again' | 'pause' | 'pause-long'

export class StreamClient {
  readonly #parts: ClientParts
  readonly #timings: ClientTimings
  readonly #retries: RetryLog
  readonly #backoff: Backoff
  readonly #pacing: SnapshotPacing
  readonly #unknownTypes = new Set<string>()
  readonly #end = new AbortController()
  #running: Promise<void> | null = null
  #connected = false

  constructor(parts: ClientParts) {
    this.#parts = parts
    const timings = { ...CLIENT_TIMINGS, ...parts.timings }
    this.#timings = timings
    this.#retries = new RetryLog(parts.log)
    this.#backoff = new Backoff({ first: timings.retryFirst, most: timings.retryMost })
    this.#pacing = new SnapshotPacing({ first: timings.snapshotFirst, most: timings.snapshotMost })
  }

  /** The operator answered, and the stream is open. */
  get connected(): boolean {
    return this.#connected
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#end.abort(new StreamError('SLUICE_STREAM_CLOSED', 'the proxy ends'))
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#end.signal.aborted) {
      const ending = await this.#connection()
      if (ending === 'pause') await this.#pause(this.#backoff.next())
      if (ending === 'pause-long') await this.#pause(this.#timings.unsupported * (0.5 + Math.random() / 2))
    }
  }

  /** One connection from start to end. Never rejects. */
  async #connection(): Promise<Ending> {
    const { receiver, transport } = this.#parts
    const cut = new AbortController()
    const signal = AbortSignal.any([cut.signal, this.#end.signal])
    const connection = { cut, openedAt: null as number | null, verified: false, timer: null as NodeJS.Timeout | null }
    try {
      const resumeHash = receiver.resumeHash
      const response = await this.#within(this.#timings.connect, cut, transport.open(resumeHash, signal))
      this.#opened(resumeHash)
      connection.openedAt = performance.now()
      receiver.connect(resumeHash)
      for await (const lines of readLines(response, this.#timings.silence)) {
        for (const line of lines) {
          const received = await untilAborted(this.#take(line), signal)
          if (received === 'unsupported') return 'pause-long'
          if (received === 'verified') connection.verified = true
          this.#schedule(received, connection)
          await untilAborted(receiver.room(), signal)
        }
      }
      throw new StreamError('SLUICE_STREAM_ENDED', 'the operator ended the stream')
    } catch (error) {
      if (signal.aborted && signal.reason === SNAPSHOT_WANTED) return 'again'
      // A line too long to be read: it would come again to whoever resumes before it.
      if (isProtocolError(error)) receiver.refuse(violation(error))
      if (!this.#end.signal.aborted) this.#failed(signal.aborted ? signal.reason : error)
      return 'pause'
    } finally {
      this.#connected = false
      receiver.disconnect()
      if (connection.timer !== null) clearTimeout(connection.timer)
      const lived = connection.openedAt === null ? 0 : performance.now() - connection.openedAt
      if (lived >= (connection.verified ? this.#timings.livedVerified : this.#timings.lived)) this.#backoff.reset()
      cut.abort(new StreamError('SLUICE_STREAM_CLOSED', 'the connection is not needed any more'))
    }
  }

  async #take(line: string): Promise<Received> {
    const { receiver, log } = this.#parts
    let message: StreamMessage
    try {
      message = parseStreamMessage(line)
    } catch (error) {
      if (!isProtocolError(error)) throw error
      if (error.code !== 'SLUICE_MESSAGE_UNKNOWN') {
        return receiver.refuse(violation(error))
      }
      if (!this.#unknownTypes.has(error.messageType)) {
        this.#unknownTypes.add(error.messageType)
        log.warn({ type: error.messageType.slice(0, 100) }, `stream: skipped a ${error.message}`)
      }
      return 'taken'
    }
    const received = await receiver.receive(message)
    if (received === 'unsupported' && message.type === 'hello') {
      log.error(
        { theirs: message.protocol, ours: PROTOCOL_VERSION, operator: message.operator },
        'stream: the operator speaks another version of the protocol; the table stays as it is',
      )
    }
    return received
  }

  /** Decides when to cut this connection for one with a full snapshot; endpoints keep coming over it until then. */
  #schedule(received: Received, connection: { readonly cut: AbortController; timer: NodeJS.Timeout | null }): void {
    const at = (time: number): void => {
      if (connection.timer !== null) clearTimeout(connection.timer)
      const wait = time - performance.now()
      if (wait <= 0) connection.cut.abort(SNAPSHOT_WANTED)
      else connection.timer = setTimeout(() => connection.cut.abort(SNAPSHOT_WANTED), wait)
    }
    if (received === 'verified') {
      this.#pacing.reset()
      if (connection.timer !== null) clearTimeout(connection.timer)
      connection.timer = null
    } else if (received === 'refused' && connection.timer === null) at(this.#pacing.refused(performance.now()))
    else if (received === 'waiting') at(this.#pacing.changed())
  }

  #opened(resumeHash: string | null): void {
    this.#connected = true
    this.#retries.succeeded()
    this.#parts.log.info({ resume: resumeHash !== null }, 'stream: connected')
  }

  #failed(error: unknown): void {
    this.#retries.failed({}, `stream: ${describe(error)}; trying again`)
  }

  async #within<T>(milliseconds: number, cut: AbortController, work: Promise<T>): Promise<T> {
    const late = new StreamError('SLUICE_STREAM_TIMEOUT', `no answer within ${milliseconds} ms`)
    const timer = setTimeout(() => cut.abort(late), milliseconds)
    return work.finally(() => clearTimeout(timer))
  }

  #pause(milliseconds: number): Promise<void> {
    const { signal } = this.#end
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      signal.addEventListener('abort', done)
    })
  }
}

const SNAPSHOT_WANTED = new StreamError('SLUICE_STREAM_CLOSED', 'a full snapshot is needed')

function violation({ message }: ProtocolError): Refusal {
  return { reason: 'SchemaViolation', object: null, message }
}

/** @throws the signal's reason: workers that hang must not keep a connection, or the process, from ending */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error)
    signal.addEventListener('abort', stop)
  })
  return await Promise.race([work, aborted]).finally(() => signal.removeEventListener('abort', stop))
}
