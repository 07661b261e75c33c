/** The file itself: whole or not there, never half. */
import { createReadStream } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { LineSplitter } from '../../protocol/lines.ts'
import type { StoredContents, TableContents } from './contents.ts'
import { DiskError } from './errors.ts'
import { Decoder, encode } from './format.ts'

const NAME = 'table.ndjson.gz'
/** It holds private keys. */
const MODE = 0o600

export class LastTable {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  get path(): string {
    return join(this.#folder, NAME)
  }

  /** Null: there is none. @throws DiskError */
  async read(): Promise<StoredContents | null> {
    const decoder = new Decoder()
    const splitter = new LineSplitter()
    try {
      await pipeline(createReadStream(this.path), createGunzip(), async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) for (const line of splitter.push(chunk)) decoder.push(line)
      })
      return decoder.end()
    } catch (cause) {
      if (isMissing(cause)) return null
      if (cause instanceof DiskError) throw cause
      throw new DiskError('SLUICE_DISK_READ', 'it cannot be read', { cause })
    }
  }

  /** A reader finds the old content or the new, also after a loss of power in between. @throws DiskError */
  async write(contents: TableContents): Promise<void> {
    const temporary = `${this.path}.tmp`
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'w', MODE)
      try {
        await file.chmod(MODE)
        // Not the handle's own stream: with autoClose off a pipeline never sees its end.
        await pipeline(Readable.from(encode(contents)), createGzip({ level: 1 }), chunks => file.writeFile(chunks))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.path)
      await this.#syncFolder()
    } catch (cause) {
      throw new DiskError('SLUICE_DISK_WRITE', 'the table cannot be written to disk', { cause })
    }
  }

  async #syncFolder(): Promise<void> {
    const folder = await open(this.#folder, 'r')
    await folder.sync().finally(() => folder.close())
  }
}

function isMissing(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT'
}
