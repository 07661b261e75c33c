/**
 * What is assigned of each object, in the memory that all threads share, by key; workers do not look at it. What an object says is a
 * record of its own (records.ts), which stays where it is when only its assignment changes, and from which the key is.
 *
 * Nearly always one revision is announced, current and assigned: then nothing is written but where the record is.
 */
import { canonicalJson, sha256 } from '../../protocol/hash.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, Revision } from '../../protocol/objects.ts'
import { RecordReader, type RecordWriter } from '../memory/bytes.ts'
import { HEAD, KIND_BITS, LENGTH_SHIFT, NOWHERE } from '../memory/layout.ts'
import { behindName, nameOf, namedBy } from '../memory/names.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import { VersionedReader } from '../memory/versions.ts'
import type { Entry } from './entry.ts'
import { KIND, ROOTS, isWhole, readCertificate, readCertificateRevision, readFragment, readHead } from './records.ts'

/** What is not as usual, and is written. */
const ANNOUNCED = 1
const CURRENT = 2
const ID = 4
/** The record does not say all of it: a newer operator may send more, and digests cover it. As text, too. */
const TEXT = 8
/** There is no current revision, though one is assigned; nothing is written. */
const NO_CURRENT = 16

/** Writes the node of an object. @param record of what it says; of its name, where nothing is assigned */
export function writeObject(to: RecordWriter, { assignment, payload }: Entry, record: number): void {
  const { key, id, announced, current } = assignment
  const revision = payload?.revision ?? null
  const flags =
    (announced === revision ? 0 : ANNOUNCED) |
    (current === revision ? 0 : current === null ? NO_CURRENT : CURRENT) |
    (id === usualId(key, announced) ? 0 : ID) |
    (payload === null || isWhole(payload) ? 0 : TEXT)
  to.begin()
  to.away(record, KIND.object, flags)
  if ((flags & ANNOUNCED) !== 0) to.shortHex(announced)
  if ((flags & CURRENT) !== 0) to.shortHex(current ?? '')
  if ((flags & ID) !== 0) to.text(id)
  if ((flags & TEXT) !== 0) to.text(canonicalJson(payload))
}

/** All of it, as it was written. */
export function readObject(memory: SharedMemory, node: number): Entry {
  const key = nameOf(memory, node)
  const flags = memory.word(node + HEAD) >>> LENGTH_SHIFT
  const from = new RecordReader(memory, behindName(memory, node))
  const assigned = readRevision(memory, node)
  const announced = (flags & ANNOUNCED) === 0 ? (assigned ?? '') : from.shortHex()
  const current = (flags & CURRENT) !== 0 ? from.shortHex() : (flags & NO_CURRENT) !== 0 ? null : assigned
  const id = (flags & ID) === 0 ? usualId(key, announced) : from.text()
  const assignment = (digest: string | null): Assignment => ({ key, id, announced, current, assigned, digest })
  if (assigned === null) return { assignment: assignment(null), payload: null }
  if ((flags & TEXT) !== 0) {
    // It is kept as the canonical JSON; what is parsed may have its keys in another order, those that are numbers first.
    const text = from.text()
    return { assignment: assignment(sha256(text)), payload: JSON.parse(text) as Fragment | Certificate }
  }
  const payload = readPayload(memory, namedBy(memory, node))
  // Its keys are in order (records.ts): this is the canonical JSON.
  return { assignment: assignment(sha256(JSON.stringify(payload))), payload }
}

/** That is assigned; null: none is. */
export function readRevision(memory: SharedMemory, node: number): Revision | null {
  const record = namedBy(memory, node)
  switch (memory.word(record + HEAD) & KIND_BITS) {
    case KIND.fragment:
      return readHead(memory, record).revision
    case KIND.certificate:
      return readCertificateRevision(memory, record)
    default:
      return null
  }
}

export function objectWords(memory: SharedMemory, node: number): number {
  const flags = memory.word(node + HEAD) >>> LENGTH_SHIFT
  const from = new RecordReader(memory, behindName(memory, node))
  if ((flags & ANNOUNCED) !== 0) from.shortHex()
  if ((flags & CURRENT) !== 0) from.shortHex()
  if ((flags & ID) !== 0) from.skipText()
  if ((flags & TEXT) !== 0) from.skipText()
  return from.place - node
}

function readPayload(memory: SharedMemory, record: number): Fragment | Certificate {
  const kind = memory.word(record + HEAD) & KIND_BITS
  return kind === KIND.certificate ? readCertificate(memory, record) : readFragment(memory, record)
}

/** As the operator makes IDs of content: namespace, name and revision. */
function usualId(key: ObjectKey, announced: Revision): string {
  return `${key.slice(key.indexOf('/') + 1)}:${announced}`
}

/** The objects as they were in one generation, for the main thread. Nothing of it is written over before it is closed. */
export class Objects {
  readonly memory: SharedMemory
  readonly #open: Set<Objects>
  readonly #reader: VersionedReader

  /** @param open those that are looked at: it is one of them from now on */
  constructor(memory: SharedMemory, open: Set<Objects>, generation: number) {
    this.memory = memory
    this.#open = open
    this.#reader = new VersionedReader(memory, ROOTS.objects)
    this.#reader.advance(generation)
    open.add(this)
  }

  get generation(): number {
    return this.#reader.generation
  }

  /** To a newer one that is complete. */
  advance(generation: number): void {
    if (generation > this.generation) this.#reader.advance(generation)
  }

  /** Another look at the same generation. */
  again(): Objects {
    return new Objects(this.memory, this.#open, this.generation)
  }

  /** Null: it is not there. */
  entry(key: ObjectKey): Entry | null {
    const node = this.#reader.find(key)
    return node === NOWHERE ? null : readObject(this.memory, node)
  }

  /** That is assigned; null: none is. */
  revision(key: ObjectKey): Revision | null {
    const node = this.#reader.find(key)
    return node === NOWHERE ? null : readRevision(this.memory, node)
  }

  /** In no order; what is written meanwhile is not among them. */
  *keys(): Generator<ObjectKey, void, void> {
    for (const node of this.#reader.nodes()) yield nameOf(this.memory, node)
  }

  /** As `keys`. */
  *entries(): Generator<Entry, void, void> {
    for (const node of this.#reader.nodes()) yield readObject(this.memory, node)
  }

  close(): void {
    this.#open.delete(this)
  }
}
