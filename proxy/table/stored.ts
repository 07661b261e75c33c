/**
 * What of the table's memory is kept on disk, and whether what was taken up again is right. An image (memory/layout.ts) is made of one
 * generation while the table goes on: only what that leads to is in it, so nothing that went, as the private key of a certificate that was
 * replaced. Whoever restores it takes the words as they are, serves them at once (SharedTableWriter.restore), and then proves them.
 *
 * Observed hosts are not in it: the operator says them anew.
 */
import type { ServiceKey } from '../../protocol/objects.ts'
import { rounded } from '../memory/free-space.ts'
import {
  GENERATION,
  HEAD,
  IMAGE,
  IMAGE_GENERATION,
  KIND_BITS,
  MASK,
  NAME,
  NAMES,
  NOWHERE,
  OLDER,
  SLOTS,
} from '../memory/layout.ts'
import { behindName, hashOf, nameOf, namedBy } from '../memory/names.ts'
import { Pairs } from '../memory/pairs.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import { VersionedReader } from '../memory/versions.ts'
import type { Steps } from '../turns.ts'
import { objectWords, type Objects } from './objects.ts'
import {
  COUNT,
  KIND,
  PLACES,
  ROOM,
  ROOTS,
  fragmentOf,
  isDefaultCertificate,
  readDefault,
  readHead,
  readPlan,
  readShares,
  recordWords,
} from './records.ts'

/** Maps that are in an image. */
export const STORED_MAPS = ['objects', 'certificates', 'hosts', 'challenges', 'serverNames'] as const
type StoredMap = (typeof STORED_MAPS)[number]
/** Those that lead to what fragments say of a name. */
const SHARED_MAPS = ['hosts', 'challenges', 'serverNames'] as const
type SharedMap = (typeof SHARED_MAPS)[number]

/** What is said beside the words of an image. */
export interface ImageHead {
  /** 32-bit words of the image. */
  readonly words: number
  /** Of the hashes of names. Nobody outside may know it (memory/names.ts). */
  readonly seed: number
  /** Where the slots of each map are: places in memory that begins with the image at `IMAGE`. */
  readonly slots: Readonly<Record<StoredMap, number>>
  /** Ingresses that are assigned. */
  readonly fragments: number
  /** Names in rules and TLS of Ingresses, each once. */
  readonly names: number
}

/** A table as it is read from disk: its image is in the memory already. */
export interface StoredTable {
  readonly image: ImageHead
  readonly endpoints: readonly (readonly [ServiceKey, readonly string[]])[]
}

/**
 * Reads a stored table; null: there is none.
 * @param room for the image, of so many words: asked for once, and filled before this resolves
 */
export type ReadStored<S extends StoredTable = StoredTable> = (room: (words: number) => Uint8Array) => Promise<S | null>

/** Words of a portion: large enough to compress well. */
const PORTION = 2 ** 14

/** The words of an image, one portion after the other, in small steps. Null: nothing yet, but it would be a moment to do something else. */
export type ImageSteps = Generator<Int32Array | null, ImageHead, void>

/** What these objects say, as an image. They stay open until it has come to its end. */
export function* imageOf({ memory, generation }: Pick<Objects, 'memory' | 'generation'>): ImageSteps {
  const maps = readersOf(memory, generation)
  const to = new ImageWriter(memory, maps.objects.names)
  const pairs = (map: StoredMap): Pairs => new Pairs(maps[map].names)
  const slots: Record<StoredMap, Pairs> = {
    ...{ objects: pairs('objects'), certificates: pairs('certificates') },
    ...{ hosts: pairs('hosts'), challenges: pairs('challenges'), serverNames: pairs('serverNames') },
  }
  let [fragments, names] = [0, 0]

  for (const node of maps.objects.nodes()) {
    if (kindOf(memory, namedBy(memory, node)) === KIND.fragment) fragments++
    slots.objects.add(hashOf(nameOf(memory, node), memory.seed), to.object(node))
    yield* to.full()
    yield null
  }
  for (const node of maps.certificates.nodes()) {
    const place = kindOf(memory, node) === KIND.certificate ? to.placeOf(node) : to.record(node)
    slots.certificates.add(hashOf(nameOf(memory, node), memory.seed), place)
    yield null
  }
  for (const [i, map] of SHARED_MAPS.entries()) {
    const before = SHARED_MAPS.slice(0, i)
    for (const node of maps[map].nodes()) {
      const name = nameOf(memory, node)
      slots[map].add(hashOf(name, memory.seed), to.shares(node))
      if (before.every(other => maps[other].find(name) === NOWHERE)) names++
      yield* to.full()
      yield null
    }
  }
  const places: Record<StoredMap, number> = { objects: 0, certificates: 0, hosts: 0, challenges: 0, serverNames: 0 }
  for (const map of STORED_MAPS) {
    places[map] = to.slots(slots[map])
    yield* to.full()
  }
  yield* to.rest()
  return { words: to.written, seed: memory.seed, slots: places, fragments, names }
}

