import { StateHash } from '../../../protocol/hash.ts'
import type { Fragment, ObjectKey, Revision } from '../../../protocol/objects.ts'
import type { World, WorldChange, WorldEntry } from '../world.ts'

/** In it every pod serves these revisions, and every object announces the same one (null: what is served of it). */
export class ServedWorld {
  readonly served: Map<ObjectKey, Revision>
  #before = new Map<ObjectKey, WorldEntry>()

  constructor(served: Iterable<readonly [ObjectKey, Revision]>) {
    this.served = new Map(served)
  }

  /** What is told where these objects, and these alone, may be other ones than when this was asked last. */
  change(
    objects: readonly ObjectKey[],
    more: Partial<Pick<WorldChange, 'services' | 'observe'>> = {},
    announced: Revision | null = null,
  ): WorldChange {
    const before = this.#before
    const entries = new Map(
      [...this.served].map(([key, revision]) => [key, entryOf(key, revision, announced ?? revision)]),
    )
    this.#before = entries
    const assigned = (key: ObjectKey) => () => before.get(key)?.assignment ?? null
    const [services, observe] = [more.services ?? [], more.observe ?? false]
    return { world: worldOf(entries), objects: new Map(objects.map(key => [key, assigned(key)])), services, observe }
  }
}

function worldOf(entries: ReadonlyMap<ObjectKey, WorldEntry>): World {
  return {
    version: 1,
    checksums: { ingress: null, secret: null },
    stateHash: () => {
      const hash = new StateHash()
      for (const { assignment } of entries.values()) hash.toggle(assignment)
      return hash.hex
    },
    entries: () => entries.values(),
    entry: key => entries.get(key) ?? null,
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
