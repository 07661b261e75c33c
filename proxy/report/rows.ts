/**
 * Figures as rows of numbers in flat arrays: what has something to count has a row, what has not costs nothing. As objects
 * they would be three times as large, and slow to hand from thread to thread.
 */

/** Rows of one piece of memory: growing copies nothing, and what is held is what is used. */
const PIECE_BITS = 7
const PIECE_ROWS = 1 << PIECE_BITS
/** Pieces kept for the next ones after a rush. */
const KEPT_PIECES = 8

/** Grows with what is taken. Doubles: of what is summed up for weeks 32 bits are too few. */
export class Rows {
  readonly #width: number
  readonly #pieces: Float64Array<ArrayBuffer>[] = []
  #count = 0
  readonly #free: number[] = []

  /** @param width columns */
  constructor(width: number) {
    this.#width = width
  }

  /** Rows taken and not given back. */
  get size(): number {
    return this.#count - this.#free.length
  }

  /** A row of zeros. */
  take(): number {
    const free = this.#free.pop()
    if (free !== undefined) {
      const base = (free % PIECE_ROWS) * this.#width
      this.#piece(free).fill(0, base, base + this.#width)
      return free
    }
    if (this.#count === this.#pieces.length * PIECE_ROWS) this.#pieces.push(new Float64Array(PIECE_ROWS * this.#width))
    return this.#count++
  }

  /** Another one may have it from now on: nobody may ask for it any more. */
  give(row: number): void {
    this.#free.push(row)
  }

  at(row: number, column: number): number {
    return this.#piece(row)[(row % PIECE_ROWS) * this.#width + column] ?? 0
  }

  add(row: number, column: number, value: number): void {
    const piece = this.#piece(row)
    const at = (row % PIECE_ROWS) * this.#width + column
    piece[at] = (piece[at] ?? 0) + value
  }

  /** The memory that a row is in, from `baseOf` on: for who adds to many columns of one row. Good until the next call of any other method. */
  pieceOf(row: number): Float64Array {
    return this.#piece(row)
  }

  baseOf(row: number): number {
    return (row % PIECE_ROWS) * this.#width
  }

  /** Adds a whole row of other figures. @param width of their rows: of wider ones the first columns are taken */
  addRow(row: number, figures: Float64Array, from: number, width = this.#width): void {
    const piece = this.#piece(row)
    const into = (row % PIECE_ROWS) * this.#width
    const base = from * width
    for (let i = 0; i < this.#width; i++) piece[into + i] = (piece[into + i] ?? 0) + (figures[base + i] ?? 0)
  }

  /** All that was counted, row by row; begins anew. None may have been given back. */
  drain(): Float64Array<ArrayBuffer> {
    const drained = new Float64Array(this.#count * this.#width)
    this.#pieces.forEach((piece, i) => {
      const base = i * PIECE_ROWS * this.#width
      const used = Math.max(0, Math.min(piece.length, drained.length - base))
      if (used === 0) return
      drained.set(piece.subarray(0, used), base)
      piece.fill(0, 0, used)
    })
    this.#pieces.length = Math.min(this.#pieces.length, KEPT_PIECES)
    this.#count = 0
    return drained
  }

  /** A copy. */
  read(row: number): Float64Array<ArrayBuffer> {
    const base = (row % PIECE_ROWS) * this.#width
    return this.#piece(row).slice(base, base + this.#width)
  }

  #piece(row: number): Float64Array<ArrayBuffer> {
    const piece = this.#pieces[row >>> PIECE_BITS]
    if (piece === undefined) throw new RangeError(`row ${row} was never taken`)
    return piece
  }
}
