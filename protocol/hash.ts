/** Hashes that operator and proxy must agree on. */
import { createHash, hash } from 'node:crypto'
import type { Assignment, Certificate, Fragment } from './objects.ts'

/** JSON with object keys in bytewise order and without `undefined`: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[])
      text += `${text === '' ? '' : ','}${item === undefined ? 'null' : canonicalJson(item)}`
    return `[${text}]`
  }
  const fields = value as Readonly<Record<string, unknown>>
  for (const key of Object.keys(fields).sort()) {
    const field = fields[key]
    if (field !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(field)}`
  }
  return `{${text}}`
}

/** SHA-256 in lower-case hex. */
export function sha256(text: string): string {
  return hash('sha256', text)
}

/** Digest of what an assignment carries: a change of one byte between compile and proxy shows. */
export function payloadDigest(payload: Fragment | Certificate): string {
  return sha256(canonicalJson(payload))
}

/**
 * Says of one payload after the other whether it has its digest. Where their keys came in order, as from disk, that is soon said; from the
 * first one on that is not like that, all are taken for such.
 */
export function digestCheck(): (payload: Fragment | Certificate, digest: string | null) => boolean {
  let inOrder = true
  return (payload, digest) => {
    // No other text has this hash, and who says a digest says that of the canonical one.
    inOrder &&= sha256(JSON.stringify(payload)) === digest
    return inOrder || payloadDigest(payload) === digest
  }
}

/**
 * The global checksum of Tengine-Ingress (upstream ctl/ingcheck.go): IDs in bytewise order, joined with a comma,
 * MD5 in lower-case hex. Empty IDs (objects that the ID form leaves out) do not take part; duplicates do.
 */
export function idsChecksum(ids: Iterable<string>): string {
  const sorted = [...ids].filter(id => id !== '').sort(bytewise)
  return createHash('md5').update(sorted.join(',')).digest('hex')
}

/** Order of Go's sort.Strings: by UTF-8 bytes. IDs are ASCII, for which UTF-16 order is the same. */
function bytewise(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** SHA-256 of an assignment. */
export function assignmentHash({ key, id, announced, current, assigned, digest }: Assignment): Buffer {
  const line = `${key}\n${id}\n${announced}\n${current ?? ''}\n${assigned ?? ''}\n${digest ?? ''}`
  return hash('sha256', line, 'buffer')
}

/** Hash of a whole state, maintained in constant time per change: the XOR of one SHA-256 per assignment. */
export class StateHash {
  readonly #sum: Buffer

  /** The hash of an empty state, or one to go on from. */
  constructor(from?: StateHash) {
    this.#sum = from === undefined ? Buffer.alloc(32) : Buffer.from(from.#sum)
  }

  /** Adds an assignment that is not in the state, or takes away one that is (XOR is its own inverse). */
  toggle(assignment: Assignment): void {
    this.mix(assignmentHash(assignment))
  }

  /** Adds or takes away an assignment by its hash. */
  mix(hashed: Buffer): void {
    for (let i = 0; i < 32; i++) this.#sum[i] = (this.#sum[i] ?? 0) ^ (hashed[i] ?? 0)
  }

  get hex(): string {
    return this.#sum.toString('hex')
  }
}
