/**
 * Rollout annotations that stand on a Secret and drive nothing. The operator writes none under a policy and takes none off
 * (docs/adr/0026-no-write-on-secrets.md): those of an older operator stay, and must not pass for a person's will when the
 * policy goes. So the record remembers what stood there while nobody drove by it. Pure.
 */
import type { SourceObject } from '../model/types.ts'
import type { Governance, ReleaseRecord } from './types.ts'

export function isSecret({ key }: Pick<SourceObject, 'key'>): boolean {
  return key.startsWith('Secret/')
}

/** All four annotations as one text; what does not parse counts as it is written. */
export function stampText({ stamp: { flag, current, update, index } }: SourceObject): string {
  return JSON.stringify(
    [flag, current, update, index].map(part =>
      part.state === 'absent' ? null : part.state === 'valid' ? part.value : { text: part.text },
    ),
  )
}

/** The record with what stands on its Secret now; without it where somebody drives by hand. The same one if nothing differs. */
export function withLeft(record: ReleaseRecord, object: SourceObject, governance: Governance): ReleaseRecord {
  if (!isSecret(object)) return record
  const stands = governance.by !== 'hand' && object.stamp.flag.state !== 'absent'
  const left = stands ? stampText(object) : undefined
  const { left: before, ...others } = record
  if (before === left) return record
  return left === undefined ? others : { ...others, left }
}
