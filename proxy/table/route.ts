/** A path of an Ingress as workers have it. */
import type { ObjectKey, PathFragment, Revision } from '../../protocol/objects.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Route } from './contract.ts'
import type { Policy } from './policy.ts'
import type { Split } from './split.ts'

/** The Ingress that routes are of. */
export interface RouteOwner {
  readonly key: ObjectKey
  readonly revision: Revision
  readonly createdAt: number
  readonly governed: boolean
}

export class TableRoute implements Route {
  readonly id: number
  readonly host: string
  readonly type: PathFragment['type']
  readonly path: string
  readonly cluster: Cluster | null
  readonly policy: Policy
  readonly owner: RouteOwner
  readonly split: Split | null

  constructor(
    id: number,
    host: string,
    path: Pick<PathFragment, 'type' | 'path'>,
    cluster: Cluster | null,
    policy: Policy,
    owner: RouteOwner,
    split: Split | null = null,
  ) {
    this.id = id
    this.host = host
    this.type = path.type
    this.path = path.path
    this.cluster = cluster
    this.policy = policy
    this.owner = owner
    this.split = split
  }

  /** The same route, with the canaries that there are by now. */
  with(split: Split): TableRoute {
    const { id, host, cluster, policy, owner } = this
    return new TableRoute(id, host, this, cluster, policy, owner, split)
  }

  get object(): ObjectKey {
    return this.owner.key
  }

  get revision(): Revision {
    return this.owner.revision
  }

  get governed(): boolean {
    return this.owner.governed
  }
}

/** The oldest object wins, then namespace/name. */
export function byAge(a: { readonly owner: RouteOwner }, b: { readonly owner: RouteOwner }): number {
  const [one, two] = [a.owner, b.owner]
  return one.createdAt - two.createdAt || (one.key < two.key ? -1 : one.key > two.key ? 1 : 0)
}
