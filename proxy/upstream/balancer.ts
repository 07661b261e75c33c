/** In which order the endpoints of a Service are tried: round robin, those that just refused a connection last. */
import type { ServiceKey } from '../../protocol/objects.ts'

/** Each endpoint at most once, and never more than this many. */
const MAX_ATTEMPTS = 3
/** How long an endpoint that refused a connection comes last, in milliseconds (nginx's fail_timeout is 10 s; endpoints change faster here). */
const SUSPECT_MS = 5_000

export class Balancer {
  readonly #cursors = new Map<ServiceKey, number>()
  readonly #suspects = new Map<string, number>()
  readonly #now: () => number
  readonly #random: () => number

  constructor(now: () => number = () => performance.now(), random: () => number = Math.random) {
    this.#now = now
    this.#random = random
  }

  order(service: ServiceKey, addresses: readonly string[]): readonly string[] {
    const count = addresses.length
    // Workers and pods start at different places, or all would hit the same endpoint first.
    const cursor = this.#cursors.get(service) ?? Math.floor(this.#random() * count)
    this.#cursors.set(service, (cursor + 1) % Math.max(count, 1))
    const turned = addresses.map((_, i) => addresses[(cursor + i) % count] ?? '')
    if (this.#suspects.size === 0) return turned.slice(0, MAX_ATTEMPTS)
    const now = this.#now()
    const suspect = (address: string): boolean => (this.#suspects.get(address) ?? 0) > now
    return [...turned.filter(a => !suspect(a)), ...turned.filter(suspect)].slice(0, MAX_ATTEMPTS)
  }

  failed(address: string): void {
    this.#suspects.set(address, this.#now() + SUSPECT_MS)
  }

  succeeded(address: string): void {
    if (this.#suspects.size > 0) this.#suspects.delete(address)
  }

  forget(services: Iterable<ServiceKey>, addresses: Iterable<string>): void {
    for (const service of services) this.#cursors.delete(service)
    for (const address of addresses) this.#suspects.delete(address)
  }
}
