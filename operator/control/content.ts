/** What a revision of an object has in it, as far as it is kept. */
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Revision } from '../../protocol/objects.ts'
import type { Content } from '../model/types.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'

export function contentOf(revision: Revision | null, view: ObjectView | null): Content | null {
  if (revision === null || revision === ABSENT_REVISION || view === null) return null
  if (view.source?.revision === revision) return view.source.content
  return view.record?.revisions[revision]?.content ?? null
}
