/**
 * Records of an operator that took ACME challenges for content (before docs/adr/0028-challenges.md): what is released keeps its
 * name, and is bound to the content without them. So nothing is rolled out because they are kept apart now.
 */
import type { Revision } from '../../protocol/objects.ts'
import { splitChallenges } from '../model/challenges.ts'
import { revisionOf } from '../model/revision.ts'
import type { SourceObject } from '../model/types.ts'
import { hashOf } from './revisions.ts'
import type { ReleaseRecord, StoredRevision } from './types.ts'

/** A record is looked at again with every change around it. */
const known = new WeakMap<ReleaseRecord, ReleaseRecord>()

/** The same record if there is nothing to change. Idempotent. */
export function withoutChallenges(record: ReleaseRecord, source: SourceObject | null): ReleaseRecord {
  const split = known.get(record) ?? splitRevisions(record)
  known.set(record, split)
  return source === null ? split : renamed(split, source)
}

function splitRevisions(record: ReleaseRecord): ReleaseRecord {
  const split = Object.entries(record.revisions).flatMap(([name, stored]): [Revision, StoredRevision][] => {
    if (stored.content?.kind !== 'Ingress') return []
    const { content, challenges } = splitChallenges(stored.content)
    return challenges.length === 0 ? [] : [[name, { hash: revisionOf(content), content }]]
  })
  return split.length === 0 ? record : { ...record, revisions: { ...record.revisions, ...Object.fromEntries(split) } }
}

/** What was said of the content with its challenges is said of it without them: their content is not kept. */
function renamed(record: ReleaseRecord, { revision, challenges }: SourceObject): ReleaseRecord {
  if (challenges === undefined) return record
  const { asContent } = challenges
  const isReleased = hashOf(record, record.current) === revision
  const refuse = record.refused.includes(asContent) && !record.refused.includes(revision) && !isReleased
  return refuse ? { ...record, refused: [...record.refused, revision] } : record
}
