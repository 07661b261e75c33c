/** Connections of each client, where one of them may have so many at most. */

/** An IPv4 address, or the /64 of an IPv6 one: whoever has one address of it has all (RFC 6177, RFC 4291 2.5.1). */
export function clientOf(address: string): string {
  if (!address.includes(':')) return address
  const [front = '', back] = address.split('::')
  const groups = front === '' ? [] : front.split(':')
  if (back !== undefined) while (groups.length < 8 - (back === '' ? 0 : back.split(':').length)) groups.push('0')
  return groups.slice(0, 4).join(':')
}

export class PerClientLimit {
  readonly #most: number
  readonly #exempt: (address: string) => boolean
  readonly #counts = new Map<string, number>()

  /** @param exempt may have any number */
  constructor(most: number, exempt: (address: string) => boolean) {
    this.#most = most
    this.#exempt = exempt
  }

  /** Clients that have any. */
  get size(): number {
    return this.#counts.size
  }

  /**
   * Counts a connection of this client until its socket closes: from its first byte, so that one in its TLS handshake is
   * one, too.
   * @returns false: it has as many as it may have, and this one is not counted
   */
  take(socket: { once(event: 'close', listener: () => void): unknown }, address: string): boolean {
    if (this.#exempt(address)) return true
    const client = clientOf(address)
    const count = this.#counts.get(client) ?? 0
    if (count >= this.#most) return false
    this.#counts.set(client, count + 1)
    socket.once('close', () => this.#release(client))
    return true
  }

  #release(client: string): void {
    const count = this.#counts.get(client) ?? 0
    if (count > 1) this.#counts.set(client, count - 1)
    else this.#counts.delete(client)
  }
}
