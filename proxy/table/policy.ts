/** What a route asks of whoever serves it, compiled once. Frozen and shared: nearly all routes have the same one. */

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
}

/** Forwarded, and nothing else. */
export const OPEN: Policy = Object.freeze({ needs: NEEDS_NOTHING, closed: null })

export function closedPolicy(status: 503, reason: string, protects: boolean): Policy {
  return Object.freeze({ needs: NEEDS_NOTHING, closed: Object.freeze({ status, reason, protects }) })
}
