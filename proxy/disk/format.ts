/**
 * The last good table as a file of three parts, each a frame of the zstd format, so that `zstd -d` shows what is in it:
 *
 * | frame | what |
 * | --- | --- |
 * | skippable, `HEAD` | JSON: name and version of this format, version of the layout of the words, order of their bytes |
 * | zstd | the words of the image (memory/layout.ts, table/stored.ts); behind them lines of JSON: what is said beside the image, endpoints, checksums |
 * | skippable, `TAIL` | bytes of the image, bytes of all that is compressed (64 bits each, little-endian), SHA-256 of everything before |
 *
 * Nothing of it depends on the version of Node: words are read and written by our own code. Of the lines, the first says what is beside
 * the image; the others are messages of a snapshot, checked by the schemas of the stream when they are read.
 */
import { createHash } from 'node:crypto'
import { endianness } from 'node:os'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { LineSplitter } from '../../protocol/lines.ts'
import type { StreamMessage } from '../../protocol/messages.ts'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import { LAYOUT_VERSION } from '../memory/layout.ts'
import { STORED_MAPS, type ImageHead, type ReadStored } from '../table/stored.ts'
import type { StoredContents, TableContents } from './contents.ts'
import { DiskError } from './errors.ts'

const FORMAT = { format: 'sluice-table', version: 2 } as const
/** Magic numbers of skippable frames: these 16 are for whoever writes them. */
const HEAD = 0x184d2a50
const TAIL = 0x184d2a51
const FRAME_BYTES = 8
const LENGTH_BYTES = 8
const HASH_BYTES = 32
const TAIL_BYTES = FRAME_BYTES + LENGTH_BYTES * 2 + HASH_BYTES
/** A head is some hundred bytes. */
const MOST_HEAD_BYTES = 4_096
const WORD_BYTES = 4
const SERVICES_PER_LINE = 500
/** Of what is unpacked at once, in bytes. */
const CHUNK = 2 ** 18
/** Used in one go to make an image, in milliseconds. */
const PORTION_MS = 5

/** The file, piece by piece. @throws whatever its contents throw */
export async function* encode(contents: TableContents): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256')
  const head = skippable(
    HEAD,
    Buffer.from(JSON.stringify({ ...FORMAT, layout: LAYOUT_VERSION, endianness: endianness() })),
  )
  hash.update(head)
  yield head
  const lengths = { image: 0, content: 0 }
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } })
  const packed = pipeline(Readable.from(contentOf(contents, lengths), { objectMode: false }), zstd)
  // Whoever reads what comes out is told the same.
  packed.catch(() => undefined)
  for await (const chunk of zstd as AsyncIterable<Buffer>) {
    hash.update(chunk)
    yield chunk
  }
  await packed
  const tail = Buffer.alloc(TAIL_BYTES)
  tail.writeUInt32LE(TAIL, 0)
  tail.writeUInt32LE(TAIL_BYTES - FRAME_BYTES, 4)
  tail.writeBigUInt64LE(BigInt(lengths.image), FRAME_BYTES)
  tail.writeBigUInt64LE(BigInt(lengths.content), FRAME_BYTES + LENGTH_BYTES)
  hash.update(tail.subarray(0, TAIL_BYTES - HASH_BYTES))
  hash.digest().copy(tail, TAIL_BYTES - HASH_BYTES)
  yield tail
}

/** @param lengths are counted in bytes */
async function* contentOf(
  { image, endpoints, checksums, stateHash }: TableContents,
  lengths: { image: number; content: number },
): AsyncGenerator<Uint8Array, void, void> {
  let until = performance.now() + PORTION_MS
  let head: ImageHead | null = null
  while (head === null) {
    const next = image.next()
    if (next.done === true) head = next.value
    else if (next.value !== null) {
      const { buffer, byteOffset, byteLength } = next.value
      lengths.image += byteLength
      yield new Uint8Array(buffer, byteOffset, byteLength)
    }
    if (performance.now() < until) continue
    await nextTurn()
    until = performance.now() + PORTION_MS
  }
  lengths.content = lengths.image
  for (const line of lines(head, { endpoints, checksums, stateHash })) {
    const bytes = Buffer.from(`${line}\n`)
    lengths.content += bytes.length
    yield bytes
  }
}

function* lines(
  image: ImageHead,
  { endpoints, checksums, stateHash }: Omit<TableContents, 'image'>,
): Generator<string, void, void> {
  yield JSON.stringify(image)
  for (let from = 0; from < endpoints.length; from += SERVICES_PER_LINE) {
    yield message({
      ...{ type: 'snapshot-items', assignments: [], fragments: [], certificates: [] },
      endpoints: Object.fromEntries(endpoints.slice(from, from + SERVICES_PER_LINE)),
    })
  }
  yield message({ type: 'snapshot-end', sequence: 0, checksums, stateHash })
}

function message(content: StreamMessage): string {
  return JSON.stringify(content)
}

function skippable(magic: number, content: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES + content.length)
  frame.writeUInt32LE(magic, 0)
  frame.writeUInt32LE(content.length, 4)
  frame.set(content, FRAME_BYTES)
  return frame
}

/** A file that is whole, and of this format. */
export interface Opened {
  readonly packed: Uint8Array
  /** Unpacked, in bytes. */
  readonly imageBytes: number
  readonly contentBytes: number
}

