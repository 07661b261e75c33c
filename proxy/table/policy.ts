/** What a route asks of whoever serves it, compiled once. Frozen and shared: nearly all routes have the same one. */
import type { Backend, RouteSettings } from '../../protocol/objects.ts'

/** Bits of `Policy.needs`: one for each thing that a transport must be able to do for the route. */
export const NEEDS_NOTHING = 0

export interface Policy {
  /** A transport serves the route if it can do all of it: `(needs & ~abilities) === 0`. */
  readonly needs: number
  /**
   * The path answers this instead of being forwarded. `protects`: its protection cannot be kept; else it has no backend
   * that we know how to ask. The reason is for logs, not for clients.
   */
  readonly closed: { readonly status: 503; readonly reason: string; readonly protects: boolean } | null
  /**
   * What its Ingress sets; null: nothing, nearly always. The same object for all routes that set the same: who compiles it keeps what it
   * made by it.
   */
  readonly settings: RouteSettings | null
}

/** Forwarded, and nothing else. */
export const OPEN: Policy = Object.freeze({ needs: NEEDS_NOTHING, closed: null, settings: null })

export function closedPolicy(status: 503, reason: string, protects: boolean): Policy {
  return Object.freeze({
    needs: NEEDS_NOTHING,
    closed: Object.freeze({ status, reason, protects }),
    settings: null,
  })
}

/** Different settings that are kept to be shared. With more the oldest are read anew when they are asked for, which costs microseconds. */
const MOST_SHARED = 1_024

/** The policies of one table, each once. */
export class Policies {
  /** Nearly all closed paths are closed for the same reason. */
  #closed: Policy | null = null
  readonly #open = new Map<string, Policy>()

  /** @param settings canonical JSON of what the Ingress sets; null: nothing */
  of(backend: Backend, settings: string | null): Policy {
    if (!('status' in backend)) return settings === null ? OPEN : this.#set(settings)
    const { status, reason, protects = true } = backend
    if (this.#closed?.closed?.reason !== reason || this.#closed.closed.protects !== protects) {
      this.#closed = closedPolicy(status, reason, protects)
    }
    return this.#closed
  }

  #set(text: string): Policy {
    const known = this.#open.get(text)
    if (known !== undefined) return known
    const settings = Object.freeze(JSON.parse(text) as RouteSettings)
    const policy = Object.freeze({ needs: NEEDS_NOTHING, closed: null, settings })
    if (this.#open.size >= MOST_SHARED) this.#open.delete(this.#open.keys().next().value ?? '')
    this.#open.set(text, policy)
    return policy
  }
}
