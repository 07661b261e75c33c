/** Long work in pieces, between which the event loop is let go: a hundred thousand records are seconds of JSON and gzip. */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** So long may one turn of the event loop be held, in milliseconds, give or take one piece. */
const SLICE_MS = 10

export class Slices {
  readonly #now: () => number
  #spent = 0
  #waiting = 0

  /** @param now monotonic milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** This turn has no time left, or others wait already: await `turn()` before the next piece. Whoever is alone waits for nothing. */
  get isSpent(): boolean {
    return this.#waiting > 0 || this.#spent >= SLICE_MS
  }

  /** First come, first served. */
  async turn(): Promise<void> {
    this.#waiting++
    do await nextTurn()
    while (this.#spent >= SLICE_MS)
    this.#waiting--
  }

  run<T>(piece: () => T): T {
    const began = this.#now()
    try {
      return piece()
    } finally {
      if (this.#spent === 0) setImmediate(() => (this.#spent = 0))
      this.#spent += this.#now() - began
    }
  }
}

/** So many at a time. Rejects with the first failure; what was begun goes on. */
export async function inParallel<T>(items: Iterable<T>, most: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items].values()
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: most }, worker))
}
