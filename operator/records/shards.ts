/**
 * How release records are kept: gzipped JSON in a fixed number of Secrets of the operator's namespace.
 * Secrets, because the content of a TLS Secret is part of a record and may be in nothing else.
 * One hundred thousand Ingresses cost 64 objects of some 150 KiB.
 */
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { ReleaseRecord } from '../assign/types.ts'

export const SHARD_COUNT = 64
export const SHARD_LABEL = 'tengine.taobao.org/store'
export const SHARD_LABEL_VALUE = 'releases'
const FORMAT = 1
/**
 * Beside the shards, of their form and without a record: it says that every shard was written once. Whatever is not there since
 * was lost.
 */
export const MARKER_NAME = 'sluice-releases-complete'

/** Thrown for a shard that cannot be read. Its records are unknown then: nothing may be concluded from their absence. */
export class ShardError extends Error {
  readonly code = 'SLUICE_SHARD'
  override readonly name = 'ShardError'
}

export function shardOf(uid: string): number {
  return createHash('sha256').update(uid).digest().readUInt8(0) % SHARD_COUNT
}

export function shardName(shard: number): string {
  return `sluice-releases-${shard.toString(16).padStart(2, '0')}`
}

/** Base64 for a Secret's data field. */
export function encodeShard(records: Iterable<ReleaseRecord>): string {
  const sorted = [...records].sort((a, b) => (a.uid < b.uid ? -1 : 1))
  return gzipSync(JSON.stringify({ format: FORMAT, records: sorted })).toString('base64')
}

export function decodeShard(name: string, base64: string): readonly ReleaseRecord[] {
  try {
    const parsed = JSON.parse(gunzipSync(Buffer.from(base64, 'base64')).toString('utf8')) as {
      format?: number
      records?: ReleaseRecord[]
    }
    if (parsed.format !== FORMAT || !Array.isArray(parsed.records)) {
      throw new ShardError(`Secret ${name}: format ${String(parsed.format)} is not ${FORMAT}`)
    }
    return parsed.records
  } catch (error) {
    if (error instanceof ShardError) throw error
    // The cause may quote the content: it stays out of the message.
    throw new ShardError(
      `Secret ${name}: its records cannot be read (${error instanceof Error ? error.name : 'error'})`,
    )
  }
}
