/**
 * How release records are kept: gzipped JSON in a fixed number of Secrets of the operator's namespace.
 * Secrets, because the content of a TLS Secret is part of a record and may be in nothing else; its private key is encrypted there
 * (`seal.ts`), all else is for whoever has to look.
 * One hundred thousand Ingresses cost 64 objects of some 150 KiB.
 */
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { ReleaseRecord, StoredRevision } from '../assign/types.ts'
import type { SecretContent } from '../model/types.ts'
import type { KeyRing, Owner, Sealed } from './seal.ts'
import { seal, unseal } from './seal.ts'

export const SHARD_COUNT = 64
export const SHARD_LABEL = 'tengine.taobao.org/store'
export const SHARD_LABEL_VALUE = 'releases'
/** 1: private keys as they are. An operator that knows no other reads nothing of the second, and keeps what it has. */
const FORMATS: readonly unknown[] = [1, 2]
const FORMAT = 2
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

/** What is needed to read a shard. */
export interface Opening {
  readonly keys: KeyRing
  /** The private key of this certificate where the Secret itself still has it; null: it has not, or is not known. */
  readonly recover: (key: ReleaseRecord['key'], chain: string) => string | null
}

export interface Opened {
  readonly records: readonly ReleaseRecord[]
  /** Ids of the keys with which it is encrypted. */
  readonly sealedWith: ReadonlySet<string>
  /** It holds private keys that no key of ours protects: an operator from before wrote it, or they were recovered. */
  readonly isBare: boolean
}

/** Where people look for what to do. */
const MOST_NAMED = 3

export function shardOf(uid: string): number {
  return createHash('sha256').update(uid).digest().readUInt8(0) % SHARD_COUNT
}

export function shardName(shard: number): string {
  return `sluice-releases-${shard.toString(16).padStart(2, '0')}`
}

/** A content that did not change needs no new ciphertext. */
const seals = new WeakMap<SecretContent, { readonly owner: Owner; readonly sealed: Sealed }>()

/** Base64 for a Secret's data field. @throws SealError: there is a private key, and nothing to encrypt it with */
export function encodeShard(records: Iterable<ReleaseRecord>, keys: KeyRing): string {
  const sorted = [...records].sort((a, b) => (a.uid < b.uid ? -1 : 1)).map(record => closed(record, keys))
  return gzipSync(JSON.stringify({ format: FORMAT, records: sorted })).toString('base64')
}

/** @throws ShardError */
export function decodeShard(name: string, base64: string, opening: Opening): Opened {
  const stored = parse(name, base64)
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
      seals.set(opened, { owner, sealed })
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
  return { records, sealedWith, isBare }
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
    const sealed = isSame ? before.sealed : seal(keys, privateKey, owner)
    seals.set(content, { owner, sealed })
    return [revision, { hash, content: { ...rest, sealed } }]
  })
  return { ...record, revisions: Object.fromEntries(revisions) as ReleaseRecord['revisions'] }
}

function same(a: Owner, b: Owner): boolean {
  return a.uid === b.uid && a.revision === b.revision && a.hash === b.hash
}

function parse(name: string, base64: string): readonly ReleaseRecord[] {
  try {
    const parsed = JSON.parse(gunzipSync(Buffer.from(base64, 'base64')).toString('utf8')) as {
      format?: number
      records?: ReleaseRecord[]
    }
    if (!FORMATS.includes(parsed.format) || !Array.isArray(parsed.records)) {
      throw new ShardError(name, `format ${String(parsed.format)} is none of ${FORMATS.join(', ')}`)
    }
    return parsed.records
  } catch (error) {
    if (error instanceof ShardError) throw error
    // The cause may quote the content: it stays out of the message.
    throw new ShardError(name, `its records cannot be read (${error instanceof Error ? error.name : 'error'})`)
  }
}