function readersOf(memory: SharedMemory, generation: number): Readonly<Record<StoredMap, VersionedReader>> {
  const reader = (map: StoredMap): VersionedReader => {
    const one = new VersionedReader(memory, ROOTS[map])
    one.advance(generation)
    return one
  }
  return {
    ...{ objects: reader('objects'), certificates: reader('certificates') },
    ...{ hosts: reader('hosts'), challenges: reader('challenges'), serverNames: reader('serverNames') },
  }
}

/** Copies blocks to where they will be. */
class ImageWriter {
  readonly #memory: SharedMemory
  /** Where fragments and certificates are in the image, by half of their places: these are even. */
  readonly #places: Pairs
  readonly #full: Int32Array[] = []
  #words = new Int32Array(PORTION)
  #at = 0
  /** Words before those under way. */
  #before = 0

  /** @param records that are expected */
  constructor(memory: SharedMemory, records: number) {
    this.#memory = memory
    this.#places = new Pairs(records)
  }

  /** Words of the image by now. */
  get written(): number {
    return this.#before + this.#at
  }

  /** What may go on already. */
  *full(): Generator<Int32Array, void, void> {
    for (const words of this.#full.splice(0)) {
      for (let from = 0; from < words.length; from += PORTION) yield words.subarray(from, from + PORTION)
    }
  }

  /** All that is left. */
  *rest(): Generator<Int32Array, void, void> {
    this.#next(PORTION)
    yield* this.full()
  }

  /** The record of an object, and the node that leads there. @returns where that will be */
  object(node: number): number {
    const record = namedBy(this.#memory, node)
    const place = this.#recordOf(record)
    const at = this.#copy(node, objectWords(this.#memory, node))
    this.#words[at + NAME] = place
    return this.#placeAt(at)
  }

  /** One that is of no object. @returns where it will be */
  record(place: number): number {
    return this.#placeAt(this.#copy(place, recordWords(this.#memory, place)))
  }

  /** Where one that was written will be. */
  placeOf(record: number): number {
    return this.#places.get(record / 2)
  }

  /** What a name leads to. The records of all fragments are written. @returns where it will be */
  shares(node: number): number {
    const memory = this.#memory
    const placeOf = (share: number): number => {
      const fragment = fragmentOf(memory, share)
      return this.placeOf(fragment) + share - fragment
    }
    if (kindOf(memory, node) === KIND.share) return placeOf(node)
    const shares = readShares(memory, node)
    const content = behindName(memory, node) - node + PLACES
    const at = this.#copy(node, content, content + shares.length)
    this.#words[at + content - PLACES + ROOM] = shares.length
    this.#words[at + content - PLACES + COUNT] = shares.length
    this.#words.set(shares.map(placeOf), at + content)
    return this.#placeAt(at)
  }

  slots(pairs: Pairs): number {
    const at = this.#take(SLOTS + pairs.words.length)
    this.#words[at + MASK] = pairs.slots - 1
    this.#words[at + NAMES] = pairs.size
    this.#words.set(pairs.words, at + SLOTS)
    return this.#placeAt(at)
  }

  #recordOf(record: number): number {
    const memory = this.#memory
    if (kindOf(memory, record) !== KIND.fragment) {
      const place = this.record(record)
      this.#places.add(record / 2, place)
      return place
    }
    const { words, hosts, names } = readPlan(memory, record)
    const at = this.#copy(record, words)
    for (const shares of [hosts, names]) for (const share of shares) this.#begin(at + share - record)
    const place = this.#placeAt(at)
    this.#places.add(record / 2, place)
    return place
  }

