/**
 * Reads Secrets one by one, each when something refers to it and its version is not the one that was read. Holds none
 * itself, and puts nothing of one into a message.
 */
import type { KubeClient } from './client.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { ObjectName, Secret } from './objects.ts'
import { nameKey } from './objects.ts'
import { WorkQueue } from './queue.ts'
import { resources } from './resources.ts'

export interface SecretReaderOptions {
  readonly client: Pick<KubeClient, 'find'>
  /** What was read. One that is gone is not told: its watch says so. */
  readonly read: (secret: Secret) => void
  /** An answer came, or one is not waited for any more. */
  readonly settled: () => void
  readonly clock: Clock
  readonly log: Log
}

const WORKERS = 8
/** After so many failures nobody waits for the Secret; it is tried again all the same. */
const PATIENCE = 3

export class SecretReader {
  readonly #options: SecretReaderOptions
  readonly #queue: WorkQueue
  /** Names of those that are asked for, with the attempts that failed. */
  readonly #asked = new Map<string, { readonly target: ObjectName; failures: number }>()

  constructor(options: SecretReaderOptions) {
    this.#options = options
    const { clock, log } = options
    this.#queue = new WorkQueue(name => this.#read(name), {
      ...{ name: 'secrets', workers: WORKERS, clock, log },
      backoff: { minMs: 200, maxMs: 30_000 },
    })
  }

  /** True while what was asked for is not there, and may soon be. */
  get waiting(): boolean {
    for (const { failures } of this.#asked.values()) if (failures < PATIENCE) return true
    return false
  }

  ask(target: ObjectName): void {
    const name = nameKey(target)
    // Another one than before: what is on its way was asked for too early.
    this.#asked.set(name, { target, failures: this.#asked.get(name)?.failures ?? 0 })
    this.#queue.add(name)
  }

  start(): void {
    this.#queue.start()
  }

  async stop(): Promise<void> {
    await this.#queue.stop()
    this.#asked.clear()
  }

  async #read(name: string): Promise<void> {
    const asked = this.#asked.get(name)
    if (asked === undefined) return
    try {
      const secret = await this.#options.client.find(resources.secrets, asked.target)
      if (this.#asked.get(name) === asked) this.#asked.delete(name)
      if (secret !== null) this.#options.read(secret)
    } catch (error) {
      asked.failures++
      throw error
    } finally {
      this.#options.settled()
    }
  }
}
