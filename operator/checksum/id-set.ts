/**
 * The IDs that take part in a checksum: a multiset in bytewise order that never changes; with() makes another one, which shares
 * with it all that is the same. With a hundred thousand IDs a change costs some microseconds, and its checksum what MD5 costs from the
 * first ID on that is another.
 */
import { PrefixHash } from './prefix-hash.ts'
import { applyDelta } from './sorted-ids.ts'
import type { IdDelta } from './sorted-ids.ts'

/** IDs that stand together: whoever changes one of them makes all of them anew. */
const CHUNK = 256

class Chunk {
  readonly ids: readonly string[]
  readonly first: string
  #text: string | null = null

  constructor(ids: readonly string[]) {
    this.ids = ids
    this.first = ids[0] ?? ''
  }

  /** Made when it is asked for, and kept: most of them are the same in the next state. */
  get text(): string {
    return (this.#text ??= this.ids.join(','))
  }
}

export class IdSet implements Iterable<string> {
  static readonly empty = new IdSet([], 0)

  readonly size: number
  readonly #chunks: readonly Chunk[]
  #checksum: string | null = null
  /** Of its first chunks. */
  #hashed: PrefixHash

  private constructor(chunks: readonly Chunk[], size: number, hashed = PrefixHash.none) {
    this.#chunks = chunks
    this.size = size
    this.#hashed = hashed
  }

  /** @param ids in any order; empty ones take no part, and one that is there twice counts twice */
  static of(ids: Iterable<string>): IdSet {
    const sorted = [...ids].filter(id => id !== '').sort()
    return new IdSet(chunksOf(sorted), sorted.length)
  }

  *[Symbol.iterator](): Generator<string> {
    for (const { ids } of this.#chunks) yield* ids
  }

  /** Null: nobody has asked for it. */
  get knownChecksum(): string | null {
    return this.#checksum
  }

  /** `idsChecksum` of protocol/hash.ts. */
  get checksum(): string {
    if (this.#checksum !== null) return this.#checksum
    const { hex, known } = this.#hashed.of(this.#chunks.length, i => {
      const text = this.#chunks[i]?.text ?? ''
      return i === 0 ? text : `,${text}`
    })
    this.#hashed = known
    return (this.#checksum = hex)
  }

  /** There is a newer one, which is changed from now on: of this one nothing is kept that only serves to hash the next one. */
  rest(): void {
    this.#hashed = PrefixHash.none
  }

  /** IDs that are taken away more often than they are there are ignored. */
  with(delta: IdDelta): IdSet {
    const changed = [...delta.keys()].filter(id => id !== '' && delta.get(id) !== 0).sort()
    if (changed.length === 0) return this
    const chunks: Chunk[] = []
    let size = this.size
    let done = 0
    const same = this.#chunkOf(changed[0] ?? '')
    for (let next = 0; next < changed.length;) {
      const at = this.#chunkOf(changed[next] ?? '')
      const end = this.#chunks[at + 1]?.first
      const mine = new Map<string, number>()
      for (; next < changed.length; next++) {
        const id = changed[next] ?? ''
        if (end !== undefined && id >= end) break
        mine.set(id, delta.get(id) ?? 0)
      }
      const before = this.#chunks[at]?.ids ?? []
      const after = applyDelta(before, mine)
      size += after.length - before.length
      for (; done < at; done++) push(chunks, this.#chunks[done])
      chunks.push(...chunksOf(after))
      done = at + 1
    }
    for (; done < this.#chunks.length; done++) push(chunks, this.#chunks[done])
    return new IdSet(chunks, size, this.#hashed.first(same))
  }

  /** Index of the last chunk that does not begin behind the ID; the first one for what comes before all. */
  #chunkOf(id: string): number {
    let [low, high] = [0, this.#chunks.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#chunks[middle]?.first ?? '') <= id) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }
}

function push(chunks: Chunk[], chunk: Chunk | undefined): void {
  if (chunk !== undefined) chunks.push(chunk)
}

/** An ID that is there more than once stands in one chunk. */
function chunksOf(sorted: readonly string[]): readonly Chunk[] {
  if (sorted.length <= 2 * CHUNK) return sorted.length === 0 ? [] : [new Chunk(sorted)]
  const chunks: Chunk[] = []
  for (let from = 0; from < sorted.length;) {
    let to = Math.min(from + CHUNK, sorted.length)
    while (to < sorted.length && sorted[to] === sorted[to - 1]) to++
    chunks.push(new Chunk(sorted.slice(from, to)))
    from = to
  }
  return chunks
}
