/**
 * How release records are kept: gzipped JSON in Secrets of the operator's namespace, each of which holds those of one part of all
 * objects (`paths.ts`). Secrets, because the content of a TLS Secret is part of a record and may be in nothing else; its private key
 * is encrypted there (`seal.ts`), all else is for whoever has to look.
 *
 * A shard that has grown large is split (docs/adr/0049-shards-that-split.md). It then has an id of its split, and is written twice:
 * once with the records that it held, which are those of every child that is not there, and without any when all children are.
 * A child says which split it belongs to; of another one it does not count.
 */
import { randomBytes } from 'node:crypto'
import { constants, gunzipSync, gzipSync } from 'node:zlib'
import type { ReleaseRecord, StoredRevision } from '../assign/types.ts'
import { proofOf, takeProof } from '../model/certificate.ts'
import type { SecretContent } from '../model/types.ts'
import { prove, proven } from './proof.ts'
import type { KeyRing, Owner, Sealed } from './seal.ts'
import { seal, unseal } from './seal.ts'

export const SHARD_LABEL = 'tengine.taobao.org/store'
export const SHARD_LABEL_VALUE = 'releases'
/**
 * 1: private keys as they are. 3: a shard that is split, and nothing else: an operator that does not know it would take what it does
 * not hold for lost. One that knows only older ones reads nothing of a newer one, and keeps what it has.
 */
const FORMATS: readonly unknown[] = [1, 2, 3]
const FORMAT = 2
const SPLIT_FORMAT = 3
/** What the API server takes as data of a Secret, in bytes (`MaxSecretSize`). */
const SECRET_BYTES = 1024 * 1024
/**
 * Beside the shards, of their form and without a record: it says that every shard was written once. Whatever is not there since
 * was lost.
 */
export const MARKER_NAME = 'sluice-releases-complete'

/** Thrown for a shard that cannot be read. Its records are unknown then: nothing may be concluded from their absence. */
export class ShardError extends Error {
  readonly code = 'SLUICE_SHARD'
  override readonly name = 'ShardError'
  /** Name of the Secret. */
  readonly secret: string
  /** All of it could be read, but private keys: a key of the operator's own is missing. */
  readonly locked: boolean

  constructor(secret: string, message: string, locked = false) {
    super(`Secret ${secret}: ${message}`)
    this.secret = secret
    this.locked = locked
  }
}

/** Thrown for a record that no Secret can hold. */
export class RecordSizeError extends Error {
  readonly code = 'SLUICE_RECORD_SIZE'
  override readonly name = 'RecordSizeError'

  constructor(key: string, bytes: number) {
    super(`${key}: its record has ${bytes} bytes, and a Secret holds ${SECRET_BYTES}: it is not stored`)
  }
}

/** Where a shard stands among others. */
export interface Place {
  /** The split of its parent that it belongs to; `''`: it is a root. */
  readonly of: string
  /** Its own split; `''`: it is not. */
  readonly split: string
}

/** What is needed to read a shard. */
export interface Opening {
  readonly keys: KeyRing
  /** The private key of this certificate where the Secret itself still has it; null: it has not, or is not known. */
  readonly recover: (key: ReleaseRecord['key'], chain: string) => string | null
}

export interface Opened extends Place {
  /** Null: it is split, and its children hold them. */
  readonly records: readonly ReleaseRecord[] | null
  /** Ids of the keys with which it is encrypted. */
  readonly sealedWith: ReadonlySet<string>
  /** It holds private keys that no key of ours protects: an operator from before wrote it, or they were recovered. */
  readonly isBare: boolean
}

/** Where people look for what to do. */
const MOST_NAMED = 3

/** Of a child, it names that of its parent: what is left over of another one is not taken for it. */
export function newSplit(of: string): string {
  return `${of === '' ? '' : `${of}.`}${randomBytes(4).toString('hex')}`
}

export function isSplitBelow(split: string, of: string): boolean {
  return of === '' || split.startsWith(`${of}.`)
}

/** As the API server counts the data of a Secret. */
export function fitsSecret(base64: string): boolean {
  return bytesOf(base64) <= SECRET_BYTES
}

export function bytesOf(base64: string): number {
  return Buffer.byteLength(base64, 'base64')
}

/** A content that did not change needs no new ciphertext. */
const seals = new WeakMap<SecretContent, { readonly owner: Owner; readonly sealed: Sealed }>()

/**
 * Base64 for a Secret's data field.
 * @param records null: its children have them
 * @throws SealError: there is a private key, and nothing to encrypt it with
 */
export function encodeShard(
  records: Iterable<ReleaseRecord> | null,
  keys: KeyRing,
  { of, split }: Place = { of: '', split: '' },
): string {
  const sorted =
    records === null ? null : [...records].sort((a, b) => (a.uid < b.uid ? -1 : 1)).map(record => closed(record, keys))
  const text = JSON.stringify({
    format: split === '' ? FORMAT : SPLIT_FORMAT,
    ...(of === '' ? {} : { of }),
    ...(split === '' ? {} : { split }),
    ...(sorted === null ? {} : { records: sorted }),
  })
  const data = gzipSync(text).toString('base64')
  // One that filled its Secret to the last byte has to fit once more, with its split.
  if (split === '' || fitsSecret(data)) return data
  return gzipSync(text, { level: constants.Z_BEST_COMPRESSION }).toString('base64')
}