/** Looks at all of the file. @throws DiskError if anything is missing, not as it was written, or of another version */
export function open(file: Buffer): Opened {
  const begin = openHead(file)
  const at = file.length - TAIL_BYTES
  if (at < begin || file.readUInt32LE(at) !== TAIL || file.readUInt32LE(at + 4) !== TAIL_BYTES - FRAME_BYTES) {
    throw new DiskError('SLUICE_DISK_TRUNCATED', 'its end is missing')
  }
  const hashed = file.length - HASH_BYTES
  if (!createHash('sha256').update(file.subarray(0, hashed)).digest().equals(file.subarray(hashed))) {
    throw new DiskError('SLUICE_DISK_DIGEST', 'its content is not what was written')
  }
  return {
    packed: file.subarray(begin, at),
    imageBytes: Number(file.readBigUInt64LE(at + FRAME_BYTES)),
    contentBytes: Number(file.readBigUInt64LE(at + FRAME_BYTES + LENGTH_BYTES)),
  }
}

/** @returns where it ends */
function openHead(file: Buffer): number {
  if (file.length < FRAME_BYTES) throw new DiskError('SLUICE_DISK_TRUNCATED', 'its begin is missing')
  const length = file.readUInt32LE(4)
  if (file.readUInt32LE(0) !== HEAD || length > MOST_HEAD_BYTES) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'it is no copy of a table')
  }
  const end = FRAME_BYTES + length
  if (file.length < end) throw new DiskError('SLUICE_DISK_TRUNCATED', 'its begin is missing')
  const head = parsed(file.toString('utf8', FRAME_BYTES, end))
  if (head['format'] !== FORMAT.format || head['version'] !== FORMAT.version) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'it is of another format or version')
  }
  if (head['layout'] !== LAYOUT_VERSION) {
    const other = Number(head['layout'])
    throw new DiskError('SLUICE_DISK_FORMAT', `its layout is version ${other}, not ${LAYOUT_VERSION}`)
  }
  if (head['endianness'] !== endianness()) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'the bytes of its words are in the order of another machine')
  }
  return end
}

/** @throws DiskError, ProtocolError, what `room` throws */
export async function decode(
  { packed, imageBytes, contentBytes }: Opened,
  room: Parameters<ReadStored>[0],
): Promise<StoredContents> {
  if (imageBytes > contentBytes || imageBytes % WORD_BYTES !== 0) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'its lengths do not fit')
  }
  const image = room(imageBytes / WORD_BYTES)
  const decoder = new LineDecoder()
  let at = 0
  const unpack = createZstdDecompress({ chunkSize: CHUNK })
  await pipeline(Readable.from([packed]), unpack, async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      const words = chunk.subarray(0, Math.max(0, imageBytes - at))
      if (words.length > 0) image.set(words, at)
      at += chunk.length
      if (words.length < chunk.length) decoder.push(chunk.subarray(words.length))
    }
  })
  if (at !== contentBytes) throw new DiskError('SLUICE_DISK_FORMAT', 'its content is not as long as it says')
  const contents = decoder.end()
  if (contents.image.words * WORD_BYTES !== imageBytes) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'its image is not as long as it says')
  }
  return contents
}

/** What stands behind the image. */
class LineDecoder {
  readonly #splitter = new LineSplitter()
  readonly #endpoints: (readonly [string, readonly string[]])[] = []
  #image: ImageHead | null = null
  #end: Pick<StoredContents, 'checksums' | 'stateHash'> | null = null

  push(chunk: Buffer): void {
    for (const line of this.#splitter.push(chunk)) this.#take(line)
  }

  end(): StoredContents {
    if (this.#image === null || this.#end === null) throw new DiskError('SLUICE_DISK_FORMAT', 'it has no last line')
    return { image: this.#image, endpoints: this.#endpoints, ...this.#end }
  }

  #take(line: string): void {
    if (this.#image === null) {
      this.#image = imageHead(parsed(line))
      return
    }
    const content = parseStreamMessage(line)
    if (content.type === 'snapshot-items') {
      for (const one of Object.entries(content.endpoints)) this.#endpoints.push(one)
    } else if (content.type === 'snapshot-end') {
      this.#end = { checksums: content.checksums, stateHash: content.stateHash }
    } else throw new DiskError('SLUICE_DISK_FORMAT', `it holds a ${content.type}`)
  }
}

function imageHead(said: Readonly<Record<string, unknown>>): ImageHead {
  const number = (from: Readonly<Record<string, unknown>>, field: string): number => {
    const value = from[field]
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    throw new DiskError('SLUICE_DISK_FORMAT', `what is said of its image has no ${field}`)
  }
  const slots = (said['slots'] ?? {}) as Readonly<Record<string, unknown>>
  return {
    ...{ words: number(said, 'words'), seed: number(said, 'seed') },
    slots: Object.fromEntries(STORED_MAPS.map(map => [map, number(slots, map)])) as ImageHead['slots'],
    ...{ fragments: number(said, 'fragments'), names: number(said, 'names') },
  }
}

/** What JSON says, if it says an object. */
function parsed(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new DiskError('SLUICE_DISK_FORMAT', 'it is no JSON', { cause: nameOf(cause) })
  }
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

/** Its message would quote what it read. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'an error'
}
