/**
 * The layout of the memory that the main thread writes and workers read: all of it is here. Places are indices of 32-bit words,
 * which stay small integers up to 8 GiB.
 *
 * | words | what |
 * | --- | --- |
 * | 0, 1 | not used: as places they are `NOWHERE` and `LEFT` |
 * | 2 | seed of the hashes of names |
 * | 3 to 15 | roots: where the slots of each map are |
 * | 16 and on | blocks |
 *
 * Slots of a map: their number less one (a power of two), how many of them lead somewhere, then for each slot the hash of a name and the place
 * of its newest node. A name is looked for from the slot of its hash on, until it is found or a slot was never used.
 *
 * A node: the generation since which things are so · the node before it, for readers of an older generation · length of its name, size
 * of a character, kind · the name, one or two bytes a character · and what the kind has to say, which is not known here. What is written
 * of a node never changes once readers were told of its generation.
 *
 * A node whose name is away has the place of another one there, which has the same name, and in its head, for the length, what the kind
 * has to say.
 *
 * What is kept on disk (table/stored.ts) is an image of one generation: blocks that lie one behind the other, as they will in new memory,
 * from `IMAGE` on. Nothing of an older generation is in it, every node is of generation `IMAGE_GENERATION` and has none before it, and behind
 * the nodes are the slots of each map. The seed, and where the slots are, is said beside it. Whoever reads an image takes every word of it
 * as it is: whatever changes in these words, here or in what a kind has to say (table/records.ts, table/objects.ts), is another
 * `LAYOUT_VERSION`.
 */

/** Of all that is in an image. A test knows which bytes are of which version. */
export const LAYOUT_VERSION = 2

/** As a place: there is none; in a slot: it was never used. */
export const NOWHERE = 0
/** In a slot: what it led to is gone, others may lie behind it. */
export const LEFT = 1

export const SEED = 2
export const FIRST_ROOT = 3
export const FIRST_BLOCK = 16
/** New memory has so many words; where an image begins. */
export const IMAGE = 2 ** 14
export const IMAGE_GENERATION = 1

/** Of slots. */
export const MASK = 0
export const NAMES = 1
export const SLOTS = 2
export const SLOT_WORDS = 2
export const SLOT_HASH = 0
export const SLOT_NODE = 1

/** Of a node. */
export const GENERATION = 0
export const OLDER = 1
export const HEAD = 2
export const NAME = 3

/** Of a head: kind in the lowest bits, then whether the name is away, then the size of a character, then the length of the name. */
export const KIND_BITS = 0x3f
export const AWAY = 0x40
export const WIDE = 0x80
export const LENGTH_SHIFT = 8
/** A name may have so many characters. */
export const MOST_CHARACTERS = 0x7f_ffff

/** The kind of a node that says: since this generation the name is not there any more. All other kinds are the map's own. */
export const GONE = 0x3f

/** Words that so many bytes need. */
export function wordsOf(bytes: number): number {
  return Math.ceil(bytes / 4)
}
