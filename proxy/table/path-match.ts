/** Which route of a host serves a path. */
import type { TableRoute } from './route.ts'

/** Does a single route serve this path? */
export function fits(route: Pick<TableRoute, 'type' | 'path'>, path: string): boolean {
  const own = route.path
  switch (route.type) {
    case 'Default':
      return true
    case 'Exact':
      return path === own
    default: {
      const last = own.length - 1
      if (own.charCodeAt(last) !== SLASH) {
        return path.startsWith(own) && (path.length === own.length || path.charCodeAt(own.length) === SLASH)
      }
      // `/foo/` serves /foo, too (Gateway API and Ingress conformance).
      return path.startsWith(own) || (path.length === last && own.startsWith(path))
    }
  }
}

function slashesOf(path: string): number {
  let count = 0
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) count++
  return count
}

const SLASH = 47
/** Up to so many paths a look at each is faster than a Map, and smaller. */
const FEW = 8

/** All routes of the same path elements, `/foo` and `/foo/`. */
class Place {
  /** Without its slash at the end: empty for `/`. */
  readonly prefix: string
  exact: TableRoute | null = null
  exactSlash: TableRoute | null = null
  plain: TableRoute | null = null
  slash: TableRoute | null = null

  constructor(prefix: string) {
    this.prefix = prefix
  }

  /** The best come first: whoever is there stays. */
  add(route: TableRoute): void {
    const slash = route.path.length > this.prefix.length
    if (route.type === 'Exact') {
      if (slash) this.exactSlash ??= route
      else this.exact ??= route
    } else if (slash) this.slash ??= route
    else this.plain ??= route
  }

  /** @param path begins with the elements of this place */
  serve(path: string): TableRoute | null {
    const rest = path.length - this.prefix.length
    if (rest === 0) return this.exact ?? this.plain ?? this.slash
    return (rest === 1 ? this.exactSlash : null) ?? this.slash ?? this.plain
  }
}

/** The paths of one host, whatever Ingress they are of. */
export class PathMatch {
  /** Who serves what no path fits. */
  readonly default: TableRoute | null
  /** Longest first. */
  readonly #few: readonly Place[]
  readonly #many: ReadonlyMap<string, Place> | null
  readonly #depth: number

  /** @param routes of the oldest Ingress first */
  constructor(routes: readonly TableRoute[]) {
    this.default = routes.find(route => route.type === 'Default') ?? null
    const places = new Map<string, Place>()
    let depth = 0
    for (const type of ['Exact', 'Prefix', 'ImplementationSpecific'] as const) {
      for (const route of routes) {
        if (route.type !== type) continue
        const prefix = route.path.endsWith('/') ? route.path.slice(0, -1) : route.path
        let place = places.get(prefix)
        if (place === undefined) {
          places.set(prefix, (place = new Place(prefix)))
          depth = Math.max(depth, slashesOf(prefix))
        }
        place.add(route)
      }
    }
    this.#depth = depth
    this.#many = places.size > FEW ? places : null
    this.#few = this.#many !== null ? [] : [...places.values()].sort((a, b) => b.prefix.length - a.prefix.length)
  }

  match(path: string): TableRoute | null {
    return (this.#many === null ? this.#fromFew(path) : this.#fromMany(path, this.#many)) ?? this.default
  }

  #fromFew(path: string): TableRoute | null {
    for (const place of this.#few) {
      const { prefix } = place
      if (!path.startsWith(prefix)) continue
      if (path.length > prefix.length && path.charCodeAt(prefix.length) !== SLASH) continue
      const route = place.serve(path)
      if (route !== null) return route
    }
    return null
  }

  /** Looks only as deep as the deepest route: a path of thousands of elements costs no more than a short one. */
  #fromMany(path: string, places: ReadonlyMap<string, Place>): TableRoute | null {
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
      const route = places.get(path.slice(0, ends[i]))?.serve(path)
      if (route) return route
    }
    return null
  }
}
