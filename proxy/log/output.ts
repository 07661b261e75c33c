/**
 * Where log lines go: a pipe or a file, written without ever waiting for whoever reads it. What nobody reads is kept up to
 * a limit, then dropped. A write to a full pipe would otherwise block: the main thread, with its probes, or one of the
 * four threads that all file access and DNS of the process share.
 */
import { closeSync, constants, fstatSync, openSync, writeSync, writev } from 'node:fs'

/** The part of Output that whoever has lines needs. */
export interface LineOutput {
  /**
   * @param lines that are in the data
   * @param done called once: written, or dropped
   */
  write(data: string | Uint8Array, lines?: number, done?: (written: boolean) => void): void
}

export interface OutputOptions {
  /** `stdout`, or a path to append to. */
  readonly to: string
  /** Bytes kept for a reader that is slow or away. */
  readonly limit: number
}

interface Piece {
  data: Uint8Array
  readonly lines: number
  readonly done: ((written: boolean) => void) | null
}

/** Bytes handed to the kernel in one go: what a pipe holds on Linux (pipe(7)). */
const WRITE_BYTES = 65_536
/** Until a full pipe is tried again, in milliseconds; doubles while it stays full. */
const FULL_FIRST_MS = 5
const FULL_MOST_MS = 100
/** Until an output that failed is tried again, in milliseconds. */
const FAILED_MS = 1_000
/** More than a write takes that does not wait for its reader, in milliseconds. */
const FLIGHT_MS = 20
/** How long an end waits for a reader, in milliseconds. */
const FLUSH_MS = 200

export class Output implements LineOutput {
  readonly #options: OutputOptions
  #fd: number | null = null
  /** A write may wait for the reader: what is there cannot be opened in another mode. */
  #blocking = false
  readonly #queue: Piece[] = []
  /** Handed to the kernel, and not known to be written yet. */
  #flight: Piece[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | null = null
  #wait = FULL_FIRST_MS
  #dropped = 0
  readonly #idle: (() => void)[] = []

  constructor(options: OutputOptions) {
    this.#options = options
  }

  /** Lines that were dropped, as nobody read them in time or the output failed; without those whose `done` was told. */
  get dropped(): number {
    return this.#dropped
  }

  /** Bytes that wait to be written. */
  get pending(): number {
    return this.#bytes
  }

  write(data: string | Uint8Array, lines = 1, done: ((written: boolean) => void) | null = null): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    if (this.#bytes + bytes.length > this.#options.limit) {
      this.#drop(lines, done)
      return
    }
    this.#bytes += bytes.length
    this.#queue.push({ data: bytes, lines, done })
    if (this.#timer === null) this.#next()
  }

  /** Resolves when everything is written, at the latest after the time (milliseconds). */
  async end(withinMs: number): Promise<void> {
    if (this.#bytes === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#idle.push(resolve)
      timer = setTimeout(resolve, withinMs)
    })
    clearTimeout(timer)
  }

  /** For the last lines before an exit: writes what is there, and gives a slow reader a moment. */
  flushSync(): void {
    const sleep = new Int32Array(new SharedArrayBuffer(4))
    if (this.#flight.length > 0) {
      if (this.#blocking) return
      // Another thread is at it, and does not need this one.
      Atomics.wait(sleep, 0, 0, FLIGHT_MS)
    }
    const end = performance.now() + FLUSH_MS
    try {
      const fd = this.#open()
      for (let piece = this.#queue[0]; piece !== undefined; piece = this.#queue[0]) {
        try {
          this.#take(this.#queue, writeSync(fd, piece.data))
        } catch (error) {
          if (!isFull(error) || performance.now() > end) return
          Atomics.wait(sleep, 0, 0, FULL_FIRST_MS)
        }
      }
    } catch {
      // Not there: there is nobody to tell.
    }
  }

  #next(): void {
    if (this.#flight.length > 0 || this.#queue.length === 0) return
    let fd: number
    try {
      fd = this.#open()
    } catch {
      this.#fail()
      return
    }
    let bytes = 0
    while (this.#queue[0] && (bytes === 0 || bytes + this.#queue[0].data.length <= WRITE_BYTES)) {
      const piece = this.#queue.shift() as Piece
      bytes += piece.data.length
      this.#flight.push(piece)
    }
    writev(
      fd,
      this.#flight.map(({ data }) => data),
      (error, written) => this.#written(error, written),
    )
  }

  #written(error: NodeJS.ErrnoException | null, written: number): void {
    if (error && !isFull(error)) {
      this.#fail()
      return
    }
    if (!error) this.#take(this.#flight, written)
    // What did not fit goes first the next time.
    const rest = this.#flight
    this.#flight = []
    this.#queue.unshift(...rest)
    if (error) {
      this.#later(this.#wait)
      this.#wait = Math.min(this.#wait * 2, FULL_MOST_MS)
      return
    }
    this.#wait = FULL_FIRST_MS
    this.#emptied()
    this.#next()
  }

  /** Drops what was tried: a full disk, a reader that is gone, a path that is not there. */
  #fail(): void {
    const lost = this.#flight.length > 0 ? this.#flight.splice(0) : this.#queue.splice(0)
    for (const piece of lost) {
      this.#bytes -= piece.data.length
      this.#drop(piece.lines, piece.done)
    }
    if (this.#fd !== null && this.#fd > 2) closeSync(this.#fd)
    this.#fd = null
    this.#emptied()
    this.#later(FAILED_MS)
  }

  #drop(lines: number, done: ((written: boolean) => void) | null): void {
    if (done) done(false)
    else this.#dropped += lines
  }

  #emptied(): void {
    if (this.#bytes === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #later(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#next()
    }, milliseconds).unref()
  }

  /** Takes bytes that were written off the front. */
  #take(pieces: Piece[], written: number): void {
    this.#bytes -= written
    for (let piece = pieces[0]; piece !== undefined && written > 0; piece = pieces[0]) {
      if (written < piece.data.length) {
        piece.data = piece.data.subarray(written)
        return
      }
      written -= piece.data.length
      pieces.shift()
      piece.done?.(true)
    }
  }

  #open(): number {
    if (this.#fd !== null) return this.#fd
    const { to } = this.#options
    const mode = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK
    if (to !== 'stdout') {
      this.#fd = openSync(to, mode | constants.O_CREAT, 0o644)
      return this.#fd
    }
    this.#fd = 1
    const kind = fstatSync(1)
    this.#blocking = !kind.isFile()
    if (!kind.isFIFO()) return this.#fd
    try {
      // Opened anew: O_NONBLOCK on descriptor 1 itself would hold for everybody who shares it.
      this.#fd = openSync('/proc/self/fd/1', mode)
      this.#blocking = false
    } catch {
      // Made by another user, or not on Linux: one thread at most may wait in a write.
    }
    return this.#fd
  }
}

function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EAGAIN' || code === 'EINTR' || code === 'EBUSY'
}
