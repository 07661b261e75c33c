/**
 * What a worker counted on its way to the main thread. In messages of limited size, each in a turn of the loop of its own:
 * to copy the names of 20 000 hosts with their Services and endpoints takes longer than a request should wait.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { WIDTH } from '../report/columns.ts'
import { CODES_OF_ROW, type CountsDelta, type NamedRows } from '../report/counts.ts'
import { TALLY_WIDTH, type UpstreamCounts } from '../upstream/endpoint-counters.ts'
import type { FromWorker } from './messages.ts'

/** Rows of a message: its making, and its taking in the main thread, are well below a millisecond or two. */
export const MESSAGE_ROWS = 1_000

type CountsMessage = Extract<FromWorker, { readonly type: 'counts' | 'upstream' }>

export interface HandOverParts {
  /** As those of DataPlane. */
  readonly flushCounts: () => CountsDelta | null
  readonly flushUpstream: () => UpstreamCounts | null
  /** @param figures may be handed over instead of copied */
  readonly post: (message: CountsMessage, figures: ArrayBuffer) => void
}

export class HandOver {
  readonly #parts: HandOverParts
  /** Of each call, what is not posted yet; each begins when the one before has ended. */
  readonly #left: Generator<CountsMessage, void, void>[] = []

  constructor(parts: HandOverParts) {
    this.#parts = parts
  }

  /** Resolves when everything that was counted before the call is posted. */
  async inTurns(): Promise<void> {
    const mine = messagesOf(this.#parts)
    this.#left.push(mine)
    while (this.#left.includes(mine)) {
      if (this.#postOne()) await nextTurn()
    }
  }

  /** The same in one go, for a worker that ends; what calls before have not posted yet comes first. */
  atOnce(): void {
    this.#left.push(messagesOf(this.#parts))
    while (this.#left.length > 0) this.#postOne()
  }

  /** @returns false: there was nothing to be posted */
  #postOne(): boolean {
    const next = this.#left[0]?.next()
    if (next?.done !== false) {
      this.#left.shift()
      return false
    }
    const message = next.value
    const { figures } = message.type === 'counts' ? message.delta.requests : message.counts
    this.#parts.post(message, figures.buffer)
    return true
  }
}

/** What is counted from one flush to the next is read when its turn comes. */
function* messagesOf({ flushCounts, flushUpstream }: HandOverParts): Generator<CountsMessage, void, void> {
  const delta = flushCounts()
  if (delta !== null) for (const piece of countsPieces(delta)) yield { type: 'counts', delta: piece }
  const counts = flushUpstream()
  if (counts === null) return
  for (let from = 0; from < counts.names.length; from += MESSAGE_ROWS) {
    yield { type: 'upstream', counts: rowsOf(counts, TALLY_WIDTH, from) }
  }
}

/** What has no rows is in the first one. */
function* countsPieces(delta: CountsDelta): Generator<CountsDelta, void, void> {
  const { requests, tls } = delta
  const nothing = { connectFailures: 0, defects: 0, carried: { relay: 0, full: 0 }, events: [] }
  for (let from = 0; from === 0 || from < Math.max(requests.names.length, tls.length); from += MESSAGE_ROWS) {
    yield {
      ...(from === 0 ? delta : nothing),
      requests: { ...rowsOf(requests, WIDTH, from), codes: codesOf(requests, from) },
      tls: tls.slice(from, from + MESSAGE_ROWS),
    }
  }
}

interface Rows<N> {
  readonly names: readonly N[]
  readonly figures: Float64Array<ArrayBuffer>
}

/** Of the rows of one message, under the numbers that they have there. */
function codesOf({ names, codes }: NamedRows, from: number): NamedRows['codes'] {
  if (names.length <= MESSAGE_ROWS) return from === 0 ? codes : []
  const [first, end] = [from * CODES_OF_ROW, (from + MESSAGE_ROWS) * CODES_OF_ROW]
  return codes.filter(([key]) => key >= first && key < end).map(([key, count]) => [key - first, count] as const)
}

/** From this row on, in memory of their own; all of them as they are. */
function rowsOf<N>(rows: Rows<N>, width: number, from: number): Rows<N> {
  const { names, figures } = rows
  if (names.length <= MESSAGE_ROWS && from === 0) return rows
  const to = from + MESSAGE_ROWS
  return { names: names.slice(from, to), figures: figures.slice(from * width, to * width) }
}
