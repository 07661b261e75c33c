/** Which probes concern a rollout: those of the settings that it runs on, whose host its object has. */
import type { ObservedProbe, Probe } from '../../protocol/messages.ts'
import { namedHosts } from '../compile/references.ts'
import { concerns, probeId } from '../model/probes.ts'
import type { Settings } from '../model/settings.ts'
import type { Content } from '../model/types.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { contentOf } from './content.ts'
import { isTerminal, isUnderWay } from './rollouts.ts'
import type { Rollout } from './rollouts.ts'

/** @param contents of the update and of what pods fall back to; null: none, or not an Ingress */
export function probesFor(
  settings: Pick<Settings, 'probes'> | null,
  contents: readonly (Content | null)[],
): readonly Probe[] {
  const [update = null] = contents
  // Of what leaves, and of certificates, a request to a path tells nothing.
  if (update?.kind !== 'Ingress') return []
  const hosts = contents.flatMap(content => (content?.kind === 'Ingress' ? namedHosts(content) : []))
  return (settings?.probes ?? []).filter(probe => concerns(probe, hosts))
}

/** What pods are to ask themselves for while these rollouts are under way; the same on every replica. */
export function observedProbes(
  rollouts: Iterable<Rollout>,
  viewOf: (object: ObjectView['key']) => ObjectView | null,
): readonly ObservedProbe[] {
  const all = new Map<string, ObservedProbe>()
  for (const rollout of rollouts) {
    const { object, spec } = rollout
    const view = viewOf(object)
    if (!isUnderWay(rollout) && !isOut(rollout, view)) continue
    const { rollout: begun, current = null } = view?.record ?? {}
    const settings = begun?.revision === spec.revision ? begun.settings : (view?.policy?.settings ?? null)
    for (const probe of probesFor(settings, [contentOf(spec.revision, view), contentOf(current, view)])) {
      const id = probeId(probe)
      all.set(`${object} ${id}`, { ...probe, object, id })
    }
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, probe]) => probe)
}

/** The record says that pods may have it: its status says so a moment later, once they confirmed it (status-news.ts). */
function isOut(rollout: Rollout, view: ObjectView | null): boolean {
  const { update = null, current = null, index = 0 } = view?.record ?? {}
  return !isTerminal(rollout) && update === rollout.spec.revision && update !== current && index !== 0
}
