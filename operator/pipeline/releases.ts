/**
 * The last two steps of the flow, one per kind: checksum gate, then the world that the stream gives out.
 * What is not published is not in the world; what was never published says so with a checksum of null.
 */
import type { Checksums, HeldMessage, Mismatch } from '../../protocol/messages.ts'
import type { ObjectKey, ObjectKind, ServiceKey } from '../../protocol/objects.ts'
import type { Published } from '../checksum/diff.ts'
import { ChecksumGate } from '../checksum/gate.ts'
import type { GateStatus } from '../checksum/gate.ts'
import { StateHashes } from '../stream/state-hashes.ts'
import type { Assigned, Observation, World, WorldEntry } from '../stream/world.ts'
import { assignmentFor, retreat, sharesOf } from './live.ts'
import type { LiveEntry } from './live.ts'
import type { PipelineChange } from './pipeline.ts'

export const KINDS: readonly ObjectKind[] = ['Ingress', 'Secret']

/** Publisher and verifier are rarely at the same instant: a difference counts only when it lasts. Milliseconds. */
const LASTING_MS = 2_000

/** To name a difference costs a look at all IDs: while much changes it is not named anew with every state. Milliseconds. */
const SAID_AGAIN_MS = 1_000

interface Side {
  readonly gate: ChecksumGate<LiveEntry>
  /** A published checksum matched at least once: until then this replica has nothing that it may give out. */
  opened: boolean
  /** Monotonic time since when the gate holds; null: it does not. */
  heldSince: number | null
  /** What was computed of the difference. */
  mismatch: Mismatch | null
  /** When; monotonic milliseconds. */
  mismatchAt: number
}

export interface ReleasesOptions {
  readonly endpoints: () => ReadonlyMap<ServiceKey, readonly string[]>
  readonly observe: () => Observation
  /** Monotonic milliseconds. */
  readonly now: () => number
}

export class Releases implements World {
  readonly #options: ReleasesOptions
  readonly #sides: Readonly<Record<ObjectKind, Side>>
  readonly #hashes = new StateHashes()
  /** Of objects that are other ones than the stream was told: what they were then. */
  #before = new Map<ObjectKey, LiveEntry | null>()
  /** All that is released, as an array for whoever reads it bit by bit; null: it is another one by now. */
  #pinned: readonly LiveEntry[] | null = null
  #version = 0

  constructor(options: ReleasesOptions) {
    this.#options = options
    const side = (): Side => newSide((key, before, after) => this.#replace(key, before, after))
    this.#sides = { Ingress: side(), Secret: side() }
  }

  get version(): number {
    return this.#version
  }

  get checksums(): Checksums {
    const of = ({ opened, gate }: Side): string | null => (opened ? gate.releasedChecksum : null)
    return { ingress: of(this.#sides.Ingress), secret: of(this.#sides.Secret) }
  }

  /** What the stream gives out of an object, or last gave out. */
  released(key: ObjectKey): LiveEntry | null {
    return this.#sideOf(key).gate.released.get(key) ?? null
  }

  gate(kind: ObjectKind): ChecksumGate<LiveEntry> {
    return this.#sides[kind].gate
  }

  status(kind: ObjectKind): GateStatus {
    return this.#sides[kind].gate.status
  }

  /** Takes what one flush of the pipeline changed. Returns the keys whose released entry is another one now. */
  record(change: PipelineChange): readonly ObjectKey[] {
    const keys: ObjectKey[] = []
    for (const kind of KINDS) {
      const mine = change.live.filter(({ key }) => key.startsWith(`${kind}/`))
      if (mine.length === 0) continue
      const { released } = this.#sides[kind].gate.record(new Map(mine.map(({ key, after }) => [key, after])))
      keys.push(...released.keys())
      this.#settled(kind)
    }
    return keys
  }

  /** Takes what the newest checksum object says (null: there is none). Returns as record() does. */
  publish(kind: ObjectKind, published: Published | null): readonly ObjectKey[] {
    const { released } = this.#sides[kind].gate.publish(published)
    this.#settled(kind)
    return [...released.keys()]
  }

  /** Objects that are other ones since this was last asked, and what they were. */
  takeChanges(): ReadonlyMap<ObjectKey, Assigned> {
    const taken = this.#before
    this.#before = new Map()
    return new Map(
      [...taken].map(([key, entry]): [ObjectKey, Assigned] => [
        key,
        ordinal => (entry === null ? null : assignmentFor(entry, ordinal).assignment),
      ]),
    )
  }

  stateHash(ordinal: number): string {
    return this.#hashes.of(ordinal)
  }

  entries(ordinal: number): Iterable<WorldEntry> {
    this.#pinned ??= KINDS.flatMap(kind => [...this.#sides[kind].gate.released.values()])
    return entriesFor(this.#pinned, ordinal)
  }

  entry(key: ObjectKey, ordinal: number): WorldEntry | null {
    const entry = this.released(key)
    return entry === null ? null : assignmentFor(entry, ordinal)
  }

  endpoints(): ReadonlyMap<ServiceKey, readonly string[]> {
    return this.#options.endpoints()
  }

  observe(): Observation {
    return this.#options.observe()
  }

  held(): readonly HeldMessage[] {
    return KINDS.flatMap(kind => {
      const mismatch = this.difference(kind)
      return mismatch === null ? [] : [{ type: 'held' as const, kind, mismatch }]
    })
  }

  /** How this replica differs from what is published; null: it does not, or not for long. */
  difference(kind: ObjectKind): Mismatch | null {
    const side = this.#sides[kind]
    if (side.heldSince === null || this.#options.now() - side.heldSince < LASTING_MS) return null
    if (side.mismatch === null) {
      side.mismatch = side.gate.mismatch()
      side.mismatchAt = this.#options.now()
    }
    return side.mismatch
  }

  /** Something is held that may soon count as lasting: look again after LASTING_MS. */
  get holding(): boolean {
    return KINDS.some(kind => this.#sides[kind].heldSince !== null)
  }

  #replace(key: ObjectKey, before: LiveEntry | null, after: LiveEntry | null): void {
    if (!this.#before.has(key)) this.#before.set(key, before)
    this.#pinned = null
    this.#hashes.replace(key, before === null ? null : sharesOf(before), after === null ? null : sharesOf(after))
  }

  #settled(kind: ObjectKind): void {
    const side = this.#sides[kind]
    const { status } = side.gate
    if (status === 'consistent' || status === 'behind') side.opened = true
    if (status === 'consistent') {
      side.mismatch = null
      side.heldSince = null
    } else {
      side.heldSince ??= this.#options.now()
      if (this.#options.now() - side.mismatchAt >= SAID_AGAIN_MS) side.mismatch = null
    }
    this.#version++
  }

  #sideOf(key: ObjectKey): Side {
    return this.#sides[key.startsWith('Ingress/') ? 'Ingress' : 'Secret']
  }
}

function* entriesFor(entries: readonly LiveEntry[], ordinal: number): Generator<WorldEntry> {
  for (const entry of entries) yield assignmentFor(entry, ordinal)
}

function newSide(released: (key: ObjectKey, before: LiveEntry | null, after: LiveEntry | null) => void): Side {
  const gate = new ChecksumGate<LiveEntry>({ retreat, released })
  return { gate, opened: false, heldSince: null, mismatch: null, mismatchAt: -Infinity }
}
