/** Everything that was written down, and waiting for something to be. */
import type { DemoEvent, Part, RolloutEvent } from './events.ts'

export class DemoError extends Error {
  override readonly name = 'DemoError'
  readonly code = 'DEMO'
}

export class Journal {
  readonly events: DemoEvent[] = []
  readonly #listeners = new Set<(event: DemoEvent) => void>()
  readonly #rollouts = new Map<string, RolloutEvent>()
  #part: Part = 'rest'
  #partAt = 0

  get part(): Part {
    return this.#part
  }

  /** When the current part began. */
  get partAt(): number {
    return this.#partAt
  }

  add(event: DemoEvent): void {
    this.events.push(event)
    if (event.type === 'part') {
      this.#part = event.part
      this.#partAt = event.at
    }
    if (event.type === 'rollout') this.#rollouts.set(event.name, event)
    for (const listener of this.#listeners) listener(event)
  }

  on(listener: (event: DemoEvent) => void): void {
    this.#listeners.add(listener)
  }

  rollout(name: string): RolloutEvent | undefined {
    return this.#rollouts.get(name)
  }

  /** Names of the rollouts that are known now. */
  get rolloutNames(): ReadonlySet<string> {
    return new Set(this.#rollouts.keys())
  }

  /** Resolves with the first event from now on that `wanted` accepts. @throws DemoError after `ms` */
  next<T extends DemoEvent>(what: string, ms: number, wanted: (event: DemoEvent) => event is T): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#listeners.delete(listener)
        reject(new DemoError(`${what}: not seen within ${ms / 1000} s`))
      }, ms)
      const listener = (event: DemoEvent): void => {
        if (!wanted(event)) return
        clearTimeout(timer)
        this.#listeners.delete(listener)
        resolve(event)
      }
      this.#listeners.add(listener)
    })
  }
}
