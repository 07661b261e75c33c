/** The file itself: whole or not there, never half. */
import { access, mkdir, open as openFile, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadStored } from '../table/stored.ts'
import type { StoredContents, TableContents } from './contents.ts'
import { DiskError } from './errors.ts'
import { decode, encode, open } from './format.ts'

const NAME = 'table.zst'
/** What it was called when it was lines of JSON. */
const FORMER_NAME = 'table.ndjson.gz'
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

  /** Null: there is none. @param room for its image @throws DiskError */
  async read(room: Parameters<ReadStored>[0]): Promise<StoredContents | null> {
    try {
      return await decode(open(await readFile(this.path)), room)
    } catch (cause) {
      if (cause instanceof DiskError) throw cause
      if (!isMissing(cause)) throw new DiskError('SLUICE_DISK_READ', 'it cannot be read', { cause })
    }
    if (await isThere(this.#former)) {
      throw new DiskError('SLUICE_DISK_FORMAT', `${FORMER_NAME} is of a version before ${NAME}`)
    }
    return null
  }

  /** A reader finds the old content or the new, also after a loss of power in between. @throws DiskError */
  async write(contents: TableContents): Promise<void> {
    const temporary = `${this.path}.tmp`
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      const file = await openFile(temporary, 'w', MODE)
      try {
        await file.chmod(MODE)
        await file.writeFile(encode(contents))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.path)
      // It holds private keys, too, and nobody reads it any more.
      await rm(this.#former, { force: true })
      await this.#syncFolder()
    } catch (cause) {
      throw new DiskError('SLUICE_DISK_WRITE', 'the table cannot be written to disk', { cause })
    }
  }

  /** Nobody shall read it again. @throws DiskError */
  async remove(): Promise<void> {
    try {
      await rm(this.path, { force: true })
      await this.#syncFolder()
    } catch (cause) {
      throw new DiskError('SLUICE_DISK_WRITE', 'the table on disk cannot be removed', { cause })
    }
  }

  get #former(): string {
    return join(this.#folder, FORMER_NAME)
  }

  async #syncFolder(): Promise<void> {
    const folder = await openFile(this.#folder, 'r')
    await folder.sync().finally(() => folder.close())
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function isMissing(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT'
}
