/**
 * Who refers to whom: Ingresses to Secrets and Services. Kept for every revision that is served or on its way,
 * so that endpoints and certificates of both are on the pods before a fragment needs them.
 */
import type { ServiceKey } from '../../protocol/objects.ts'

/** A many-to-many relation from `from` to `to`, replaced one `from` at a time. */
export class Relation<From extends string, To extends string> {
  readonly #forward = new Map<From, ReadonlySet<To>>()
  readonly #backward = new Map<To, Set<From>>()

  /** Sets what `from` refers to; returns every `to` that gained or lost this reference. */
  replace(from: From, to: Iterable<To>): readonly To[] {
    const next = new Set(to)
    const before: ReadonlySet<To> = this.#forward.get(from) ?? new Set<To>()
    const gained = [...next].filter(t => !before.has(t))
    const lost = [...before].filter(t => !next.has(t))
    for (const t of lost) {
      const sources = this.#backward.get(t)
      sources?.delete(from)
      if (sources?.size === 0) this.#backward.delete(t)
    }
    for (const t of gained) {
      const sources = this.#backward.get(t)
      if (sources === undefined) this.#backward.set(t, new Set([from]))
      else sources.add(from)
    }
    if (next.size === 0) this.#forward.delete(from)
    else this.#forward.set(from, next)
    return [...gained, ...lost]
  }

  to(from: From): ReadonlySet<To> {
    return this.#forward.get(from) ?? new Set<To>()
  }

  from(to: To): ReadonlySet<From> {
    return this.#backward.get(to) ?? new Set<From>()
  }

  targets(): Iterable<To> {
    return this.#backward.keys()
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
