/** What the IngressRollouts of a namespace go through, by a watch; every state that was seen is kept. */
import { Kubectl as Watcher } from '../../demo/kubectl.ts'
import { rolloutOf } from '../../demo/watched.ts'
import type { RolloutEvent } from '../../demo/events.ts'
import type { Cluster } from './cluster.ts'
import { waitFor } from './wait.ts'

export type Phase =
  'Pending' | 'Progressing' | 'Paused' | 'Complete' | 'RollingBack' | 'RolledBack' | 'Superseded' | 'Held'

export class Rollouts {
  readonly #watcher: Watcher
  readonly #seen: RolloutEvent[] = []

  constructor(cluster: Cluster, namespace: string) {
    this.#watcher = new Watcher(cluster.env)
    this.#watcher.watch(['ingressrollouts', '-n', namespace], document => {
      const event = rolloutOf(document, performance.now())
      if (event !== null) this.#seen.push(event)
    })
  }

  close(): void {
    this.#watcher.close()
  }

  /** Every state of one rollout, in order. */
  history(name: string): readonly RolloutEvent[] {
    return this.#seen.filter(event => event.name === name)
  }

  /** Every state of all rollouts of an object, in order. */
  of(object: string): readonly RolloutEvent[] {
    return this.#seen.filter(event => event.object === object)
  }

  names(object: string): readonly string[] {
    return [...new Set(this.#seen.filter(event => event.object === object).map(event => event.name))]
  }

  last(name: string): RolloutEvent | undefined {
    return this.history(name).at(-1)
  }

  /** The name of the next rollout of an object that is none of `known`. */
  async next(object: string, known: readonly string[] = []): Promise<string> {
    const fresh = (): string | undefined => this.names(object).find(name => !known.includes(name))
    const name = await waitFor(`an IngressRollout of ${object}`, fresh, found => found !== undefined, { everyMs: 50 })
    return name ?? ''
  }

  /** Waits until it is in one of the phases. */
  async reaches(name: string, phases: readonly Phase[], timeoutMs = 60_000): Promise<RolloutEvent> {
    const wanted = (event: RolloutEvent | undefined): boolean => phases.some(phase => phase === event?.phase)
    const event = await waitFor(`${name} becomes ${phases.join(' or ')}`, () => this.last(name), wanted, {
      timeoutMs,
      everyMs: 50,
    })
    return event as RolloutEvent
  }

  /** Waits until so many pods are to serve the update. */
  async reachesIndex(name: string, index: number, timeoutMs = 30_000): Promise<void> {
    await waitFor(
      `${name} gets to index ${index}`,
      () => this.last(name),
      event => event?.index === index,
      {
        timeoutMs,
        everyMs: 50,
      },
    )
  }
}

/** The batches that a rollout went through: its indices above 0, each once, with `pods` for -1. Pure. */
export function batchesOf(history: readonly Pick<RolloutEvent, 'index'>[], pods: number): readonly number[] {
  const indices = history.flatMap(({ index }) => (index === null || index === 0 ? [] : [index === -1 ? pods : index]))
  return indices.filter((index, i) => index !== indices[i - 1])
}
