/** Nodes whose kind says one number: a map of them is as easy to tell as a Map. */
import type { Blocks } from '../blocks.ts'
import { GONE, HEAD, KIND_BITS, NOWHERE } from '../layout.ts'
import { behindName, nodeWords, writeName } from '../names.ts'
import type { SharedMemory } from '../shared-memory.ts'
import type { VersionedMap, VersionedReader } from '../versions.ts'

const NUMBER = 1

export function putNumber(map: VersionedMap, blocks: Blocks, name: string, value: number, generation: number): void {
  const { memory } = blocks
  const node = blocks.take(nodeWords(name) + 1)
  writeName(memory, node, name, NUMBER)
  memory.words[behindName(memory, node)] = value
  retireNumber(map, blocks, name, generation)
  map.set(node, generation)
}

export function deleteNumber(map: VersionedMap, blocks: Blocks, name: string, generation: number): void {
  retireNumber(map, blocks, name, generation)
  map.delete(name, generation)
}

/** Null: the reader sees no such name. */
export function numberOf(memory: SharedMemory, reader: VersionedReader, name: string): number | null {
  const node = reader.find(name)
  return node === NOWHERE ? null : memory.word(behindName(memory, node))
}

function retireNumber(map: VersionedMap, blocks: Blocks, name: string, generation: number): void {
  const before = map.newest(name)
  if (before === NOWHERE || (blocks.memory.word(before + HEAD) & KIND_BITS) === GONE) return
  blocks.retire(before, nodeWords(name) + 1, generation)
}
