/**
 * Passive health of one endpoint: what requests saw of it. Pure: whoever calls brings the time (milliseconds).
 *
 * A connect failure makes it suspect at once: nobody is behind the address. A broken exchange (reset, invalid answer, no
 * answer in time) may be the fault of that one request, and an endpoint that answers thousands must not be exiled for
 * it: only several in a row do, without one success between them.
 *
 * A suspect endpoint pauses. When the pause is over, one request probes it, and the pause begins anew at that moment, so
 * that the others do not follow it (nginx does the same with `checked`). Success clears everything, failure of the probe
 * doubles the pause. What fails beside the probe was under way before, or was sent there because every endpoint is
 * suspect: it says nothing new, and must not drive the pause up (a short outage of all would become a long one).
 */
const FIRST_PAUSE_MS = 5_000
const LONGEST_PAUSE_MS = 60_000
const BROKEN_IN_A_ROW = 3

export class Health {
  /** The present pause; 0: not suspect. */
  #pause = 0
  #until = 0
  #broken = 0

  get suspect(): boolean {
    return this.#pause > 0
  }

  /** Milliseconds until it is due for a probe; 0: it is, or it is not suspect. */
  restsFor(now: number): number {
    return this.#pause === 0 ? 0 : Math.max(0, this.#until - now)
  }

  /** Not suspect, or due for a probe. */
  mayServe(now: number): boolean {
    return this.#pause === 0 || now >= this.#until
  }

  /** To be called when it was chosen. @returns true if that request is the probe */
  chosen(now: number): boolean {
    if (this.#pause === 0 || now < this.#until) return false
    this.#until = now + this.#pause
    return true
  }

  /**
   * The first byte of an answer, long before `succeeded` where the answer is a stream: somebody is there. Says nothing
   * where it is suspect because its answers broke off.
   */
  answered(): void {
    if (this.#broken < BROKEN_IN_A_ROW) this.#pause = 0
  }

  /** An exchange went well to its end. */
  succeeded(): void {
    this.#pause = 0
    this.#broken = 0
  }

  /**
   * All endpoints of the Service were suspect, and one is back: the others are due for a probe, or that one would have
   * to bear everything until their pauses are over.
   */
  hasten(now: number): void {
    if (this.#pause === 0) return
    this.#pause = FIRST_PAUSE_MS
    this.#until = Math.min(this.#until, now)
  }

  /** @returns true if a pause begins (or a longer one) */
  connectFailed(now: number, probe: boolean): boolean {
    if (this.#pause === 0) this.#pause = FIRST_PAUSE_MS
    else if (probe) this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
    else return false
    this.#until = now + this.#pause
    return true
  }

  /** @returns as `connectFailed` */
  exchangeBroke(now: number, probe: boolean): boolean {
    this.#broken++
    return (this.#pause > 0 || this.#broken >= BROKEN_IN_A_ROW) && this.connectFailed(now, probe)
  }
}
