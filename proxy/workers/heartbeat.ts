/**
 * Signs of life of a worker, in memory that it shares with the main thread: a loop that hangs answers no message, and a
 * beat that fails to come is seen without asking (the watchdog of Envoy, the heartbeat of nginx's master).
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'

/** How often a worker beats, in milliseconds. */
export const BEAT_MS = 250

/** How often the lag of a worker's loop is sampled, in milliseconds: a stall shorter than this is not seen. */
const SAMPLE_MS = 20

/** Words of the shared memory. */
const BEATS = 0
const LAG_MICROSECONDS = 1
const HEAP_KIB = 2
const WORDS = 3

export class Vitals {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  /** @param memory of another thread's Vitals; none: new memory */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  /** By the worker. */
  beat(lagMs: number, heapBytes: number): void {
    const lag = Math.min(Math.round(lagMs * 1_000), 0x7fffffff)
    if (lag > Atomics.load(this.#words, LAG_MICROSECONDS)) Atomics.store(this.#words, LAG_MICROSECONDS, lag)
    Atomics.store(this.#words, HEAP_KIB, Math.round(heapBytes / 1_024))
    Atomics.add(this.#words, BEATS, 1)
  }

  /** Changes with every beat. */
  get beats(): number {
    return Atomics.load(this.#words, BEATS)
  }

  /** The longest lag since the last call, in milliseconds. */
  takeLag(): number {
    return Atomics.exchange(this.#words, LAG_MICROSECONDS, 0) / 1_000
  }

  get heapBytes(): number {
    return Atomics.load(this.#words, HEAP_KIB) * 1_024
  }
}

/** Beats from now on, as long as the loop of this thread turns. @returns ends it */
export function startBeating(vitals: Vitals): () => void {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  delay.enable()
  const beat = (): void => {
    vitals.beat(Math.max(0, delay.max / 1e6 - SAMPLE_MS), getHeapStatistics().used_heap_size)
    delay.reset()
  }
  beat()
  const timer = setInterval(beat, BEAT_MS).unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
