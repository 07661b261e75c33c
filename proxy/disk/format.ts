/**
 * The last good table as lines of JSON: a head that names format and version, the messages of a snapshot, and a tail
 * with the SHA-256 of all lines before it. Being messages, they are checked by the schemas of the stream when read.
 */
import { createHash } from 'node:crypto'
import type { StreamMessage } from '../../protocol/messages.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import type { StoredContents, TableContents } from './contents.ts'
import { DiskError } from './errors.ts'

const FORMAT = { format: 'sluice-table', version: 1 } as const
const HEAD = JSON.stringify(FORMAT)
/** Characters per portion: large enough to compress well, small enough not to hold up the thread. */
const PORTION = 64 * 1024
const SERVICES_PER_LINE = 500

/** Text in portions, made as they are asked for. */
export function* encode(contents: TableContents): Generator<string, void> {
  const hash = createHash('sha256')
  let portion = ''
  for (const line of lines(contents)) {
    portion += `${line}\n`
    if (portion.length < PORTION) continue
    hash.update(portion)
    yield portion
    portion = ''
  }
  hash.update(portion)
  yield `${portion}${JSON.stringify({ sha256: hash.digest('hex') })}\n`
}

function* lines({ entries, endpoints, checksums, stateHash }: TableContents): Generator<string, void> {
  yield HEAD
  for (let from = 0; from < endpoints.length; from += SERVICES_PER_LINE) {
    yield items([], [], [], endpoints.slice(from, from + SERVICES_PER_LINE))
  }
  // One object per line: no line can grow too long to be read again.
  for (const { assignment, payload } of entries) {
    if (payload === null) yield items([assignment], [], [], [])
    else if ('chain' in payload) yield items([assignment], [], [payload], [])
    else yield items([assignment], [payload], [], [])
  }
  yield message({ type: 'snapshot-end', sequence: 0, checksums, stateHash })
}

function items(
  assignments: readonly Assignment[],
  fragments: readonly Fragment[],
  certificates: readonly Certificate[],
  endpoints: TableContents['endpoints'],
): string {
  return message({
    ...{ type: 'snapshot-items', assignments, fragments, certificates, endpoints: Object.fromEntries(endpoints) },
  })
}

function message(content: StreamMessage): string {
  return JSON.stringify(content)
}

/** Takes the lines of a file one by one; `end` says what they hold. */
export class Decoder {
  readonly #hash = createHash('sha256')
  readonly #assignments: Assignment[] = []
  readonly #payloads = new Map<ObjectKey, Fragment | Certificate>()
  readonly #endpoints: (readonly [ServiceKey, readonly string[]])[] = []
  #end: Pick<TableContents, 'checksums' | 'stateHash'> | null = null
  #previous: string | null = null
  #lines = 0

  /** @throws DiskError, ProtocolError */
  push(line: string): void {
    if (this.#previous !== null) this.#take(this.#previous)
    this.#previous = line
  }

  /** @throws DiskError if anything is missing or not as it was written */
  end(): StoredContents {
    const tail = this.#previous === null ? null : digestOf(this.#previous)
    if (tail === null || this.#end === null) throw new DiskError('SLUICE_DISK_TRUNCATED', 'its end is missing')
    if (tail !== this.#hash.digest('hex')) {
      throw new DiskError('SLUICE_DISK_DIGEST', 'its content is not what was written')
    }
    const entries = this.#assignments.map(assignment => ({
      ...{ assignment, payload: this.#payloads.get(assignment.key) ?? null },
    }))
    return { entries, endpoints: this.#endpoints, ...this.#end }
  }

  #take(line: string): void {
    this.#hash.update(`${line}\n`)
    if (this.#lines++ === 0) {
      if (line !== HEAD) throw new DiskError('SLUICE_DISK_FORMAT', 'it is of another format or version')
      return
    }
    const content = parseStreamMessage(line)
    if (content.type === 'snapshot-end') {
      this.#end = { checksums: content.checksums, stateHash: content.stateHash }
    } else if (content.type === 'snapshot-items') {
      this.#assignments.push(...content.assignments)
      for (const payload of [...content.fragments, ...content.certificates]) this.#payloads.set(payload.key, payload)
      this.#endpoints.push(...Object.entries(content.endpoints))
    } else throw new DiskError('SLUICE_DISK_FORMAT', `it holds a ${content.type}`)
  }
}

function digestOf(line: string): string | null {
  return /^\{"sha256":"([0-9a-f]{64})"\}$/.exec(line)?.[1] ?? null
}
