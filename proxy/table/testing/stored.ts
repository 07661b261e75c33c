/** Images in memory of their own, for tests: what a file holds between two runs of a proxy. */
import type { Objects } from '../objects.ts'
import type { SharedTableWriter } from '../shared-writer.ts'
import { imageOf, type ImageHead, type ImageSteps, type ReadStored, type StoredTable } from '../stored.ts'
import { smallWriter } from './one-thread.ts'

export interface KeptImage {
  readonly head: ImageHead
  readonly words: Int32Array
}

/** To its end. */
export function kept(steps: ImageSteps): KeptImage {
  const portions: Int32Array[] = []
  for (;;) {
    const next = steps.next()
    if (next.done === true) return { head: next.value, words: joined(portions) }
    if (next.value !== null) portions.push(next.value)
  }
}

export function joined(portions: readonly Int32Array[]): Int32Array {
  const words = new Int32Array(portions.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of portions) {
    words.set(part, at)
    at += part.length
  }
  return words
}

/** Of what the writer has now. */
export function keptOf(from: Pick<SharedTableWriter, 'objects'>): KeptImage {
  const objects: Objects = from.objects()
  const image = kept(imageOf(objects))
  objects.close()
  return image
}

export function readerOf<S extends Omit<StoredTable, 'image'>>(
  { head, words }: KeptImage,
  said: S,
): ReadStored<S & StoredTable> {
  return room => {
    room(head.words).set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))
    return Promise.resolve({ ...said, image: head })
  }
}

/** A new table that took it up. */
export async function takenUp(image: KeptImage): Promise<SharedTableWriter> {
  const writer = smallWriter()
  await writer.restore(readerOf(image, { endpoints: [] }))
  return writer
}
