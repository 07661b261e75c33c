/**
 * Which endpoint a value belongs to: the one with the highest score for it (Thaler and Ravishankar, Using Name-Based Mappings to Increase
 * Hit Rates, 1998). An endpoint that comes takes a share of every other one's values, one that goes leaves its values to all
 * others, and nothing else moves; nothing is kept between two requests. All numbers are of 32 bits, all workers and pods agree.
 */
import { powerOfTwoChoices, type Admission, type Candidate } from './choose.ts'

export const EVERYONE: Admission<unknown> = { admits: () => true }

export interface Hashed extends Candidate {
  /** Of its address (hashText). */
  readonly hash: number
}

/** FNV-1a over its UTF-16 units, mixed. No secret is in it: who chooses values may choose those of one endpoint. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

export function scoreOf(value: number, endpoint: number): number {
  return mix(value ^ endpoint)
}

/** The finalizer of MurmurHash3 (Austin Appleby, public domain): one to one, each bit of it depends on all. */
export function mix(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** The value of which `mix` is made. */
export function unmix(mixed: number): number {
  let value = mixed ^ (mixed >>> 16)
  value = Math.imul(value, 0x7ed1b41d)
  value ^= (value >>> 13) ^ (value >>> 26)
  value = Math.imul(value, 0xa5cb9243)
  return (value ^ (value >>> 16)) >>> 0
}

/**
 * A value that belongs to `wanted`, as chance has it. Its score for that is drawn, and the value follows from it: as high as the highest of so
 * many is, so that hardly another one is higher, and an endpoint that comes has its share of such values.
 */
export function valueOf<C extends Hashed>(candidates: readonly C[], wanted: C, random: () => number): number {
  for (let draws = 0; draws < MOST_DRAWS; draws++) {
    const score = Math.floor(random() ** (1 / candidates.length) * 2 ** 32)
    const value = (unmix(score) ^ wanted.hash) >>> 0
    if (ownerOf(candidates, EVERYONE, value) === wanted) return value
  }
  // The highest score that there is.
  return (unmix(2 ** 32 - 1) ^ wanted.hash) >>> 0
}

/** Each finds one with a chance of about a half. */
const MOST_DRAWS = 24

/**
 * Looks at all of them, at two multiplications each: some microseconds for a thousand.
 * @returns null: none is admitted
 */
export function ownerOf<C extends Hashed>(candidates: readonly C[], admission: Admission<C>, value: number): C | null {
  let best: C | null = null
  let highest = -1
  for (const candidate of candidates) {
    const score = scoreOf(value, candidate.hash)
    // Whom it does not pass need not be admitted: few are asked.
    if (score <= highest || !admission.admits(candidate)) continue
    best = candidate
    highest = score
  }
  return best
}

/** The less busy of two of the `size` endpoints that the value belongs to. */
export function oneOfSubset<C extends Hashed>(
  candidates: readonly C[],
  admission: Admission<C>,
  value: number,
  size: number,
  random: () => number,
): C | null {
  const best: { readonly candidate: C; readonly score: number }[] = []
  for (const candidate of candidates) {
    const score = scoreOf(value, candidate.hash)
    if (best.length === size && score <= (best.at(-1)?.score ?? 0)) continue
    if (!admission.admits(candidate)) continue
    const at = best.findIndex(other => other.score < score)
    best.splice(at === -1 ? best.length : at, 0, { candidate, score })
    if (best.length > size) best.pop()
  }
  return powerOfTwoChoices<C>(
    best.map(({ candidate }) => candidate),
    EVERYONE,
    random,
  )
}