/** @throws ShardError */
export function decodeShard(name: string, base64: string, opening: Opening): Opened {
  const { records: stored, of, split } = parse(name, base64)
  if (stored === null) return { records: null, of, split, sealedWith: new Set(), isBare: false }
  const sealedWith = new Set<string>()
  const missing: string[] = []
  let isBare = false
  const open = (record: ReleaseRecord, revision: string, one: StoredRevision): StoredRevision => {
    const { content, hash } = one
    if (content?.kind !== 'Secret') return one
    const { sealed, ...rest } = content as SecretContent & { readonly sealed?: Sealed }
    if (sealed === undefined) {
      isBare ||= content.privateKey !== ''
      return one
    }
    const owner = { uid: record.uid, revision, hash }
    const known = unseal(opening.keys, sealed, owner)
    const privateKey = known ?? opening.recover(record.key, content.chain)
    if (privateKey === null) {
      missing.push(`${record.key} (key ${sealed.key})`)
      return one
    }
    const opened: SecretContent = { ...rest, privateKey }
    if (known === null) isBare = true
    else {
      sealedWith.add(sealed.key)
      seals.set(opened, { owner, sealed: checked(opening.keys, opened, sealed) })
    }
    return { hash, content: opened }
  }
  const records = stored.map(record => {
    const revisions = Object.entries(record.revisions)
    if (!revisions.some(([, { content }]) => content?.kind === 'Secret')) return record
    return { ...record, revisions: Object.fromEntries(revisions.map(([r, one]) => [r, open(record, r, one)])) }
  })
  if (missing.length > 0) {
    const named = missing.slice(0, MOST_NAMED).join(', ')
    const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : ''
    throw new ShardError(
      name,
      `the private keys of ${named}${more} cannot be decrypted, and no Secret of that name has them: restore the Secret sluice-store-keys with the key that is named, or put the certificate that was released into its Secret again`,
      true,
    )
  }
  return { records, of, split, sealedWith, isBare }
}

function closed(record: ReleaseRecord, keys: KeyRing): ReleaseRecord {
  const entries = Object.entries(record.revisions)
  if (!entries.some(([, { content }]) => content?.kind === 'Secret')) return record
  const revisions = entries.map(([revision, one]): [string, unknown] => {
    const { content, hash } = one
    if (content?.kind !== 'Secret' || content.privateKey === '') return [revision, one]
    const owner = { uid: record.uid, revision, hash }
    const { privateKey, ...rest } = content
    const before = seals.get(content)
    const isSame = before !== undefined && before.sealed.key === keys.writer?.id && same(before.owner, owner)
    const sealed = withProof(keys, content, isSame ? before.sealed : seal(keys, privateKey, owner))
    seals.set(content, { owner, sealed })
    return [revision, { hash, content: { ...rest, sealed } }]
  })
  return { ...record, revisions: Object.fromEntries(revisions) as ReleaseRecord['revisions'] }
}

/** Takes what was proved of it; what was not, or not as this process would, is left out. */
function checked(keys: KeyRing, content: SecretContent, { proof: stored, ...sealed }: Sealed): Sealed {
  const proof = stored === undefined ? null : proven(keys.find(sealed.key), content, stored)
  if (stored === undefined || proof === null) return sealed
  takeProof(content, proof)
  return { ...sealed, proof: stored }
}

function withProof(keys: KeyRing, content: SecretContent, sealed: Sealed): Sealed {
  if (sealed.proof !== undefined) return sealed
  const [key, proof] = [keys.find(sealed.key), proofOf(content)]
  return key === null || proof === null ? sealed : { ...sealed, proof: prove(key, content, proof) }
}

function same(a: Owner, b: Owner): boolean {
  return a.uid === b.uid && a.revision === b.revision && a.hash === b.hash
}

interface Parsed extends Place {
  readonly records: readonly ReleaseRecord[] | null
}

function parse(name: string, base64: string): Parsed {
  try {
    const parsed = JSON.parse(gunzipSync(Buffer.from(base64, 'base64')).toString('utf8')) as {
      readonly format?: number
      readonly of?: string
      readonly split?: string
      readonly records?: readonly ReleaseRecord[]
    }
    const { format, of = '', split = '', records = null } = parsed
    if (!FORMATS.includes(format)) {
      throw new ShardError(name, `format ${String(format)} is none of ${FORMATS.join(', ')}`)
    }
    const isSplit = format === SPLIT_FORMAT
    if ((split !== '') !== isSplit || (records === null ? !isSplit : !Array.isArray(records))) {
      throw new ShardError(name, `it is not what format ${String(format)} says`)
    }
    return { of, split, records }
  } catch (error) {
    if (error instanceof ShardError) throw error
    // The cause may quote the content: it stays out of the message.
    throw new ShardError(name, `its records cannot be read (${error instanceof Error ? error.name : 'error'})`)
  }
}
