/**
 * Who refers to whom: Ingresses to Secrets and Services. Kept for every revision that is served or on its way,
 * so that endpoints and certificates of both are on the pods before a fragment needs them.
 */
import type { ServiceKey } from '../../protocol/objects.ts'

/**
 * A many-to-many relation from `from` to `to`, replaced one `from` at a time. Nearly every Ingress has one host, one Service and no
 * Secret, and nearly every host one Ingress: a Set is kept only where there are several, as each costs four hundred bytes.
 */
export class Relation<From extends string, To extends string> {
  /** Without duplicates. */
  readonly #forward = new Map<From, readonly To[]>()
  readonly #backward = new Map<To, From | Set<From>>()

  /** Sets what `from` refers to; returns every `to` that gained or lost this reference. */
  replace(from: From, to: Iterable<To>): readonly To[] {
    const next = new Set(to)
    const before = this.to(from)
    const lost = before.filter(t => !next.has(t))
    for (const t of before) next.delete(t)
    const gained = [...next]
    for (const t of lost) this.#drop(t, from)
    for (const t of gained) this.#add(t, from)
    const kept = lost.length === 0 ? before : before.filter(t => !lost.includes(t))
    const now = [...kept, ...gained]
    if (now.length === 0) this.#forward.delete(from)
    else if (gained.length > 0 || lost.length > 0) this.#forward.set(from, now)
    return [...gained, ...lost]
  }

  to(from: From): readonly To[] {
    return this.#forward.get(from) ?? []
  }

  from(to: To): Iterable<From> {
    const found = this.#backward.get(to)
    return found === undefined ? [] : found instanceof Set ? found : [found]
  }

  /** Something refers to it. */
  isReferredTo(to: To): boolean {
    return this.#backward.has(to)
  }

  #add(to: To, from: From): void {
    const found = this.#backward.get(to)
    if (found === undefined) this.#backward.set(to, from)
    else if (found instanceof Set) found.add(from)
    else this.#backward.set(to, new Set([found, from]))
  }

  #drop(to: To, from: From): void {
    const found = this.#backward.get(to)
    if (!(found instanceof Set)) {
      this.#backward.delete(to)
      return
    }
    found.delete(from)
    const [only] = found
    if (found.size === 1 && only !== undefined) this.#backward.set(to, only)
  }
}

/** `<namespace>/<service>` of a ServiceKey. */
export function serviceOf(key: ServiceKey): string {
  return key.slice(0, key.lastIndexOf(':'))
}

/** Port (number or name) of a ServiceKey. */
export function portOf(key: ServiceKey): string {
  return key.slice(key.lastIndexOf(':') + 1)
}
