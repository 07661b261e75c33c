/** How much a worker takes on: connections of one client, and requests under way, fewer of them while memory is short. */
import type { Socket } from 'node:net'
import {
  LEAST_REQUESTS,
  NO_SHEDDING,
  shed,
  type Load,
  type MemoryReading,
  type Shedding,
} from '../connection/memory-pressure.ts'
import { PerClientLimit } from '../connection/per-client-limit.ts'
import type { Lack } from '../exchange/exchange.ts'

export interface GatewayLimitSettings {
  /** Of a worker's connections, of one client; 0: no limit. */
  readonly maxConnectionsPerClient: number
  /** Requests under way in this worker; 0: no limit. */
  readonly maxRequests: number
  /** Part of a memory limit from which on load is shed, 0 to 1. */
  readonly memoryHighWater: number
}

export class GatewayLimits {
  readonly #settings: GatewayLimitSettings
  /** Null: no client has a limit. */
  readonly #clients: PerClientLimit | null
  #shedding = NO_SHEDDING
  /** Requests that were let in for want of memory all the same, since the last look. */
  #admitted = 0
  #maxRequests: number

  /** @param trusted who is believed about its clients: it stands for many of them */
  constructor(settings: GatewayLimitSettings, trusted: { has(address: string): boolean }) {
    this.#settings = settings
    const most = settings.maxConnectionsPerClient
    this.#clients = most === 0 ? null : new PerClientLimit(most, address => trusted.has(address))
    this.#maxRequests = this.#mostRequests()
  }

  /** Requests that may be under way, whatever the reason. */
  get maxRequests(): number {
    return this.#maxRequests
  }

  /** Counts a connection of its client until its socket closes. @returns false: the client has as many as it may have */
  admit(socket: Socket, address: string): boolean {
    return this.#clients?.take(socket, address) ?? true
  }

  /** @returns what is to be let go of now */
  relieve(reading: MemoryReading, load: Load): Shedding {
    this.#shedding = shed(this.#shedding, reading, load, this.#settings.memoryHighWater)
    this.#maxRequests = this.#mostRequests()
    this.#admitted = 0
    return this.#shedding
  }

  /** What a request that comes above `maxRequests` is refused for; null: it is let in all the same. */
  lack(): Lack | null {
    if (this.#maxRequests !== this.#shedding.maxRequests) return 'busy'
    // Event streams and slow clients may be what is under way: nobody else would ever be let in.
    return this.#admitted++ < LEAST_REQUESTS ? null : 'memory'
  }

  #mostRequests(): number {
    const { maxRequests } = this.#settings
    return Math.min(maxRequests === 0 ? Infinity : maxRequests, this.#shedding.maxRequests)
  }
}
