/** Connections of each client, where one of them may have so many at most. */

/** An IPv4 address, or the /64 of an IPv6 one: whoever has one address of it has all (RFC 6177, RFC 4291 2.5.1). */
export function clientOf(address: string): string {
  if (!address.includes(':')) return address
  const [front = '', back] = address.split('::')
  const groups = front === '' ? [] : front.split(':')
  if (back !== undefined) while (groups.length < 8 - (back === '' ? 0 : back.split(':').length)) groups.push('0')
  return groups.slice(0, 4).join(':')
}

export class Clients {
  readonly #most: number
  readonly #exempt: (address: string) => boolean
  readonly #counts = new Map<string, number>()

  /** @param exempt has any number; must always say the same of an address */
  constructor(most: number, exempt: (address: string) => boolean) {
    this.#most = most
    this.#exempt = exempt
  }

  /** Clients that have any. */
  get size(): number {
    return this.#counts.size
  }

  /** @returns false: it has as many as it may have, and this one is not counted */
  take(address: string): boolean {
    if (this.#exempt(address)) return true
    const client = clientOf(address)
    const count = this.#counts.get(client) ?? 0
    if (count >= this.#most) return false
    this.#counts.set(client, count + 1)
    return true
  }

  /** To be called once for each that was taken. */
  release(address: string): void {
    if (this.#exempt(address)) return
    const client = clientOf(address)
    const count = this.#counts.get(client) ?? 0
    if (count > 1) this.#counts.set(client, count - 1)
    else this.#counts.delete(client)
  }
}
