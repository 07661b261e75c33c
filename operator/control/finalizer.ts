/**
 * When an Ingress carries our finalizer: while a person drives it by its annotations, whom nothing could tell any more once it is
 * gone. Under a policy none is needed (assign/gone.ts), and one of an older operator goes. Pure. A Secret never has one.
 */
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'

/** Holds an object that is being deleted until people have driven the deletion. */
export const FINALIZER = 'tengine.taobao.org/rollout'

/** The finalizers that the object is to have. */
export function wantedFinalizers(view: ObjectView): readonly string[] {
  const finalizers = view.source?.finalizers ?? []
  const has = finalizers.includes(FINALIZER)
  const wants = wantsOurs(view)
  if (wants === has) return finalizers
  return wants ? [...finalizers, FINALIZER] : finalizers.filter(name => name !== FINALIZER)
}

function wantsOurs({ key, source, record, governance, namespaceTerminating }: ObjectView): boolean {
  if (source === null || record === null || namespaceTerminating || key.startsWith('Secret/')) return false
  // An object that is being deleted takes no new finalizer: the API server refuses it.
  if (source.deleting && !source.finalizers.includes(FINALIZER)) return false
  // Nothing is released and nothing on its way, whatever the index.
  const dropped = [record.current, record.update].every(revision => (revision ?? ABSENT_REVISION) === ABSENT_REVISION)
  return !dropped && governance.by === 'hand' && record.governed && record.update !== null
}
