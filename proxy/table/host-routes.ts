/** The routes of one host: one by itself where there is no other, else all of them merged over the Ingresses that name it. */
import type { Group } from './groups.ts'
import { TableRoute, byAge, routesOf, type HostShare } from './owner.ts'
import { PathMatch } from './path-match.ts'

/** Merged when it is first asked after a change: an update does not pay for hosts that nobody visits. */
export class HostRoutes implements Group<HostShare> {
  readonly #shares: HostShare[] = []
  #merged: PathMatch | null = null

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
    this.#merged = null
  }

  remove(share: HostShare): void {
    const at = this.#shares.indexOf(share)
    if (at === -1) return
    const last = this.#shares.pop()
    if (last !== undefined && at < this.#shares.length) this.#shares[at] = last
    this.#merged = null
  }

  get default(): TableRoute | null {
    return this.#paths.default
  }

  match(path: string): TableRoute | null {
    return this.#paths.match(path)
  }

  get #paths(): PathMatch {
    // In place: a change leaves all but one or two where they are, and what is nearly sorted is sorted in one pass.
    this.#merged ??= new PathMatch(this.#shares.sort(byAge).flatMap(routesOf))
    return this.#merged
  }
}
