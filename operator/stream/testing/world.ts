import type { Fragment, ObjectKey, Revision } from '../../../protocol/objects.ts'
import type { World, WorldEntry } from '../world.ts'

/** In it every pod serves these revisions, and every object announces the same one (null: what is served of it). */
export function worldOf(served: ReadonlyMap<ObjectKey, Revision>, announced: Revision | null = null): World {
  return {
    version: 1,
    checksums: { ingress: null, secret: null },
    objects: () => served.keys(),
    entry: key => {
      const revision = served.get(key)
      return revision === undefined ? null : entryOf(key, revision, announced ?? revision)
    },
    endpoints: () => new Map(),
    observe: () => ({ objects: [], hosts: [], intervalMs: 1_000 }),
    held: () => [],
  }
}

function entryOf(key: ObjectKey, assigned: Revision, announced: Revision): WorldEntry {
  const payload: Fragment = { key, revision: assigned, createdAt: 0, governed: true, hosts: [], tls: [] }
  const assignment = { key, id: `${key}-${announced}`, announced, current: assigned, assigned, digest: assigned }
  return { assignment, payload }
}
