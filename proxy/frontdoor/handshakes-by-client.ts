/** TLS handshakes under way, by client; and which of them is given up where there is no room for another. */

export class HandshakesByClient<T> {
  /** In the order in which clients came; of each, in the order of its connections. */
  readonly #of = new Map<string, Set<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(client: string, handshake: T): void {
    const own = this.#of.get(client) ?? new Set()
    if (own.size === 0) this.#of.set(client, own)
    own.add(handshake)
    this.#size++
  }

  remove(client: string, handshake: T): void {
    const own = this.#of.get(client)
    if (own?.delete(handshake) !== true) return
    this.#size--
    if (own.size === 0) this.#of.delete(client)
  }

  /**
   * The oldest of the client that has most; of equals, the client that came first: a client that says nothing on many
   * connections shuts the door for itself alone, and many that do shut it for those that came before them.
   */
  leastDeserving(): T | null {
    let most: Set<T> | null = null
    for (const own of this.#of.values()) if (most === null || own.size > most.size) most = own
    for (const handshake of most ?? []) return handshake
    return null
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const own of this.#of.values()) yield* own
  }
}
