/**
 * Maps from names to nodes, written by the main thread and read by others without a lock.
 *
 * The main thread writes the nodes of a generation and makes them the newest of their names; then it tells readers of the generation by
 * a message. A reader takes a message between two pieces of its work, and until then, of each name, the newest node that is no
 * younger than the generation it was told of: it sees all of an update or nothing of it, at a moment of its own choosing. What it says
 * that it serves is what it sees. Blocks that only older generations lead to are given anew when every reader said so (blocks.ts).
 */
import { DataPlaneError } from '../errors.ts'
import type { Blocks } from './blocks.ts'
import {
  GENERATION,
  GONE,
  HEAD,
  KIND_BITS,
  LEFT,
  MASK,
  NAMES,
  NOWHERE,
  OLDER,
  SLOTS,
  SLOT_HASH,
  SLOT_NODE,
  SLOT_WORDS,
} from './layout.ts'
import { hashOf, isNamed, nameOf, namedBy, nodeWords, writeName } from './names.ts'
import type { SharedMemory } from './shared-memory.ts'

/** Fewest slots of a map; a power of two. */
const LEAST_SLOTS = 8
/** Slots that are moved with every change while a map gets other slots. */
const MOVED_AT_ONCE = 32
/** Names for which room is made beforehand: with fewer a map has grown in no time, to what it needs. */
const LEAST_RESERVED = 1_000

/** What a map holds as one reader sees it. */
export class VersionedReader {
  readonly #memory: SharedMemory
  readonly #root: number
  #slots = NOWHERE
  #generation = 0

  /** It sees nothing until `advance`. @param root where the map is (layout.ts) */
  constructor(memory: SharedMemory, root: number) {
    this.#memory = memory
    this.#root = root
  }

  get generation(): number {
    return this.#generation
  }

  /** To be called when the main thread said that the generation is complete, in the order in which it says so. */
  advance(generation: number): void {
    this.#generation = generation
    this.#slots = Atomics.load(this.#memory.words, this.#root)
    // Afterwards: the slots may be newer than what was seen before.
    this.#memory.refresh()
  }

  /** The node of the name, of any kind but GONE; NOWHERE: there is none. */
  find(name: string): number {
    const memory = this.#memory
    if (this.#slots === NOWHERE || memory.word(this.#slots + NAMES) === 0) return NOWHERE
    return this.#asOf(newest(memory, this.#slots, name, hashOf(name, memory.seed)))
  }

  /** About so many names are there: as many as in the newest generation. */
  get names(): number {
    return this.#slots === NOWHERE ? 0 : this.#memory.word(this.#slots + NAMES)
  }

  /** All nodes, in no order. The map may change meanwhile, if only nothing that this generation leads to is written over. */
  *nodes(): Generator<number, void, void> {
    const memory = this.#memory
    const slots = this.#slots
    if (slots === NOWHERE) return
    const count = memory.word(slots + MASK) + 1
    for (let index = 0; index < count; index++) {
      const latest = memory.word(slots + SLOTS + index * SLOT_WORDS + SLOT_NODE)
      const node = latest === LEFT ? NOWHERE : this.#asOf(latest)
      if (node !== NOWHERE) yield node
    }
  }

  /** What the name of this node led to in this generation. */
  #asOf(latest: number): number {
    const memory = this.#memory
    let node = latest
    while (node !== NOWHERE && generationOf(memory, node) > this.#generation) node = memory.word(node + OLDER)
    return node === NOWHERE || kindOf(memory, node) === GONE ? NOWHERE : node
  }
}

/** The same map for who writes it. Nodes are made by its owner, who writes name and kind first, then gives them to `set`. */
export class VersionedMap {
  readonly #blocks: Blocks
  readonly #root: number
  #slots: Slots
  #size = 0
  /** Names went since room was made for many: there may be far too much of it. */
  #thinned = false
  /** They will take the place of `#slots` when all was moved; what changes meanwhile changes in both. */
  #next: { readonly slots: Slots; moved: number } | null = null

