/**
 * What a client of HTTP/2 may ask for without using it. Frames are cheap to send and dear to take (rapid reset, CVE-2023-44487;
 * pings, settings, empty frames, CVE-2019-9512 and others): each kind is counted in windows of time, and what comes beyond is a
 * reason to end the connection. nghttp2 has limits of its own below (CONTINUATION, settings in one frame, answers that nobody takes).
 */

/** In the metric sluice_http2_connections_ended_total. */
export type FloodReason = 'resets' | 'refused' | 'pings' | 'settings' | 'overhead'

/** Of one connection; frames in a window, but for `overhead`. */
export interface FloodLimits {
  /** Milliseconds. */
  readonly window: number
  /** Streams that the client took back before their answer was out, where they are most of its requests. */
  readonly resets: number
  /** Requests that are none. */
  readonly refused: number
  readonly pings: number
  readonly settings: number
  /**
   * Bytes of the whole connection that were no request and moved no answer: an eighth of what was of use, as nginx has it
   * (ngx_http_v2.c, "http2 flood detected"), and these.
   */
  readonly overhead: number
}

/** A browser takes back dozens of requests where a page is left, a client of gRPC pings at each round trip while it reads much. */
export const FLOOD_LIMITS: FloodLimits = {
  ...{ window: 10_000, resets: 300, refused: 100, pings: 2_000, settings: 100 },
  overhead: 1_048_576,
}

type Counted = Exclude<FloodReason, 'overhead'>

export class Floods {
  readonly #limits: FloodLimits
  readonly #counts: Record<Counted | 'requests', number> = { resets: 0, refused: 0, pings: 0, settings: 0, requests: 0 }
  #until: number
  #used = 0

  /** @param now performance.now() */
  constructor(limits: FloodLimits, now: number) {
    this.#limits = limits
    this.#until = now + limits.window
  }

  /** A request came. @param bytes of its head */
  request(bytes: number): void {
    this.#counts.requests++
    this.#used += bytes
  }

  /** Bytes of bodies, of either side. */
  used(bytes: number): void {
    this.#used += bytes
  }

  /** @param now performance.now() @returns true: one too many */
  count(kind: Counted, now: number): boolean {
    const counts = this.#counts
    if (now >= this.#until) {
      this.#until = now + this.#limits.window
      counts.resets = counts.refused = counts.pings = counts.settings = counts.requests = 0
    }
    if (++counts[kind] <= this.#limits[kind]) return false
    return kind !== 'resets' || 2 * counts.resets > counts.requests
  }

  /** @param received bytes of the connection so far, decrypted @returns true: too many of them were of no use */
  isOverhead(received: number): boolean {
    return received / 8 > this.#used + this.#limits.overhead
  }
}
