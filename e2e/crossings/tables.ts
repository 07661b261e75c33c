/** What every proxy says it serves, from `/table` of its admin port: to ask there is no traffic, so that a quiet host stays quiet. */
import { askTarget } from '../node/harness/proxies.ts'
import type { Cluster } from '../node/harness/cluster.ts'

/** Revision by object, of one proxy. */
export type Table = Readonly<Record<string, string>>

export class Tables {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  /** By ordinal; an empty table for a proxy that does not answer. */
  all(): Promise<readonly Table[]> {
    return Promise.all(
      this.#cluster.admin.map(async target => {
        const { status, body } = await askTarget(target, { host: 'admin', path: '/table' })
        return status === 200 ? ((JSON.parse(body) as { readonly revisions?: Table }).revisions ?? {}) : {}
      }),
    )
  }

  /** The revision of one object on each proxy; null: it is not there. */
  async of(key: string): Promise<readonly (string | null)[]> {
    return (await this.all()).map(table => table[key] ?? null)
  }
}

export const ingressKey = (namespace: string, name: string): string => `Ingress/${namespace}/${name}`
export const secretKey = (namespace: string, name: string): string => `Secret/${namespace}/${name}`

/** The one revision that all serve; null: they do not agree, or have none. Pure. */
export function agreed(revisions: readonly (string | null)[]): string | null {
  const [first = null] = revisions
  return revisions.every(one => one === first) ? first : null
}
