/**
 * The lines of one connection: what was published is remembered as *keys* that may differ, and turned into messages only
 * when the client can take them. A slow client thus gets one coalesced delta, never a queue of them.
 */
import { endpointLines, line, snapshotLines } from './lines.ts'
import { PodState } from './pod-state.ts'
import type { World, WorldChange } from './world.ts'

/** A delta of more characters than this goes out as a snapshot, in portions. */
const MAX_DELTA = 32_000_000
/** It is looked at twice: once for whether it may wait. */
const FEW_OBJECTS = 16

export class Feed {
  readonly #state: PodState
  /** Hash of the state that the client says it has; null: none, or it wants everything anew. */
  readonly #clientHash: string | null
  #world: World | null = null
  #started = false
  #observe = false
  /** What this client was asked last. */
  #asked = ''
  #dirty = false
  #sequence = 0
  readonly #held = new Map<string, string>()
  #current: Generator<string, void> | null = null

  constructor(ordinal: number, clientHash: string | null) {
    this.#state = new PodState(ordinal)
    this.#clientHash = clientHash
  }

  /** Costs as much as the change names keys. */
  publish(change: WorldChange): void {
    this.#world = change.world
    this.#dirty = true
    if (!this.#started) return
    this.#state.note(change)
    this.#observe ||= change.observe
  }

  /**
   * What waits here changes nothing that this pod serves: other pods, which have another index, come first with it.
   * Of endpoints nothing waits.
   */
  get mayWait(): boolean {
    const { objects, services } = this.#state.differing
    if (this.#world === null || services > 0) return false
    return objects > 0 && objects <= FEW_OBJECTS && this.#state.servesSame(this.#world)
  }

  /** The next line to write; null: the client has everything. */
  next(): string | null {
    for (;;) {
      if (this.#current === null) {
        if (this.#world === null || !this.#dirty) return null
        this.#current = this.#started ? this.#changes(this.#world) : this.#beginning(this.#world)
        this.#started = true
      }
      const result = this.#current.next()
      if (result.done !== true) return result.value
      this.#current = null
    }
  }

  #beginning(world: World): Generator<string, void> {
    this.#state.begin(world)
    this.#clear()
    const observe = this.#ask(world)
    const held = [...this.#heldLines(world)]
    const resumed = this.#state.stateHash === this.#clientHash
    const whole = resumed
      ? endpointLines(Object.fromEntries(world.endpoints()), [])
      : snapshotLines(this.#state.snapshot(world), ++this.#sequence)
    // `observe` ends the listing: the client drops endpoints that were not named before it.
    return chain(whole, [observe], held)
  }

  #changes(world: World): Generator<string, void> {
    const delta = this.#state.delta(world)
    const { upserts, removals } = this.#state.endpoints(world)
    const asked = this.#asked
    // Nothing where it is asked that already: a rollout's status is written many times, and names no other objects and hosts.
    const observe = this.#observe && this.#ask(world) !== asked ? [this.#asked] : []
    const held = [...this.#heldLines(world)]
    this.#clear()
    const middle = delta === null ? null : line({ type: 'delta', sequence: ++this.#sequence, ...delta })
    if (middle !== null && middle.length > MAX_DELTA) {
      return chain(snapshotLines(this.#state.snapshot(world), this.#sequence), [this.#ask(world)], held)
    }
    return chain(
      endpointLines(upserts, []),
      middle === null ? [] : [middle],
      endpointLines({}, removals),
      observe,
      held,
    )
  }

  #ask(world: World): string {
    this.#asked = line({ type: 'observe', ...world.observe() })
    return this.#asked
  }

  #clear(): void {
    this.#observe = false
    this.#dirty = false
  }

  *#heldLines(world: World): Generator<string> {
    const held = world.held()
    for (const kind of ['Ingress', 'Secret'] as const) {
      const mismatch = held.find(h => h.kind === kind)?.mismatch ?? null
      const text = line({ type: 'held', kind, mismatch })
      if (mismatch === null ? !this.#held.has(kind) : this.#held.get(kind) === text) continue
      if (mismatch === null) this.#held.delete(kind)
      else this.#held.set(kind, text)
      yield text
    }
  }
}

function* chain(...parts: readonly Iterable<string>[]): Generator<string, void> {
  for (const part of parts) yield* part
}
