/**
 * What a worker lets go of when memory runs short, so that it is not killed with everything that it carries: first the
 * connections that are idle for longest, then requests. Pure; looked at several times a second, never per request.
 */

/** Bytes. */
export interface MemoryReading {
  /** Of the whole process, buffers included. */
  readonly rss: number
  /** At which the process is killed; 0: none is known. */
  readonly limit: number
  /** Of this thread. */
  readonly heapUsed: number
  /** At which this thread is ended. */
  readonly heapLimit: number
}

export interface Load {
  readonly idle: number
  /** Requests under way. */
  readonly busy: number
}

export interface Shedding {
  /** Idle connections to close now. */
  readonly closeIdle: number
  /** Requests that may be under way; Infinity: no limit. */
  readonly maxRequests: number
}

export const NO_SHEDDING: Shedding = { closeIdle: 0, maxRequests: Infinity }

/** Part of the idle connections that is closed in one look, and how many at least. */
const IDLE_PART = 8
const LEAST_IDLE = 16
/** Requests are refused from here on: this part of the way from the mark to the limit. */
const CRITICAL_PART = 1 / 3
/** So far below the mark requests are let in again. */
const RELIEF = 0.05
/** So many requests may always be under way; and so many are let in from one look to the next, however many are. */
export const LEAST_REQUESTS = 16
/** From here on there is no limit any more. */
const UNLIMITED = 16_384

/** @param highWater part of a limit, 0 to 1 */
export function shed(before: Shedding, reading: MemoryReading, { idle, busy }: Load, highWater: number): Shedding {
  const pressure = Math.max(share(reading.rss, reading.limit), share(reading.heapUsed, reading.heapLimit))
  const closeIdle = pressure < highWater ? 0 : Math.max(LEAST_IDLE, Math.ceil(idle / IDLE_PART))
  return { closeIdle, maxRequests: requestsAllowed(before.maxRequests, pressure, busy, highWater) }
}

/**
 * A quarter fewer at each look while it is critical, an eighth more when it is not any more, and twice as many when it is
 * over: what a worker can bear is found, not computed. It must grow at any height: memory that was freed may never go back
 * to the kernel.
 */
function requestsAllowed(before: number, pressure: number, busy: number, highWater: number): number {
  if (pressure >= highWater + (1 - highWater) * CRITICAL_PART) {
    return Math.max(LEAST_REQUESTS, Math.floor((Math.min(before, busy) * 3) / 4))
  }
  if (pressure >= highWater - RELIEF) return Math.ceil((before * 9) / 8)
  return before * 2 >= UNLIMITED ? Infinity : before * 2
}

function share(used: number, limit: number): number {
  return limit === 0 ? 0 : used / limit
}
