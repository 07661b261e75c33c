/** The paths of one host, merged over all Ingresses that name it. Built once, then only read. */
import type { Fragment, HostFragment } from '../../protocol/objects.ts'
import type { Route } from './contract.ts'
import { normaliseRoutePath } from './path.ts'

/** Everything one Ingress says of one host. */
export interface HostShare {
  readonly fragment: Fragment
  readonly hosts: readonly HostFragment[]
}

/** The oldest object wins, then namespace/name. */
export function byAge(a: Fragment, b: Fragment): number {
  return a.createdAt - b.createdAt || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
}

export class HostRoutes {
  readonly #exact = new Map<string, Route>()
  readonly #prefix = new PrefixMap()
  readonly #specific = new PrefixMap()
  #default: Route | null = null

  constructor(host: string, shares: Iterable<HostShare>) {
    for (const { fragment, hosts } of [...shares].sort((a, b) => byAge(a.fragment, b.fragment))) {
      for (const { type, path, backend } of hosts.flatMap(h => h.paths)) {
        const { key: object, revision, governed } = fragment
        this.#add({ host, type, path, backend, object, revision, governed })
      }
    }
  }

  get default(): Route | null {
    return this.#default
  }

  match(path: string): Route | null {
    return this.#exact.get(path) ?? this.#prefix.longest(path) ?? this.#specific.longest(path) ?? this.#default
  }

  /** Shares come oldest first: whoever is there stays. */
  #add(route: Route): void {
    switch (route.type) {
      case 'Exact': {
        const path = normaliseRoutePath(route.path)
        if (!this.#exact.has(path)) this.#exact.set(path, route)
        return
      }
      case 'Prefix':
        this.#prefix.add(route)
        return
      case 'ImplementationSpecific':
        this.#specific.add(route)
        return
      case 'Default':
        this.#default ??= route
    }
  }
}

/** Prefixes by path element: `/foo` and `/foo/` match /foo, /foo/ and /foo/bar, not /foobar. */
class PrefixMap {
  readonly #routes = new Map<string, Route>()
  #depth = 0

  add(route: Route): void {
    const prefix = normaliseRoutePath(route.path).replace(/\/$/, '')
    if (this.#routes.has(prefix)) return
    this.#routes.set(prefix, route)
    this.#depth = Math.max(this.#depth, prefix.split('/').length - 1)
  }

  /** Looks only as deep as the deepest prefix: a path of thousands of elements costs no more than a short one. */
  longest(path: string): Route | null {
    if (this.#routes.size === 0) return null
    const ends = [0]
    for (let at = 0; ends.length <= this.#depth;) {
      const slash = path.indexOf('/', at + 1)
      if (slash === -1) {
        if (path.length > at + 1) ends.push(path.length)
        break
      }
      ends.push(slash)
      at = slash
    }
    for (let i = ends.length - 1; i >= 0; i--) {
      const route = this.#routes.get(path.slice(0, ends[i]))
      if (route) return route
    }
    return null
  }
}
