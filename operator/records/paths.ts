/**
 * Which shard a record belongs to, and what its Secret is called: a trie over the SHA-256 of the object's UID. The six lower bits
 * of the first byte choose one of 64 roots, which are the shards that there always were; each further digit is the next two bits,
 * and is there only below a shard that was split. Pure.
 */
import { createHash } from 'node:crypto'

export const ROOTS = 64
/** Children of a shard that is split. Fewer would be more levels to write, more would be shards with a handful of records. */
export const BRANCHES = 4
/** 64 × 4^16: only a defect gets there. */
export const MOST_DIGITS = 16

/**
 * A root as two hexadecimal digits, then one of 0 to 3 for each split above: `3f`, `3f0`, `3f02`.
 */
export type ShardPath = string

const ROOT_LENGTH = 2
const PREFIX = 'sluice-releases-'
const NAME = new RegExp(`^${PREFIX}([0-3][0-9a-f])(?:-([0-3]{1,${MOST_DIGITS}}))?$`)

export function hashOf(uid: string): Uint8Array {
  return createHash('sha256').update(uid).digest()
}

/** The first is of the root's children. */
export function digitOf(hash: Uint8Array, level: number): number {
  // Six bits are the root's; a digit never spans two bytes.
  const bit = 6 + 2 * level
  return ((hash[bit >> 3] ?? 0) >> (bit & 7)) & (BRANCHES - 1)
}

export function rootOf(hash: Uint8Array): number {
  return (hash[0] ?? 0) % ROOTS
}

/** The root shard of an object. */
export function shardOf(uid: string): ShardPath {
  return rootPath(rootOf(hashOf(uid)))
}

export function rootPath(root: number): ShardPath {
  return root.toString(16).padStart(ROOT_LENGTH, '0')
}

export const ROOT_PATHS: readonly ShardPath[] = Array.from({ length: ROOTS }, (_, root) => rootPath(root))

export function childPaths(path: ShardPath): readonly ShardPath[] {
  return Array.from({ length: BRANCHES }, (_, digit) => `${path}${digit}`)
}

/** Null: it is a root. */
export function parentPath(path: ShardPath): ShardPath | null {
  return path.length === ROOT_LENGTH ? null : path.slice(0, -1)
}

/** Splits above it. */
export function levelOf(path: ShardPath): number {
  return path.length - ROOT_LENGTH
}

export function shardName(path: ShardPath): string {
  const digits = path.slice(ROOT_LENGTH)
  return `${PREFIX}${path.slice(0, ROOT_LENGTH)}${digits === '' ? '' : `-${digits}`}`
}

/** Null: the name of no shard. */
export function pathOf(name: string): ShardPath | null {
  const found = NAME.exec(name)
  return found === null ? null : `${found[1] ?? ''}${found[2] ?? ''}`
}

/** By digit: what belongs to which child of a shard with so many splits above it. */
export function partition<T>(records: ReadonlyMap<string, T>, level: number): readonly Map<string, T>[] {
  const parts = Array.from({ length: BRANCHES }, () => new Map<string, T>())
  for (const [uid, record] of records) parts[digitOf(hashOf(uid), level)]?.set(uid, record)
  return parts
}