  constructor(blocks: Blocks, root: number) {
    this.#blocks = blocks
    this.#root = root
    this.#slots = new Slots(blocks, LEAST_SLOTS)
    Atomics.store(blocks.memory.words, root, this.#slots.place)
  }

  /** Names that are there. */
  get size(): number {
    return this.#size
  }

  /**
   * So many names come at once to a map that has none: it has room for them from the beginning, in place of growing a dozen times. What
   * was too much stays until a name goes.
   */
  reserve(names: number, generation: number): void {
    const count = slotsFor(names)
    if (names < LEAST_RESERVED || this.#slots.live > 0 || this.#next !== null || count <= this.#slots.count) return
    const slots = new Slots(this.#blocks, count)
    this.#slots.retire(generation)
    this.#slots = slots
    this.#thinned = false
    Atomics.store(this.#blocks.memory.words, this.#root, this.#slots.place)
  }

  /** Takes up the slots of an image (layout.ts), with all names that they have. It has none yet. */
  adopt(place: number, generation: number): void {
    this.#slots.retire(generation)
    this.#slots = new Slots(this.#blocks, 0, place)
    this.#size = this.#slots.live
    Atomics.store(this.#blocks.memory.words, this.#root, place)
  }

  /** Slots that it has, used or not. */
  get slots(): number {
    return this.#slots.count
  }

  /** The newest node of the name, GONE if it is that; NOWHERE: there is none. */
  newest(name: string): number {
    const { memory } = this.#blocks
    return newest(memory, this.#slots.place, name, hashOf(name, memory.seed))
  }

  /**
   * Makes the node the newest of its name. Name, kind and all else of it are written already; whatever was newest is for readers of older
   * generations from now on, and its block is for the caller to retire.
   */
  set(node: number, generation: number): void {
    const { memory } = this.#blocks
    const name = nameOf(memory, node)
    const hash = hashOf(name, memory.seed)
    const older = newest(memory, this.#slots.place, name, hash)
    memory.words[node + GENERATION] = generation
    memory.words[node + OLDER] = older
    const came = older === NOWHERE || kindOf(memory, older) === GONE
    if (came) this.#size++
    if (kindOf(memory, node) === GONE) this.#size--
    // Made here, so given back here.
    if (came && older !== NOWHERE) this.#blocks.retire(older, nodeWords(name), generation)
    this.#put(node, name, hash, generation)
  }

  /** Since this generation there is no such name. */
  delete(name: string, generation: number): void {
    const { memory } = this.#blocks
    const before = this.newest(name)
    if (before === NOWHERE || kindOf(memory, before) === GONE) return
    const words = nodeWords(name)
    const node = this.#blocks.take(words)
    writeName(memory, node, name, GONE)
    this.set(node, generation)
    this.#blocks.when(generation, writing => this.#unlink(node, name, words, writing))
  }

  /** Newest nodes, in no order, without those that are GONE. The map must not change meanwhile. */
  *nodes(): Generator<number, void, void> {
    const { memory } = this.#blocks
    for (const node of this.#slots.nodes()) if (kindOf(memory, node) !== GONE) yield node
  }

  /** Every reader knows that the name is gone. One may still be looking at the node: it goes with the next generation. */
  #unlink(node: number, name: string, words: number, generation: number): void {
    const { memory } = this.#blocks
    const hash = hashOf(name, memory.seed)
    // It came back: `set` retired the node.
    if (newest(memory, this.#slots.place, name, hash) !== node) return
    this.#slots.delete(name, hash)
    this.#next?.slots.delete(name, hash)
    this.#thinned = true
    this.#blocks.retire(node, words, generation)
  }

  #put(node: number, name: string, hash: number, generation: number): void {
    this.#move(generation)
    this.#slots.put(node, name, hash)
    this.#next?.slots.put(node, name, hash)
    if (this.#next === null && (this.#slots.crowded || (this.#thinned && this.#slots.empty))) {
      // With room for what may come before all is moved.
      const names = this.#slots.live + this.#slots.count / MOVED_AT_ONCE
      this.#next = { slots: new Slots(this.#blocks, slotsFor(names)), moved: 0 }
    }
  }

  /** A part of what is to be moved, so that no change of a large map takes long. */
  #move(generation: number): void {
    const next = this.#next
    if (next === null) return
    const until = Math.min(this.#slots.count, next.moved + MOVED_AT_ONCE)
    for (; next.moved < until; next.moved++) this.#slots.copy(next.moved, next.slots)
    if (until < this.#slots.count) return
    this.#slots.retire(generation)
    this.#slots = next.slots
    this.#next = null
    Atomics.store(this.#blocks.memory.words, this.#root, this.#slots.place)
  }
}

/** At most half of them are used, so that a map may grow by two fifths before it is crowded again. */
export function slotsFor(names: number): number {
  let count = LEAST_SLOTS
  while (names * 2 > count) count *= 2
  return count
}

/** Slots of a map, and how many of them are used. */
class Slots {
  readonly place: number
  readonly count: number
  readonly #blocks: Blocks
  #live = 0
  #left = 0

  /** @param place where they are already, with their number; none given: new ones */
  constructor(blocks: Blocks, count: number, place: number | null = null) {
    this.#blocks = blocks
    if (place !== null) {
      this.place = place
      this.count = blocks.memory.word(place + MASK) + 1
      this.#live = blocks.memory.word(place + NAMES)
      return
    }
    this.count = count
    this.place = blocks.take(this.#words)
    blocks.memory.words.fill(0, this.place, this.place + this.#words)
    blocks.memory.words[this.place + MASK] = count - 1
  }

  get #words(): number {
    return SLOTS + this.count * SLOT_WORDS
  }

  get live(): number {
    return this.#live
  }

  /** Names are looked for over long ways. */
  get crowded(): boolean {
    return (this.#live + this.#left) * 10 > this.count * 7
  }

  /** Far too many for what there is. */
  get empty(): boolean {
    return this.count > LEAST_SLOTS && this.#live * 16 < this.count
  }

  put(node: number, name: string, hash: number): void {
    const { words } = this.#blocks.memory
    const slot = this.#find(name, hash)
    if (slot === NOWHERE) this.#add(node, hash)
    else Atomics.store(words, slot + SLOT_NODE, node)
  }

  /** The first node of its name. */
  #add(node: number, hash: number): void {
    const { words } = this.#blocks.memory
    const slot = this.#unused(hash)
    if (words[slot + SLOT_NODE] === LEFT) this.#left--
    this.#live++
    words[this.place + NAMES] = this.#live
    words[slot + SLOT_HASH] = hash
    // Last: who sees it sees all that it leads to.
    Atomics.store(words, slot + SLOT_NODE, node)
  }

  delete(name: string, hash: number): void {
    const { memory } = this.#blocks
    const slot = this.#find(name, hash)
    if (slot === NOWHERE) return
    const behind = this.#slot(this.#index(slot) + 1)
    const last = memory.word(behind + SLOT_NODE) === NOWHERE
    this.#live--
    memory.words[this.place + NAMES] = this.#live
    if (!last) this.#left++
    Atomics.store(memory.words, slot + SLOT_NODE, last ? NOWHERE : LEFT)
  }

  /** What this slot leads to is put into the others, unless it came there by itself. */
  copy(index: number, others: Slots): void {
    const { memory } = this.#blocks
    const slot = this.#slot(index)
    const node = memory.word(slot + SLOT_NODE)
    if (node === NOWHERE || node === LEFT) return
    const hash = memory.word(slot + SLOT_HASH)
    if (!others.#mayHave(hash) || newest(memory, others.place, nameOf(memory, node), hash) === NOWHERE) {
      others.#add(node, hash)
    }
  }

  /** Some name that has this hash: nearly always there is none, and names need not be read. */
  #mayHave(hash: number): boolean {
    const { memory } = this.#blocks
    for (let looks = 0; looks < this.count; looks++) {
      const slot = this.#slot(hash + looks)
      const node = memory.word(slot + SLOT_NODE)
      if (node === NOWHERE) return false
      if (node !== LEFT && memory.word(slot + SLOT_HASH) === hash) return true
    }
    return true
  }

  retire(generation: number): void {
    this.#blocks.retire(this.place, this.#words, generation)
  }

  *nodes(): Generator<number, void, void> {
    for (let index = 0; index < this.count; index++) {
      const node = this.#blocks.memory.word(this.#slot(index) + SLOT_NODE)
      if (node !== NOWHERE && node !== LEFT) yield node
    }
  }

  /** The slot of the name; NOWHERE: it has none. */
  #find(name: string, hash: number): number {
    const { memory } = this.#blocks
    for (let looks = 0; looks < this.count; looks++) {
      const slot = this.#slot(hash + looks)
      const node = memory.word(slot + SLOT_NODE)
      if (node === NOWHERE) return NOWHERE
      if (node !== LEFT && memory.word(slot + SLOT_HASH) === hash && isNamed(memory, node, name)) return slot
    }
    return NOWHERE
  }

  /** The first slot from there on that leads nowhere. */
  #unused(hash: number): number {
    const { memory } = this.#blocks
    for (let looks = 0; looks < this.count; looks++) {
      const slot = this.#slot(hash + looks)
      const node = memory.word(slot + SLOT_NODE)
      if (node === NOWHERE || node === LEFT) return slot
    }
    throw new DataPlaneError('SLUICE_MEMORY_FULL', `all ${this.count} slots of a map are used: it should have grown`)
  }

  #slot(index: number): number {
    return this.place + SLOTS + (index & (this.count - 1)) * SLOT_WORDS
  }

  #index(slot: number): number {
    return (slot - this.place - SLOTS) / SLOT_WORDS
  }
}

/** The newest node of the name; NOWHERE: it has none. For any thread. */
function newest(memory: SharedMemory, slots: number, name: string, hash: number): number {
  const mask = memory.word(slots + MASK)
  for (let looks = 0; looks <= mask; looks++) {
    const slot = slots + SLOTS + ((hash + looks) & mask) * SLOT_WORDS
    // Once: the main thread may give the slot to another name meanwhile.
    const node = Atomics.load(memory.words, slot + SLOT_NODE)
    if (node === NOWHERE) return NOWHERE
    if (node === LEFT || memory.word(slot + SLOT_HASH) !== hash) continue
    see(memory, node)
    see(memory, namedBy(memory, node))
    if (isNamed(memory, node, name)) return node
  }
  return NOWHERE
}

/** It may have been written since this thread looked at how much there is. No block lies across an end that memory once had. */
function see(memory: SharedMemory, node: number): void {
  if (node >= memory.words.length) memory.refresh()
}

/** Without its sign: there are four thousand millions of them. */
function generationOf(memory: SharedMemory, node: number): number {
  see(memory, node)
  return memory.word(node + GENERATION) >>> 0
}

function kindOf(memory: SharedMemory, node: number): number {
  return memory.word(node + HEAD) & KIND_BITS
}
