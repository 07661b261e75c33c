/**
 * Figures of requests as rows of numbers in one array: what has traffic has a row, what has none costs nothing. A row is
 * a histogram and a dozen counters; as objects it would be three times as large, and slow to hand from thread to thread.
 */
import { LATENCY_BUCKETS_MS } from '../../protocol/messages.ts'
import type { RequestCounts } from './counts.ts'

/** Columns. All are counts but the sums of bytes and of milliseconds. */
export const REQUESTS = 0
/** 1xx to 5xx. */
export const STATUS = 1
export const CLASSES = 5
export const NOT_FOUND = STATUS + CLASSES
export const UPSTREAM_ERRORS = NOT_FOUND + 1
export const INTERNAL = UPSTREAM_ERRORS + 1
export const REQUEST_BYTES = INTERNAL + 1
export const RESPONSE_BYTES = REQUEST_BYTES + 1
export const LATENCY_SUM = RESPONSE_BYTES + 1
/** One per LATENCY_BUCKETS_MS and one for slower. Not cumulative. */
export const LATENCY = LATENCY_SUM + 1
export const BUCKETS = LATENCY_BUCKETS_MS.length + 1
export const WIDTH = LATENCY + BUCKETS

/** Rows of one piece of memory, some 28 KiB: growing copies nothing, and what is held is what is used. */
const PIECE_BITS = 7
const PIECE_ROWS = 1 << PIECE_BITS
/** Pieces kept for the next ones after a rush. */
const KEPT_PIECES = 8

/** Grows with what is taken. Doubles: of what is summed up for weeks 32 bits are too few. */
export class Rows {
  readonly #pieces: Float64Array<ArrayBuffer>[] = []
  #count = 0
  readonly #free: number[] = []

  /** Rows taken and not given back. */
  get size(): number {
    return this.#count - this.#free.length
  }

  /** A row of zeros. */
  take(): number {
    const free = this.#free.pop()
    if (free !== undefined) {
      const base = (free % PIECE_ROWS) * WIDTH
      this.#piece(free).fill(0, base, base + WIDTH)
      return free
    }
    if (this.#count === this.#pieces.length * PIECE_ROWS) this.#pieces.push(new Float64Array(PIECE_ROWS * WIDTH))
    return this.#count++
  }

  /** Another one may have it from now on: nobody may ask for it any more. */
  give(row: number): void {
    this.#free.push(row)
  }

  at(row: number, column: number): number {
    return this.#piece(row)[(row % PIECE_ROWS) * WIDTH + column] ?? 0
  }

  add(row: number, column: number, value: number): void {
    const piece = this.#piece(row)
    const at = (row % PIECE_ROWS) * WIDTH + column
    piece[at] = (piece[at] ?? 0) + value
  }

  /** Adds a whole row of other figures. */
  addRow(row: number, figures: Float64Array, from: number): void {
    const piece = this.#piece(row)
    const into = (row % PIECE_ROWS) * WIDTH
    const base = from * WIDTH
    for (let i = 0; i < WIDTH; i++) piece[into + i] = (piece[into + i] ?? 0) + (figures[base + i] ?? 0)
  }

  /** All that was counted, row by row; begins anew. None may have been given back. */
  drain(): Float64Array<ArrayBuffer> {
    const drained = new Float64Array(this.#count * WIDTH)
    this.#pieces.forEach((piece, i) => {
      const base = i * PIECE_ROWS * WIDTH
      const used = Math.max(0, Math.min(piece.length, drained.length - base))
      if (used === 0) return
      drained.set(piece.subarray(0, used), base)
      piece.fill(0, 0, used)
    })
    this.#pieces.length = Math.min(this.#pieces.length, KEPT_PIECES)
    this.#count = 0
    return drained
  }

  /** For people and tests. */
  read(row: number): RequestCounts {
    return readRow(this.#piece(row), row % PIECE_ROWS)
  }

  #piece(row: number): Float64Array<ArrayBuffer> {
    const piece = this.#pieces[row >>> PIECE_BITS]
    if (piece === undefined) throw new RangeError(`row ${row} was never taken`)
    return piece
  }
}

/** Which bucket of the histogram a time (milliseconds) falls into. */
export function bucketOf(milliseconds: number): number {
  let bucket = 0
  while (bucket < LATENCY_BUCKETS_MS.length && milliseconds > (LATENCY_BUCKETS_MS[bucket] ?? 0)) bucket++
  return bucket
}

/** One row as an object. */
export function readRow(figures: Float64Array, row: number): RequestCounts {
  const at = (column: number): number => figures[row * WIDTH + column] ?? 0
  const several = (column: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => at(column + i))
  return {
    requests: at(REQUESTS),
    status: several(STATUS, CLASSES),
    notFound: at(NOT_FOUND),
    upstreamErrors: at(UPSTREAM_ERRORS),
    internal: at(INTERNAL),
    requestBytes: at(REQUEST_BYTES),
    responseBytes: at(RESPONSE_BYTES),
    latency: { sum: at(LATENCY_SUM), counts: several(LATENCY, BUCKETS) },
  }
}
