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
const CONNECTIONS_HTTP = 3
const CONNECTIONS_HTTPS = 4
const REQUESTS = 5
const TUNNELS = 6
const WORDS = 7

/** What is open at a worker. */
export interface Open {
  /** Connections of clients, those with a tunnel among them; of TLS once the handshake is over. */
  readonly http: number
  readonly https: number
  /** Under way. */
  readonly requests: number
  readonly tunnels: number
}

export class Vitals {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array

  /** @param memory of another thread's Vitals; none: new memory */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory
    this.#words = new Int32Array(memory)
  }

  /** By the worker. @param open null: nothing listens yet */
  beat(lagMs: number, heapBytes: number, open: Open | null): void {
    const lag = Math.min(Math.round(lagMs * 1_000), 0x7fffffff)
    if (lag > Atomics.load(this.#words, LAG_MICROSECONDS)) Atomics.store(this.#words, LAG_MICROSECONDS, lag)
    Atomics.store(this.#words, HEAP_KIB, Math.round(heapBytes / 1_024))
    Atomics.store(this.#words, CONNECTIONS_HTTP, open?.http ?? 0)
    Atomics.store(this.#words, CONNECTIONS_HTTPS, open?.https ?? 0)
    Atomics.store(this.#words, REQUESTS, open?.requests ?? 0)
    Atomics.store(this.#words, TUNNELS, open?.tunnels ?? 0)
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

  /** As it was at the last beat. */
  get open(): Open {
    const at = (word: number): number => Atomics.load(this.#words, word)
    return { http: at(CONNECTIONS_HTTP), https: at(CONNECTIONS_HTTPS), requests: at(REQUESTS), tunnels: at(TUNNELS) }
  }
}

/** Beats from now on, as long as the loop of this thread turns. @param open what is, now @returns ends it */
export function startBeating(vitals: Vitals, open: () => Open | null): () => void {
  const delay = monitorEventLoopDelay({ resolution: SAMPLE_MS })
  delay.enable()
  const beat = (): void => {
    vitals.beat(Math.max(0, delay.max / 1e6 - SAMPLE_MS), getHeapStatistics().used_heap_size, open())
    delay.reset()
  }
  beat()
  const timer = setInterval(beat, BEAT_MS).unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
