/** A series of /metrics: labels, and a row of figures (rows.ts) that is its own until it ends. */
import type { Rows } from './rows.ts'

/** What is not listed by itself. */
export const OTHER = 'other'

export class Series {
  /** As the text format wants them. */
  readonly labels: string
  readonly #rows: Rows
  readonly #row: number
  #ended = false

  constructor(rows: Rows, labels: string) {
    this.labels = labels
    this.#rows = rows
    this.#row = rows.take()
  }

  /** Its figures are another's from now on: whoever holds it still (a scrape under way) may not ask for them. */
  get ended(): boolean {
    return this.#ended
  }

  /** @param column of whatever the rows consist of */
  at(column: number): number {
    return this.#rows.at(this.#row, column)
  }

  /** A copy of all its figures. */
  read(): Float64Array<ArrayBuffer> {
    return this.#rows.read(this.#row)
  }

  add(column: number, value: number): void {
    this.#rows.add(this.#row, column, value)
  }

  /** Adds a whole row of other figures. */
  addRow(figures: Float64Array, from: number): void {
    this.#rows.addRow(this.#row, figures, from)
  }

  end(): void {
    this.#ended = true
    this.#rows.give(this.#row)
  }
}

/** A label's value as the text format wants it. */
export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, c => (c === '\n' ? '\\n' : `\\${c}`))
}
