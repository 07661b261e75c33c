/**
 * What was made of nodes of the shared memory, for names that are asked for again and again. Of many names the last thousands are kept:
 * all others cost what they cost when they are asked for, and no memory.
 */
import { GENERATION, NOWHERE } from '../memory/layout.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import type { VersionedReader } from '../memory/versions.ts'

/** Of the younger half. */
const KEPT = 4_096

/** Which node something was made of. A place alone does not say it: it may have been given anew. */
export interface Origin {
  readonly node: number
  readonly since: number
}

export function originOf(memory: SharedMemory, node: number): Origin {
  return { node, since: memory.word(node + GENERATION) }
}

interface View<V> extends Origin {
  readonly value: V
  /** The newest generation in which it was seen to be right. */
  checked: number
}

export interface ViewKind<V> {
  /** @param before what was made of the node before, if that is known; it is ended right after */
  readonly make: (node: number, before: V | null) => V
  /** It is not kept any more. */
  readonly end: (value: V) => void
}

export class Views<V> {
  readonly #memory: SharedMemory
  readonly #reader: VersionedReader
  readonly #kind: ViewKind<V>
  readonly #kept: number
  #young = new Map<string, View<V>>()
  #old = new Map<string, View<V>>()
  #sweeping: Iterator<string, void> = this.#names()

  constructor(memory: SharedMemory, reader: VersionedReader, kind: ViewKind<V>, kept = KEPT) {
    this.#memory = memory
    this.#reader = reader
    this.#kind = kind
    this.#kept = kept
  }

  /** Null: there is nothing of that name. */
  get(name: string): V | null {
    const { generation } = this.#reader
    const young = this.#young.get(name)
    if (young?.checked === generation) return young.value
    const view = young ?? this.#old.get(name) ?? null
    const node = this.#reader.find(name)
    if (node === NOWHERE) {
      if (view !== null) this.#forget(name, view)
      return null
    }
    const origin = originOf(this.#memory, node)
    if (view?.node === origin.node && view.since === origin.since) {
      view.checked = generation
      if (young === undefined) this.#keep(name, view)
      return view.value
    }
    const value = this.#kind.make(node, view?.value ?? null)
    if (view !== null) this.#forget(name, view)
    this.#keep(name, { ...origin, value, checked: generation })
    return value
  }

  *values(): Generator<V, void, void> {
    for (const { value } of this.#young.values()) yield value
    for (const { value } of this.#old.values()) yield value
  }

  /** Of this name. */
  forget(name: string): void {
    const view = this.#young.get(name) ?? this.#old.get(name)
    if (view !== undefined) this.#forget(name, view)
  }

  /** Looks at so many of those that there are, each time at the next ones, and ends what nobody would find any more. */
  sweep(count: number): void {
    for (let i = 0; i < count; i++) {
      const next = this.#sweeping.next()
      if (next.done === true) {
        this.#sweeping = this.#names()
        return
      }
      if (this.#reader.find(next.value) === NOWHERE) this.forget(next.value)
    }
  }

  /** A Map may change while it is gone through. */
  *#names(): Generator<string, void, void> {
    yield* this.#young.keys()
    yield* this.#old.keys()
  }

  #keep(name: string, view: View<V>): void {
    this.#old.delete(name)
    this.#young.set(name, view)
    if (this.#young.size <= this.#kept) return
    for (const { value } of this.#old.values()) this.#kind.end(value)
    this.#old = this.#young
    this.#young = new Map()
  }

  #forget(name: string, view: View<V>): void {
    this.#young.delete(name)
    this.#old.delete(name)
    this.#kind.end(view.value)
  }
}
