/** The paths of one host: a route by itself where there is no other, else all of them merged over the Ingresses that name it. */
import type { Group } from './groups.ts'
import { TableRoute, byAge, routesOf, type HostShare } from './owner.ts'

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

function slashesOf(path: string): number {
  let count = 0
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) count++
  return count
}

/** Merged when it is first asked after a change: an update does not pay for hosts that nobody visits. */
export class HostRoutes implements Group<HostShare> {
  readonly #shares: HostShare[] = []
  /** Longest first. */
  #few: readonly Place[] | null = null
  #many: ReadonlyMap<string, Place> | null = null
  #depth = 0
  #default: TableRoute | null = null

  get size(): number {
    return this.#shares.length
  }

  /** Oldest first. */
  get shares(): readonly HostShare[] {
    return this.#shares.toSorted(byAge)
  }

  get alone(): HostShare | null {
    const [first] = this.#shares
    return this.#shares.length === 1 && first instanceof TableRoute ? first : null
  }

  add(share: HostShare): void {
    this.#shares.push(share)
    this.#few = this.#many = null
  }

  remove(share: HostShare): void {
    const at = this.#shares.indexOf(share)
    if (at === -1) return
    const last = this.#shares.pop()
    if (last !== undefined && at < this.#shares.length) this.#shares[at] = last
    this.#few = this.#many = null
  }

  get default(): TableRoute | null {
    if (this.#few === null && this.#many === null) this.#merge()
    return this.#default
  }

  match(path: string): TableRoute | null {
    if (this.#few === null && this.#many === null) this.#merge()
    return (this.#many === null ? this.#fromFew(path) : this.#fromMany(path, this.#many)) ?? this.#default
  }

  #merge(): void {
    // In place: a change leaves all but one or two where they are, and what is nearly sorted is sorted in one pass.
    const routes = this.#shares.sort(byAge).flatMap(routesOf)
    this.#default = routes.find(route => route.type === 'Default') ?? null
    const places = new Map<string, Place>()
    this.#depth = 0
    for (const type of ['Exact', 'Prefix', 'ImplementationSpecific'] as const) {
      for (const route of routes) {
        if (route.type !== type) continue
        const prefix = route.path.endsWith('/') ? route.path.slice(0, -1) : route.path
        let place = places.get(prefix)
        if (place === undefined) {
          places.set(prefix, (place = new Place(prefix)))
          this.#depth = Math.max(this.#depth, slashesOf(prefix))
        }
        place.add(route)
      }
    }
    if (places.size > FEW) this.#many = places
    else this.#few = [...places.values()].sort((a, b) => b.prefix.length - a.prefix.length)
  }

  #fromFew(path: string): TableRoute | null {
    for (const place of this.#few ?? []) {
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
