/** Copies on disk for tests and benchmarks. */
import type { Entry } from '../../table/entry.ts'
import { SharedTableWriter } from '../../table/shared-writer.ts'
import { imageOf } from '../../table/stored.ts'
import { smallWriter } from '../../table/testing/one-thread.ts'
import { EMPTY_UPDATE } from '../../table/update.ts'
import { chunks } from '../../turns.ts'
import type { PinnedContents, StoredContents } from '../contents.ts'
import type { LastTable } from '../last-table.ts'

/** Objects given to the table at once. */
const PIECE = 1_000

export type Said = Omit<StoredContents, 'image'>

/** What is kept on disk of a table that has these objects. */
export function contentsOf(entries: Iterable<Entry>, said: Said, writer = new SharedTableWriter()): PinnedContents {
  for (const upsert of chunks(entries, PIECE)) {
    writer.apply({ ...EMPTY_UPDATE, objects: { upsert, remove: [] } }, writer.generation)
  }
  const objects = writer.objects()
  return { ...said, image: imageOf(objects), close: () => objects.close() }
}

/** A file as it is found. */
export interface Found extends Said {
  /** In no order. */
  readonly entries: readonly Entry[]
}

/** What a file holds, taken up by a table; null: it is not there. */
export async function found(file: LastTable): Promise<Found | null> {
  const writer = smallWriter()
  const stored = await writer.restore(room => file.read(room))
  if (stored === null) return null
  const { image: _, ...said } = stored
  const objects = writer.objects()
  const entries = [...objects.entries()]
  objects.close()
  return { ...said, entries }
}
