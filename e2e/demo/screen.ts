/** Output: lines that scroll, and below them, on a terminal, a live table. In a pipe plain lines alone. */
import type { Paint } from './table.ts'

const CODES = { good: '32', bad: '1;31', dim: '2', strong: '1', update: '36' } as const
const REDRAW_MS = 250

export interface Terminal {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class Screen {
  readonly #out: Terminal
  readonly #live: boolean
  readonly #colour: boolean
  #table: (() => readonly string[]) | null = null
  #drawn = 0
  #timer: NodeJS.Timeout | null = null

  constructor(out: Terminal, env: Readonly<Record<string, string | undefined>>) {
    this.#out = out
    this.#live = out.isTTY === true && env['TERM'] !== 'dumb'
    // https://no-color.org: any value but the empty one
    this.#colour = this.#live && !env['NO_COLOR']
  }

  get live(): boolean {
    return this.#live
  }

  readonly paint: Paint = (style, text) => (this.#colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text)

  say(...lines: readonly string[]): void {
    this.#erase()
    for (const line of lines) this.#out.write(`${line}\n`)
    this.#draw()
  }

  title(text: string): void {
    this.say('', this.paint('strong', `== ${text}`))
  }

  /** Shows the table from now on, on a terminal. */
  showTable(table: () => readonly string[]): void {
    this.#table = table
    if (!this.#live) return
    this.#timer ??= setInterval(() => {
      this.#erase()
      this.#draw()
    }, REDRAW_MS)
    this.#draw()
  }

  /** In a pipe the table is printed where something changed. */
  tableNow(): void {
    if (!this.#live && this.#table !== null) this.say('', ...this.#table().map(line => `  ${line}`), '')
  }

  hideTable(): void {
    this.#erase()
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#table = null
  }

  #erase(): void {
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}A\r\x1b[J`)
    this.#drawn = 0
  }

  #draw(): void {
    if (!this.#live || this.#table === null) return
    // A table wider than the terminal would wrap, and the lines to go back would be miscounted.
    const lines = ['', ...this.#table(), '']
    this.#out.write(`\x1b[?7l${lines.map(line => `${line}\n`).join('')}\x1b[?7h`)
    this.#drawn = lines.length
  }
}