  /** @returns where it is in `#words` */
  #copy(place: number, words: number, room = words): number {
    const at = this.#take(room)
    this.#words.set(this.#memory.words.subarray(place, place + words), at)
    this.#begin(at)
    return at
  }

  /** A node of the image. */
  #begin(at: number): void {
    this.#words[at + GENERATION] = IMAGE_GENERATION
    this.#words[at + OLDER] = NOWHERE
  }

  #placeAt(at: number): number {
    return IMAGE + this.#before + at
  }

  /** @returns where so many words begin in `#words`; they are 0 */
  #take(words: number): number {
    const size = rounded(words)
    if (this.#at + size > this.#words.length) this.#next(Math.max(PORTION, size))
    const at = this.#at
    this.#at += size
    return at
  }

  #next(words: number): void {
    if (this.#at > 0) this.#full.push(this.#words.subarray(0, this.#at))
    this.#before += this.#at
    this.#words = new Int32Array(words)
    this.#at = 0
  }
}

/** Of a share: in which map it has to be. */
const WANTED: Readonly<Record<SharedMap, number>> = { hosts: 1, challenges: 2, serverNames: 3 }
/** It was found there. */
const FOUND = 4

/**
 * Whether every map leads to all that the objects say, and to nothing else: they were not made of them just now. What the objects say is
 * proven by who knows their digests. In small steps.
 * @param objects of the generation of the image; they stay open
 * @returns what is wrong, without names; null: nothing is
 */
export function* imageFault(
  { memory, generation }: Pick<Objects, 'memory' | 'generation'>,
  image: Pick<ImageHead, 'fragments' | 'names'>,
): Steps<string | null> {
  const maps = readersOf(memory, generation)
  const { objects, certificates } = maps
  const wanted = new Pairs(SHARED_MAPS.reduce((sum, map) => sum + maps[map].names, 0))
  let [fragments, secrets] = [0, 0]
  for (const node of objects.nodes()) {
    const record = namedBy(memory, node)
    const key = nameOf(memory, node)
    if (objects.find(key) !== node) return 'an object is not found by its key'
    const kind = kindOf(memory, record)
    if (kind === KIND.certificate) {
      secrets++
      if (certificates.find(key) !== record) return 'a certificate is not found by its key'
    } else if (kind === KIND.fragment) {
      fragments++
      const { hosts, names } = readPlan(memory, record)
      const among = readHead(memory, record).challenges ? WANTED.challenges : WANTED.hosts
      for (const share of hosts) wanted.add(share, among)
      for (const share of names) wanted.add(share, WANTED.serverNames)
    }
    yield
  }
  let keys = 0
  for (const node of certificates.nodes()) {
    if (kindOf(memory, node) === KIND.certificate) keys++
    else if (!isDefault(memory, certificates, node)) return 'the default certificate is none'
    yield
  }
  if (keys !== secrets) return 'there are certificates of no object'
  let [found, names] = [0, 0]
  for (const [i, map] of SHARED_MAPS.entries()) {
    const before = SHARED_MAPS.slice(0, i)
    for (const node of maps[map].nodes()) {
      const name = nameOf(memory, node)
      if (maps[map].find(name) !== node) return 'a host is not found by its name'
      if (before.every(other => maps[other].find(name) === NOWHERE)) names++
      for (const share of readShares(memory, node)) {
        if (wanted.get(share) !== WANTED[map] || nameOf(memory, share) !== name) return 'a host leads to another one'
        wanted.set(share, FOUND)
        found++
      }
      yield
    }
  }
  if (found !== wanted.size) return 'a host of an Ingress is not served'
  return fragments === image.fragments && names === image.names ? null : 'there are more Ingresses or hosts, or fewer'
}

function isDefault(memory: SharedMemory, certificates: VersionedReader, node: number): boolean {
  const place = certificates.find(readDefault(memory, node))
  return place !== NOWHERE && isDefaultCertificate(memory, place)
}

function kindOf(memory: SharedMemory, place: number): number {
  return memory.word(place + HEAD) & KIND_BITS
}
