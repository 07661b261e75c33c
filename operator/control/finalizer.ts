/** When an Ingress carries our finalizer. Pure. A Secret never does: its last good content is in the record. */
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'

/** Holds an object that is being deleted until the deletion is rolled out. */
export const FINALIZER = 'tengine.taobao.org/rollout'

/**
 * The finalizers that the object is to have. Ours is there from the moment that the object is governed and something of
 * it is released or on its way, and goes when pods do not serve it any more.
 *
 * @param rollingOut its deletion is not confirmed by every pod yet
 */
export function wantedFinalizers(view: ObjectView, rollingOut = false): readonly string[] {
  const finalizers = view.source?.finalizers ?? []
  const has = finalizers.includes(FINALIZER)
  const wants = wantsOurs(view, rollingOut)
  if (wants === has) return finalizers
  return wants ? [...finalizers, FINALIZER] : finalizers.filter(name => name !== FINALIZER)
}

function wantsOurs(
  { key, source, record, governance, namespaceTerminating }: ObjectView,
  rollingOut: boolean,
): boolean {
  if (source === null || record === null || namespaceTerminating || key.startsWith('Secret/')) return false
  // An object that is being deleted takes no new finalizer: the API server refuses it.
  if (source.deleting && !source.finalizers.includes(FINALIZER)) return false
  // Nothing is released and nothing on its way, whatever the index.
  const dropped = [record.current, record.update].every(revision => (revision ?? ABSENT_REVISION) === ABSENT_REVISION)
  if (dropped) return rollingOut && source.deleting
  const held = record.refused.includes(ABSENT_REVISION) && source.revision === ABSENT_REVISION
  return governance.by === 'none' ? held : record.governed && (governance.by === 'policy' || record.update !== null)
}
