/** One Ingress as the table keeps it. Not the fragment: most have one host with one path, and there may be 100 000 of them. */
import type { Fragment, ObjectKey, PathFragment, Revision } from '../../protocol/objects.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Route } from './contract.ts'
import type { Policy } from './policy.ts'
import type { SecretSlot } from './secret-slot.ts'

/** One, or a list of them: a list of one costs more than what it holds. */
export type Some<T extends object> = T | readonly T[]

export class Owner {
  readonly key: ObjectKey
  readonly revision: Revision
  readonly createdAt: number
  readonly governed: boolean
  /** Fragment.challenges. */
  readonly challenges: boolean
  /** One per host that it names. */
  shares: Some<HostShare> = []
  /** One per server name of its TLS entries. */
  tls: Some<TlsShare> = []

  constructor({ key, revision, createdAt, governed, challenges }: Fragment) {
    this.key = key
    this.revision = revision
    this.createdAt = createdAt
    this.governed = governed
    this.challenges = challenges === true
  }
}

/** What one Ingress says of one host: a route, or any other number of them. */
export type HostShare = TableRoute | RouteList

export class TableRoute implements Route {
  readonly id: number
  readonly host: string
  readonly type: PathFragment['type']
  readonly path: string
  readonly cluster: Cluster | null
  readonly policy: Policy
  readonly owner: Owner

  constructor(id: number, host: string, path: PathFragment, cluster: Cluster | null, policy: Policy, owner: Owner) {
    this.id = id
    this.host = host
    this.type = path.type
    this.path = path.path
    this.cluster = cluster
    this.policy = policy
    this.owner = owner
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

export interface RouteList {
  readonly host: string
  readonly owner: Owner
  readonly routes: readonly TableRoute[]
}

/** What one Ingress says of one server name, in the order in which it says it. */
export interface TlsShare {
  readonly name: string
  readonly owner: Owner
  /** Empty: Fragment.defaultTls. */
  readonly secrets: Some<SecretSlot>
}

export function routesOf(share: HostShare): readonly TableRoute[] {
  return share instanceof TableRoute ? [share] : share.routes
}

export function listOf<T extends object>(some: Some<T>): readonly T[] {
  return Array.isArray(some) ? (some as readonly T[]) : [some as T]
}

/** The oldest object wins, then namespace/name. */
export function byAge(a: { readonly owner: Owner }, b: { readonly owner: Owner }): number {
  const [one, two] = [a.owner, b.owner]
  return one.createdAt - two.createdAt || (one.key < two.key ? -1 : one.key > two.key ? 1 : 0)
}
