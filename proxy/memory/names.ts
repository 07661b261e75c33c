/** Names of nodes: how they are written, compared and hashed. Characters are UTF-16 units, of one byte where all of them fit. */
import { DataPlaneError } from '../errors.ts'
import { AWAY, HEAD, LENGTH_SHIFT, MOST_CHARACTERS, NAME, WIDE, wordsOf } from './layout.ts'
import type { SharedMemory } from './shared-memory.ts'

/**
 * With a seed that nobody outside knows: names come from whoever may make an Ingress, and must not be chosen so that they meet. Every
 * character is mixed into all lower bits. @returns 32 bits, signed
 */
export function hashOf(name: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < name.length; i++) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x5bd1_e995)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x27d4_eb2d)
  return hash ^ (hash >>> 16)
}

/** Words of a node of this name, before what its kind has to say. @throws DataPlaneError SLUICE_NAME_TOO_LONG */
export function nodeWords(name: string): number {
  if (name.length > MOST_CHARACTERS) {
    throw new DataPlaneError('SLUICE_NAME_TOO_LONG', `a name of ${name.length} characters: ${name.slice(0, 100)}…`)
  }
  return NAME + wordsOf(isWide(name) ? name.length * 2 : name.length)
}

/** Writes head and name of a node that begins there. */
export function writeName(memory: SharedMemory, node: number, name: string, kind: number): void {
  const wide = isWide(name)
  memory.words[node + HEAD] = (name.length << LENGTH_SHIFT) | (wide ? WIDE : 0) | kind
  memory.bytes.write(name, (node + NAME) * 4, wide ? 'utf16le' : 'latin1')
}

export function nameOf(memory: SharedMemory, node: number): string {
  const named = namedBy(memory, node)
  const head = memory.word(named + HEAD)
  const begin = (named + NAME) * 4
  const length = head >>> LENGTH_SHIFT
  return (head & WIDE) === 0
    ? memory.bytes.toString('latin1', begin, begin + length)
    : memory.bytes.toString('utf16le', begin, begin + length * 2)
}

/** Where a node's name ends: what its kind has to say begins there. */
export function behindName(memory: SharedMemory, node: number): number {
  const head = memory.word(node + HEAD)
  if ((head & AWAY) !== 0) return node + NAME + 1
  const length = head >>> LENGTH_SHIFT
  return node + NAME + wordsOf((head & WIDE) === 0 ? length : length * 2)
}

/** The node that has the name of this one: nearly always itself. */
export function namedBy(memory: SharedMemory, node: number): number {
  return (memory.word(node + HEAD) & AWAY) === 0 ? node : memory.word(node + NAME)
}

export function isNamed(memory: SharedMemory, node: number, name: string): boolean {
  const { bytes } = memory
  const named = namedBy(memory, node)
  const head = memory.word(named + HEAD)
  if (head >>> LENGTH_SHIFT !== name.length) return false
  let at = (named + NAME) * 4
  if ((head & WIDE) === 0) {
    for (let i = 0; i < name.length; i++) if (bytes[at++] !== name.charCodeAt(i)) return false
    return true
  }
  for (let i = 0; i < name.length; i++, at += 2) {
    if (((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)) !== name.charCodeAt(i)) return false
  }
  return true
}

/** It has characters that one byte cannot hold. */
export function isWide(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0xff) return true
  return false
}
